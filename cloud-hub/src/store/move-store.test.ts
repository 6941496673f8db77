import assert from 'node:assert/strict'
import { createHash, randomUUID } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { type TestContext, test } from 'node:test'
import fc from 'fast-check'
import { createDatabase } from '../../../test/postgres/shared-cluster.ts'
import { needs } from '../../../test/require.ts'
import { describeStore } from './describe-store.ts'
import { moveStore } from './move-store.ts'
import { openStore } from './open-store.ts'
import { openSqliteStore } from './sqlite-store.ts'
import { parseStoreAddress, type StoreAddress } from './store-address.ts'
import { knownSteps } from './store-ends.ts'

const none = '/nowhere'
const events = 2500

test(
  'a store moves to PostgreSQL and back; every row arrives and the source is untouched',
  needs('postgresql'),
  async (t) => {
    const folder = await temporaryFolder(t)
    const from = await filledStore(join(folder, 'hub.db'))
    const before = await digestOf(from.file)
    const database = parseStoreAddress(await createDatabase(), none)
    const seen: string[] = []
    const there = await moveStore(from, database, { progress: ({ table }) => seen.push(table) })
    assert.equal(there.tables.find(({ table }) => table === 'event')?.rows, events)
    assert.ok(there.rows >= events + 2)
    assert.equal(there.replaced, 1, 'the one text with a NUL')
    assert.ok(seen.includes('event') && seen.includes('device'))
    assert.equal(await digestOf(from.file), before, 'the source is what it was')

    const back = parseStoreAddress(join(folder, 'back', 'hub.db'), none)
    const again = await moveStore(database, back)
    assert.deepEqual(again.tables, there.tables, 'counts and digests')
    assert.deepEqual(await readdir(join(folder, 'back')), ['hub.db', 'hub.db.open'])

    // Both are stores that a hub goes on with: numbers continue, marks hold.
    for (const address of [database, back]) {
      await using store = await openStore(address)
      const added = await store.writer
        .insertInto('device')
        .values(deviceNamed('later'))
        .returning('device_key')
        .executeTakeFirstOrThrow()
      assert.equal(added.device_key, 3)
      const boot = await store.reader.selectFrom('boot').selectAll().executeTakeFirstOrThrow()
      const { device_key: deviceKey, boot_id: bootId } = boot
      const batch = { deviceKey, bootId, receivedAt: 1, health: [], quarantined: [] }
      const event = [events + 1, 'alarm', 0, 0, null, null, null, null, '{}']
      const [old, next] = await store.commit([
        { ...batch, expected: 0, through: 1, events: event },
        { ...batch, expected: events, through: events + 1, events: event },
      ])
      assert.deepEqual(old, { kind: 'conflict', through: events })
      assert.deepEqual(next, { kind: 'committed', through: events + 1, firstEventId: events + 1 })
    }
  },
)

test(
  'whatever text and numbers a store holds, they arrive as they were',
  needs('postgresql'),
  async (t) => {
    const folder = await temporaryFolder(t)
    const cell = fc.record({
      label: fc.string({ unit: 'binary', maxLength: 40 }),
      score: fc.double({ noNaN: true, noDefaultInfinity: true }),
      at: fc.maxSafeInteger(),
    })
    let run = 0
    await fc.assert(
      fc.asyncProperty(fc.array(cell, { maxLength: 30 }), async (cells) => {
        const file = join(folder, `${++run}.db`)
        await using store = await openSqliteStore({ file })
        await store.writer.insertInto('device').values(deviceNamed('gate')).execute()
        const rows = cells.map(({ label, score, at }, i) => {
          // SQLite has no minus zero in a column of real numbers.
          const real = score === 0 ? 0 : score
          return [i + 1, 'appeared', at, 0, 'one', label, real, null, '{}']
        })
        const bootId = randomUUID()
        const batch = { deviceKey: 1, bootId, expected: 0, through: rows.length, receivedAt: 1 }
        await store.commit([{ ...batch, events: rows.flat(), health: [], quarantined: [] }])
        await store[Symbol.asyncDispose]()
        const database = parseStoreAddress(await createDatabase(), none)
        await moveStore(parseStoreAddress(file, none), database)
        await using moved = await openStore(database)
        const found = await moved.reader
          .selectFrom('event')
          .select(['label', 'score', 'at'])
          .orderBy('event_id')
          .execute()
        assert.deepEqual(
          found,
          rows.map(([, , at, , , label, score]) => ({
            label: String(label).replaceAll('\0', '\ufffd'),
            score,
            at,
          })),
        )
      }),
      { numRuns: 10 },
    )
  },
)

