/** From a device's batch to a stored event, exactly once, through restarts, backups and bad input. */
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { test } from 'node:test'
import {
  type Acknowledged,
  type DeviceRow,
  type EventPage,
  type HealthSeries,
  type HubHealth,
  topicFor,
} from '@edgeloop/protocol'
import type { MqttClient } from 'mqtt'
import { openTestHub, type TestDevice, type TestHub } from './fixture.ts'

test('events are acknowledged when they are stored, and listed newest first', async (t) => {
  const hub = await openTestHub(t)
  const { send } = await reporter(await hub.enrol('gate'))
  assert.equal(await send([appeared(1), appeared(2), left(3)]), 3)
  const { events, next } = await list(hub)
  assert.deepEqual(
    events.map(({ sequence, kind, label, streamId }) => [sequence, kind, label, streamId]),
    [
      [3, 'left', 'person', 'one'],
      [2, 'appeared', 'person', 'one'],
      [1, 'appeared', 'person', 'one'],
    ],
  )
  assert.equal(next, null)
  assert.equal(events[0]?.snapshot, snapshot, 'a track that left shows its best frame')
  assert.deepEqual(events[1]?.data, appeared(2))
  const one = await (await hub.api('GET', `/api/events/${events[0]?.eventId}`)).json()
  assert.deepEqual(one, events[0])
  const health = (await (await fetch(`${hub.hub.urls.browser}/api/health`)).json()) as HubHealth
  assert.deepEqual([health.status, health.eventsStored], ['ok', 3])
})

test('what is sent again is stored once; the mark is acknowledged all the same', async (t) => {
  const hub = await openTestHub(t)
  const { send } = await reporter(await hub.enrol('gate'))
  const batch = [appeared(1), appeared(2)]
  assert.equal(await send(batch), 2)
  assert.equal(await send(batch), 2)
  assert.equal(await send([appeared(2), appeared(3)]), 3)
  assert.equal(await send([appeared(5)]), 3, 'nothing is taken beyond a gap')
  assert.equal(await send([appeared(4), appeared(5)]), 5)
  assert.deepEqual(await sequences(hub), [1, 2, 3, 4, 5])
})

test('a restarted hub knows its marks', async (t) => {
  const hub = await openTestHub(t)
  const device = await hub.enrol('gate')
  const bootId = randomUUID()
  const before = await reporter(device, bootId)
  await before.send([appeared(1), appeared(2)])
  await hub.reopen()
  const after = await reporter(device, bootId)
  assert.equal(await after.send([appeared(1), appeared(2), appeared(3)]), 3)
  assert.deepEqual(await sequences(hub), [1, 2, 3])
})

test('a hub restored from a backup records what only the lost store had', async (t) => {
  const hub = await openTestHub(t)
  const device = await hub.enrol('gate')
  const bootId = randomUUID()
  const before = await reporter(device, bootId)
  await before.send([appeared(1), appeared(2)])
  await hub.close()
  const back = await hub.keepStore()
  await hub.reopen()
  const lost = await reporter(device, bootId)
  await lost.send([appeared(3), appeared(4), appeared(5)])
  await hub.close()
  await back()
  await hub.reopen()
  const after = await reporter(device, bootId)
  assert.equal(await after.send([appeared(6)], 5), 6)
  const { events } = await list(hub)
  assert.deepEqual(
    events.map(({ sequence, kind }) => [sequence, kind]),
    [
      [6, 'appeared'],
      [3, 'loss'],
      [2, 'appeared'],
      [1, 'appeared'],
    ],
  )
  assert.equal(events[1]?.data.reason, 'acknowledgedEarlier')
  assert.equal(events[1]?.data.through, 5)
})

