import assert from 'node:assert/strict'
import { test } from 'node:test'
import { curvePointsMax } from '@edgeloop/protocol'
import { appendPoints, joinCurves } from './join-curves.ts'

test('curves with different steps share an axis, and keep their own points', () => {
  const joined = joinCurves([
    { steps: [1, 3], values: [10, 30] },
    { steps: [2, 3, 5], values: [2, 3, 5] },
  ])
  assert.deepEqual(joined.steps, [1, 2, 3, 5])
  assert.deepEqual(joined.values, [
    [10, null, 30, null],
    [null, 2, 3, 5],
  ])
})

test('new points come behind the others, none twice', () => {
  const before = { points: 2, curves: [{ name: 'loss', steps: [1, 2], values: [9, 8] }] }
  const after = appendPoints(before, {
    points: [
      { step: 2, figures: { loss: 8 } },
      { step: 3, figures: { loss: 7 } },
      { step: 3, figures: { 'validation: accuracy': 0.5 } },
    ],
  })
  assert.deepEqual(after?.curves, [
    { name: 'loss', steps: [1, 2, 3], values: [9, 8, 7] },
    { name: 'validation: accuracy', steps: [3], values: [0.5] },
  ])
  assert.deepEqual(before.curves[0]?.steps, [1, 2], 'what was shown before is left as it was')
})

test('curves that grow too long are fetched anew', () => {
  const steps = Array.from({ length: curvePointsMax }, (_, i) => i + 1)
  const long = { points: steps.length, curves: [{ name: 'loss', steps, values: steps }] }
  const more = { points: [{ step: curvePointsMax + 1, figures: { loss: 1 } }] }
  assert.equal(appendPoints(long, more), undefined)
})
