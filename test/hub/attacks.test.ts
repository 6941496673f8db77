/** Devices and strangers that do what they may not: each is stopped, and everybody else goes on. */
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { connect as connectTcp } from 'node:net'
import { test } from 'node:test'
import { connect } from 'node:tls'
import { type DeviceRow, type EnrolmentToken, packetBytesMax, topicFor } from '@edgeloop/protocol'
import type { IClientOptions, MqttClient } from 'mqtt'
import { makeRequest, openTestHub, send, type TestDevice, type TestHub } from './fixture.ts'

test('an oversized packet before sign-in is cut off by its header', async (t) => {
  const hub = await openTestHub(t)
  const device = await hub.enrol('gate')
  // A CONNECT that announces 200 MB, and then sends as much as it can.
  const sent = await talkTls(device, Buffer.from([0x10, 0x80, 0xc8, 0xaf, 0x5f]), 200 * 1024 * 1024)
  assert.ok(sent < 8 * 1024 * 1024, `the hub took ${sent} bytes`)
  await stillWorks(hub)
})

test('bytes that are no TLS, and a first packet that is no CONNECT, are cut off', async (t) => {
  const hub = await openTestHub(t)
  const device = await hub.enrol('gate')
  const { port } = new URL(hub.hub.urls.mqtt)
  const plain = connectTcp(Number(port))
  plain.on('error', () => {})
  plain.write('GET / HTTP/1.1\r\nhost: hub\r\n\r\n')
  await once(plain, 'close')
  await talkTls(device, Buffer.from('GET / HTTP/1.1\r\n\r\n'), 0)
  await stillWorks(hub)
})

test('a client that connects and says nothing is cut off in time', async (t) => {
  const hub = await openTestHub(t, { mqtt: { port: 0, connectTimeoutMs: 1000 } })
  const device = await hub.enrol('gate')
  await talkTls(device, Buffer.alloc(0), 0)
  for (const url of [hub.hub.urls.mqtt, hub.hub.urls.device]) {
    const tcp = connectTcp(Number(new URL(url).port))
    tcp.on('error', () => {})
    const closed = new Promise<void>((resolve) => tcp.once('close', () => resolve()))
    tcp.resume()
    await closed
  }
})

test('a CONNECT and a request that trickle in are cut off in time, on both listeners', async (t) => {
  const hub = await openTestHub(t, { mqtt: { port: 0, connectTimeoutMs: 1000 } })
  const device = await hub.enrol('gate')
  // A good beginning of each: only the pace is wrong. Strangers may speak to the listener for enrolment.
  const connectHead = Buffer.from([
    0x10, 0x80, 0x04, 0x00, 0x04, 0x4d, 0x51, 0x54, 0x54, 4, 2, 0, 15,
  ])
  const request = Buffer.from('POST /enrol HTTP/1.1\r\nhost: hub\r\nx-padding: ')
  const { key, enrolment } = device
  const own = { key, cert: enrolment.certificate, ca: enrolment.ca }
  const talks = [
    trickle(hub.hub.urls.mqtt, own, connectHead),
    trickle(hub.hub.urls.device, { ca: enrolment.ca }, request),
    trickle(hub.hub.urls.device, own, request),
  ]
  for (const ms of await Promise.all(talks)) assert.ok(ms < 10_000, `open for ${ms} ms`)
  await stillWorks(hub)
})

test('a token of another hub buys nothing, and is not spent by the attempt', async (t) => {
  const [hub, other] = [await openTestHub(t), await openTestHub(t)]
  const made = await other.api('POST', '/api/enrolment-tokens', { deviceId: 'gate' })
  const { token } = (await made.json()) as EnrolmentToken
  const { csr } = await makeRequest()
  const foreign = await send(`${hub.hub.urls.device}/enrol`, 'POST', {}, { token, csr })
  assert.equal(foreign.status, 401)
  assert.match(foreign.text, /not one of this hub/)
  assert.equal((await hub.api('GET', '/api/devices/gate')).status, 404, 'nothing was enrolled')
  const own = await send(`${other.hub.urls.device}/enrol`, 'POST', {}, { token, csr })
  assert.equal(own.status, 201)
})

