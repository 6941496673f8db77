/** Clips at the hub: which one shows an event, how it comes from its device, and how it is played; and who may not. */
import assert from 'node:assert/strict'
import { createHash, randomBytes, randomUUID } from 'node:crypto'
import { test } from 'node:test'
import {
  type ClipRequest,
  clipPartBytes,
  type EventClip,
  type Problem,
  topicFor,
} from '@edgeloop/protocol'
import type { MqttClient } from 'mqtt'
import { openTestHub, type TestDevice, type TestHub } from './fixture.ts'

const soon = { timeout: 20_000, interval: 50 }
const start = Date.parse('2026-11-21T10:00:00.000Z')
const at = (ms: number): string => new Date(start + ms).toISOString()
const digestOf = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')

/** Bytes that begin like a clip; two parts and a bit. */
function videoOf(sizeBytes = 2 * clipPartBytes + 12_345): Buffer {
  const bytes = randomBytes(sizeBytes)
  bytes.write('ftyp', 4)
  return bytes
}
const video = videoOf()
const clipDigest = digestOf(video)

const appeared = (atMs: number, streamId = 'cam') => ({
  kind: 'appeared',
  at: at(atMs),
  streamId,
  trackId: 1,
  label: 'person',
  score: 0.9,
  box: [0, 0, 1, 1],
})
const recorded = (
  fromMs: number,
  throughMs: number,
  clip = clipDigest,
  sizeBytes = video.length,
) => ({
  kind: 'clip',
  at: at(throughMs),
  startedAt: at(fromMs),
  durationMs: throughMs - fromMs,
  streamId: 'cam',
  clip,
  sizeBytes,
  width: 320,
  height: 180,
})

/** A device that is connected, has said `events`, and hears what is wanted of its clips. */
async function connect(hub: TestHub, device: TestDevice, events: readonly object[]) {
  const client = await device.connect()
  const requests: ClipRequest[] = []
  const topic = topicFor('clipRequest', device)
  client.on('message', (on, payload) => {
    if (on === topic) requests.push(JSON.parse(payload.toString()) as ClipRequest)
  })
  await client.subscribeAsync(topic, { qos: 1 })
  const bootId = randomUUID()
  const say = (name: 'status' | 'events', payload: object, retain: boolean) =>
    client.publishAsync(topicFor(name, device), JSON.stringify(payload), { qos: 1, retain })
  await say('status', { state: 'online', at: at(0), bootId }, true)
  const entries = events.map((event, i) => ({ sequence: i + 1, ...event }))
  await say('events', { bootId, acknowledgedThrough: 0, entries }, false)
  let ids: number[] = []
  for (let i = 0; i < 500 && ids.length < events.length; i++) {
    const lists = await Promise.all(
      ['appeared', 'clip'].map(async (kind) => {
        const path = `/api/events?device=${device.deviceId}&kind=${kind}`
        const page = (await (await hub.api('GET', path)).json()) as {
          events: { eventId: number; sequence: number }[]
        }
        return page.events
      }),
    )
    ids = lists
      .flat()
      .sort((a, b) => a.sequence - b.sequence)
      .map(({ eventId }) => eventId)
    if (ids.length < events.length) await new Promise((resolve) => setTimeout(resolve, 20))
  }
  assert.equal(ids.length, events.length)
  return { client, requests, ids, bootId }
}

const show = async (hub: TestHub, eventId: number | undefined): Promise<EventClip> =>
  (await (await hub.api('GET', `/api/events/${eventId}/clip`)).json()) as EventClip
const ask = (hub: TestHub, eventId: number | undefined) =>
  hub.api('POST', `/api/events/${eventId}/clip`)
const put = (device: TestDevice, from: number, bytes: Uint8Array, digest = clipDigest) =>
  device.put(`/clips/${digest}/parts/${from}`, 'application/octet-stream', bytes)
const part = (from: number) => video.subarray(from, from + clipPartBytes)