test(
  'a store is not moved while a hub has it open, on either end',
  needs('postgresql'),
  async (t) => {
    const folder = await temporaryFolder(t)
    const file = await filledStore(join(folder, 'hub.db'))
    const database = parseStoreAddress(await createDatabase(), none)
    {
      await using _hub = await openStore(file)
      assert.equal((await describeStore(file)).open, true)
      await assert.rejects(moveStore(file, database), /hub\.db": a hub has it open/)
      await assert.rejects(openStore(file), /a hub has it open/, 'nor is it opened by a second hub')
    }
    {
      await using _hub = await openStore(database)
      await using _another = await openStore(database)
      assert.equal((await describeStore(database)).open, true)
      await assert.rejects(moveStore(file, database), /a hub has it open; stop that hub first/)
      await assert.rejects(
        moveStore(database, parseStoreAddress(join(folder, 'other.db'), none)),
        /a hub has it open; stop that hub first/,
      )
    }
    assert.equal((await describeStore(database)).open, false)
  },
)

test(
  'a target that holds anything is refused, and stays as it was',
  needs('postgresql'),
  async (t) => {
    const folder = await temporaryFolder(t)
    const from = await filledStore(join(folder, 'hub.db'))
    const file = await filledStore(join(folder, 'other.db'))
    const database = parseStoreAddress(await createDatabase(), none)
    await moveStore(from, database)
    for (const to of [file, database]) {
      const before = await describeStore(to)
      await assert.rejects(moveStore(from, to), /it is not empty, table "device" has 2 rows/)
      assert.deepEqual(await describeStore(to), before)
    }
  },
)

test(
  'a move that is stopped in the middle leaves an empty target behind',
  needs('postgresql'),
  async (t) => {
    const folder = await temporaryFolder(t)
    const from = await filledStore(join(folder, 'hub.db'))
    const database = parseStoreAddress(await createDatabase(), none)
    const file = parseStoreAddress(join(folder, 'new.db'), none)
    for (const to of [database, file]) {
      const stop = new AbortController()
      const progress = ({ table, rows }: { table: string; rows: number }) => {
        if (table === 'event' && rows >= 1000) stop.abort(new Error('stopped by a person'))
      }
      await assert.rejects(moveStore(from, to, { progress, signal: stop.signal }), /by a person/)
    }
    assert.ok(!existsSync(join(folder, 'new.db')) && !existsSync(join(folder, 'new.db.moving')))
    const { tables } = await describeStore(database)
    assert.ok(tables.every(({ rows }) => rows === 0))
    assert.equal((await moveStore(from, database)).rows, (await moveStore(from, file)).rows)
  },
)

test('what is no store, or one of another version, is not moved', async (t) => {
  const folder = await temporaryFolder(t)
  const to = parseStoreAddress(join(folder, 'new.db'), none)
  const missing = parseStoreAddress(join(folder, 'missing.db'), none)
  await assert.rejects(
    moveStore(missing, to),
    /Cannot read the store ".*missing\.db": unable to open/,
  )
  assert.ok(!existsSync(join(folder, 'missing.db')))
  const older = await filledStore(join(folder, 'older.db'))
  {
    using db = new DatabaseSync(older.file)
    db.exec("delete from kysely_migration where name > '0001' and name not like '0001%'")
    db.exec("update kysely_migration set name = '0000-before' where name like '0001%'")
  }
  await assert.rejects(
    moveStore(older, to),
    new RegExp(`its schema is at "0000-before", this version's at "${knownSteps.at(-1)}"`),
  )
  assert.ok(!existsSync(join(folder, 'new.db')))
})

test('describeStore() says what is in a store that a hub has open', async (t) => {
  const folder = await temporaryFolder(t)
  const address = await filledStore(join(folder, 'hub.db'))
  const { kind, store, open, schema, oldestEventAt, newestEventAt, tables, sizeBytes } =
    await describeStore(address)
  assert.deepEqual([kind, store, open, schema], ['sqlite', address.file, false, knownSteps.at(-1)])
  assert.equal(oldestEventAt, '2026-01-01T00:00:00.000Z')
  assert.equal(newestEventAt, '2026-01-01T00:00:00.000Z')
  assert.equal(tables.find(({ table }) => table === 'event')?.rows, events)
  assert.ok(sizeBytes > 100_000)
})

/** A closed store with two devices, events, figures of health and a text that PostgreSQL cannot hold. */
async function filledStore(file: string): Promise<Extract<StoreAddress, { kind: 'sqlite' }>> {
  await using store = await openSqliteStore({ file })
  await store.writer
    .insertInto('device')
    .values([deviceNamed('gate'), deviceNamed('yard')])
    .execute()
  const rows = Array.from({ length: events }, (_, i) => [
    i + 1,
    'appeared',
    1_767_225_600_000 + i,
    0,
    'one',
    i === 7 ? 'per\0son' : 'pérson 🚗',
    i / 7,
    null,
    `{"sequence":${i + 1}}`,
  ])
  await store.commit([
    {
      deviceKey: 1,
      bootId: randomUUID(),
      expected: 0,
      through: events,
      receivedAt: Date.parse('2026-01-01T00:00:00.000Z'),
      events: rows.flat(),
      health: [3, 1_767_225_600_003, 0.1, 1e9, 2.5, 7, '[]'],
      quarantined: [1, 'why', 'data'],
    },
  ])
  const address = parseStoreAddress(file, none)
  assert.ok(address.kind === 'sqlite')
  return address
}

const deviceNamed = (deviceId: string) => ({
  device_id: deviceId,
  site: 'main',
  name: deviceId,
  enrolled_at: 1,
  certificate_serial: '01',
  certificate_not_after: 2,
})

async function digestOf(file: string): Promise<string> {
  return createHash('sha256')
    .update(await readFile(file))
    .digest('hex')
}

async function temporaryFolder(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'edgeloop-move-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  return folder
}
