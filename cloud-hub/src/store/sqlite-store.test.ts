import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { type TestContext, test } from 'node:test'
import { testStore } from '../../../test/contracts/store.ts'
import { pruneStore } from './retention.ts'
import { openSqliteStore } from './sqlite-store.ts'

const dayMs = 86_400_000

testStore('SQLite', async (t) => {
  const file = await databaseFile(t)
  const open = async () => {
    const store = await openSqliteStore({ file })
    t.after(() => store[Symbol.asyncDispose]())
    return store
  }
  const store = await open()
  return {
    store,
    again: async () => {
      await store[Symbol.asyncDispose]()
      return await open()
    },
  }
})

test('openSqliteStore() says so when the file is no database, and leaves it alone', async (t) => {
  const file = await databaseFile(t)
  await writeFile(file, 'a shopping list, and quite a long one: milk, bread, butter'.repeat(20))
  await assert.rejects(
    openSqliteStore({ file }),
    /Cannot open the store ".*": file is not a database/,
  )
})

test('openSqliteStore() refuses a store that a newer hub has written', async (t) => {
  const file = await databaseFile(t)
  await (await openSqliteStore({ file }))[Symbol.asyncDispose]()
  const db = new DatabaseSync(file)
  db.prepare('insert into kysely_migration (name, timestamp) values (?, ?)').run('9999-later', '')
  db.close()
  await assert.rejects(openSqliteStore({ file }), /Cannot open the store .*9999-later/)
})

test('the store commits durably: WAL, synchronous full, foreign keys on', async (t) => {
  const file = await databaseFile(t)
  await using store = await openSqliteStore({ file })
  const pragma = async (name: string) => {
    const { sql } = await import('kysely')
    const { rows } = await sql.raw<Record<string, unknown>>(`pragma ${name}`).execute(store.writer)
    return Object.values(rows[0] ?? {})[0]
  }
  assert.equal(await pragma('journal_mode'), 'wal')
  assert.equal(await pragma('synchronous'), 2)
  assert.equal(await pragma('foreign_keys'), 1)
})

test('pruneStore() removes what is older than it is kept, and nothing else', async (t) => {
  const file = await databaseFile(t)
  await using store = await openSqliteStore({ file })
  const device = await store.writer
    .insertInto('device')
    .values({
      device_id: 'gate',
      site: 'main',
      name: '',
      enrolled_at: 0,
      certificate_serial: '',
      certificate_not_after: 0,
    })
    .returning('device_key')
    .executeTakeFirstOrThrow()
  const count = 4500
  const rows = Array.from({ length: count }, (_, i) => [
    i + 1,
    'alarm',
    i,
    0,
    null,
    null,
    null,
    null,
    '{}',
  ])
  for (const [part, receivedAt] of [
    [rows.slice(0, count - 5), 1 * dayMs],
    [rows.slice(-5), 9 * dayMs],
  ] as const) {
    const expected = part[0]?.[0] === 1 ? 0 : count - 5
    await store.commit([
      {
        deviceKey: device.device_key,
        bootId: '0'.repeat(36),
        expected,
        through: expected + part.length,
        receivedAt,
        events: part.flat(),
        health: [0, receivedAt, 0, 0, 0, 0, '[]'],
        quarantined: [],
      },
    ])
  }
  const { signal } = new AbortController()
  await pruneStore(store, { now: 10 * dayMs, eventsKeptDays: 5, healthKeptDays: 5, signal })
  const events = await store.reader.selectFrom('event').select('sequence').execute()
  assert.deepEqual(
    events.map(({ sequence }) => sequence),
    [4496, 4497, 4498, 4499, 4500],
  )
  assert.equal((await store.reader.selectFrom('health_figure').selectAll().execute()).length, 1)
  const boot = await store.reader.selectFrom('boot').select('through').executeTakeFirst()
  assert.equal(boot?.through, count, 'the mark outlives its events')
})

async function databaseFile(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'edgeloop-store-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  return join(folder, 'hub.db')
}
