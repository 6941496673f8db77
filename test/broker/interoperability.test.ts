/**
 * MQTT 3.1.1 between the embedded broker, with its guards, and clients that are not ours: MQTT.js, Eclipse's
 * mosquitto_pub and mosquitto_sub, and bytes by hand. Each behaviour is shown twice where the rules for
 * devices refuse what the protocol knows: under open rules, and as a device meets it.
 */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { connect as connectTls } from 'node:tls'
import { promisify } from 'node:util'
import { packetBytesMax, topicFor } from '@edgeloop/protocol'
import type { Access } from '../../cloud-hub/src/broker/device-access.ts'
import { needs } from '../require.ts'
import { type Certified, type Connected, ended, openClients } from './clients.ts'
import { openTestBroker } from './embedded.ts'

/** Everything that MQTT knows, for whoever has a certificate. */
const open: Access = {
  connect: () => undefined,
  publish: () => undefined,
  subscribe: () => undefined,
}

const qualities = [0, 1, 2] as const

for (const out of qualities) {
  for (const into of qualities) {
    test(`QoS ${out} published, QoS ${into} subscribed: delivered once with the smaller of both`, async (t) => {
      const { url, certify } = await openRoom(t, open)
      const reader = await (await certify('reader')).connect(url)
      const writer = await (await certify('writer')).connect(url)
      const [granted] = await reader.client.subscribeAsync('a/b', { qos: into })
      assert.equal(granted?.qos, into)
      await writer.client.publishAsync('a/b', 'first', { qos: out })
      await writer.client.publishAsync('a/b', 'second', { qos: out })
      await until(t, () => reader.heard.length >= 2)
      await sleep(50)
      const qos = Math.min(out, into)
      const heard = (text: string) => ({ topic: 'a/b', text, qos, retain: false })
      assert.deepEqual(reader.heard, [heard('first'), heard('second')])
    })
  }
}

test('a QoS 2 publication that is sent again before its PUBREL is delivered once [MQTT-4.3.3-2]', async (t) => {
  const { url, certify } = await openRoom(t, open)
  const reader = await (await certify('reader')).connect(url)
  await reader.client.subscribeAsync('twice', { qos: 2 })
  const raw = await talk(url, await certify('writer'))
  await raw.connect('writer')
  // PUBLISH, QoS 2, packet 7, "x"; then the same with DUP; then PUBREL.
  raw.write(0x34, ...lengthOf(10), ...text('twice'), 0, 7, 0x78)
  assert.deepEqual(await raw.read(4), [0x50, 2, 0, 7])
  raw.write(0x3c, ...lengthOf(10), ...text('twice'), 0, 7, 0x78)
  assert.deepEqual(await raw.read(4), [0x50, 2, 0, 7])
  raw.write(0x62, 2, 0, 7)
  assert.deepEqual(await raw.read(4), [0x70, 2, 0, 7])
  await until(t, () => reader.heard.length > 0)
  await sleep(50)
  assert.equal(reader.heard.length, 1)
})

test('a device: QoS 2 out is refused by closing [MQTT-3.3.5-2], QoS 2 in is granted', async (t) => {
  const { url, certify, broker } = await openRoom(t)
  const gate = await certify('gate')
  const { client, heard } = await gate.connect(url)
  const [granted] = await client.subscribeAsync(topicFor('desired', gate), { qos: 2 })
  assert.equal(granted?.qos, 2)
  const config = { version: 1, at: new Date().toISOString(), config: { streams: [] } }
  broker.publish('desired', gate, config)
  await until(t, () => heard.length === 1)
  assert.equal(heard[0]?.qos, 1, 'the table sends it with QoS 1')
  client.publish(topicFor('events', gate), '{}', { qos: 2 })
  await ended(client)
})

test('a retained message is kept, replaced, sent to new subscribers marked as retained, and cleared [MQTT-3.3.1]', async (t) => {
  const { url, certify } = await openRoom(t, open)
  const writer = await (await certify('writer')).connect(url)
  const reader = await certify('reader')
  const first = await reader.connect(url)
  await first.client.subscribeAsync('kept/+', { qos: 1 })
  const set = (payload: string) =>
    writer.client.publishAsync('kept/a', payload, { qos: 1, retain: true })
  await set('one')
  await set('two')
  await until(t, () => first.heard.length === 2)
  assert.deepEqual(
    first.heard.map(({ retain }) => retain),
    [false, false],
    'as it comes it is not retained [MQTT-3.3.1-9]',
  )
  const second = await reader.connect(url, { clientId: 'late' })
  await second.client.subscribeAsync('kept/#', { qos: 1 })
  await until(t, () => second.heard.length === 1)
  assert.deepEqual(second.heard[0], { topic: 'kept/a', text: 'two', qos: 1, retain: true })
  await second.client.subscribeAsync('kept/#', { qos: 1 })
  await until(t, () => second.heard.length === 2, 'it is sent again [MQTT-3.8.4-3]')
  await set('')
  const third = await reader.connect(url, { clientId: 'later' })
  await third.client.subscribeAsync('kept/#', { qos: 1 })
  await sleep(100)
  assert.deepEqual(third.heard, [], 'an empty one clears it [MQTT-3.3.1-10]')
})

