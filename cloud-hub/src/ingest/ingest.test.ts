import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { type TestContext, test } from 'node:test'
import { messages } from '@edgeloop/protocol'
import { sql } from 'kysely'
import { pino } from 'pino'
import { storeKinds } from '../../../test/stores.ts'
import type { Device } from '../devices/device.ts'
import type { Store } from '../store/store.ts'
import { openMetrics } from '../telemetry/metrics.ts'
import { openIngest, queueBytesMax, type Stored } from './ingest.ts'

for (const kind of storeKinds) {
  test(
    `${kind.name}: take() acknowledges what is stored, in the order in which it came`,
    kind.needs,
    async (t) => {
      const { ingest, device, acknowledged, sequences } = await opened(t, kind)
      for (let from = 0; from < 50; from += 10) ingest.take(device, payload(from, from + 10))
      await t.waitFor(() => assert.equal(acknowledged.at(-1), 50))
      assert.deepEqual(
        acknowledged,
        acknowledged.toSorted((a, b) => a - b),
      )
      assert.deepEqual(
        await sequences(),
        Array.from({ length: 50 }, (_, i) => i + 1),
      )
    },
  )
}

for (const kind of storeKinds) {
  test(
    `${kind.name}: take() plans anew where it did not know the mark, whatever was planned on top`,
    kind.needs,
    async (t) => {
      const { ingest, device, store, acknowledged, sequences } = await opened(t, kind)
      ingest.take(device, payload(0, 3))
      await t.waitFor(() => assert.deepEqual(acknowledged, [3]))
      // Another start of the hub on the same store: it believes in a mark of 0.
      const again = openIngestOn(store)
      t.after(() => again.ingest[Symbol.asyncDispose]())
      again.ingest.take(device, payload(0, 3))
      again.ingest.take(device, payload(2, 5))
      again.ingest.take(device, payload(5, 6))
      await t.waitFor(() => assert.equal(again.acknowledged.at(-1), 6))
      assert.deepEqual(await sequences(), [1, 2, 3, 4, 5, 6])
    },
  )
}

const [sqlite] = storeKinds

test('a full disk: nothing is acknowledged that is not stored, and it goes on when there is room', async (t) => {
  const { ingest, device, store, acknowledged, sequences } = await opened(t)
  ingest.take(device, payload(0, 10))
  await t.waitFor(() => assert.deepEqual(acknowledged, [10]))
  // The real SQLITE_FULL: the file may not grow by another page.
  await sql`pragma max_page_count = 1`.execute(store.writer)
  let from = 10
  while (ingest.storing) {
    ingest.take(device, payload(from, from + 100))
    from += 100
    await new Promise((resolve) => setTimeout(resolve, 5))
    assert.ok(from < 100_000, 'the disk never became full')
  }
  const mark = acknowledged.at(-1) ?? 0
  assert.equal((await sequences()).length, mark, 'what is acknowledged, and only that, is stored')
  await sql`pragma max_page_count = 1000000`.execute(store.writer)
  ingest.take(device, payload(mark, mark + 5))
  await t.waitFor(() => assert.equal(acknowledged.at(-1), mark + 5))
  assert.equal(ingest.storing, true)
  assert.equal((await sequences()).length, mark + 5)
})

for (const kind of storeKinds) {
  test(
    `${kind.name}: room() makes devices wait while the queue is full, and no longer`,
    kind.needs,
    async (t) => {
      const { ingest, device, store, acknowledged } = await opened(t, kind)
      const held = Promise.withResolvers<void>()
      const transaction = store.writer.transaction().execute(() => held.promise)
      const large = payload(0, 200, 'x'.repeat(900))
      assert.ok(large.length < messages.events.bytesMax)
      let taken = 0
      while (!ingest.room()) {
        ingest.take(device, large)
        taken += large.length
        assert.ok(taken <= queueBytesMax + large.length)
      }
      let waited = false
      const room = ingest.room()?.then(() => {
        waited = true
      })
      await new Promise((resolve) => setTimeout(resolve, 20))
      assert.equal(waited, false)
      held.resolve()
      await transaction
      await room
      await t.waitFor(() => assert.equal(acknowledged.at(-1), 200))
    },
  )
}

async function opened(t: TestContext, kind = sqlite!) {
  const store = await kind.open(t)
  const row = await store.writer
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
  const device: Device = {
    deviceKey: row.device_key,
    deviceId: 'gate',
    site: 'main',
    name: '',
    enrolledAt: 0,
    certificate: { serial: '', notAfter: 0 },
    movedTo: null,
    clockAheadMs: 0,
    tags: [],
    renewed: null,
    expired: false,
    retiredAt: null,
    connections: [],
    online: true,
    lastSeenAt: null,
    eventsStored: 0,
    reported: null,
    health: null,
    desired: null,
    revision: 1,
  }
  const opened = openIngestOn(store)
  t.after(() => opened.ingest[Symbol.asyncDispose]())
  const sequences = async (): Promise<number[]> => {
    const rows = await store.reader
      .selectFrom('event')
      .select('sequence')
      .orderBy('event_id')
      .execute()
    return rows.map(({ sequence }) => sequence)
  }
  return { ...opened, store, device, sequences }
}

function openIngestOn(store: Store) {
  const acknowledged: number[] = []
  const stored: Stored[] = []
  const zero = () => 0
  const ingest = openIngest({
    store,
    clock: Date.now,
    log: pino({ level: 'silent' }),
    metrics: openMetrics({
      devicesOnline: zero,
      eventsStored: zero,
      changeClients: zero,
      liveClients: zero,
      artifactTransfers: zero,
      rolloutsOpen: zero,
      modelsOpen: zero,
      driftAlarms: () => new Map(),
    }),
    acknowledge: (_device, _bootId, through) => acknowledged.push(through),
    stored: (one) => stored.push(one),
  })
  return { ingest, acknowledged, stored }
}

const bootId = randomUUID()

/** A batch of the alarms `from + 1`..`to`. */
function payload(from: number, to: number, text = ''): Buffer {
  const at = new Date().toISOString()
  const entries = Array.from({ length: to - from }, (_, i) => ({
    sequence: from + i + 1,
    kind: 'alarm',
    at,
    code: 'diskFull',
    active: true,
    text,
  }))
  return Buffer.from(JSON.stringify({ bootId, acknowledgedThrough: 0, entries }))
}