test('CONNECTs that do not fit the certificate or the rules are refused with a reason code', async (t) => {
  const hub = await openTestHub(t)
  const device = await hub.enrol('gate')
  await hub.enrol('yard')
  const will = (topic: string, more: object = {}) => ({
    will: { topic, payload: Buffer.from('{}'), qos: 1 as const, retain: true, ...more },
  })
  const yard = { site: 'main', deviceId: 'yard' }
  const refused: [string, IClientOptions][] = [
    ['the id of another device', { clientId: 'yard' }],
    ['no id', { clientId: '' }],
    ['a session that is kept', { clean: false }],
    ['a last will on the topic of another device', will(topicFor('status', yard))],
    ['a last will on another of its own topics', will(topicFor('events', device))],
    [
      'a last will that is too large',
      will(topicFor('status', device), { payload: Buffer.alloc(1025) }),
    ],
    ['a last will with QoS 2', will(topicFor('status', device), { qos: 2 })],
    ['no keepalive', { keepalive: 0 }],
  ]
  for (const [what, options] of refused) {
    await assert.rejects(device.connect(options), /Connection refused|closed the connection/, what)
  }
  await stillWorks(hub)
})

test('publications that the table does not allow close the connection', async (t) => {
  const hub = await openTestHub(t)
  const device = await hub.enrol('gate')
  const yard = { site: 'main', deviceId: 'yard' }
  const bytesMax = 512 * 1024
  type Publication = [
    topic: string,
    payload: string | Buffer,
    options: { qos: 0 | 1 | 2; retain?: boolean },
  ]
  const refused: Record<string, Publication> = {
    'to the topic of another device': [topicFor('events', yard), '{}', { qos: 1 }],
    'to what the hub says': [topicFor('desired', device), '{}', { qos: 1, retain: true }],
    'its own acknowledgement': [topicFor('acknowledged', device), '{}', { qos: 0 }],
    'to $SYS': ['$SYS/anything', '{}', { qos: 0 }],
    'anywhere else': ['edgeloop/v1/main/gate/other', '{}', { qos: 0 }],
    'events that are retained': [topicFor('events', device), '{}', { qos: 1, retain: true }],
    'with QoS 2': [topicFor('events', device), '{}', { qos: 2 }],
    'a payload above its row': [topicFor('events', device), Buffer.alloc(bytesMax + 1), { qos: 1 }],
    'a status above its row': [
      topicFor('status', device),
      Buffer.alloc(1025),
      { qos: 1, retain: true },
    ],
    'a packet above every row': [
      topicFor('events', device),
      Buffer.alloc(packetBytesMax),
      { qos: 1 },
    ],
  }
  for (const [what, [topic, payload, options]] of Object.entries(refused)) {
    const client = await device.connect()
    const closed = closing(client)
    client.publish(topic, payload, options)
    await closed.catch(() => assert.fail(`published ${what}`))
  }
  await stillWorks(hub)
})

test('subscriptions beyond the messages for the device are refused', async (t) => {
  const hub = await openTestHub(t)
  const device = await hub.enrol('gate')
  const filters = [
    '#',
    '+/#',
    '$SYS/#',
    '$share/all/#',
    'edgeloop/v1/+/+/desired',
    topicFor('status', device),
  ]
  const yard = { site: 'main', deviceId: 'yard' }
  for (const filter of [...filters, topicFor('desired', yard)]) {
    const client = await device.connect()
    await assert.rejects(client.subscribeAsync(filter), /Subscribe error/, filter)
    client.end(true)
  }
  await stillWorks(hub)
})

