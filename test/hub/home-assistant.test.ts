/** What the broker of Home Assistant hears of a fleet, and what a press of "Install" there does. */
import assert from 'node:assert/strict'
import { createHash, randomUUID } from 'node:crypto'
import { type TestContext, test } from 'node:test'
import { type RolloutRow, topicFor } from '@edgeloop/protocol'
import mqtt from 'mqtt'
import { freePorts } from '../broker/mosquitto.ts'
import { runPlainMosquitto } from '../broker/plain-mosquitto.ts'
import { needs } from '../require.ts'
import { openTestHub } from './fixture.ts'
import { publishedFor, SimulatedBox } from './simulated-box.ts'

const wide = { timeout: 120_000, ...needs('mosquitto') }

async function openBroker(t: TestContext) {
  const [port = 0] = await freePorts(1)
  const broker = await runPlainMosquitto({ port })
  const listener = await mqtt.connectAsync(broker.url)
  /** The newest of each topic, and everything in order. */
  const state = new Map<string, Buffer>()
  const heard: [string, string][] = []
  listener.on('message', (topic, payload) => {
    state.set(topic, payload)
    heard.push([topic, payload.toString()])
  })
  await listener.subscribeAsync('#')
  t.after(async () => {
    listener.end(true)
    await broker[Symbol.asyncDispose]()
  })
  const text = (topic: string) => state.get(topic)?.toString()
  const json = (topic: string) => JSON.parse(text(topic) || '{}')
  return { broker, listener, heard, text, json, state }
}

const until = (t: TestContext, look: () => void | Promise<void>) =>
  t.waitFor(look, { interval: 50, timeout: 30_000 })

test(
  'devices, objects, zones, alarms and pictures are told; a device that is removed is gone there',
  wide,
  async (t) => {
    const { broker, heard, text, json, state } = await openBroker(t)
    const hub = await openTestHub(t, { homeAssistant: { url: broker.url, topicPrefix: 'frigate' } })
    const gate = await hub.enrol('gate', 'North gate')
    const client = await gate.connect()
    const bootId = randomUUID()
    const at = () => new Date().toISOString()
    const say = (name: 'status' | 'reported' | 'events', payload: object) =>
      client.publishAsync(topicFor(name, gate), JSON.stringify(payload), { qos: 1 })
    await say('status', { state: 'online', at: at(), bootId })
    const stream = {
      streamId: 'door',
      name: 'Door',
      source: 'demo:1',
      state: 'live',
      reason: '',
      since: at(),
    }
    await say('reported', {
      at: at(),
      bootId,
      startedAt: at(),
      agentVersion: '0.1.0',
      platform: 'linux-x64',
      cpu: 'x',
      cores: 1,
      memoryBytes: 1e9,
      configVersion: 0,
      models: [],
      streams: [{ ...stream, width: 1000, height: 500 }],
    })
    let sequence = 0
    const happens = (entry: object) => {
      sequence++
      return say('events', {
        bootId,
        acknowledgedThrough: 0,
        entries: [{ sequence, at: at(), streamId: 'door', ...entry }],
      })
    }
    const picture = Buffer.from('/9j/4AAQSkZJRgABAQAAAQABAAD/2Q==', 'base64')
    const snapshot = createHash('sha256').update(picture).digest('hex')
    const person = { trackId: 1, label: 'person', score: 0.9, box: [0.1, 0.2, 0.3, 0.4] }

    await until(t, () => assert.equal(text('frigate/devices/gate/connected'), 'ON'))
    assert.equal(text('frigate/available'), 'online')
    assert.equal(text('frigate/devices/gate/alarm'), 'OFF')
    await happens({ kind: 'appeared', ...person, snapshot })
    await happens({ kind: 'zone', ...person, zone: 'dock', act: 'entered' })
    await gate.put(`/blobs/${snapshot}`, 'image/jpeg', picture)
    await until(t, () => {
      assert.equal(text('frigate/gate_door/person'), '1')
      assert.equal(text('frigate/gate_door/all'), '1')
      assert.equal(text('frigate/gate_door/zones/dock'), 'ON')
      assert.deepEqual(state.get('frigate/gate_door/person/snapshot'), picture)
      assert.deepEqual(state.get('frigate/gate_door/snapshot'), picture)
      const { device, components } = json('homeassistant/device/edgeloop_gate/config')
      assert.equal(device.name, 'North gate')
      assert.equal(components.door_person.state_topic, 'frigate/gate_door/person')
      assert.equal(components.door_zone_dock.state_topic, 'frigate/gate_door/zones/dock')
    })
    await happens({
      kind: 'left',
      ...person,
      appearedAt: at(),
      frames: 3,
      best: { at: at(), box: person.box, score: 0.9, snapshot },
    })
    await happens({ kind: 'alarm', code: 'overloaded', active: true, text: 'too much' })
    await until(t, () => {
      assert.equal(text('frigate/gate_door/person'), '0')
      assert.equal(text('frigate/gate_door/zones/dock'), 'OFF')
      assert.equal(text('frigate/devices/gate/alarm'), 'ON')
      assert.equal(json('frigate/devices/gate/alarms').alarms[0].code, 'overloaded')
    })
    const events = heard
      .filter(([topic]) => topic === 'frigate/events')
      .map(([, body]) => JSON.parse(body))
    assert.deepEqual(
      events.map(({ type }) => type),
      ['new', 'update', 'end'],
    )
    assert.equal(new Set(events.map(({ after }) => after.id)).size, 1)
    assert.deepEqual(events[0].after.box, [100, 100, 400, 300])

    // What is known of labels outlives the hub; the last word of one that closes is that it is away.
    await hub.close()
    await until(t, () => assert.equal(text('frigate/available'), 'offline'))
    state.clear()
    await hub.reopen()
    await until(t, () => {
      assert.equal(text('frigate/available'), 'online')
      assert.ok(json('homeassistant/device/edgeloop_gate/config').components?.door_person)
    })
    assert.equal((await hub.api('POST', '/api/devices/gate/retire')).status, 200)
    await until(t, () => assert.equal(text('homeassistant/device/edgeloop_gate/config'), ''))
  },
)