test('a device: what the hub wants is retained for it, its own status for nobody else', async (t) => {
  const { url, certify, broker } = await openRoom(t)
  const gate = await certify('gate')
  const config = { version: 3, at: new Date().toISOString(), config: { streams: [] } }
  broker.publish('desired', gate, { ...config, version: 2 })
  broker.publish('desired', gate, config)
  const { client, heard } = await gate.connect(url)
  await client.subscribeAsync(topicFor('desired', gate), { qos: 1 })
  await until(t, () => heard.length === 1)
  assert.deepEqual(heard[0], {
    topic: topicFor('desired', gate),
    qos: 1,
    retain: true,
    text: JSON.stringify(config),
  })
  await client.publishAsync(topicFor('status', gate), '{}', { qos: 1, retain: true })
  const [granted] = await subscribe(await (await certify('yard')).connect(url), [
    topicFor('status', gate),
  ])
  assert.equal(granted, 128)
})

test('a last will is published when the connection breaks, not after a DISCONNECT [MQTT-3.1.2-8, -10]', async (t) => {
  const { url, certify } = await openRoom(t, open)
  const reader = await (await certify('reader')).connect(url)
  await reader.client.subscribeAsync('wills/+', { qos: 1 })
  const gate = await certify('gate')
  const will = (retain: boolean) => ({
    will: { topic: 'wills/gate', payload: Buffer.from('gone'), qos: 1 as const, retain },
  })
  const polite = await gate.connect(url, will(true))
  await polite.client.endAsync()
  await sleep(100)
  assert.deepEqual(reader.heard, [])
  const plain = await gate.connect(url, will(false))
  plain.client.stream.destroy()
  await until(t, () => reader.heard.length === 1)
  const kept = await gate.connect(url, will(true))
  kept.client.stream.destroy()
  await until(t, () => reader.heard.length === 2)
  const late = await (await certify('late')).connect(url)
  await late.client.subscribeAsync('wills/+', { qos: 1 })
  await until(t, () => late.heard.length === 1)
  assert.deepEqual(late.heard[0], { topic: 'wills/gate', text: 'gone', qos: 1, retain: true })
})

test('a malformed packet after sign-in breaks the connection, and the last will follows [MQTT-3.1.2-8]', async (t) => {
  const { url, certify, told } = await openRoom(t)
  const gate = await certify('gate')
  const raw = await talk(url, gate)
  const topic = topicFor('status', gate)
  await raw.connect('gate', { will: [topic, 'offline'] })
  raw.write(0x36, ...lengthOf(8), ...text('a/b'), 0, 1, 0x78)
  await raw.closed
  await until(t, () => told.length === 1)
  assert.deepEqual(told[0], { name: 'status', text: 'offline' })
})

// aedes delivers with the QoS of the first filter that matches, not the largest [MQTT-3.3.5-1]. Where filters
// are those of the message table none overlap, so no device meets this.
test('overlapping subscriptions: one copy [MQTT-3.3.5-1]; a device gets none that overlap', async (t) => {
  const { url, certify } = await openRoom(t, open)
  const reader = await (await certify('reader')).connect(url)
  for (const filter of ['o/#', 'o/+', 'o/a']) await reader.client.subscribeAsync(filter, { qos: 1 })
  const writer = await (await certify('writer')).connect(url)
  await writer.client.publishAsync('o/a', 'x', { qos: 1 })
  await until(t, () => reader.heard.length > 0)
  await sleep(50)
  assert.deepEqual(reader.heard, [{ topic: 'o/a', text: 'x', qos: 1, retain: false }])
  const devices = await openRoom(t)
  const gate = await devices.certify('gate')
  const filters = ['desired', '+', '#'].map((level) => `edgeloop/v1/main/gate/${level}`)
  assert.deepEqual(await subscribe(await gate.connect(devices.url), filters), [0, 128, 128])
})

