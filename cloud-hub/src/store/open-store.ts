/** Opens whichever store an address names, for a hub. */
import { mkdir } from 'node:fs/promises'
import { dirname } from 'node:path'
import { openPostgresStore } from './postgres-store.ts'
import { claimSqliteStore } from './sqlite-claim.ts'
import { openSqliteStore } from './sqlite-store.ts'
import type { Store } from './store.ts'
import type { StoreAddress } from './store-address.ts'

/**
 * Opens a store and claims it, so that nobody moves it meanwhile: an SQLite file for this hub alone, a PostgreSQL
 * database together with other hubs.
 * @throws {Error} when it cannot be opened; nothing stays open then
 */
export async function openStore(address: StoreAddress): Promise<Store> {
  if (address.kind === 'postgres') return await openPostgresStore(address)
  await using opened = new AsyncDisposableStack()
  await mkdir(dirname(address.file), { recursive: true })
  opened.use(await claimSqliteStore(address.file))
  const store = opened.use(await openSqliteStore(address))
  const resources = opened.move()
  return { ...store, [Symbol.asyncDispose]: () => resources.disposeAsync() }
}
