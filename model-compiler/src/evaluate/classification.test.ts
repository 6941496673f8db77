/** A classifier's figures against counting by hand and against definitions written out as loops. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { classificationMetrics } from './classification.ts'
import { seeded } from './seeded.ts'

const near = (actual: number, expected: number, most = 1e-12) =>
  assert(Math.abs(actual - expected) <= most, `${actual} is not ${expected}`)

test('classificationMetrics() counts six samples of three labels as one does by hand', () => {
  const scores = [
    ...[0.7, 0.2, 0.1], // a, right
    ...[0.5, 0.4, 0.1], // b, said a
    ...[0.1, 0.8, 0.1], // b, right
    ...[0.3, 0.3, 0.4], // c, right
    ...[0.6, 0.1, 0.3], // c, said a
    ...[0.2, 0.2, 0.6], // c, right
  ]
  const metrics = classificationMetrics(['a', 'b', 'c'], [0, 1, 1, 2, 2, 2], scores)
  assert.deepEqual(metrics.confusion, [
    [1, 0, 0],
    [1, 1, 0],
    [1, 0, 2],
  ])
  near(metrics.accuracy, 4 / 6)
  assert(Number.isNaN(metrics.top5), 'of three labels five are always right')
  const [a, b, c] = metrics.perLabel
  near(a!.precision, 1 / 3)
  near(a!.recall, 1)
  near(b!.precision, 1)
  near(b!.recall, 1 / 2)
  near(c!.f1, 0.8)
  near(metrics.macro.f1, (1 / 2 + 2 / 3 + 0.8) / 3)
  near(metrics.micro.f1, metrics.accuracy)
  near(metrics.logLoss, -Math.log(0.7 * 0.4 * 0.8 * 0.4 * 0.3 * 0.6) / 6, 1e-9)
})

test('a label that nobody has is left out of the means, one that is never said has precision 0 there', () => {
  const metrics = classificationMetrics(
    ['a', 'b', 'never'],
    [0, 1],
    [...[0.9, 0.1, 0], ...[0.8, 0.2, 0]],
  )
  assert(Number.isNaN(metrics.perLabel[2]!.recall))
  near(metrics.macro.recall, 0.5)
  near(metrics.macro.precision, 0.25)
})

test('of equal scores the lower class is said, and the five best are told from the sixth', () => {
  const labels = ['a', 'b', 'c', 'd', 'e', 'f']
  const flat = new Array<number>(6).fill(1 / 6)
  const metrics = classificationMetrics(labels, [0, 4, 5], [...flat, ...flat, ...flat])
  assert.deepEqual([...metrics.said], [0, 0, 0])
  near(metrics.top5, 2 / 3)
})

test('logits and their probabilities give the same figures', () => {
  const random = seeded(5)
  const logits = Float64Array.from({ length: 60 }, () => random() * 8 - 4)
  const truth = Int32Array.from({ length: 20 }, () => Math.floor(random() * 3))
  const probabilities = Float64Array.from(logits, (z, at) => {
    const row = logits.subarray(at - (at % 3), at - (at % 3) + 3)
    return Math.exp(z) / row.reduce((sum, one) => sum + Math.exp(one), 0)
  })
  const a = classificationMetrics(['a', 'b', 'c'], truth, logits)
  const b = classificationMetrics(['a', 'b', 'c'], truth, probabilities)
  near(a.logLoss, b.logLoss, 1e-9)
  near(a.macro.rocAuc, b.macro.rocAuc, 1e-9)
  near(a.calibration.temperature, b.calibration.temperature, 1e-6)
})

test('what cannot be evaluated is refused with the sample', () => {
  assert.throws(() => classificationMetrics(['a', 'b'], [0], [1]), /1 scores for 1 samples of 2/)
  assert.throws(() => classificationMetrics(['a', 'b'], [2], [1, 0]), /sample 0 has class 2/)
  assert.throws(
    () => classificationMetrics(['a', 'b'], [0, 1], [1, 0, Number.NaN, 1]),
    /sample 1 has the score NaN/,
  )
})