test('a device: subscribing again to what it hears already replaces the subscription [MQTT-3.8.4-3]', async (t) => {
  const { url, certify, broker } = await openRoom(t)
  const gate = await certify('gate')
  const { client, heard } = await gate.connect(url)
  const topic = topicFor('acknowledged', gate)
  await client.subscribeAsync({ [topic]: { qos: 0 } })
  await client.subscribeAsync({ [topic]: { qos: 1 } })
  broker.publish('acknowledged', gate, { bootId: crypto.randomUUID(), through: 1 })
  await until(t, () => heard.length === 1)
  await sleep(50)
  assert.equal(heard.length, 1)
})

test('filters: levels, $-topics and separators are matched as §4.7 says', async (t) => {
  const { url, certify } = await openRoom(t, open)
  const reader = await (await certify('reader')).connect(url)
  await reader.client.subscribeAsync(['+/+', '/+', 'a/#', '#', '+'])
  const writer = await (await certify('writer')).connect(url)
  for (const topic of ['/b', 'a', 'A', 'a/b/c', '$own/b']) {
    await writer.client.publishAsync(topic, topic, { qos: 1 })
  }
  await until(t, () => reader.heard.length >= 4)
  await sleep(50)
  const topics = reader.heard.map(({ topic }) => topic).sort()
  assert.deepEqual(topics, ['/b', 'A', 'a', 'a/b/c'], 'wildcards do not match $ [MQTT-4.7.2-1]')
})

test('a client that is silent for one and a half times its keepalive is disconnected [MQTT-3.1.2-24]', async (t) => {
  const { url, certify, told } = await openRoom(t)
  const gate = await certify('gate')
  const raw = await talk(url, gate)
  const started = performance.now()
  await raw.connect('gate', { keepalive: 1, will: [topicFor('status', gate), 'silent'] })
  await raw.closed
  const lastedMs = performance.now() - started
  assert.ok(lastedMs >= 1450 && lastedMs < 10_000, `${lastedMs} ms`)
  await until(t, () => told.length === 1)
  const pinging = await gate.connect(url, { keepalive: 1 })
  await sleep(2500)
  assert.ok(pinging.client.connected)
})

test('an empty client id gets one of the broker, with a clean session only [MQTT-3.1.3-6, -7]; a device is refused', async (t) => {
  const open_ = await openRoom(t, open)
  const one = await talk(open_.url, await open_.certify('a'))
  assert.deepEqual(await one.connect(''), accepted)
  const two = await talk(open_.url, await open_.certify('b'))
  assert.deepEqual(await two.connect(''), accepted, 'two without an id are two clients')
  two.write(0xc0, 0)
  one.write(0xc0, 0)
  assert.deepEqual([await one.read(2), await two.read(2)], [pingresp, pingresp])
  const { url, certify } = await openRoom(t)
  const device = await talk(url, await certify('gate'))
  assert.deepEqual(await device.connect(''), refused(2), 'identifier rejected [MQTT-3.1.3-9]')
  await device.closed
})

test('an empty client id with a kept session is rejected [MQTT-3.1.3-8]', async (t) => {
  const { url, certify } = await openRoom(t, open)
  const raw = await talk(url, await certify('a'))
  assert.deepEqual(await raw.connect('', { clean: false }), refused(2))
  await raw.closed
})

test('the id of another device is refused with "identifier rejected", other faults with "not authorized"', async (t) => {
  const { url, certify } = await openRoom(t)
  const gate = await certify('gate')
  const cases: [number, string, ConnectOptions][] = [
    [2, 'yard', {}],
    [5, 'gate', { clean: false }],
    [5, 'gate', { keepalive: 0 }],
    [5, 'gate', { keepalive: 301 }],
    [5, 'gate', { will: [topicFor('status', { site: 'main', deviceId: 'yard' }), 'x'] }],
  ]
  for (const [returnCode, clientId, options] of cases) {
    const raw = await talk(url, gate)
    assert.deepEqual(await raw.connect(clientId, options), refused(returnCode))
    await raw.closed
  }
})

