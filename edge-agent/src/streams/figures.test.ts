import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Figures } from './figures.ts'

test('Figures.take() sums an interval up and starts the next one', () => {
  const figures = new Figures('gate')
  figures.came(300)
  for (let i = 1; i <= 100; i++) figures.analysed(i, i * 2)
  figures.gated()
  figures.dropped(3)
  figures.reconnected()
  assert.deepEqual(figures.take(10_000, 2), {
    streamId: 'gate',
    inputFps: 30,
    analysedFps: 10,
    wantedFps: 10.3,
    gated: 1,
    dropped: 3,
    inferenceMs: 50,
    inferenceP95Ms: 95,
    latencyP95Ms: 190,
    reconnects: 1,
    objects: 2,
  })
  const { inputFps, inferenceMs, latencyP95Ms, dropped } = figures.take(10_000, 0)
  assert.deepEqual([inputFps, inferenceMs, latencyP95Ms, dropped], [0, 0, 0, 0])
})

test('Figures keep the shape of more measurements than they keep', () => {
  const figures = new Figures('gate')
  for (let i = 0; i < 20_000; i++) figures.analysed(i % 100, 0)
  const { inferenceMs, inferenceP95Ms } = figures.take(1000, 0)
  assert.ok(Math.abs(inferenceMs - 50) < 8, `${inferenceMs}`)
  assert.ok(Math.abs(inferenceP95Ms - 95) < 4, `${inferenceP95Ms}`)
})