test('a bad event is quarantined alone; a batch that cannot be read is not acknowledged', async (t) => {
  const hub = await openTestHub(t)
  const device = await hub.enrol('gate')
  const { send, client, acknowledgements } = await reporter(device)
  assert.equal(await send([appeared(1), { ...appeared(2), score: 7 }, appeared(3)]), 3)
  assert.deepEqual(await sequences(hub), [1, 3])
  for (const payload of ['{"boot', 'null', '{"bootId":"x","acknowledgedThrough":0,"entries":[]}']) {
    await client.publishAsync(topicFor('events', device), payload, { qos: 1 })
  }
  assert.equal(await send([appeared(4)]), 4)
  assert.deepEqual(acknowledgements, [3, 4], 'the connection is kept, bad batches get no answer')
  await hub.close()
  const rows = await hub.inStore(({ reader }) =>
    reader.selectFrom('quarantine').selectAll().orderBy('quarantine_id').execute(),
  )
  assert.equal(rows[0]?.sequence, 2)
  assert.match(String(rows[0]?.reason), /\/score must be <= 1/)
  assert.match(String(rows[1]?.reason), /not JSON/)
})

test('boots of one device, and devices, are numbered by themselves', async (t) => {
  const hub = await openTestHub(t)
  const gate = await hub.enrol('gate')
  const first = await reporter(gate, randomUUID())
  await first.send([appeared(1)])
  first.client.end(true)
  const second = await reporter(gate, randomUUID())
  const other = await reporter(await hub.enrol('yard'))
  assert.equal(await second.send([appeared(1)]), 1)
  assert.equal(await other.send([appeared(1)]), 1)
  assert.deepEqual(await sequences(hub), [1, 1, 1])
  assert.equal((await list(hub, '?device=yard')).events.length, 1)
})

test('events are found by what they are about, page by page', async (t) => {
  const hub = await openTestHub(t)
  const { send } = await reporter(await hub.enrol('gate'))
  const labels = ['person', 'car', 'person', 'dog']
  await send(labels.map((label, i) => ({ ...appeared(i + 1), label, streamId: `s${i % 2}` })))
  await send([alarm(5), { ...alarm(6), at: '2026-01-01T00:00:00.000Z' }])
  const found = async (query: string) => (await list(hub, query)).events.map((e) => e.sequence)
  assert.deepEqual(await found('?label=person'), [3, 1])
  assert.deepEqual(await found('?stream=s1'), [4, 2])
  assert.deepEqual(await found('?kind=alarm'), [6, 5])
  assert.deepEqual(await found('?to=2026-01-02T00:00:00.000Z'), [6])
  assert.deepEqual(await found('?from=2026-01-02T00:00:00.000Z&kind=alarm'), [5])
  assert.deepEqual(await found('?device=nobody'), [])
  const first = await list(hub, '?limit=4')
  assert.deepEqual(
    first.events.map((e) => e.sequence),
    [6, 5, 4, 3],
  )
  const second = await list(hub, `?limit=4&before=${first.next}`)
  assert.deepEqual(
    second.events.map((e) => e.sequence),
    [2, 1],
  )
  assert.equal(second.next, null)
  const late = (await list(hub, '?kind=alarm')).events[0]
  assert.equal(late?.historical, true)
})

test('health events are figures of the device and a series over time', async (t) => {
  const hub = await openTestHub(t)
  const device = await hub.enrol('gate')
  const { send } = await reporter(device)
  const now = Date.now()
  const points = Array.from({ length: 40 }, (_, i) =>
    health(i + 1, now - (40 - i) * 10_000, i === 20 ? 3 : 0.1),
  )
  await send(points)
  const reply = await hub.api('GET', '/api/devices/gate/health?points=10')
  const series = (await reply.json()) as HealthSeries
  assert.equal(series.at.length, 10)
  assert.equal(Math.max(...series.cpuShare), 3, 'a spike of one row survives')
  assert.equal(series.streams[0]?.streamId, 'one')
  assert.equal(series.streams[0]?.analysedFps.length, 10)
  const [row] = (await (await hub.api('GET', '/api/devices')).json()) as DeviceRow[]
  assert.equal(row?.memoryBytes, 1e8)
  await hub.reopen()
  const [kept] = (await (await hub.api('GET', '/api/devices')).json()) as DeviceRow[]
  assert.equal(kept?.memoryBytes, 1e8, 'the last figures outlive a restart')
  assert.ok(kept.lastSeenAt && row?.lastSeenAt && kept.lastSeenAt >= row.lastSeenAt)
  assert.equal(kept.eventsStored, 40)
})