test('malformed reports are left, and the connection is kept', async (t) => {
  const hub = await openTestHub(t)
  const device = await hub.enrol('gate')
  const client = await device.connect()
  const bad = ['', '{', '[]', '{"state":"on"}', '{"__proto__":1}', Buffer.from([0xff, 0xfe])]
  for (const payload of bad) {
    await client.publishAsync(topicFor('status', device), payload, { qos: 1, retain: true })
    await client.publishAsync(topicFor('reported', device), payload, { qos: 1, retain: true })
  }
  const good = JSON.stringify({
    state: 'online',
    at: new Date().toISOString(),
    bootId: randomUUID(),
  })
  await client.publishAsync(topicFor('status', device), good, { qos: 1, retain: true })
  await t.waitFor(async () => {
    const [row] = (await (await hub.api('GET', '/api/devices')).json()) as DeviceRow[]
    assert.equal(row?.connectivity, 'online')
  })
})

test('connections above the limit are closed unanswered; those below go on', async (t) => {
  const hub = await openTestHub(t, { mqtt: { port: 0, connectionsMax: 2 } })
  const devices: TestDevice[] = []
  for (const name of ['a', 'b', 'c']) devices.push(await hub.enrol(name))
  const [first, second] = [await devices[0]?.connect(), await devices[1]?.connect()]
  await assert.rejects(async () => await devices[2]?.connect())
  assert.ok(first?.connected && second?.connected)
})

/** Speaks raw bytes under the device's certificate until the hub ends it; gives the bytes that went out. */
async function talkTls(device: TestDevice, head: Buffer, bytes: number): Promise<number> {
  const { port } = new URL(device.enrolment.mqttUrl)
  const { key, enrolment } = device
  const socket = connect({
    key,
    cert: enrolment.certificate,
    ca: enrolment.ca,
    port: Number(port),
    host: 'localhost',
  })
  socket.on('error', () => {})
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()))
  await Promise.race([once(socket, 'secureConnect'), closed])
  socket.write(head)
  const chunk = Buffer.alloc(64 * 1024)
  for (let sent = 0; sent < bytes && !socket.destroyed; sent += chunk.length) {
    if (!socket.write(chunk)) await Promise.race([once(socket, 'drain').catch(() => {}), closed])
  }
  socket.resume()
  await closed
  return socket.bytesWritten
}

/** Resolves when the hub ends the connection; rejects when it has not within a second. */
async function closing(client: MqttClient): Promise<void> {
  client.on('error', () => {})
  await new Promise<void>((resolve, reject) => {
    const timeout = setTimeout(() => reject(new Error('the connection is still open')), 2000)
    client.once('close', () => {
      clearTimeout(timeout)
      resolve()
    })
  })
}

/** Sends a beginning and then a byte now and then, for ever; gives how long the hub took part. */
async function trickle(
  url: string,
  tls: { key?: string; cert?: string; ca: string },
  head: Buffer,
): Promise<number> {
  const socket = connect({ ...tls, host: 'localhost', port: Number(new URL(url).port) })
  socket.on('error', () => {})
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()))
  await Promise.race([once(socket, 'secureConnect'), closed])
  const startedAt = performance.now()
  socket.write(head)
  socket.resume()
  const drip = setInterval(() => socket.write('a'), 100)
  await closed
  clearInterval(drip)
  return performance.now() - startedAt
}

async function stillWorks(hub: TestHub): Promise<void> {
  const device = await hub.enrol('witness')
  const client = await device.connect()
  const heard = new Promise((resolve) => client.once('message', resolve))
  await client.subscribeAsync(topicFor('acknowledged', device))
  const event = {
    sequence: 1,
    kind: 'alarm',
    at: new Date().toISOString(),
    code: 'diskFull',
    active: true,
    text: '',
  }
  const batch = { bootId: randomUUID(), acknowledgedThrough: 0, entries: [event] }
  await client.publishAsync(topicFor('events', device), JSON.stringify(batch), { qos: 1 })
  await heard
}