test(
  '"Install" moves that device to the newest version, once, where it is allowed',
  wide,
  async (t) => {
    const { broker, listener, json, text } = await openBroker(t)
    const hub = await openTestHub(
      t,
      { homeAssistant: { url: broker.url, install: 'begin' } },
      Date.now,
      {
        artifacts: publishedFor('door', [1, 2]),
      },
    )
    // What the list of versions is made of.
    await hub.inStore(async ({ writer }) => {
      for (const version of [1, 2]) {
        await writer
          .insertInto('artifact_publication')
          .values({
            name: 'door',
            version,
            target: 'linux-x64',
            targets: '["linux-x64"]',
            artifact_id: null,
            manifest_digest: 'a',
            manifest_bytes: 1,
            file_digest: 'b',
            file_bytes: 1,
            encodings: '[]',
            scale_epoch: 1,
            scales_digest: '',
            expires_at: 0,
            author: 'a',
            published_at: 0,
          })
          .execute()
      }
    })
    const box = await new SimulatedBox(await hub.enrol('box-1'), 'door').connect()
    const other = await new SimulatedBox(await hub.enrol('box-2'), 'door').connect()
    const topic = 'edgeloop/devices/box-1/models/door'
    await until(t, () => assert.equal(json(topic).latest_version, '2'))
    assert.equal(json(topic).installed_version, 'own file')
    const { components } = json('homeassistant/device/edgeloop_box-1/config')
    assert.equal(components.model_door.command_topic, `${topic}/install`)
    // Neither another word nor one that the broker kept begins anything.
    await listener.publishAsync(`${topic}/install`, 'please', { qos: 1 })
    await listener.publishAsync('edgeloop/devices/nobody/models/door/install', 'install', {
      qos: 1,
    })
    const presses = Array.from({ length: 5 }, () =>
      listener.publishAsync(`${topic}/install`, 'install', { qos: 1 }),
    )
    await Promise.all(presses)
    await until(t, () => assert.equal(json(topic).installed_version, '2'))
    const rollouts = (await (await hub.api('GET', '/api/rollouts')).json()) as RolloutRow[]
    assert.deepEqual(
      rollouts.map(({ by, version, counts }) => [by, version, counts.devices]),
      [['home-assistant', 2, 1]],
    )
    assert.deepEqual([box.version, other.version], [2, 0])
    assert.equal(json('edgeloop/devices/box-2/models/door').installed_version, 'own file')
    const audit = await (await hub.api('GET', '/api/audit?action=rolloutCreate')).json()
    assert.deepEqual(
      (audit as { entries: { actor: string; outcome: string }[] }).entries.map((one) => [
        one.actor,
        one.outcome,
      ]),
      [['home-assistant', 'done']],
    )
    assert.equal(text('edgeloop/available'), 'online')
  },
)

test(
  'a hub that may not install says so by having no button, and takes no command',
  wide,
  async (t) => {
    const { broker, listener, json } = await openBroker(t)
    const hub = await openTestHub(t, { homeAssistant: { url: broker.url } }, Date.now, {
      artifacts: publishedFor('door', [1]),
    })
    await new SimulatedBox(await hub.enrol('box-1'), 'door').connect()
    await until(t, () => {
      const { components } = json('homeassistant/device/edgeloop_box-1/config')
      assert.equal(components?.model_door?.platform, 'update')
      assert.equal(components.model_door.command_topic, undefined)
    })
    await listener.publishAsync('edgeloop/devices/box-1/models/door/install', 'install', { qos: 1 })
    await until(t, () => assert.ok(json('edgeloop/devices/box-1/models/door').installed_version))
    assert.deepEqual(await (await hub.api('GET', '/api/rollouts')).json(), [])
  },
)
