/** Intervals where theory says how wide they are. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { bootstrap, intervalOfAll } from './bootstrap.ts'
import { seeded } from './seeded.ts'

const meanOf = (values: ArrayLike<number>) => (counts: Uint32Array) => {
  let sum = 0
  let total = 0
  for (let at = 0; at < counts.length; at++) {
    sum += counts[at]! * values[at]!
    total += counts[at]!
  }
  return sum / total
}

test('the interval of a share is as wide as the binomial says', () => {
  const values = Float64Array.from({ length: 1000 }, (_, at) => (at < 900 ? 1 : 0))
  const [low, high] = bootstrap(meanOf(values), 1000, { seed: 4, rounds: 2000 })!
  const half = 1.96 * Math.sqrt((0.9 * 0.1) / 1000)
  assert(Math.abs(low - (0.9 - half)) < 0.003, `${low}`)
  assert(Math.abs(high - (0.9 + half)) < 0.003, `${high}`)
})

test('about 95 of 100 intervals hold the truth', () => {
  const random = seeded(99)
  let held = 0
  for (let trial = 0; trial < 100; trial++) {
    const values = Float64Array.from({ length: 200 }, () => (random() < 0.7 ? 1 : 0))
    const [low, high] = bootstrap(meanOf(values), 200, { seed: trial, rounds: 300 })!
    if (low <= 0.7 && 0.7 <= high) held++
  }
  assert(held >= 88 && held <= 100, `${held}`)
})

test('samples that come in clusters give a wider interval than single ones', () => {
  // Ten streams of a hundred frames, each all right or all wrong.
  const values = Float64Array.from({ length: 1000 }, (_, at) => Math.floor(at / 100) % 2)
  const clusterOf = values.map((_, at) => Math.floor(at / 100))
  const single = bootstrap(meanOf(values), 1000)!
  const whole = bootstrap(meanOf(values), 1000, { clusterOf })!
  assert(whole[1] - whole[0] > 5 * (single[1] - single[0]))
})

test('the same seed gives the same interval, another one another', () => {
  const values = Float64Array.from({ length: 50 }, (_, at) => at)
  const of = (seed: number) => bootstrap(meanOf(values), 50, { seed })
  assert.deepEqual(of(1), of(1))
  assert.notDeepEqual(of(1), of(2))
})

test('where there is nothing to draw from there is no interval', () => {
  assert.equal(bootstrap(meanOf([1]), 1), undefined)
  assert.equal(
    bootstrap(() => Number.NaN, 10),
    undefined,
  )
  assert.equal(bootstrap(meanOf([1, 2]), 2, { clusterOf: [0, 0] }), undefined)
})

test('of a set without a mistake nothing can be drawn; what may be hidden among so many is computed', () => {
  assert.equal(bootstrap(meanOf(new Float64Array(60).fill(1)), 60), undefined)
  const [low, high] = intervalOfAll(1, 60)
  assert.equal(high, 1)
  // With this share of mistakes, 60 without one are seen in 2.5 of 100 sets.
  assert(Math.abs(low ** 60 - 0.025) < 1e-12)
  const [none, some] = intervalOfAll(0, 60)
  assert.deepEqual([none, Number((1 - some).toFixed(12))], [0, Number(low.toFixed(12))])
})