test('a refused filter is answered 0x80, those beside it are granted, and the connection stays [MQTT-3.8.4-5]', async (t) => {
  const { url, certify, broker } = await openRoom(t)
  const gate = await certify('gate')
  const connected = await gate.connect(url)
  const own = topicFor('acknowledged', gate)
  assert.deepEqual(await subscribe(connected, ['#', own, '$SYS/#', '$share/all/#']), [
    ...[128, 0, 128, 128],
  ])
  broker.publish('acknowledged', gate, { bootId: crypto.randomUUID(), through: 1 })
  await until(t, () => connected.heard.length === 1)
  await connected.client.unsubscribeAsync([own, 'never/subscribed'])
  broker.publish('acknowledged', gate, { bootId: crypto.randomUUID(), through: 2 })
  await sleep(100)
  assert.equal(connected.heard.length, 1)
})

test('a second client with the same id takes over; the will of the first is published before it is let in [MQTT-3.1.4-2]', async (t) => {
  const { url, certify, told, broker } = await openRoom(t)
  const gate = await certify('gate')
  const topic = topicFor('status', gate)
  const will = { topic, payload: Buffer.from('offline'), qos: 1 as const, retain: true }
  const first = await gate.connect(url, { will })
  const second = await gate.connect(url, { will })
  await ended(first.client)
  await second.client.publishAsync(topic, 'online', { qos: 1, retain: true })
  await until(t, () => told.length === 2)
  assert.deepEqual(
    told.map((message) => message.text),
    ['offline', 'online'],
  )
  assert.ok(broker.isConnected('gate') && second.client.connected)
})

test('a kept session says so, and holds QoS 1 and 2 for its absent client [MQTT-3.1.2-4, 3.2.2-2]; a device has none', async (t) => {
  const { url, certify } = await openRoom(t, open)
  const reader = await certify('reader')
  const first = await reader.connect(url, { clean: false })
  assert.equal(first.connack.sessionPresent, false)
  await first.client.subscribeAsync('queue', { qos: 2 })
  await first.client.endAsync()
  const writer = await (await certify('writer')).connect(url)
  for (const qos of qualities) await writer.client.publishAsync('queue', `qos ${qos}`, { qos })
  const second = await reader.connect(url, { clean: false })
  assert.equal(second.connack.sessionPresent, true)
  await until(t, () => second.heard.length >= 2)
  assert.deepEqual(
    second.heard.filter(({ qos }) => qos > 0).map((message) => message.text),
    ['qos 1', 'qos 2'],
  )
  await second.client.endAsync()
  const clean = await reader.connect(url, { clean: true })
  assert.equal(clean.connack.sessionPresent, false, 'a clean session ends it [MQTT-3.1.2-6]')
  await writer.client.publishAsync('queue', 'late', { qos: 1 })
  await sleep(100)
  assert.deepEqual(clean.heard, [])
})

// aedes does not set DUP when it sends again [MQTT-3.3.1-1]; only kept sessions, which devices have none of, meet this.
test('what is not acknowledged is sent again under its packet id when the session goes on [MQTT-4.4.0-1]', async (t) => {
  const { url, certify } = await openRoom(t, open)
  const reader = await certify('reader')
  const raw = await talk(url, reader)
  await raw.connect('reader', { clean: false })
  raw.write(0x82, ...lengthOf(8), 0, 1, ...text('dup'), 1)
  assert.deepEqual(await raw.read(5), [0x90, 3, 0, 1, 1])
  const writer = await (await certify('writer')).connect(url)
  await writer.client.publishAsync('dup', 'x', { qos: 1 })
  const first = await raw.read(10)
  assert.equal(first[0], 0x32)
  raw.end()
  await raw.closed
  const again = await talk(url, reader)
  assert.deepEqual(await again.connect('reader', { clean: false }), [0x20, 2, 1, 0])
  const second = await again.read(10)
  assert.equal((second[0] ?? 0) & 0xf7, 0x32)
  assert.deepEqual(second.slice(1), first.slice(1))
})

test('packets up to the largest message pass, larger ones cut the connection; before sign-in 4 KB are allowed', async (t) => {
  const { url, certify, told } = await openRoom(t, open)
  const gate = await certify('gate')
  const { client } = await gate.connect(url)
  const overhead = 2 + topicFor('events', gate).length + 2
  const largest = 'x'.repeat(packetBytesMax - overhead)
  await client.publishAsync(topicFor('events', gate), largest, { qos: 1 })
  await until(t, () => told.length === 1)
  client.publish(topicFor('events', gate), `${largest}x`, { qos: 1 })
  await ended(client)
  const raw = await talk(url, gate)
  await raw.connect('gate', { will: ['w', 'x'.repeat(5000)] }).catch(() => {})
  await raw.closed
})

