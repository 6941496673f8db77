/** What any store of the hub must do. Run it for SQLite, and for whatever comes next. */
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { type TestContext, test } from 'node:test'
import { type CheckedBatch, eventColumns, type Store } from '../../cloud-hub/src/store/store.ts'

/** @param open an empty store, closed with the test; `again` opens the same one as after a restart */
export function testStore(
  name: string,
  open: (t: TestContext) => Promise<{ store: Store; again: () => Promise<Store> }>,
): void {
  test(`${name}: commit() makes events and their mark visible together`, async (t) => {
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

  test(`${name}: commit() leaves a batch out that was planned on another mark`, async (t) => {
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
  })

  test(`${name}: commit() keeps boots of one device apart`, async (t) => {
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

  test(`${name}: commit() stores nothing of a group that it cannot store whole`, async (t) => {
    const { store } = await open(t)
    const deviceKey = await addDevice(store)
    const unknownDevice = batch({ deviceKey: deviceKey + 1, from: 0, to: 1 })
    await assert.rejects(store.commit([batch({ deviceKey, from: 0, to: 3 }), unknownDevice]))
    assert.deepEqual(await sequences(store), [])
    await store.commit([batch({ deviceKey, from: 0, to: 3 })])
    assert.deepEqual(await sequences(store), [1, 2, 3])
  })

  test(`${name}: commit() moves the mark over what it puts in quarantine`, async (t) => {
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

  test(`${name}: health figures are found by the time they were taken`, async (t) => {
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

  test(`${name}: what was committed is there after a restart`, async (t) => {
    const { store, again } = await open(t)
    const deviceKey = await addDevice(store)
    await store.commit([batch({ deviceKey, from: 0, to: 3 })])
    const reopened = await again()
    assert.deepEqual(await sequences(reopened), [1, 2, 3])
    const [outcome] = await reopened.commit([batch({ deviceKey, from: 0, to: 3 })])
    assert.deepEqual(outcome, { kind: 'conflict', through: 3 })
  })

  test(`${name}: a transaction of the writer keeps others out until it ends`, async (t) => {
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
  })

  test(`${name}: a transaction that throws changes nothing`, async (t) => {
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

  test(`${name}: a closed store refuses instead of hanging`, async (t) => {
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
