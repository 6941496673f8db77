import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { StreamFigures } from '@edgeloop/protocol'
import fc from 'fast-check'
import { type HealthRow, healthSeriesOf } from './health-series.ts'

test('healthSeriesOf() gives few rows as they are', () => {
  const series = healthSeriesOf([row(1000, 0.1), row(2000, 0.2)], 10)
  assert.deepEqual(series.at, [1, 2])
  assert.deepEqual(series.cpuShare, [0.1, 0.2])
  assert.deepEqual(series.streams, [])
})

test('healthSeriesOf() keeps the greatest and the least of every column, however much is left out', () => {
  const values = fc.array(fc.record({ cpu: fc.nat(1000), memory: fc.nat(1000) }), {
    minLength: 1,
    maxLength: 400,
  })
  fc.assert(
    fc.property(values, fc.integer({ min: 10, max: 60 }), (figures, points) => {
      const rows = figures.map(({ cpu, memory }, i) => ({
        ...row(i * 1000, cpu),
        memoryBytes: memory,
      }))
      const series = healthSeriesOf(rows, points)
      assert.ok(series.at.length <= points)
      assert.deepEqual(
        series.at,
        series.at.toSorted((a, b) => a - b),
      )
      for (const [column, all] of [
        [series.cpuShare, figures.map(({ cpu }) => cpu)],
        [series.memoryBytes, figures.map(({ memory }) => memory)],
      ] as const) {
        assert.equal(column.length, series.at.length)
        assert.equal(Math.max(...column), Math.max(...all))
        assert.equal(Math.min(...column), Math.min(...all))
      }
    }),
  )
})

test('healthSeriesOf() leaves a gap where a stream was not there', () => {
  const rows = [row(1000, 0), { ...row(2000, 0), streams: [figures('one', 5)] }, row(3000, 0)]
  const [stream] = healthSeriesOf(rows, 10).streams
  assert.equal(stream?.streamId, 'one')
  assert.deepEqual(stream.analysedFps, [null, 5, null])
  const many = Array.from({ length: 50 }, (_, i) => ({
    ...row(i * 1000, 0),
    streams: i < 25 ? [] : [figures('one', i)],
  }))
  const [thinned] = healthSeriesOf(many, 10).streams
  assert.equal(thinned?.analysedFps.length, 10)
  assert.deepEqual(thinned.analysedFps.slice(0, 4), [null, null, null, null])
  assert.equal(thinned.analysedFps.at(-1), 49)
})

test('healthSeriesOf() of nothing is empty', () => {
  assert.deepEqual(healthSeriesOf([], 10).at, [])
})

function row(at: number, cpuShare: number): HealthRow {
  return { at, cpuShare, memoryBytes: 0, loopP99Ms: 0, outboxEvents: 0, streams: [] }
}

function figures(streamId: string, analysedFps: number): StreamFigures {
  return {
    streamId,
    inputFps: 30,
    analysedFps,
    gated: 0,
    dropped: 0,
    inferenceMs: 1,
    inferenceP95Ms: 1,
    latencyP95Ms: 1,
    reconnects: 0,
    objects: 0,
  }
}
