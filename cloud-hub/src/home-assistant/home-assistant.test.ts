/** What Home Assistant is told, without a broker: the scene, the discovery message and the words for updates. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { StoredEvent } from '@edgeloop/protocol'
import { discoveryOf, discoveryTopic, updateOf } from './discovery.ts'
import { frigateEvent } from './frigate-event.ts'
import { countOf, isOccupied, labelsMax, objectKeptMs, openScene } from './scene.ts'
import { installOf, topicsUnder } from './topics.ts'

const base = Date.parse('2026-11-20T12:00:00.000Z')
const bootId = '0f6b2b9c-6a3a-4a51-9d1c-0c2f1b6f5a11'

function event(given: Partial<StoredEvent> & { second?: number }): StoredEvent {
  const { second = 0, data, ...rest } = given
  const at = new Date(base + second * 1000).toISOString()
  return {
    eventId: 1,
    deviceId: 'gate',
    bootId,
    sequence: 1,
    kind: 'appeared',
    at,
    receivedAt: at,
    historical: false,
    streamId: 'door',
    label: 'person',
    score: 0.8,
    snapshot: null,
    marks: [],
    ...rest,
    data: { trackId: 7, box: [0.1, 0.2, 0.3, 0.4], ...data },
  }
}

test('objects come, go into zones and leave; counts and zones follow', () => {
  const scene = openScene()
  const stream = () => scene.stream('gate', 'door')
  assert.equal(scene.take(event({}))?.type, 'new')
  assert.equal(scene.take(event({ data: { trackId: 8 } }))?.type, 'new')
  assert.deepEqual(
    [countOf(stream()), countOf(stream(), 'person'), countOf(stream(), 'dog')],
    [2, 2, 0],
  )
  const entered = scene.take(event({ kind: 'zone', data: { zone: 'dock', act: 'entered' } }))
  assert.deepEqual(
    [entered?.type, entered?.before.zones, entered?.after.zones],
    ['update', [], ['dock']],
  )
  assert.ok(isOccupied(stream(), 'dock'))
  scene.take(event({ kind: 'zone', data: { zone: 'dock', act: 'left' } }))
  assert.ok(!isOccupied(stream(), 'dock'))
  const gone = scene.take(event({ kind: 'left', second: 5 }))
  assert.deepEqual(
    [gone?.type, gone?.after.endedAt, gone?.after.enteredZones],
    ['end', base + 5000, ['dock']],
  )
  assert.equal(countOf(stream()), 1)
  // A stream that is away shows nobody; an end that was lost is made up for by time.
  scene.take(event({ kind: 'stream', label: null, data: { state: 'stalled', trackId: undefined } }))
  assert.equal(countOf(stream()), 0)
  scene.take(event({}))
  assert.deepEqual(scene.age(base + objectKeptMs), [])
  assert.deepEqual(scene.age(base + objectKeptMs + 1), [{ deviceId: 'gate', streamId: 'door' }])
  assert.equal(countOf(stream()), 0)
  for (let i = 0; i < 100; i++) scene.take(event({ label: `label ${i}`, data: { trackId: i } }))
  assert.equal(stream().labels.size, labelsMax)
})

test('alarms are on until they end, each by its code and stream', () => {
  const scene = openScene()
  const alarm = (code: string, active: boolean, streamId: string | null = null) =>
    scene.take(event({ kind: 'alarm', label: null, streamId, data: { code, active, text: 'x' } }))
  alarm('diskFull', true)
  alarm('overloaded', true, 'door')
  alarm('overloaded', true, 'yard')
  alarm('overloaded', false, 'door')
  assert.deepEqual(
    scene.alarms('gate').map(({ code, streamId }) => `${code} ${streamId}`),
    ['diskFull null', 'overloaded yard'],
  )
})

test('a device is discovered in one message that keeps the rules of Home Assistant', () => {
  const scene = openScene()
  scene.expect('gate', 'door', { labels: ['person', 'wet paint'], zones: ['Dock 1'] })
  const topics = topicsUnder('edgeloop')
  const shown = {
    deviceId: 'gate',
    name: 'North gate',
    site: 'mill',
    agentVersion: '1',
    platform: 'linux',
    streams: [{ streamId: 'door', name: '', scene: scene.stream('gate', 'door') }],
    models: ['parts'],
  }
  const hub = { version: '1', url: 'http://hub:4180', installs: true }
  const { device, origin, components, availability_topic } = discoveryOf(shown, topics, hub)
  assert.match(discoveryTopic('homeassistant', 'gate'), /^homeassistant\/device\/[\w-]+\/config$/)
  assert.deepEqual(device.identifiers, ['edgeloop_gate'])
  assert.ok(origin.name)
  assert.equal(availability_topic, 'edgeloop/available')
  const ids = new Set<string>()
  for (const [key, component] of Object.entries(components)) {
    assert.match(key, /^[\w-]+$/, 'a key is part of the id of the discovery')
    assert.ok(['binary_sensor', 'sensor', 'image', 'update'].includes(component.platform))
    assert.ok(!ids.has(component.unique_id))
    ids.add(component.unique_id)
    const state = component.platform === 'image' ? component.image_topic : component.state_topic
    assert.match(String(state), /^edgeloop\/[^+#\s]+$/, key)
  }
  assert.deepEqual(Object.keys(components), [
    ...['connected', 'alarm', 'door_picture', 'door_person', 'door_wet_paint'],
    ...['door_zone_Dock_1', 'model_parts'],
  ])
  assert.equal(components.connected?.device_class, 'connectivity')
  assert.equal(components.door_zone_Dock_1?.device_class, 'occupancy')
  assert.equal(components.model_parts?.payload_install, 'install')
  const quiet = discoveryOf(shown, topics, { ...hub, installs: false })
  assert.equal(quiet.components.model_parts?.command_topic, undefined)
})

test('an update says what runs, what there is, and how far it is; nothing older is an update', () => {
  const none = { running: 2, latest: undefined, update: undefined }
  const words = (given: Parameters<typeof updateOf>[1]) => {
    const { installed_version, latest_version, in_progress, update_percentage } = updateOf(
      'm',
      given,
    )
    return [installed_version, latest_version, in_progress, update_percentage]
  }
  assert.deepEqual(words(none), ['2', '2', false, null])
  assert.deepEqual(words({ ...none, latest: 3 }), ['2', '3', false, null])
  assert.deepEqual(words({ ...none, latest: 1 }), ['2', '2', false, null])
  assert.deepEqual(words({ ...none, running: 0, latest: 1 }), ['own file', '1', false, null])
  const update = { version: 3, state: 'downloading', done: 999, total: 2000 }
  assert.deepEqual(words({ ...none, update }), ['2', '3', true, 49])
  assert.deepEqual(words({ ...none, update: { ...update, state: 'probation' } }), [
    '2',
    '3',
    true,
    null,
  ])
})

test('events in the words of Frigate: seconds, pixels, before and after', () => {
  const scene = openScene()
  const first = scene.take(event({ snapshot: 'a'.repeat(64) }))!
  const made = frigateEvent(first, 'gate_door', { width: 1000, height: 500 })
  assert.equal(made.type, 'new')
  assert.deepEqual(made.after.box, [100, 100, 400, 300])
  assert.deepEqual([made.after.area, made.after.ratio], [60_000, 1.5])
  assert.deepEqual([made.after.start_time, made.after.end_time], [base / 1000, null])
  assert.equal(made.after.has_snapshot, true)
  const next = scene.take(
    event({ kind: 'zone', second: 2, score: 0.95, data: { zone: 'dock', act: 'entered' } }),
  )!
  const { before, after } = frigateEvent(next, 'gate_door', {})
  assert.equal(before.id, after.id)
  assert.deepEqual([before.current_zones, after.current_zones], [[], ['dock']])
  assert.deepEqual([before.top_score, after.top_score], [0.8, 0.95])
})

test('commands are those of the table of topics and no others', () => {
  assert.deepEqual(installOf('a/b', 'a/b/devices/gate/models/parts/install'), {
    deviceId: 'gate',
    model: 'parts',
  })
  for (const topic of [
    'a/b/devices/gate/models/parts',
    'b/devices/gate/models/parts/install',
    'a/b/x',
  ]) {
    assert.equal(installOf('a/b', topic), undefined)
  }
})
