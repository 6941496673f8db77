/** Curves against the definition: every pair of a positive and a negative compared. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { precisionRecallCurve, rocCurve, thinned } from './curve.ts'

const answers = fc.array(fc.tuple(fc.boolean(), fc.integer({ min: 0, max: 6 })), {
  minLength: 2,
  maxLength: 40,
})

test('the area under ROC is the share of pairs in the right order, ties counting half', () => {
  fc.assert(
    fc.property(answers, (list) => {
      const positives = list.filter(([is]) => is)
      const negatives = list.filter(([is]) => !is)
      fc.pre(positives.length > 0 && negatives.length > 0)
      let right = 0
      for (const [, a] of positives) {
        for (const [, b] of negatives) right += a > b ? 1 : a === b ? 0.5 : 0
      }
      const { area } = rocCurve(
        list.map(([is]) => is),
        list.map(([, score]) => score),
      )
      assert(Math.abs(area - right / (positives.length * negatives.length)) < 1e-12)
    }),
  )
})

test('curves do not depend on the order of equal scores', () => {
  fc.assert(
    fc.property(answers, (list) => {
      const isPositive = list.map(([is]) => is)
      const scores = list.map(([, score]) => score)
      for (const curve of [rocCurve, precisionRecallCurve]) {
        const forward = curve(isPositive, scores)
        const backward = curve(isPositive.toReversed(), scores.toReversed())
        assert.deepEqual(backward, forward)
      }
    }),
  )
})

test('average precision of a case worked out by hand', () => {
  // Thresholds .9: 1 of 1; .8: 1 of 2; .7: 2 of 3.
  const { area, points } = precisionRecallCurve([1, 0, 1, 0], [0.9, 0.8, 0.7, 0.1])
  assert(Math.abs(area - (0.5 * 1 + 0.5 * (2 / 3))) < 1e-12)
  assert.deepEqual(points[1], { x: 0.5, y: 0.5, score: 0.8 })
})

test('without positives or negatives there is no area', () => {
  assert(Number.isNaN(rocCurve([1, 1], [0.1, 0.2]).area))
  assert(Number.isNaN(rocCurve([0, 0], [0.1, 0.2]).area))
  assert(Number.isNaN(precisionRecallCurve([0, 0], [0.1, 0.2]).area))
  assert.throws(() => rocCurve([1], []), /1 truths and 0 scores/)
})

test('thinned() keeps both ends', () => {
  const points = Array.from({ length: 1000 }, (_, at) => at)
  const few = thinned(points, 10)
  assert.equal(few.length, 10)
  assert.deepEqual([few[0], few.at(-1)], [0, 999])
  assert.equal(thinned(points, 1000), points)
})
