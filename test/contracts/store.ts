/** What any store of the hub must do. Run it for SQLite, and for whatever comes next. */
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { type TestContext, test } from 'node:test'
import { type CheckedBatch, eventColumns, type Store } from '../../cloud-hub/src/store/store.ts'

/**
 * @param open an empty store, closed with the test; `again` opens the same one as after a restart, `beside` as
 * another hub does, where there may be several
 * @param options of each test, such as `needs('postgresql')`
 */
export function testStore(
  name: string,
  open: (t: TestContext) => Promise<{
    store: Store
    again: () => Promise<Store>
    beside?: () => Promise<Store>
  }>,
  options: { skip?: string } = {},
): void {
  test(`${name}: commit() makes events and their mark visible together`, options, async (t) => {
    const { store } = await open(t)
    const deviceKey = await addDevice(store)
    const [outcome] = await store.commit([batch({ deviceKey, from: 0, to: 3 })])
    assert.deepEqual(outcome, { kind: 'committed', through: 3, firstEventId: 1 })
    assert.deepEqual(await sequences(store), [1, 2, 3])
    const boot = await store.reader.selectFrom('boot').select('through').executeTakeFirstOrThrow()
    assert.equal(boot.through, 3)
    const device = await store.reader
      .selectFrom('device')
      .select('events_stored')
      .executeTakeFirst()
    assert.equal(device?.events_stored, 3)
  })

  test(
    `${name}: commit() leaves a batch out that was planned on another mark`,
    options,
    async (t) => {
      const { store } = await open(t)
      const deviceKey = await addDevice(store)
      await store.commit([batch({ deviceKey, from: 0, to: 3 })])
      const outcomes = await store.commit([
        batch({ deviceKey, from: 0, to: 5 }),
        batch({ deviceKey, from: 5, to: 6 }),
        batch({ deviceKey, from: 3, to: 4 }),
      ])
      assert.deepEqual(outcomes, [
        { kind: 'conflict', through: 3 },
        { kind: 'conflict', through: 3 },
        { kind: 'committed', through: 4, firstEventId: 4 },
      ])
      assert.deepEqual(await sequences(store), [1, 2, 3, 4])
    },
  )

  test(`${name}: commit() keeps boots of one device apart`, options, async (t) => {
    const { store } = await open(t)
    const deviceKey = await addDevice(store)
    const outcomes = await store.commit([
      batch({ deviceKey, from: 0, to: 2 }),
      batch({ deviceKey, from: 0, to: 2, bootId: randomUUID() }),
    ])
    assert.deepEqual(
      outcomes.map(({ kind }) => kind),
      ['committed', 'committed'],
    )
    assert.deepEqual(await sequences(store), [1, 1, 2, 2])
  })

  test(
    `${name}: commit() stores nothing of a group that it cannot store whole`,
    options,
    async (t) => {
      const { store } = await open(t)
      const deviceKey = await addDevice(store)
      const unknownDevice = batch({ deviceKey: deviceKey + 1, from: 0, to: 1 })
      await assert.rejects(store.commit([batch({ deviceKey, from: 0, to: 3 }), unknownDevice]))
      assert.deepEqual(await sequences(store), [])
      await store.commit([batch({ deviceKey, from: 0, to: 3 })])
      assert.deepEqual(await sequences(store), [1, 2, 3])
    },
  )

  test(`${name}: commit() moves the mark over what it puts in quarantine`, options, async (t) => {
    const { store } = await open(t)
    const deviceKey = await addDevice(store)
    const quarantined = [1, '/score must be <= 1', '{"sequence":1}']
    const [outcome] = await store.commit([
      { ...batch({ deviceKey, from: 0, to: 0 }), through: 1, quarantined },
    ])
    assert.equal(outcome?.through, 1)
    const row = await store.reader.selectFrom('quarantine').selectAll().executeTakeFirstOrThrow()
    assert.equal(row.sequence, 1)
    assert.equal(row.reason, '/score must be <= 1')
  })

  test(`${name}: health figures are found by the time they were taken`, options, async (t) => {
    const { store } = await open(t)
    const deviceKey = await addDevice(store)
    const health = [1, 5000, 0.5, 1e9, 2.5, 7, '[]']
    await store.commit([{ ...batch({ deviceKey, from: 0, to: 2 }), health }])
    const rows = await store.reader.selectFrom('health_figure').selectAll().execute()
    assert.deepEqual(rows, [
      {
        event_id: 2,
        device_key: deviceKey,
        at: 5000,
        cpu_share: 0.5,
        memory_bytes: 1e9,
        loop_p99_ms: 2.5,
        outbox_events: 7,
        streams: '[]',
      },
    ])
  })

  test(`${name}: what was committed is there after a restart`, options, async (t) => {
    const { store, again } = await open(t)
    const deviceKey = await addDevice(store)
    await store.commit([batch({ deviceKey, from: 0, to: 3 })])
    const reopened = await again()
    assert.deepEqual(await sequences(reopened), [1, 2, 3])
    const [outcome] = await reopened.commit([batch({ deviceKey, from: 0, to: 3 })])
    assert.deepEqual(outcome, { kind: 'conflict', through: 3 })
  })

  test(
    `${name}: a transaction of the writer keeps others out until it ends`,
    options,
    async (t) => {
      const { store } = await open(t)
      const deviceKey = await addDevice(store)
      const order: string[] = []
      const inside = Promise.withResolvers<void>()
      const transaction = store.writer.transaction().execute(async (tx) => {
        await tx.updateTable('device').set({ name: 'inside' }).execute()
        inside.resolve()
        await new Promise((resolve) => setTimeout(resolve, 20))
        order.push('transaction')
      })
      await inside.promise
      await store.commit([batch({ deviceKey, from: 0, to: 1 })])
      order.push('commit')
      await transaction
      assert.deepEqual(order, ['transaction', 'commit'])
    },
  )

  test(`${name}: a transaction that throws changes nothing`, options, async (t) => {
    const { store } = await open(t)
    await addDevice(store)
    const failing = store.writer.transaction().execute(async (tx) => {
      await tx.updateTable('device').set({ name: 'changed' }).execute()
      throw new Error('on purpose')
    })
    await assert.rejects(failing, /on purpose/)
    const row = await store.reader.selectFrom('device').select('name').executeTakeFirst()
    assert.equal(row?.name, 'gate')
  })

  test(`${name}: text with a NUL in it keeps nothing out`, options, async (t) => {
    const { store } = await open(t)
    const deviceKey = await addDevice(store)
    const odd = batch({ deviceKey, from: 0, to: 2 })
    const events = odd.events.map((cell) => (cell === 'person' ? 'per\0son' : cell))
    const quarantined = [null, 'why\0not', 'da\0ta']
    const [outcome] = await store.commit([{ ...odd, events, quarantined }])
    assert.equal(outcome?.kind, 'committed')
    await store.writer.updateTable('device').set({ name: 'ga\0te' }).execute()
    const found = store.reader
      .selectFrom('event')
      .select('event_id')
      .where('label', '=', 'per\0son')
    assert.equal((await found.execute()).length, 2)
  })

  test(
    `${name}: many batches at once are each taken whole, once, without a hole in the ids`,
    options,
    async (t) => {
      const { store, beside } = await open(t)
      const writers = [store, ...(beside ? [await beside(), await beside()] : [])]
      const devices = [await addDevice(store), await addDevice(store)]
      // Boots that every writer sends, as where a device goes from hub to hub, and one of each writer's own.
      const shared = [randomUUID(), randomUUID()]
      const rounds = 20
      const reading = new AbortController()
      const overtaken = watchPages(store, reading.signal)
      await Promise.all(
        writers.map(async (writer) => {
          const boots = [randomUUID(), ...shared]
          for (let from = 0; from < rounds * 3; from += 3) {
            const group = boots.map((bootId, b) =>
              batch({ deviceKey: devices[b % devices.length]!, from, to: from + 3, bootId }),
            )
            await writer.commit(group)
          }
        }),
      )
      reading.abort()
      assert.deepEqual(await overtaken, [], 'no event appears below one that was seen')
      const rows = await store.reader
        .selectFrom('event')
        .select(['event_id', 'boot_key', 'sequence'])
        .orderBy('event_id')
        .execute()
      assert.equal(rows.length, (writers.length + shared.length) * rounds * 3)
      assert.deepEqual(
        rows.map(({ event_id }) => event_id),
        rows.map((_, i) => i + 1),
      )
      for (const { through } of await store.reader.selectFrom('boot').select('through').execute()) {
        assert.equal(through, rounds * 3)
      }
      const counted = await store.reader.selectFrom('device').select('events_stored').execute()
      assert.equal(
        counted.reduce((sum, { events_stored }) => sum + events_stored, 0),
        rows.length,
      )
    },
  )

  test(`${name}: a closed store refuses instead of hanging`, options, async (t) => {
    const { store } = await open(t)
    await store[Symbol.asyncDispose]()
    await assert.rejects(store.reader.selectFrom('device').selectAll().execute(), /closed/)
    await assert.rejects(store.commit([]), /closed/)
  })
}