const violations: Record<string, readonly number[]> = {
  'a second CONNECT [MQTT-3.1.0-2]': [0x10, 13, ...text('MQTT'), 4, 2, 0, 60, ...text('x')],
  'SUBSCRIBE with wrong flags [MQTT-3.8.1-1]': [0x80, 6, 0, 1, ...text('a'), 0],
  'SUBSCRIBE without a filter [MQTT-3.8.3-3]': [0x82, 2, 0, 1],
  'SUBSCRIBE with QoS 3 [MQTT-3-8.3-4]': [0x82, 6, 0, 1, ...text('a'), 3],
  'SUBSCRIBE to a malformed filter [MQTT-4.7.1-2]': [0x82, 8, 0, 1, ...text('a#b'), 0],
  'PUBLISH with a wildcard [MQTT-3.3.2-2]': [0x30, 6, ...text('a/+'), 1],
  'PUBLISH with QoS 3 [MQTT-3.3.1-4]': [0x36, 6, ...text('a'), 0, 1, 1],
  'a reserved packet type [MQTT-4.8.0-1]': [0xf0, 0],
  'a CONNACK, which only a server sends [MQTT-4.8.0-1]': [0x20, 2, 0, 0],
  'a topic that is not UTF-8 [MQTT-1.5.3-1]': [0x30, 5, 0, 2, 0xc3, 0x28, 1],
  'a topic with U+0000 [MQTT-1.5.3-2]': [0x30, 5, 0, 2, 0x61, 0, 1],
}
for (const [what, bytes] of Object.entries(violations)) {
  test(`protocol violation: ${what} closes the connection`, async (t) => {
    const { url, certify } = await openRoom(t)
    const raw = await talk(url, await certify('gate'))
    assert.deepEqual(await raw.connect('gate'), accepted)
    raw.write(...bytes)
    await raw.closed
  })
}

test('a protocol level that is not spoken is answered 0x01 [MQTT-3.1.2-2]; MQTT 3.1 is', async (t) => {
  const { url, certify } = await openRoom(t)
  const gate = await certify('gate')
  await assert.rejects(gate.connect(url, { protocolVersion: 5 }))
  const raw = await talk(url, gate)
  raw.write(0x10, 17, ...text('MQTT'), 6, 2, 0, 60, 0, ...text('gate'))
  await raw.closed
  const old = await gate.connect(url, { protocolVersion: 3, protocolId: 'MQIsdp' })
  assert.ok(old.client.connected)
})

test('mosquitto_sub hears what mosquitto_pub says, with every QoS, retained and as a last will', {
  ...needs('mosquitto-clients'),
}, async (t) => {
  const { url, certify, folder } = await openRoom(t, open)
  const flags = await mosquittoFlags(url, folder, await certify('tool'))
  const run = promisify(execFile)
  for (const qos of ['0', '1', '2']) {
    const heard = run('mosquitto_sub', [
      ...[...flags, '-i', 'sub', '-t', 'tools/#', '-q', qos, '-C', '1', '-W', '20', '-v'],
    ])
    const say = ['-i', 'pub', '-t', 'tools/a', '-q', qos, '-m', `qos ${qos}`]
    // Until somebody has heard it, it is said again: when the subscription stands is not told.
    let done = false
    const over = heard.finally(() => {
      done = true
    })
    while (!done) {
      await run('mosquitto_pub', [...flags, ...say])
      await sleep(100)
    }
    assert.equal((await over).stdout, `tools/a qos ${qos}\n`)
  }
  await run('mosquitto_pub', [...flags, '-i', 'pub', '-t', 'tools/kept', '-r', '-m', 'kept'])
  const kept = await run('mosquitto_sub', [
    ...[...flags, '-i', 'sub', '-t', 'tools/#', '-C', '1', '-W', '20', '-F', '%t %r %p'],
  ])
  assert.equal(kept.stdout, 'tools/kept 1 kept\n')
})

test('mosquitto_pub as a device is held to the same rules', {
  ...needs('mosquitto-clients'),
}, async (t) => {
  const { url, certify, folder, told } = await openRoom(t)
  const flags = await mosquittoFlags(url, folder, await certify('gate'))
  const run = promisify(execFile)
  const topic = topicFor('events', { site: 'main', deviceId: 'gate' })
  await run('mosquitto_pub', [...flags, '-i', 'gate', '-q', '1', '-t', topic, '-m', '{}'])
  await until(t, () => told.length === 1)
  const other = topicFor('events', { site: 'main', deviceId: 'yard' })
  const foreign = run('mosquitto_pub', [...flags, '-i', 'gate', '-q', '1', '-t', other, '-m', '{}'])
  await assert.rejects(foreign)
  await assert.rejects(run('mosquitto_pub', [...flags, '-i', 'yard', '-t', topic, '-m', '{}']))
  assert.equal(told.length, 1)
})

