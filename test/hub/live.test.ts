/** Live pictures from a device to a page: only while somebody looks, only the newest, only one's own. */
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { test } from 'node:test'
import {
  decodeLiveFrame,
  encodeLiveFrame,
  type LiveHeader,
  type LiveRequest,
  type PictureAbsent,
  topicFor,
} from '@edgeloop/protocol'
import { WebSocket } from 'ws'
import { openTestHub, type TestDevice, type TestHub } from './fixture.ts'

const want = { deviceId: 'gate', streamId: 'one', widthMax: 640, fpsMax: 30 }

test('a device is asked for pictures while a page looks, and told to stop after', async (t) => {
  const hub = await openTestHub(t)
  const { device, requests } = await camera(hub)
  const socket = await look(hub)
  socket.send(JSON.stringify({ want: [want] }))
  const asked = await requests.next()
  assert.deepEqual(asked.streams, [{ streamId: 'one', widthMax: 640, fpsMax: 30 }])
  assert.ok(Date.parse(asked.until) > Date.now() + 20_000)

  const shown = once(socket, 'message')
  assert.equal((await put(device, 'one', frame(1))).status, 204)
  const { header } = decodeLiveFrame(new Uint8Array((await shown)[0] as Buffer))
  assert.equal((header as LiveHeader).frame, 1)

  socket.send(JSON.stringify({ want: [] }))
  const stop = await requests.next()
  assert.deepEqual(stop.streams, [])
})

test('the widest and fastest wish of all pages is what a device is asked for', async (t) => {
  const hub = await openTestHub(t)
  const { requests } = await camera(hub)
  const small = await look(hub)
  small.send(JSON.stringify({ want: [{ ...want, widthMax: 320, fpsMax: 5 }] }))
  assert.equal((await requests.next()).streams[0]?.widthMax, 320)
  const large = await look(hub)
  large.send(JSON.stringify({ want: [{ ...want, widthMax: 1280, fpsMax: 2 }] }))
  assert.deepEqual((await requests.next()).streams, [
    { streamId: 'one', widthMax: 1280, fpsMax: 5 },
  ])
  large.close()
  assert.equal((await requests.next()).streams[0]?.widthMax, 320)
})

test('a page gets the streams it wants and no others, no faster than it wants', async (t) => {
  const hub = await openTestHub(t)
  const { device, requests } = await camera(hub)
  const socket = await look(hub)
  const shown: LiveHeader[] = []
  socket.on('message', (data: Buffer) => {
    shown.push(decodeLiveFrame(new Uint8Array(data)).header as LiveHeader)
  })
  socket.send(JSON.stringify({ want: [{ ...want, fpsMax: 1 }] }))
  await requests.next()
  for (let i = 1; i <= 5; i++) {
    await put(device, 'one', frame(i))
    await put(device, 'two', frame(i, 'two'))
  }
  await new Promise((resolve) => setTimeout(resolve, 50))
  assert.deepEqual(
    shown.map((header) => [header.streamId, header.frame]),
    [['one', 1]],
  )
})

test('a still is the newest picture, asked for where none is fresh', async (t) => {
  const hub = await openTestHub(t)
  const { device, requests } = await camera(hub)
  const picture = hub.api('GET', '/api/devices/gate/streams/one/picture')
  assert.equal((await requests.next()).streams[0]?.streamId, 'one')
  await put(device, 'one', frame(7))
  const bytes = new Uint8Array(await (await picture).arrayBuffer())
  assert.equal((decodeLiveFrame(bytes).header as LiveHeader).frame, 7)
  // Fresh enough for the next who asks, though the device sends nothing more.
  assert.equal((await hub.api('GET', '/api/devices/gate/streams/one/picture')).status, 200)
})

test('where there is no still, the answer says why: nothing has failed', async (t) => {
  const hub = await openTestHub(t)
  await hub.enrol('away')
  const ask = async (deviceId: string) => {
    const reply = await hub.api('GET', `/api/devices/${deviceId}/streams/one/picture`)
    assert.equal(reply.status, 200)
    assert.match(reply.headers.get('content-type') ?? '', /^application\/json/)
    return (await reply.json()) as PictureAbsent
  }
  const reason = 'There is no picture of "one": the device is not connected'
  assert.deepEqual(await ask('away'), { state: 'offline', reason })
  await camera(hub)
  const silent = await ask('gate')
  assert.equal(silent.state, 'silent')
  assert.match(silent.reason, /the device sent none/)
})