async function leave(hub: TestHub, client: MqttClient, deviceId: string): Promise<void> {
  client.end(true)
  for (let i = 0; i < 500; i++) {
    const reply = await hub.api('GET', `/api/devices/${deviceId}`)
    const { device } = (await reply.json()) as { device: { connectivity: string } }
    if (device.connectivity === 'offline') return
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  assert.fail('the device is still there')
}

test('a clip is found by time, asked for, comes in parts, and is played in ranges', async (t) => {
  const hub = await openTestHub(t)
  const device = await hub.enrol('gate')
  const { requests, ids } = await connect(hub, device, [
    appeared(10_000),
    recorded(4000, 20_000),
    appeared(60_000),
    appeared(10_000, 'other'),
  ])
  const [event, , later, elsewhere] = ids
  for (const none of [later, elsewhere]) assert.equal((await show(hub, none)).state, 'none')
  const found = await show(hub, event)
  assert.deepEqual(
    [found.state, found.clip?.digest, found.clip?.momentMs, found.clip?.sizeBytes],
    ['onBox', clipDigest, 6000, video.length],
  )
  const listed = (await (await hub.api('GET', '/api/events')).json()) as {
    events: { kind: string }[]
  }
  assert.ok(
    listed.events.every(({ kind }) => kind === 'appeared'),
    'clips are listed when asked for',
  )

  assert.equal((await put(device, 0, part(0))).status, 404, 'nobody asked for it yet')
  assert.equal((await hub.api('GET', `/api/clips/${clipDigest}`)).status, 404)
  const asked = await ask(hub, event)
  assert.equal(asked.status, 200)
  assert.equal(((await asked.json()) as EventClip).state, 'coming')
  await t.waitFor(() => assert.deepEqual(requests, [{ act: 'send', clips: [clipDigest] }]), soon)

  const next = async (from: number, bytes = part(from)) =>
    JSON.parse((await put(device, from, bytes)).text) as { receivedBytes: number }
  assert.deepEqual(await next(0), { receivedBytes: clipPartBytes })
  assert.equal((await show(hub, event)).receivedBytes, clipPartBytes)
  assert.deepEqual(await next(0), { receivedBytes: clipPartBytes }, 'sent again after a cut')
  assert.deepEqual(await next(5_000_000, part(0)), { receivedBytes: clipPartBytes }, 'too far on')
  assert.deepEqual(await next(clipPartBytes), { receivedBytes: 2 * clipPartBytes })
  assert.deepEqual(await next(2 * clipPartBytes), { receivedBytes: video.length })
  assert.equal((await show(hub, event)).state, 'here')

  const play = async (range?: string) => {
    const answer = await fetch(`${hub.hub.urls.browser}/api/clips/${clipDigest}`, {
      headers: { ...(await viewer), ...(range && { range }) },
    })
    return { answer, bytes: Buffer.from(await answer.arrayBuffer()) }
  }
  const viewer = hub.signIn('vera', 'viewer')
  const whole = await play()
  assert.deepEqual(
    [whole.answer.status, whole.answer.headers.get('content-type')],
    [200, 'video/mp4'],
  )
  assert.ok(whole.bytes.equals(video))
  const some = await play('bytes=1000-1999')
  assert.equal(some.answer.status, 206)
  assert.equal(some.answer.headers.get('content-range'), `bytes 1000-1999/${video.length}`)
  assert.ok(some.bytes.equals(video.subarray(1000, 2000)))
  const beyond = await play(`bytes=${video.length}-`)
  assert.equal(beyond.answer.status, 416)
  assert.equal(beyond.answer.headers.get('content-range'), `bytes */${video.length}`)

  const again = await ask(hub, event)
  assert.equal(((await again.json()) as EventClip).state, 'here')
  assert.equal(requests.length, 1, 'what is here is not asked for again')
})

test('a clip whose device is away, and one that is gone, are states, and asking for them is refused', async (t) => {
  const hub = await openTestHub(t)
  const device = await hub.enrol('gate')
  const { ids, client } = await connect(hub, device, [appeared(10_000), recorded(4000, 20_000)])
  const [event] = ids
  await leave(hub, client, 'gate')
  const away = await show(hub, event)
  assert.equal(away.state, 'offline')
  assert.match(away.reason, /"gate", which is not connected/)
  const refused = await ask(hub, event)
  assert.equal(refused.status, 503)
  assert.match(((await refused.json()) as Problem).detail, /not connected/)

  await connect(hub, device, [])
  await t.waitFor(async () => assert.equal((await show(hub, event)).state, 'onBox'), soon)
  const gone = (of: TestDevice) =>
    of.put(`/clips/${clipDigest}/gone`, 'application/json', Buffer.from('{}'))
  assert.equal((await gone(device)).status, 404, 'nobody asked')
  assert.equal((await ask(hub, event)).status, 200)
  const other = await hub.enrol('other')
  assert.equal((await gone(other)).status, 404, 'another device was asked')
  assert.equal((await gone(device)).status, 204)
  assert.equal((await show(hub, event)).state, 'expired')
  const late = await ask(hub, event)
  assert.equal(late.status, 404)
  assert.match(((await late.json()) as Problem).detail, /does not have it any more/)
  assert.equal((await ask(hub, 999_999)).status, 404)
})

test('what is no clip, or not the one that was asked for, is not kept', async (t) => {
  const hub = await openTestHub(t)
  const device = await hub.enrol('gate')
  const short = videoOf(5000)
  const digest = digestOf(short)
  const { ids } = await connect(hub, device, [
    appeared(10_000),
    recorded(4000, 20_000, digest, short.length),
  ])
  const [event] = ids
  assert.equal((await ask(hub, event)).status, 200)
  const other = await hub.enrol('other')
  assert.equal((await put(other, 0, short, digest)).status, 404, 'another device')
  assert.equal((await put(device, 0, videoOf(5001), digest)).status, 413, 'more than it has')
  assert.equal((await put(device, 0, Buffer.alloc(clipPartBytes + 1), digest)).status, 413)
  assert.equal((await put(device, 0, Buffer.alloc(5000), digest)).status, 415, 'no MP4')
  assert.equal((await ask(hub, event)).status, 200)
  assert.equal((await put(device, 0, videoOf(5000), digest)).status, 422, 'other bytes')
  const damaged = await show(hub, event)
  assert.equal(damaged.state, 'expired', 'its file on the box is damaged')
  assert.equal((await hub.api('GET', `/api/clips/${digest}`)).status, 404)
})

test('viewers see where a clip is and do not fetch it; strangers see nothing', async (t) => {
  const hub = await openTestHub(t)
  const device = await hub.enrol('gate')
  const { ids, requests } = await connect(hub, device, [appeared(10_000), recorded(4000, 20_000)])
  const path = `${hub.hub.urls.browser}/api/events/${ids[0]}/clip`
  const headers = await hub.signIn('vera', 'viewer')
  assert.equal((await fetch(path, { headers })).status, 200)
  assert.equal((await fetch(path, { method: 'POST', headers })).status, 403)
  assert.equal((await fetch(path)).status, 401)
  assert.equal((await fetch(`${hub.hub.urls.browser}/api/clips/${clipDigest}`)).status, 401)
  assert.equal(requests.length, 0)
  const operator = await hub.signIn('otto', 'operator')
  assert.equal((await fetch(path, { method: 'POST', headers: operator })).status, 200)
  const audit = (await (await hub.api('GET', '/api/audit')).json()) as {
    entries: { action: string; actor: string | null; outcome: string }[]
  }
  const fetched = audit.entries.filter(({ action }) => action === 'eventClipAsk')
  assert.deepEqual(
    fetched.map(({ actor, outcome }) => [actor, outcome]).sort(),
    [
      ['otto', 'done'],
      ['vera', 'forbidden'],
    ],
    'who fetched a clip, and who tried to',
  )
})

test('the device keeps the clip of an important event, until no event in it is important', async (t) => {
  const hub = await openTestHub(t)
  const device = await hub.enrol('gate')
  const { ids, requests } = await connect(hub, device, [
    ...[appeared(10_000), appeared(12_000), appeared(90_000)],
    recorded(4000, 20_000),
  ])
  const mark = (eventIds: readonly (number | undefined)[], set: boolean, kind = 'important') =>
    hub.api('POST', '/api/event-marks', { eventIds, mark: kind, set })
  const [first, second, without] = ids
  await mark([first], true, 'reviewed')
  await mark([first, second, without], true)
  await t.waitFor(() => assert.deepEqual(requests, [{ act: 'keep', clips: [clipDigest] }]), soon)
  await mark([first], false)
  await mark([second], false)
  await t.waitFor(() => assert.equal(requests.length, 2), soon)
  assert.deepEqual(requests[1], { act: 'release', clips: [clipDigest] })
})

test('the clip of an event that was important before it was whole is kept too', async (t) => {
  const hub = await openTestHub(t)
  const device = await hub.enrol('gate')
  const { client, requests, ids, bootId } = await connect(hub, device, [appeared(10_000)])
  const body = { eventIds: ids, mark: 'important', set: true }
  assert.equal((await hub.api('POST', '/api/event-marks', body)).status, 200)
  const entries = [
    { sequence: 2, ...recorded(4000, 20_000) },
    { sequence: 3, ...recorded(30_000, 40_000) },
  ]
  const batch = { bootId, acknowledgedThrough: 1, entries }
  await client.publishAsync(topicFor('events', device), JSON.stringify(batch), { qos: 1 })
  await t.waitFor(() => assert.deepEqual(requests, [{ act: 'keep', clips: [clipDigest] }]), soon)
})

test('a clip that was fetched goes with the pictures that are too old', async (t) => {
  let now = Date.now()
  const hub = await openTestHub(t, { snapshotsKeptDays: 30 }, () => now)
  const device = await hub.enrol('gate')
  const { ids } = await connect(hub, device, [appeared(10_000), recorded(4000, 20_000)])
  const [event] = ids
  await ask(hub, event)
  for (let from = 0; from < video.length; from += clipPartBytes) await put(device, from, part(from))
  assert.equal((await show(hub, event)).state, 'here')
  now += 31 * 86_400_000
  assert.equal((await hub.api('POST', '/api/store/retention')).status, 201)
  await t.waitFor(async () => assert.notEqual((await show(hub, event)).state, 'here'), soon)
})