test('a device that goes on asking for what it may not hear is cut off', async (t) => {
  const { url, certify } = await openRoom(t)
  const { client } = await (await certify('gate')).connect(url)
  const filters = Array.from({ length: 101 }, (_, index) => `not/mine/${index}`)
  client.subscribe(filters, () => {})
  await ended(client)
})

// Below: a broker per test, and MQTT spoken by hand.

async function openRoom(t: TestContext, access?: Access) {
  const { authority, certify, folder } = await openClients(t)
  const told: { name: string; text: string }[] = []
  const broker = await openTestBroker(
    t,
    { authority, certify, folder },
    {
      receive: (name, _device, payload) => told.push({ name, text: payload.toString() }),
      ...(access ? { access: () => access } : {}),
    },
  )
  return { broker, url: broker.url, certify, told, folder }
}

async function until(t: TestContext, condition: () => boolean, what?: string): Promise<void> {
  await t.waitFor(() => assert.ok(condition(), what), { interval: 10, timeout: 20_000 })
}

/** The return codes of a SUBACK. */
async function subscribe({ client }: Connected, filters: string[]): Promise<number[]> {
  const answer = new Promise<number[]>((resolve) => {
    client.on('packetreceive', (packet) => {
      if (packet.cmd === 'suback') resolve(packet.granted as number[])
    })
  })
  client.subscribe(filters, () => {})
  return await answer
}

const accepted = [0x20, 2, 0, 0]
const refused = (returnCode: number) => [0x20, 2, 0, returnCode]
const pingresp = [0xd0, 0]

/** A text as it stands in a packet (§1.5.3). */
function text(value: string): number[] {
  const bytes = Buffer.from(value)
  return [bytes.length >> 8, bytes.length & 0xff, ...bytes]
}

/** The remaining length of a packet (§2.2.3). */
function lengthOf(bytes: number): number[] {
  const digits: number[] = []
  do {
    digits.push((bytes & 0x7f) | (bytes > 0x7f ? 0x80 : 0))
    bytes >>= 7
  } while (bytes > 0)
  return digits
}

type ConnectOptions = { clean?: boolean; keepalive?: number; will?: [topic: string, text: string] }

async function talk(url: string, { key, cert, ca }: Certified) {
  const { hostname, port } = new URL(url)
  const socket = connectTls({ host: hostname, port: Number(port), key, cert, ca })
  socket.on('error', () => {})
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()))
  await once(socket, 'secureConnect')
  let received = Buffer.alloc(0)
  socket.on('data', (chunk) => {
    received = Buffer.concat([received, chunk])
    socket.emit('more')
  })
  const write = (...bytes: number[]) => void socket.write(Buffer.from(bytes))
  /** @throws when the connection closes before so many bytes are there */
  const read = async (length: number): Promise<number[]> => {
    while (received.length < length && !socket.closed) {
      await Promise.race([new Promise((resolve) => socket.once('more', resolve)), closed])
    }
    assert.ok(received.length >= length, `closed after ${received.length} bytes of ${length}`)
    const bytes = [...received.subarray(0, length)]
    received = received.subarray(length)
    return bytes
  }
  return {
    write,
    read,
    closed,
    end: () => socket.destroy(),
    /** Sends CONNECT; gives the CONNACK. */
    connect: (clientId: string, { clean = true, keepalive = 60, will }: ConnectOptions = {}) => {
      const flags = (clean ? 2 : 0) | (will ? 4 : 0)
      const body = [
        ...[...text('MQTT'), 4, flags, keepalive >> 8, keepalive & 0xff, ...text(clientId)],
        ...(will ? will.flatMap(text) : []),
      ]
      write(0x10, ...lengthOf(body.length), ...body)
      return read(4)
    },
  }
}

async function mosquittoFlags(url: string, folder: string, { key, cert, ca }: Certified) {
  const file = async (name: string, pem: string) => {
    const path = join(folder, name)
    await writeFile(path, pem)
    return path
  }
  const { hostname, port } = new URL(url)
  return [
    ...['-h', hostname, '-p', port, '-V', 'mqttv311'],
    ...['--cafile', await file('tool-ca.crt', ca)],
    ...['--cert', await file('tool.crt', cert), '--key', await file('tool.key', key)],
  ]
}
