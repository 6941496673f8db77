import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Reported } from '@edgeloop/protocol'
import { listStreams } from './stream-list.ts'

const at = '2026-11-20T12:00:00.000Z'
const device = (deviceId: string, site: string, ...streamIds: string[]) => ({
  deviceId,
  site,
  movedTo: null,
  name: `The ${deviceId}`,
  online: true,
  desired: {
    version: 1,
    at,
    config: { streams: [{ streamId: 'north', source: 'demo:1', scoreMin: 0.6 }] },
  },
  reported: {
    streams: streamIds.map((streamId) => ({
      streamId,
      name: `Camera ${streamId}`,
      source: 'demo:1',
      state: 'live',
      reason: '',
      since: at,
    })),
  } as unknown as Reported,
})
const devices = [
  device('yard', 'south', 'gate'),
  device('gate', 'north', 'south', 'north'),
  { ...device('new', 'north'), reported: null },
]
const names = (query: Parameters<typeof listStreams>[1]) =>
  listStreams(devices, query).streams.map(
    ({ deviceId, stream }) => `${deviceId}/${stream.streamId}`,
  )

test('listStreams() goes by device, keeps the order of each, and pages through all', () => {
  assert.deepEqual(names({}), ['gate/south', 'gate/north', 'yard/gate'])
  assert.deepEqual(names({ offset: 1, limit: 1 }), ['gate/north'])
  assert.deepEqual(names({ offset: 9 }), [])
  assert.equal(listStreams(devices, { offset: 9 }).total, 3)
})

test('listStreams() filters by device, site and every word, and counts what fits', () => {
  assert.deepEqual(names({ site: 'south' }), ['yard/gate'])
  assert.deepEqual(names({ device: 'gate' }), ['gate/south', 'gate/north'])
  assert.deepEqual(names({ q: 'CAMERA north the' }), ['gate/south', 'gate/north'])
  assert.deepEqual(names({ q: 'nothing' }), [])
  assert.equal(listStreams(devices, { q: 'gate', limit: 1 }).total, 3)
})

test('listStreams() says from which score a stream tracks, where the configuration does', () => {
  const { streams } = listStreams(devices, { device: 'gate' })
  assert.deepEqual(
    streams.map(({ scoreMin }) => scoreMin),
    [null, 0.6],
  )
})

test('listStreams() knows a device that was moved by the site where it stands', () => {
  const moved = [{ ...device('gate', 'north', 'one'), movedTo: 'south' }]
  assert.equal(listStreams(moved, { site: 'south' }).streams[0]?.site, 'south')
  assert.equal(listStreams(moved, { site: 'north' }).total, 0)
  assert.equal(listStreams(moved, { q: 'south' }).total, 1)
})
