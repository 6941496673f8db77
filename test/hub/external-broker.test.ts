/** A whole hub whose devices meet it at a real mosquitto. */
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { type Desired, type DeviceRow, type HubHealth, topicFor } from '@edgeloop/protocol'
import { startMosquitto } from '../broker/mosquitto.ts'
import { needs } from '../require.ts'
import { openTestHub, type TestHub } from './fixture.ts'

const mosquitto = needs('mosquitto')
const patience = { interval: 50, timeout: 40_000 }

test(
  'a device enrols, says its events, hears its wishes and its marks through mosquitto',
  mosquitto,
  async (t) => {
    const { hub, server } = await openRoom(t)
    const gate = await hub.enrol('gate')
    assert.equal(gate.enrolment.mqttUrl, server.deviceUrl)
    await hub.api('POST', '/api/devices/gate/streams', { streamId: 'door', source: 'demo:1' })
    const client = await gate.connect({ will: will(gate) })
    const heard: { topic: string; text: string }[] = []
    client.on('message', (topic, payload) => heard.push({ topic, text: payload.toString() }))
    await client.subscribeAsync([topicFor('acknowledged', gate), topicFor('desired', gate)], {
      qos: 1,
    })
    await t.waitFor(() => {
      const wish = heard.find(({ topic }) => topic === topicFor('desired', gate))
      const { config } = JSON.parse(wish?.text ?? '{}') as Desired
      assert.equal(config?.streams[0]?.streamId, 'door')
    }, patience)
    await client.publishAsync(topicFor('status', gate), status('online'), { qos: 1, retain: true })
    await t.waitFor(async () => assert.equal((await row(hub)).connectivity, 'online'), patience)
    const bootId = randomUUID()
    const entries = [1, 2].map((sequence) => ({
      sequence,
      kind: 'alarm',
      at: new Date().toISOString(),
      code: 'diskFull',
      active: true,
      text: '',
    }))
    const batch = JSON.stringify({ bootId, acknowledgedThrough: 0, entries })
    await client.publishAsync(topicFor('events', gate), batch, { qos: 1 })
    await t.waitFor(() => {
      const mark = heard.find(({ topic }) => topic === topicFor('acknowledged', gate))
      assert.deepEqual(JSON.parse(mark?.text ?? '{}'), { bootId, through: 2 })
    }, patience)
    client.stream.destroy()
    await t.waitFor(async () => assert.equal((await row(hub)).connectivity, 'offline'), patience)
  },
)

test(
  'a device that enrols again: the older certificate is on the list, cut, and refused after a reload',
  mosquitto,
  async (t) => {
    const { hub, server, files } = await openRoom(t)
    const stolen = await hub.enrol('gate')
    const thief = await stolen.connect({ will: will(stolen) })
    const before = await readFile(join(files, 'devices.crl'), 'utf8')
    const gone = new Promise<void>((resolve) => thief.once('close', () => resolve()))
    const gate = await hub.enrol('gate')
    await gone
    await t.waitFor(
      async () => assert.notEqual(await readFile(join(files, 'devices.crl'), 'utf8'), before),
      patience,
    )
    await server.reload()
    await assert.rejects(stolen.connect())
    await assert.doesNotReject(gate.connect())
  },
)

test('a device of another site is not heard under the name of ours', mosquitto, async (t) => {
  const { hub } = await openRoom(t)
  const gate = await hub.enrol('gate')
  const client = await gate.connect()
  const elsewhere = topicFor('status', { site: 'elsewhere', deviceId: 'gate' })
  // The broker leaves the site open; the hub does not.
  await client.publishAsync(elsewhere, status('online'), { qos: 1, retain: true })
  await client.publishAsync(topicFor('reported', gate), 'no JSON', { qos: 1, retain: true })
  await new Promise((resolve) => setTimeout(resolve, 1500))
  assert.equal((await row(hub)).connectivity, 'never')
})

test(
  'a hub without its broker opens, says that it is degraded, and recovers',
  mosquitto,
  async (t) => {
    const { hub, server } = await openRoom(t)
    const health = async () =>
      ((await (await hub.api('GET', '/api/health')).json()) as HubHealth).status
    await t.waitFor(async () => assert.equal(await health(), 'ok'), patience)
    await server.kill()
    await t.waitFor(async () => assert.equal(await health(), 'degraded'), patience)
    await hub.reopen()
    assert.equal(await health(), 'degraded')
    await server.start()
    await t.waitFor(async () => assert.equal(await health(), 'ok'), patience)
  },
)

// Below: a mosquitto and a hub per test.

async function openRoom(t: TestContext) {
  const dataDir = await mkdtemp(join(tmpdir(), 'edgeloop-external-'))
  const files = join(dataDir, 'broker')
  const server = await startMosquitto(dataDir, files)
  t.after(async () => {
    await server[Symbol.asyncDispose]()
    await rm(dataDir, { recursive: true, force: true })
  })
  const broker = { url: server.hubUrl, publicUrl: server.deviceUrl, files }
  return { hub: await openTestHub(t, { dataDir, broker }), server, files }
}

async function row(hub: TestHub): Promise<DeviceRow> {
  const [device] = (await (await hub.api('GET', '/api/devices')).json()) as DeviceRow[]
  assert.ok(device)
  return device
}

const status = (state: 'online' | 'offline'): string =>
  JSON.stringify({ state, at: new Date().toISOString(), bootId: randomUUID() })

const will = (device: { site: string; deviceId: string }) => ({
  topic: topicFor('status', device),
  payload: Buffer.from(status('offline')),
  qos: 1 as const,
  retain: true,
})
