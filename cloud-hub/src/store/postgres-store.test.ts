import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { sql } from 'kysely'
import { testStore } from '../../../test/contracts/store.ts'
import { createDatabase } from '../../../test/postgres/shared-cluster.ts'
import { needs } from '../../../test/require.ts'
import { openPostgresStore } from './postgres-store.ts'
import { parseStoreAddress, type StoreAddress } from './store-address.ts'

async function database(): Promise<Extract<StoreAddress, { kind: 'postgres' }>> {
  const address = parseStoreAddress(await createDatabase(), '')
  assert.ok(address.kind === 'postgres')
  return address
}

async function opened(t: TestContext, address: Awaited<ReturnType<typeof database>>) {
  const store = await openPostgresStore(address)
  t.after(() => store[Symbol.asyncDispose]())
  return store
}

testStore(
  'PostgreSQL',
  async (t) => {
    const address = await database()
    const store = await opened(t, address)
    return {
      store,
      again: async () => {
        await store[Symbol.asyncDispose]()
        return await opened(t, address)
      },
      beside: () => opened(t, address),
    }
  },
  needs('postgresql'),
)

test(
  'openPostgresStore() says what is wrong, without the password',
  needs('postgresql'),
  async () => {
    const { url } = await database()
    const wrong = new URL(url)
    wrong.password = 'guessed'
    const address = parseStoreAddress(wrong.href, '')
    assert.ok(address.kind === 'postgres')
    await assert.rejects(openPostgresStore(address), (error: Error) => {
      assert.match(error.message, /Cannot open the store "postgres:\/\/edgeloop:\*\*\*@.*password/)
      assert.doesNotMatch(error.message, /guessed/)
      return true
    })
  },
)

test(
  'openPostgresStore() refuses a store that a newer hub has written',
  needs('postgresql'),
  async () => {
    const address = await database()
    {
      await using store = await openPostgresStore(address)
      await sql`insert into kysely_migration (name, timestamp) values ('9999-later', '')`.execute(
        store.writer,
      )
    }
    await assert.rejects(openPostgresStore(address), /Cannot open the store .*9999-later/)
  },
)

test(
  'hubs that start together on an empty database both come up',
  needs('postgresql'),
  async (t) => {
    const address = await database()
    const stores = await Promise.all([opened(t, address), opened(t, address), opened(t, address)])
    for (const store of stores) {
      assert.deepEqual(await store.reader.selectFrom('device').selectAll().execute(), [])
    }
  },
)

test('a commit is durable even where the server says otherwise', needs('postgresql'), async (t) => {
  const address = await database()
  const plain = await opened(t, address)
  const name = new URL(address.url).pathname.slice(1)
  await sql`alter database ${sql.id(name)} set synchronous_commit = off`.execute(plain.writer)
  const store = await opened(t, address)
  const { rows } = await sql<{ synchronous_commit: string }>`show synchronous_commit`.execute(
    store.writer,
  )
  assert.equal(rows[0]?.synchronous_commit, 'on')
})