test('a still of a device that has gone is the last one that came', async (t) => {
  const hub = await openTestHub(t)
  const { device } = await camera(hub)
  await put(device, 'one', frame(3))
  await hub.api('POST', '/api/devices/gate/retire')
  const reply = await hub.api('GET', '/api/devices/gate/streams/one/picture')
  const bytes = new Uint8Array(await reply.arrayBuffer())
  assert.equal((decodeLiveFrame(bytes).header as LiveHeader).frame, 3)
})

test('a device sends its own pictures, and only pictures', async (t) => {
  const hub = await openTestHub(t)
  const { device } = await camera(hub)
  const header = headerOf(1)
  const bad: [string, Uint8Array, RegExp][] = [
    ['two', frame(1), /gate\/one/],
    ['one', encodeLiveFrame({ ...header, deviceId: 'yard' }, jpeg), /yard/],
    ['one', encodeLiveFrame({ ...header, width: 0 }, jpeg), /\/width/],
    ['one', encodeLiveFrame(header, Buffer.from('GIF89a')), /no JPEG/],
    ['one', Buffer.from([0xff, 0xff, 0xff, 0xff, 0]), /header of 4294967295 bytes/],
    ['one', Buffer.from([0, 0]), /2 bytes/],
    ['one', Buffer.concat([Buffer.from([0, 0, 0, 1]), Buffer.from('{')]), /JSON/],
  ]
  for (const [streamId, bytes, reason] of bad) {
    const { status, text } = await put(device, streamId, bytes)
    assert.equal(status, 400)
    assert.match(text, reason)
  }
  assert.equal((await put(device, 'one', Buffer.alloc(1024 * 1024 + 1))).status, 413)
})

// Pages of other sites are in access.test.ts: a program with a token may come from anywhere.
test('a page that says nonsense, or is not signed in, is turned away', async (t) => {
  const hub = await openTestHub(t)
  const socket = await look(hub)
  socket.send('{"want": 7}')
  const [code, reason] = await once(socket, 'close')
  assert.equal(code, 1003)
  assert.match(String(reason), /\/want must be array/)
  await assert.rejects(look(hub, { authorization: '' }), /401/)
})

/** A device that is online, and what it is asked for. */
async function camera(hub: TestHub) {
  const device = await hub.enrol('gate')
  const client = await device.connect()
  const queue: LiveRequest[] = []
  let wake = () => {}
  client.on('message', (_topic, payload) => {
    queue.push(JSON.parse(payload.toString()) as LiveRequest)
    wake()
  })
  await client.subscribeAsync(topicFor('liveRequest', device))
  const status = { state: 'online', at: new Date().toISOString(), bootId: randomUUID() }
  await client.publishAsync(topicFor('status', device), JSON.stringify(status), {
    qos: 1,
    retain: true,
  })
  const next = async (): Promise<LiveRequest> => {
    while (queue.length === 0) await new Promise<void>((resolve) => (wake = resolve))
    return queue.shift()!
  }
  return { device, requests: { next } }
}

async function look({ hub }: TestHub, headers: Record<string, string> = {}): Promise<WebSocket> {
  const token = (await readFile(hub.localTokenFile, 'utf8')).trim()
  const socket = new WebSocket(`${hub.urls.browser.replace('http', 'ws')}/api/live`, {
    headers: { authorization: `Bearer ${token}`, ...headers },
  })
  await new Promise((resolve, reject) => {
    socket.once('open', resolve)
    socket.once('error', reject)
  })
  return socket
}

const jpeg = Buffer.concat([Buffer.from([0xff, 0xd8, 0xff, 0xe0]), Buffer.alloc(500, 1)])

function headerOf(number: number, streamId = 'one'): LiveHeader {
  const at = new Date().toISOString()
  return { deviceId: 'gate', streamId, frame: number, at, width: 1280, height: 720, detections: [] }
}

const frame = (number: number, streamId?: string): Uint8Array =>
  encodeLiveFrame(headerOf(number, streamId), jpeg)

const put = (device: TestDevice, streamId: string, bytes: Uint8Array) =>
  device.put(`/streams/${streamId}/picture`, 'application/octet-stream', bytes)
