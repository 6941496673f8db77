import assert from 'node:assert/strict'
import { test } from 'node:test'
import { clipCost } from './clip-cost.ts'

test('clipCost() grows with what is kept, and memory no further than its bound', () => {
  assert.deepEqual(clipCost({}), { memoryBytes: 4_500_000, clipBytes: 8_000_000 })
  assert.deepEqual(clipCost({ beforeSeconds: 0, afterSeconds: 0 }).clipBytes, 500_000)
  assert.equal(clipCost({ beforeSeconds: 3000 }).memoryBytes, 32 * 1024 * 1024)
})
