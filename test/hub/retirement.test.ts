/** A device that is retired is out at once, whoever holds its key; what it told stays until it is removed. */
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { test } from 'node:test'
import { connect } from 'node:tls'
import {
  type DeviceDetail,
  type EnrolmentToken,
  type EventPage,
  type HubHealth,
  type Problem,
  type Removal,
  topicFor,
} from '@edgeloop/protocol'
import type { MqttClient } from 'mqtt'
import { runCommand } from './command.ts'
import { makeRequest, openTestHub, send, type TestDevice, type TestHub } from './fixture.ts'

const camera = { streamId: 'one', source: 'rtsp://admin:secret@camera/1' }

test('retiring cuts the live connections of a stolen certificate, and it opens nothing again', async (t) => {
  const hub = await openTestHub(t)
  const device = await hub.enrol('gate')
  const other = await hub.enrol('yard')
  const [client, bystander] = [await device.connect(), await other.connect()]
  const https = await openHttps(device, hub)
  const cuts = [closed(client), once(https, 'close')]
  assert.equal((await hub.api('POST', '/api/devices/gate/retire')).status, 200)
  await Promise.all(cuts)
  assert.ok(bystander.connected, 'others go on')

  await assert.rejects(device.connect(), /Not authorized/)
  const { csr } = await makeRequest()
  const tls = { key: device.key, cert: device.enrolment.certificate }
  const renewal = await send(`${hub.hub.urls.device}/renew`, 'POST', tls, { csr })
  assert.equal(renewal.status, 403)
  assert.match(renewal.text, /was retired/)
  await hub.reopen()
  await assert.rejects(device.connect(), /Not authorized/, 'nor after a restart')

  const { device: row } = await show(hub)
  assert.equal(row.health, 'retired')
  assert.equal(row.connectivity === 'online', false)
  assert.match(row.reason, /Retired since \d{4}-\d\d-\d\d/)
})

test('a renewed certificate, and tokens made before, die with the retirement', async (t) => {
  const hub = await openTestHub(t)
  const device = await hub.enrol('gate')
  const made = await hub.api('POST', '/api/enrolment-tokens', { deviceId: 'gate' })
  const { token } = (await made.json()) as EnrolmentToken
  const { key, csr } = await makeRequest()
  const tls = { key: device.key, cert: device.enrolment.certificate }
  const reply = await send(`${hub.hub.urls.device}/renew`, 'POST', tls, { csr })
  const { certificate } = JSON.parse(reply.text) as { certificate: string }
  const renewed = hub.device({ ...device.enrolment, certificate }, key)
  await hub.api('POST', '/api/devices/gate/retire')
  await assert.rejects(renewed.connect(), /Not authorized/)
  const enrolled = await send(`${hub.hub.urls.device}/enrol`, 'POST', {}, { token, csr })
  assert.equal((JSON.parse(enrolled.text) as Problem).code, 'enrolmentRefused')

  // A token that is made now brings it back, with everything it had.
  await hub.api('POST', '/api/devices/gate/streams', camera)
  const back = await hub.enrol('gate')
  await back.connect()
  const detail = await show(hub)
  assert.equal(detail.device.health === 'retired', false)
  assert.equal(detail.desired?.config.streams.length, 1)
  await assert.rejects(device.connect(), /Not authorized/, 'the old certificate stays refused')
})

test('a device is removed only when it is retired, with everything of it and nothing else', async (t) => {
  const hub = await openTestHub(t)
  const [gate, yard] = [await hub.enrol('gate'), await hub.enrol('yard')]
  await tell(gate, 25)
  await tell(yard, 5)
  await hub.api('POST', '/api/devices/gate/streams', camera)
  await t.waitFor(async () => assert.equal((await count(hub)).events, 25), soon)

  const early = await hub.api('DELETE', '/api/devices/gate')
  assert.equal(early.status, 409)
  assert.match(((await early.json()) as Problem).detail, /device retire gate/)
  await hub.api('POST', '/api/devices/gate/retire')
  const counted = await count(hub)
  const removed = await hub.api('DELETE', '/api/devices/gate')
  assert.deepEqual(await removed.json(), counted, 'what was counted is what was deleted')

  for (const path of ['/api/devices/gate', '/api/devices/gate/removal']) {
    assert.equal((await hub.api('GET', path)).status, 404)
  }
  await assert.rejects(gate.connect(), /Not authorized/)
  const page = (await (await hub.api('GET', '/api/events')).json()) as EventPage
  assert.deepEqual([...new Set(page.events.map(({ deviceId }) => deviceId))], ['yard'])
  await hub.reopen()
  const health = (await (await hub.api('GET', '/api/health')).json()) as HubHealth
  assert.equal(health.eventsStored, 5)
  assert.equal((await hub.api('GET', '/api/devices/gate')).status, 404)
  // The id is free again, and a device of that id has no past.
  await (await hub.enrol('gate')).connect()
  assert.deepEqual((await count(hub)).events, 0)
})

