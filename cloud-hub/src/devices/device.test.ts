import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DeviceRow, type Reported } from '@edgeloop/protocol'
import { fits } from '@edgeloop/protocol/check'
import { type Device, patchOf, rowOf } from './device.ts'

const at = '2026-11-20T12:00:00.000Z'

test('rowOf() says never, offline, ok and degraded, and why', () => {
  assert.deepEqual(judgement({}), ['never', 'never', 'Enrolled, and not seen yet'])
  assert.deepEqual(judgement({ lastSeenAt: 1 }), [
    'offline',
    'offline',
    'The device is not connected',
  ])
  assert.deepEqual(judgement({ online: true }), ['online', 'ok', ''])
  const reported = reportedWith('live', 'stalled', 'failed')
  assert.deepEqual(judgement({ online: true, reported }), [
    'online',
    'degraded',
    'Stream Camera 1 is stalled: no frame for 5 s (and 1 more)',
  ])
  const live = reportedWith('live', 'live')
  const shedding = { since: at, reason: 'Inference keeps up with 2.0 of 5.0 frames per second' }
  const loaded = { ...live, streams: live.streams.map((stream) => ({ ...stream, shedding })) }
  assert.deepEqual(judgement({ online: true, reported: loaded }), [
    'online',
    'degraded',
    'Stream Camera 0 sheds load: Inference keeps up with 2.0 of 5.0 frames per second (and 1 more)',
  ])
  const refused = {
    ...reportedWith('live'),
    config: { version: 4, accepted: false, reason: 'unknown key "fps"' },
  }
  assert.deepEqual(judgement({ online: true, reported: refused }), [
    'online',
    'degraded',
    'Configuration 4 refused: unknown key "fps"',
  ])
})

test('rowOf() fits what the protocol promises and counts live streams', () => {
  const row = rowOf(
    deviceWith({ online: true, lastSeenAt: 5, reported: reportedWith('live', 'ended') }),
  )
  assert.ok(fits(DeviceRow, row))
  assert.deepEqual([row.streamsLive, row.streamsTotal], [1, 2])
})

test('patchOf() holds what has changed and nothing else', () => {
  const before = rowOf(deviceWith({}))
  const after = rowOf(deviceWith({ online: true, lastSeenAt: 0, revision: 2 }))
  assert.deepEqual(patchOf(before, after), {
    connectivity: 'online',
    health: 'ok',
    reason: '',
    lastSeenAt: '1970-01-01T00:00:00.000Z',
    revision: 2,
  })
  assert.deepEqual(patchOf(before, before), {})
})

function judgement(fields: Partial<Device>): [string, string, string] {
  const { connectivity, health, reason } = rowOf(deviceWith(fields))
  return [connectivity, health, reason]
}

const noTags: readonly string[] = []

function deviceWith(fields: Partial<Device>): Device {
  return {
    deviceKey: 1,
    deviceId: 'gate',
    site: 'main',
    name: 'Gate',
    enrolledAt: 0,
    certificate: { serial: '01', notAfter: 0 },
    movedTo: null,
    clockAheadMs: 0,
    tags: noTags,
    renewed: null,
    expired: false,
    retiredAt: null,
    connections: [],
    online: false,
    lastSeenAt: null,
    eventsStored: 0,
    reported: null,
    health: null,
    desired: null,
    revision: 1,
    ...fields,
  }
}

function reportedWith(...states: Reported['streams'][number]['state'][]): Reported {
  const streams = states.map((state, i) => ({
    streamId: `s${i}`,
    name: `Camera ${i}`,
    source: 'demo:1',
    state,
    reason: state === 'live' ? '' : 'no frame for 5 s',
    since: at,
  }))
  const machine = { agentVersion: '1', platform: 'linux', cpu: 'x', cores: 2, memoryBytes: 1 }
  return {
    at,
    bootId: '0'.repeat(36),
    startedAt: at,
    ...machine,
    configVersion: 1,
    streams,
    models: [],
  }
}
