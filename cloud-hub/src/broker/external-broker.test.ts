/** A real mosquitto, configured by what we write for it, passes the contract; and what only an external one can suffer. */
import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { topicFor } from '@edgeloop/protocol'
import { type Clients, openClients } from '../../../test/broker/clients.ts'
import { takeNotes, testLog, testMetrics } from '../../../test/broker/embedded.ts'
import { type Mosquitto, startMosquitto } from '../../../test/broker/mosquitto.ts'
import { comeOnline, desired, status, testBroker, until } from '../../../test/contracts/broker.ts'
import { needs } from '../../../test/require.ts'
import { openRevocations } from '../identity/revocations.ts'
import { makeStandIn } from '../identity/stand-in.ts'
import type { Broker, BrokerListener } from './broker.ts'
import { absenceMs, openExternalBroker } from './external-broker.ts'

const mosquitto = needs('mosquitto')

testBroker('mosquitto', mosquitto, async (t, room) => {
  const { clients, server } = await openServer(t)
  return { ...(await openHubSide(t, clients, server, room)), certify: clients.certify }
})

test(
  'mosquitto: after the broker was killed and forgot everything, hub and devices find together again',
  mosquitto,
  async (t) => {
    const { clients, server } = await openServer(t)
    const gate = await clients.certify('gate')
    const { broker, told } = await openHubSide(t, clients, server, undefined, (self) =>
      self.publish('desired', gate, desired(5)),
    )
    await comeOnline(gate, broker.url)
    await comeOnline(await clients.certify('yard'), broker.url)
    await until(t, () => broker.isConnected('gate') && broker.isConnected('yard'))
    await server.kill()
    await until(t, () => !broker.reachable)
    broker.publish('desired', gate, desired(4))
    await server.start()
    await until(t, () => broker.reachable)
    const { client, heard } = await comeOnline(gate, broker.url)
    await client.subscribeAsync(topicFor('desired', gate), { qos: 1 })
    await until(t, () => heard.length > 0)
    assert.equal(heard[0]?.text, JSON.stringify(desired(5)), 'what is wanted was said again')
    await client.publishAsync(topicFor('events', gate), '"after"', { qos: 1 })
    await until(t, () => told.messages.some(({ text }) => text === '"after"'))
    // The yard did not come back, and its broker does not know it any more.
    await until(t, () => told.gone.includes('yard'))
    assert.deepEqual(told.gone, ['yard'])
    assert.ok(broker.isConnected('gate'))
  },
)

test('mosquitto: while it stays away nobody counts as connected', mosquitto, async (t) => {
  const { clients, server } = await openServer(t)
  const { broker, told } = await openHubSide(t, clients, server)
  await comeOnline(await clients.certify('gate'), broker.url)
  await until(t, () => broker.isConnected('gate'))
  await server.kill()
  await sleep(1000)
  assert.ok(broker.isConnected('gate'), 'not at once: most outages are short')
  await t.waitFor(() => assert.deepEqual(told.gone, ['gate']), {
    interval: 50,
    timeout: absenceMs + 20_000,
  })
})

test(
  'mosquitto: a hub that starts later learns who is connected, and who is not',
  mosquitto,
  async (t) => {
    const { clients, server } = await openServer(t)
    const [gate, yard] = [await clients.certify('gate'), await clients.certify('yard')]
    await comeOnline(gate, server.deviceUrl)
    const { client } = await comeOnline(yard, server.deviceUrl)
    client.stream.destroy()
    await sleep(200)
    const { broker, told } = await openHubSide(t, clients, server)
    await until(t, () => told.messages.length >= 2)
    assert.deepEqual([broker.isConnected('gate'), broker.isConnected('yard')], [true, false])
  },
)

test(
  'mosquitto: replicas of a hub hear the same, and each reaches the devices',
  mosquitto,
  async (t) => {
    const { clients, server } = await openServer(t)
    const hubs = [await openHubSide(t, clients, server), await openHubSide(t, clients, server)]
    const gate = await clients.certify('gate')
    const { client, heard } = await comeOnline(gate, server.deviceUrl)
    await client.subscribeAsync(topicFor('acknowledged', gate))
    await client.publishAsync(topicFor('events', gate), '"one"', { qos: 1 })
    for (const { told, broker } of hubs) {
      await until(t, () => told.messages.some(({ text }) => text === '"one"'))
      assert.ok(broker.isConnected('gate'))
    }
    for (const [index, { broker }] of hubs.entries()) {
      broker.publish('acknowledged', gate, { bootId: crypto.randomUUID(), through: index + 1 })
    }
    await until(t, () => heard.length === 2)
    client.stream.destroy()
    for (const { told } of hubs) await until(t, () => told.gone.includes('gate'))
  },
)

