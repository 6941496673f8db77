/** Errors of four numbers, by hand. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { regressionMetrics } from './regression.ts'

test('regressionMetrics() of four numbers', () => {
  const { mse, rmse, mae, r2, bias } = regressionMetrics([1, 2, 3, 4], [1, 2, 4, 6])
  assert.equal(mse, 5 / 4)
  assert.equal(rmse, Math.sqrt(5 / 4))
  assert.equal(mae, 3 / 4)
  assert.equal(bias, 3 / 4)
  assert.equal(r2, 1 - 5 / 5)
})

test('counts make a number count several times, or not at all', () => {
  const once = regressionMetrics([1, 1, 3], [2, 2, 3])
  const counted = regressionMetrics([1, 3, 9], [2, 3, 0], [2, 1, 0])
  assert.deepEqual(counted, once)
})

test('truths that are all equal have no R², and two lengths are refused', () => {
  assert(Number.isNaN(regressionMetrics([2, 2], [1, 3]).r2))
  assert.throws(() => regressionMetrics([1], [1, 2]), /1 truths with 2/)
})