test('a box that gets the name of a removed one hears nothing of what was wanted of that', async (t) => {
  const hub = await openTestHub(t)
  await hub.enrol('gate')
  const wish = { streamId: 'door', source: 'rtsp://user:secret@camera/1' }
  assert.equal((await hub.api('POST', '/api/devices/gate/streams', wish)).ok, true)
  await hub.api('POST', '/api/devices/gate/retire')
  assert.equal((await hub.api('DELETE', '/api/devices/gate')).status, 200)
  const gate = await hub.enrol('gate')
  const client = await gate.connect()
  const heard: string[] = []
  client.on('message', (_topic, payload) => heard.push(payload.toString()))
  await client.subscribeAsync(topicFor('desired', gate), { qos: 1 })
  await new Promise((resolve) => setTimeout(resolve, 300))
  assert.deepEqual(heard, [])
})

test('device add, retire and remove on the command line', async (t) => {
  const hub = await openTestHub(t)
  const gate = await hub.enrol('gate')
  await tell(gate, 3)
  await t.waitFor(async () => assert.equal((await count(hub)).events, 3), soon)

  const added = await runCommand(hub, 'device', 'add', 'yard', '--site', 'north')
  assert.equal(added.code, 0, added.stderr)
  assert.match(
    added.stdout,
    /^EDGELOOP_ENROLMENT_TOKEN=\S+ \.\/edgeloop agent --hub https:\S+ --ca-f/,
  )
  const again = await runCommand(hub, 'device', 'add', 'gate', '--json')
  assert.equal((JSON.parse(again.stdout) as EnrolmentToken).site, 'main', 'where it is already')

  const early = await runCommand(hub, 'device', 'remove', 'gate', '--yes')
  assert.equal(early.code, 1)
  assert.match(early.stderr, /it is not retired/)
  const retired = await runCommand(hub, 'device', 'retire', 'gate', '--json')
  assert.equal(JSON.parse(retired.stdout).health, 'retired')
  const asked = await runCommand(hub, 'device', 'remove', 'gate')
  assert.equal(asked.code, 1)
  assert.match(asked.stdout, /Would delete device "gate": 3 events/)
  assert.match(asked.stderr, /hint: add --yes/)
  assert.equal((await count(hub)).events, 3, 'nothing was deleted')
  const removed = await runCommand(hub, 'device', 'remove', 'gate', '--yes', '--json')
  assert.deepEqual([removed.code, JSON.parse(removed.stdout).events], [0, 3])
  const gone = await runCommand(hub, 'device', 'retire', 'gate')
  assert.equal(gone.code, 1)
  assert.match(gone.stderr, /never enrolled/)
})

const soon = { timeout: 15_000, interval: 50 }

async function show(hub: TestHub): Promise<DeviceDetail> {
  return (await (await hub.api('GET', '/api/devices/gate')).json()) as DeviceDetail
}

async function count(hub: TestHub): Promise<Removal> {
  return (await (await hub.api('GET', '/api/devices/gate/removal')).json()) as Removal
}

const closed = (client: MqttClient): Promise<void> =>
  new Promise((resolve) => client.once('close', () => resolve()))

/** Reports so many events over the wire, and one that cannot be taken. */
async function tell(device: TestDevice, events: number): Promise<void> {
  const client = await device.connect()
  const at = new Date().toISOString()
  const state = { kind: 'stream', at, streamId: 'one', state: 'live', reason: '' }
  const entries = Array.from({ length: events }, (_, i) => ({ ...state, sequence: i + 1 }))
  const bad = { sequence: events + 1, kind: 'nonsense' }
  const batch = { bootId: randomUUID(), acknowledgedThrough: 0, entries: [...entries, bad] }
  await client.publishAsync(topicFor('events', device), JSON.stringify(batch), { qos: 1 })
}

/** An HTTPS connection that stays open, as the agent keeps one for pictures. */
async function openHttps(device: TestDevice, hub: TestHub) {
  const { key, enrolment } = device
  const port = Number(new URL(hub.hub.urls.device).port)
  const tls = { key, cert: enrolment.certificate, ca: enrolment.ca }
  const socket = connect({ ...tls, host: 'localhost', port })
  socket.on('error', () => {})
  await once(socket, 'secureConnect')
  socket.write('GET /nothing HTTP/1.1\r\nhost: hub\r\n\r\n')
  await once(socket, 'data')
  return socket
}
