import assert from 'node:assert/strict'
import { test } from 'node:test'
import { judge, keyFigure } from './judge.ts'

test('one figure stands for a run: the strictest there is', () => {
  assert.deepEqual(keyFigure({ loss: 0.1, ap50: 0.9, ap: 0.5 }), { name: 'ap', value: 0.5 })
  assert.deepEqual(keyFigure({ loss: 0.1, accuracy: Number.NaN }), { name: 'loss', value: 0.1 })
  assert.equal(keyFigure({ brightness: 3 }), undefined)
  assert.equal(keyFigure({ accuracy: 1, f1: 0.5 }, 'f1')?.value, 0.5)
  assert.equal(keyFigure(undefined), undefined)
})

test('who is better or equal takes the place, who is worse does not', () => {
  const against = (accuracy: number) =>
    judge({ accuracy: 0.9 }, { version: 3, figures: { accuracy }, interval: [0.87, 0.92] })
  assert.equal(against(0.89).champion, true)
  assert.equal(against(0.9).champion, true)
  assert.match(against(0.9).why, /^not worse: accuracy 0\.9000 .*version 3\) 0\.9000/)
  assert.equal(against(0.9001).champion, false)
  assert.match(against(0.9001).why, /^worse: .* \(95 % within 0\.8700 … 0\.9200\)/)
})

test('of an error less is better', () => {
  const against = (rmse: number) => judge({ rmse: 2 }, { version: 1, figures: { rmse } })
  assert.deepEqual([against(3).champion, against(1).champion], [true, false])
})

test('the first takes an empty place; nothing is promoted that was not compared', () => {
  assert.equal(judge({ accuracy: 0.1 }, undefined).champion, true)
  assert.match(judge({}, undefined).why, /no test samples/)
  assert.equal(judge({}, undefined).champion, false)
  const odd = judge({ accuracy: 1 }, { version: 2, problem: 'its labels are others' })
  assert.equal(odd.champion, false)
  assert.match(odd.why, /version 2\) cannot be compared .* its labels are others/)
  assert.match(judge({ accuracy: 1 }, { version: 2, figures: { loss: 1 } }).why, /has no accuracy/)
})
