/** Every kind of store, for tests of rooms that must work on each. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { openStore } from '../cloud-hub/src/store/open-store.ts'
import type { Store } from '../cloud-hub/src/store/store.ts'
import { parseStoreAddress } from '../cloud-hub/src/store/store-address.ts'
import { createStoreDatabase, createStoreFile } from './migrated-stores.ts'
import { needs } from './require.ts'

export type StoreKind = {
  readonly name: string
  /** Options of a test on it. */
  readonly needs: { skip?: string }
  /** An empty store, closed and gone with the test. */
  open(t: TestContext): Promise<Store>
}

/** @example for (const kind of storeKinds) test(`${kind.name}: …`, kind.needs, async (t) => { … }) */
export const storeKinds: readonly StoreKind[] = [
  {
    name: 'SQLite',
    needs: {},
    open: async (t) => {
      const folder = await mkdtemp(join(tmpdir(), 'edgeloop-store-'))
      t.after(() => rm(folder, { recursive: true, force: true }))
      const file = join(folder, 'hub.db')
      await createStoreFile(file)
      return await opened(t, file)
    },
  },
  {
    name: 'PostgreSQL',
    needs: needs('postgresql'),
    open: async (t) => await opened(t, await createStoreDatabase()),
  },
]

async function opened(t: TestContext, address: string): Promise<Store> {
  const store = await openStore(parseStoreAddress(address, ''))
  t.after(() => store[Symbol.asyncDispose]())
  return store
}
