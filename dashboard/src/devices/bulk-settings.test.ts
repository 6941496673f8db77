import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { StreamConfig } from '@edgeloop/protocol'
import { forEachOf, planBulk, planUndo } from './bulk-settings.ts'

const known = (deviceId: string, ...streams: Omit<StreamConfig, 'source'>[]) => ({
  device: { deviceId },
  desired: {
    version: 3,
    at: '2026-11-20T12:00:00.000Z',
    config: { streams: streams.map((stream) => ({ source: 'demo:1', ...stream })) },
  },
})

test('planBulk() counts exactly what differs afterwards and leaves the rest alone', () => {
  const plan = planBulk(
    [
      known('a', { streamId: 'one', analysisFps: 5 }, { streamId: 'two', analysisFps: 2 }),
      known('b', { streamId: 'one', analysisFps: 2 }),
      known('c'),
      { device: { deviceId: 'd' }, desired: null },
    ],
    { analysisFps: 2 },
  )
  assert.deepEqual(
    plan.devices.map(({ deviceId, version, streams }) => [deviceId, version, streams]),
    [['a', 3, 1]],
  )
  assert.deepEqual([plan.streams, plan.alreadySo, plan.withoutStreams], [1, 1, 2])
  assert.deepEqual(plan.devices[0]?.after.streams, [
    { source: 'demo:1', streamId: 'one', analysisFps: 2 },
    { source: 'demo:1', streamId: 'two', analysisFps: 2 },
  ])
})

test('planUndo() takes back only what was done, on top of the new version', () => {
  const one = { streamId: 'one', scoreMin: 0.3 }
  const plan = planBulk([known('a', one), known('b', one)], { scoreMin: 0.6 })
  const desired = { version: 4, at: '2026-11-20T12:01:00.000Z', config: { streams: [] } }
  const undo = planUndo(plan, [
    { deviceId: 'a', kind: 'done', desired },
    { deviceId: 'b', kind: 'failed', why: 'Cannot replace version 3: the newest is 4' },
  ])
  assert.deepEqual(
    undo.devices.map(({ deviceId, version, after }) => [deviceId, version, after]),
    [['a', 4, plan.devices[0]?.before]],
  )
})

test('forEachOf() keeps order, stays within its bound and stops where it is told to', async () => {
  const stop = new AbortController()
  let running = 0
  let most = 0
  const act = async (n: number) => {
    running++
    most = Math.max(most, running)
    await new Promise((resolve) => setTimeout(resolve, (5 - n) * 2))
    running--
    return n * 10
  }
  assert.deepEqual(await forEachOf([1, 2, 3, 4], 2, stop.signal, act), [10, 20, 30, 40])
  assert.equal(most, 2)
  const stopping = async (n: number) => {
    if (n === 2) stop.abort()
    return n
  }
  assert.deepEqual(await forEachOf([1, 2, 3, 4], 1, stop.signal, stopping), [1, 2])
})
