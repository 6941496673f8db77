/** Calibration of answers whose right temperature is known. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  areProbabilities,
  expectedCalibrationError,
  fitTemperature,
  reliability,
  softmaxRows,
} from './calibration.ts'
import { seeded } from './seeded.ts'

test('reliability() of four answers, by hand', () => {
  const bins = reliability([0.55, 0.6, 0.95, 1], [1, 0, 1, 1], 10)
  assert.deepEqual(
    bins
      .filter(({ count }) => count > 0)
      .map(({ from, count, accuracy }) => [from, count, accuracy]),
    [
      [0.5, 2, 0.5],
      [0.9, 2, 1],
    ],
  )
  const expected = (2 * Math.abs(0.575 - 0.5) + 2 * Math.abs(0.975 - 1)) / 4
  assert(Math.abs(expectedCalibrationError(bins) - expected) < 1e-12)
})

/** Truths drawn from the softmax of the logits, which are then given as if they were `factor` times as sure. */
function drawn(seed: number, factor: number) {
  const random = seeded(seed)
  const classes = 4
  const samples = 6000
  const logits = Float64Array.from({ length: samples * classes }, () => random() * 6 - 3)
  const probabilities = softmaxRows(logits, classes)
  const truth = Int32Array.from({ length: samples }, (_, at) => {
    let left = random()
    for (let k = 0; k < classes; k++) {
      left -= probabilities[at * classes + k]!
      if (left < 0) return k
    }
    return classes - 1
  })
  return { truth, classes, logits: logits.map((z) => z * factor) }
}

test('fitTemperature() finds what made answers too sure, or not sure enough', () => {
  for (const factor of [1, 3, 0.4]) {
    const { logits, truth, classes } = drawn(11, factor)
    const temperature = fitTemperature(logits, truth, classes)
    assert(Math.abs(temperature / factor - 1) < 0.05, `${temperature} for ${factor}`)
  }
})

test('fitTemperature() is where the log loss is least', () => {
  const { logits, truth, classes } = drawn(3, 2)
  const loss = (temperature: number): number => {
    const probabilities = softmaxRows(logits, classes, temperature)
    let sum = 0
    for (const [at, wanted] of truth.entries())
      sum -= Math.log(probabilities[at * classes + wanted]!)
    return sum
  }
  const best = fitTemperature(logits, truth, classes)
  assert(loss(best) < loss(best * 1.001))
  assert(loss(best) < loss(best / 1.001))
})

test('a set without a mistake, or with nothing but mistakes, ends at the bounds', () => {
  assert.equal(fitTemperature([5, 0, 0, 5], [0, 1], 2), 0.05)
  assert.equal(fitTemperature([5, 0, 0, 5], [1, 0], 2), 20)
  assert.equal(fitTemperature([1, 1], [0], 2), 1)
})

test('areProbabilities() tells them from logits', () => {
  assert(areProbabilities([0.5, 0.5, 1, 0], 2))
  assert(!areProbabilities([0.5, 0.6], 2))
  assert(!areProbabilities([2, -1], 2))
})