test('a device is online from its status to the end of its connection', async (t) => {
  const hub = await openTestHub(t)
  const device = await hub.enrol('gate')
  const status = (state: string) =>
    JSON.stringify({ state, at: new Date().toISOString(), bootId: randomUUID() })
  const topic = topicFor('status', device)
  const will = { topic, payload: Buffer.from(status('offline')), qos: 1, retain: true } as const
  const connectivity = async () => {
    const [row] = (await (await hub.api('GET', '/api/devices')).json()) as DeviceRow[]
    return row?.connectivity
  }
  const client = await device.connect({ will })
  await client.publishAsync(topic, status('online'), { qos: 1, retain: true })
  await t.waitFor(async () => assert.equal(await connectivity(), 'online'))
  // Pulled out, not signed off: the last will speaks.
  client.stream.destroy()
  await t.waitFor(async () => assert.equal(await connectivity(), 'offline'))

  const first = await device.connect({ will })
  await first.publishAsync(topic, status('online'), { qos: 1, retain: true })
  // A second connection takes over; the will of the first must not count against it.
  const second = await device.connect({ will })
  await second.publishAsync(topic, status('online'), { qos: 1, retain: true })
  await new Promise((resolve) => setTimeout(resolve, 100))
  assert.equal(await connectivity(), 'online')
  await hub.reopen()
  assert.equal(await connectivity(), 'offline', 'after a restart nobody is connected')
})

const snapshot = 'a'.repeat(64)
const seen = { streamId: 'one', trackId: 7, label: 'person', score: 0.9, box: [0.1, 0.2, 0.3, 0.4] }
const appeared = (sequence: number) => ({ sequence, kind: 'appeared', at: at(), ...seen })
const alarm = (sequence: number) => ({
  sequence,
  kind: 'alarm',
  at: at(),
  code: 'diskFull',
  active: true,
  text: '',
})
const startedAt = new Date().toISOString()
const at = (): string => startedAt

function left(sequence: number) {
  const best = { at: at(), box: seen.box, score: 0.95, snapshot }
  return { sequence, kind: 'left', at: at(), ...seen, appearedAt: at(), frames: 3, best }
}

function health(sequence: number, time: number, cpuShare: number) {
  const figures = { inputFps: 30, analysedFps: 5, gated: 0, dropped: 0, inferenceMs: 8 }
  const more = { inferenceP95Ms: 9, latencyP95Ms: 60, reconnects: 0, objects: 1 }
  return {
    sequence,
    kind: 'health',
    at: new Date(time).toISOString(),
    intervalMs: 10_000,
    cpuShare,
    memoryBytes: 1e8,
    loopP99Ms: 2,
    outboxEvents: 0,
    outboxBytes: 0,
    diskFreeBytes: 1e9,
    streams: [{ streamId: 'one', ...figures, ...more }],
  }
}

/** Sends batches of one boot and waits for what the hub says to each. */
async function reporter(device: TestDevice, bootId = randomUUID()) {
  const client: MqttClient = await device.connect()
  const acknowledgements: number[] = []
  let heard = Promise.withResolvers<number>()
  client.on('message', (_topic, payload) => {
    const acknowledged = JSON.parse(payload.toString()) as Acknowledged
    assert.equal(acknowledged.bootId, bootId)
    acknowledgements.push(acknowledged.through)
    heard.resolve(acknowledged.through)
  })
  await client.subscribeAsync(topicFor('acknowledged', device))
  const send = async (entries: readonly object[], acknowledgedThrough = 0): Promise<number> => {
    heard = Promise.withResolvers<number>()
    const payload = JSON.stringify({ bootId, acknowledgedThrough, entries })
    await client.publishAsync(topicFor('events', device), payload, { qos: 1 })
    return await heard.promise
  }
  return { client, send, acknowledgements }
}

async function list(hub: TestHub, query = ''): Promise<EventPage> {
  return (await (await hub.api('GET', `/api/events${query}`)).json()) as EventPage
}

async function sequences(hub: TestHub): Promise<number[]> {
  return (await list(hub)).events.map(({ sequence }) => sequence).reverse()
}