test(
  'mosquitto: a revoked certificate is refused after a reload, and its live connection is cut',
  mosquitto,
  async (t) => {
    const { clients, server } = await openServer(t)
    const { broker } = await openHubSide(t, clients, server)
    const gate = await clients.certify('gate')
    const yard = await clients.certify('yard')
    const revocations = openRevocations({
      folder: join(clients.folder, 'keys'),
      copyTo: join(server.files, 'devices.crl'),
      authority: clients.authority,
      clock: Date.now,
    })
    await revocations.settle([gate.serial, yard.serial])
    const { client } = await comeOnline(gate, broker.url)
    await comeOnline(yard, broker.url)
    await until(t, () => broker.isConnected('gate') && broker.isConnected('yard'))
    assert.equal(await revocations.settle([yard.serial]), true)
    await server.reload()
    broker.disconnect(gate)
    await new Promise<void>((resolve) => client.once('close', () => resolve()))
    await until(t, () => !broker.isConnected('gate'))
    await assert.rejects(gate.connect(broker.url), 'the broker has read the list')
    await assert.doesNotReject(yard.connect(broker.url))
    const again = await clients.certify('gate')
    await assert.doesNotReject(again.connect(broker.url), 'the same device with a new certificate')
  },
)

test(
  'mosquitto: the listener of the hub takes no certificate of a device, that of devices none of the hub',
  mosquitto,
  async (t) => {
    const { clients, server } = await openServer(t)
    const gate = await clients.certify('gate')
    await assert.rejects(gate.connect(server.hubUrl))
    await assert.rejects(gate.connect(server.hubUrl, { clientId: 'yard' }))
    const hub = await tlsOf(server)
    await assert.rejects(gate.connect(server.deviceUrl, { key: hub.key, cert: hub.cert }))
  },
)

test(
  'mosquitto: a retained message that does not belong to the table changes nothing',
  mosquitto,
  async (t) => {
    const { clients, server } = await openServer(t)
    const gate = await clients.certify('gate')
    const { client } = await gate.connect(server.deviceUrl)
    // A broker keeps what it is told to keep: events are heard again by a hub that comes, and are duplicates there.
    await client.publishAsync(topicFor('events', gate), '"kept"', { qos: 1, retain: true })
    await client.publishAsync(topicFor('status', gate), 'no JSON', { qos: 1, retain: true })
    const { broker, told } = await openHubSide(t, clients, server)
    await until(t, () => told.messages.length === 2)
    assert.equal(broker.isConnected('gate'), false)
    await client.publishAsync(topicFor('status', gate), '', { qos: 1, retain: true })
    await client.publishAsync(topicFor('status', gate), status('online'), { qos: 1, retain: true })
    await until(t, () => broker.isConnected('gate'))
    assert.equal(told.messages.length, 3, 'an empty one is no status')
  },
)

test('mosquitto: a broker that stops answering is noticed', mosquitto, async (t) => {
  const { clients, server } = await openServer(t)
  const { broker } = await openHubSide(t, clients, server)
  server.freeze()
  await t.waitFor(() => assert.equal(broker.reachable, false), { interval: 200, timeout: 60_000 })
  server.thaw()
  await t.waitFor(() => assert.ok(broker.reachable), { interval: 200, timeout: 30_000 })
})

// Below: a server per test, and a hub's side of it.

async function openServer(t: TestContext): Promise<{ clients: Clients; server: Mosquitto }> {
  const clients = await openClients(t)
  const server = await startMosquitto(clients.folder, join(clients.folder, 'broker'))
  t.after(() => server[Symbol.asyncDispose]())
  return { clients, server }
}

async function tlsOf({ files }: Mosquitto) {
  const read = (name: string) => readFile(join(files, name), 'utf8')
  return { ca: await read('ca.crt'), cert: await read('hub.crt'), key: await read('hub.key') }
}

async function openHubSide(
  t: TestContext,
  { authority }: Clients,
  server: Mosquitto,
  room?: BrokerListener['room'],
  opened: (broker: Broker) => void = () => {},
) {
  const told = takeNotes(room)
  const broker: Broker = openExternalBroker({
    ...told,
    url: server.hubUrl,
    publicUrl: server.deviceUrl,
    tls: await tlsOf(server),
    deviceCa: authority.certificate,
    standIn: (device) => makeStandIn(authority, device),
    opened: () => opened(broker),
    log: testLog(),
    metrics: testMetrics(),
  })
  t.after(() => broker[Symbol.asyncDispose]())
  await until(t, () => broker.reachable)
  return { broker, told }
}
