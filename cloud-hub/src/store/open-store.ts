/** Opens whichever store an address names. */
import { openPostgresStore } from './postgres-store.ts'
import { openSqliteStore } from './sqlite-store.ts'
import type { Store } from './store.ts'
import type { StoreAddress } from './store-address.ts'

/** @throws {Error} when it cannot be opened; nothing stays open then */
export async function openStore(address: StoreAddress): Promise<Store> {
  return address.kind === 'postgres'
    ? await openPostgresStore(address)
    : await openSqliteStore(address)
}
