import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Candidate } from '@edgeloop/protocol'
import { placeCandidates, plotSize } from './candidate-places.ts'

const candidate = (name: string, latencyRatio: number | null, value: number | null): Candidate => ({
  name,
  latencyRatio,
  sizeBytes: 1,
  sqnrDb: null,
  refused: '',
  metric: value === null ? null : { name: 'ap50', value },
})

test('faster lies to the right, better lies higher, all within the drawing', () => {
  const plot = placeCandidates([
    candidate('original', 1, 0.497),
    candidate('int8', 1.4, 0.46),
    candidate('fp16', null, 0.49),
    candidate('int8-weights', 1.01, 0.496),
  ])!
  const at = (name: string) => plot.places.find((place) => place.candidate.name === name)!
  assert.equal(plot.places.length, 3)
  assert.ok(at('int8').x > at('int8-weights').x && at('int8-weights').x > at('original').x)
  assert.ok(at('int8').y > at('original').y)
  for (const { x, y } of plot.places) {
    assert.ok(x >= plotSize.left && x <= plotSize.width && y >= 0 && y <= plotSize.height)
  }
  assert.equal(plot.metric, 'ap50')
  assert.ok(plot.rows.length >= 2 && plot.columns.length >= 2)
})

test('names of candidates that lie on each other do not', () => {
  const plot = placeCandidates([1, 2, 3].map((n) => candidate(`c${n}`, 1, 0.5)))!
  const lines = plot.places.map(({ labelY }) => labelY)
  assert.equal(new Set(lines).size, 3)
  assert.ok(plot.places.every(({ x, y }) => Number.isFinite(x) && Number.isFinite(y)))
})

test('a single figure is no plot', () => {
  assert.equal(placeCandidates([candidate('a', 1, 0.5), candidate('b', 1, null)]), undefined)
})