async function addDevice(store: Store): Promise<number> {
  const row = await store.writer
    .insertInto('device')
    .values({
      device_id: `device-${randomUUID()}`,
      site: 'main',
      name: 'gate',
      enrolled_at: 1,
      certificate_serial: '01',
      certificate_not_after: 2,
    })
    .returning('device_key')
    .executeTakeFirstOrThrow()
  return row.device_key
}

const oneBoot = randomUUID()

/** A batch of the events `from + 1`..`to`, planned on the mark `from`. */
function batch(given: {
  deviceKey: number
  from: number
  to: number
  bootId?: string
}): CheckedBatch {
  const { deviceKey, from, to, bootId = oneBoot } = given
  const cells = Array.from({ length: to - from }, (_, i) => {
    const row = [from + i + 1, 'appeared', 1000, 0, 'gate', 'person', 0.5, null, '{}']
    assert.equal(row.length, eventColumns.length)
    return row
  })
  return {
    deviceKey,
    bootId,
    expected: from,
    through: to,
    receivedAt: 2000,
    events: cells.flat(),
    health: [],
    quarantined: [],
  }
}

async function sequences(store: Store): Promise<number[]> {
  const rows = await store.reader
    .selectFrom('event')
    .select('sequence')
    .orderBy('sequence')
    .execute()
  return rows.map(({ sequence }) => sequence)
}

/** Reads pages forwards from a cursor while others write; gives ids that appeared behind it. */
async function watchPages(store: Store, signal: AbortSignal): Promise<number[]> {
  const seen = new Set<number>()
  const overtaken: number[] = []
  let cursor = 0
  for (let last = false; ; last = signal.aborted) {
    const rows = await store.reader.selectFrom('event').select('event_id').execute()
    for (const { event_id } of rows) {
      if (!seen.has(event_id) && event_id <= cursor) overtaken.push(event_id)
      seen.add(event_id)
    }
    cursor = Math.max(cursor, ...seen)
    if (last) return overtaken
    await new Promise((resolve) => setTimeout(resolve, 1))
  }
}
