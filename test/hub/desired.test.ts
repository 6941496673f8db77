/** What people want of a device, from the API to the device and back. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Desired, type DeviceDetail, type Problem, topicFor } from '@edgeloop/protocol'
import { openTestHub, type TestDevice, type TestHub } from './fixture.ts'

const camera = { streamId: 'one', source: 'rtsp://admin:secret@camera/1' }

test('a wish reaches the device at once, and when it comes later, and after a restart', async (t) => {
  const hub = await openTestHub(t)
  const device = await hub.enrol('gate')
  const early = await desiredOf(device)
  const added = await hub.api('POST', '/api/devices/gate/streams', camera)
  assert.equal(added.status, 201)
  const first = await early.next()
  assert.equal(first.version, 1)
  assert.deepEqual(first.config.streams, [camera], 'the device gets the password')
  early.client.end(true)
  assert.deepEqual(await (await desiredOf(device)).next(), first)
  await hub.reopen()
  assert.deepEqual(await (await desiredOf(device)).next(), first)
})

test('passwords of cameras are shown to nobody, and kept when what was shown comes back', async (t) => {
  const hub = await openTestHub(t)
  const device = await hub.enrol('gate')
  const added = await hub.api('POST', '/api/devices/gate/streams', camera)
  assert.doesNotMatch(await added.text(), /secret/)
  const detail = await show(hub)
  assert.doesNotMatch(JSON.stringify(detail), /secret/)
  const shown = detail.desired?.config.streams[0]
  assert.ok(shown)
  const heard = await desiredOf(device)
  await heard.next()
  await hub.api('PUT', '/api/devices/gate/desired', {
    version: 1,
    config: { streams: [{ ...shown, analysisFps: 2 }] },
  })
  assert.deepEqual((await heard.next()).config.streams, [{ ...camera, analysisFps: 2 }])
})

test('of two who edit the same version, the second is told', async (t) => {
  const hub = await openTestHub(t)
  await hub.enrol('gate')
  const put = (version: number, streams: object[]) =>
    hub.api('PUT', '/api/devices/gate/desired', { version, config: { streams } })
  const replies = await Promise.all([put(0, [camera]), put(0, []), put(0, [])])
  assert.deepEqual(replies.map(({ status }) => status).sort(), [200, 409, 409])
  const late = await put(0, [])
  const problem = (await late.json()) as Problem
  assert.equal(problem.code, 'conflict')
  assert.match(problem.detail, /the newest is 1/)
  assert.equal((await put(1, [])).status, 200)
})

test('clips of a stream with masks are refused', async (t) => {
  const hub = await openTestHub(t)
  await hub.enrol('gate')
  const polygon = [
    [0, 0],
    [1, 0],
    [1, 1],
  ]
  const masked = { ...camera, masks: [{ name: 'yard', polygon }] }
  const put = (stream: object) =>
    hub.api('PUT', '/api/devices/gate/desired', { version: 0, config: { streams: [stream] } })
  const refused = await put({ ...masked, clips: {} })
  assert.equal(refused.status, 400)
  assert.match(((await refused.json()) as Problem).detail, /clips cannot be recorded with masks/)
  assert.equal((await put(masked)).status, 200)
  const added = await hub.api('POST', '/api/devices/gate/streams', {
    ...masked,
    streamId: 'two',
    clips: {},
  })
  assert.equal(added.status, 400)
})

test('streams added at the same time are all there', async (t) => {
  const hub = await openTestHub(t)
  await hub.enrol('gate')
  const replies = await Promise.all(
    ['a', 'b', 'c'].map((streamId) =>
      hub.api('POST', '/api/devices/gate/streams', { ...camera, streamId }),
    ),
  )
  assert.deepEqual(
    replies.map(({ status }) => status),
    [201, 201, 201],
  )
  const { desired } = await show(hub)
  assert.equal(desired?.version, 3)
  assert.equal(desired.config.streams.length, 3)
})

test('a configuration that cannot be is refused, and the old one stays', async (t) => {
  const hub = await openTestHub(t)
  await hub.enrol('gate')
  await hub.api('POST', '/api/devices/gate/streams', camera)
  const put = (config: object) =>
    hub.api('PUT', '/api/devices/gate/desired', { version: 1, config })
  const crossing = [
    [0.1, 0.1],
    [0.9, 0.9],
    [0.9, 0.1],
    [0.1, 0.9],
  ]
  const many = Array.from({ length: 257 }, (_, i) => ({ ...camera, streamId: `s${i}` }))
  const refused: [Promise<Response>, RegExp][] = [
    [hub.api('POST', '/api/devices/gate/streams', camera), /has one of that id/],
    [hub.api('POST', '/api/devices/gate/streams', { ...camera, streamId: 'A B' }), /\/streamId/],
    [hub.api('POST', '/api/devices/gate/streams', { ...camera, analysisFsp: 5 }), /"analysisFps"/],
    [put({ streams: [camera, camera] }), /stream "one" is there twice/],
    [
      put({ streams: [{ ...camera, masks: [{ name: 'm', polygon: crossing }] }] }),
      /\/streams\/0\/masks\/0\/polygon crosses itself: side 1–2 and side 3–4 meet/,
    ],
    [put({ streams: many }), /must not have more than 256 items/],
    [hub.api('DELETE', '/api/devices/gate/streams/two'), /"two"/],
    [hub.api('DELETE', '/api/devices/nobody/streams/one'), /"nobody"/],
  ]
  for (const [asked, reason] of refused) {
    const reply = await asked
    assert.ok(reply.status >= 400 && reply.status < 500)
    assert.match(((await reply.json()) as Problem).detail, reason)
  }
  assert.equal((await show(hub)).desired?.version, 1)
  assert.equal((await hub.api('DELETE', '/api/devices/gate/streams/one')).status, 200)
  assert.deepEqual((await show(hub)).desired?.config.streams, [])
})

async function show(hub: TestHub): Promise<DeviceDetail> {
  return (await (await hub.api('GET', '/api/devices/gate')).json()) as DeviceDetail
}

/** The wishes a device hears, one after the other. */
async function desiredOf(device: TestDevice) {
  const client = await device.connect()
  const queue: Desired[] = []
  let wake = () => {}
  client.on('message', (_topic, payload) => {
    queue.push(JSON.parse(payload.toString()) as Desired)
    wake()
  })
  await client.subscribeAsync(topicFor('desired', device))
  return {
    client,
    next: async (): Promise<Desired> => {
      while (queue.length === 0) await new Promise<void>((resolve) => (wake = resolve))
      return queue.shift()!
    },
  }
}
