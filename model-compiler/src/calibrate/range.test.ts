/** What each method makes of distributions whose best cut is known. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { count, emptyHistogram } from './histogram.ts'
import { chooseRange, type Range } from './range.ts'

function histogramOf(values: Float32Array) {
  const seen = {
    min: values.reduce((a, b) => Math.min(a, b)),
    max: values.reduce((a, b) => Math.max(a, b)),
  }
  const histogram = emptyHistogram(seen)
  count(histogram, values)
  return histogram
}

/** Squared error of 256 codes over a range, by brute force. */
function errorOf(values: Float32Array, { min, max }: Range): number {
  const step = (max - min) / 255
  return values.reduce((sum, x) => {
    const code = Math.min(255, Math.max(0, Math.round((x - min) / step)))
    return sum + (x - min - code * step) ** 2
  }, 0)
}

/** A bell curve with a few values far outside, the same each time. */
const withOutliers = Float32Array.from({ length: 100_000 }, (_, i) => {
  const x = Math.sqrt(-2 * Math.log((i + 0.5) / 100_000)) * Math.cos(i * 2.399963)
  return i % 20_000 === 7 ? 400 : x
})

test('a percentile leaves outside what it says, half of it at each end', () => {
  const even = Float32Array.from({ length: 10_001 }, (_, i) => i / 100 - 50)
  const { min, max } = chooseRange(histogramOf(even), { method: 'percentile', percentile: 98 })
  assert.ok(Math.abs(min + 49) < 0.05 && Math.abs(max - 49) < 0.05, `${min}..${max}`)
  const all = chooseRange(histogramOf(even), { method: 'percentile', percentile: 100 })
  assert.deepEqual(all, { min: -50, max: 50 })
})

test('MSE and entropy cut off outliers; MSE has the least error of all', () => {
  const histogram = histogramOf(withOutliers)
  const whole = chooseRange(histogram, { method: 'minmax' })
  const entropy = chooseRange(histogram, { method: 'entropy' })
  const mse = chooseRange(histogram, { method: 'mse' })
  assert.equal(whole.max, 400)
  assert.ok(entropy.max < 200 && entropy.max > 2, `entropy ${entropy.max}`)
  const least = errorOf(withOutliers, mse)
  for (const other of [whole, entropy, chooseRange(histogram, { method: 'percentile' })]) {
    assert.ok(least <= errorOf(withOutliers, other) * 1.001, `${JSON.stringify({ mse, other })}`)
  }
})

test('a range that uses its codes evenly stays whole', () => {
  const even = Float32Array.from({ length: 100_000 }, (_, i) => (i % 6001) / 1000)
  const { min, max } = chooseRange(histogramOf(even), { method: 'mse' })
  assert.ok(min === 0 && max > 5.8, `${min}..${max}`)
})

test('of a constant, or of zeros alone, there is nothing to choose', () => {
  for (const constant of [0, 3, -2]) {
    const values = new Float32Array(10).fill(constant)
    for (const method of ['percentile', 'entropy', 'mse'] as const) {
      assert.deepEqual(chooseRange(histogramOf(values), { method }), {
        min: constant,
        max: constant,
      })
    }
  }
})

test('zeros count for the percentile and cost nothing in codes', () => {
  const sparse = Float32Array.from({ length: 10_000 }, (_, i) => (i % 100 === 0 ? 1 + (i % 7) : 0))
  const histogram = histogramOf(sparse)
  assert.equal(histogram.zeros, 9900)
  assert.equal(chooseRange(histogram, { method: 'percentile', percentile: 99.99 }).min, 0)
})
