import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Backoff, backoffDefaults } from './backoff.ts'

test('Backoff.next() doubles up to its bound and starts again after what worked', () => {
  const late = new Backoff(backoffDefaults, () => 1)
  const waits = Array.from({ length: 8 }, () => late.next(0))
  assert.deepEqual(waits, [1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000])
  assert.equal(late.next(9_999), 30_000)
  assert.equal(late.next(10_000), 1000)
  const early = new Backoff(backoffDefaults, () => 0)
  assert.deepEqual([early.next(0), early.next(0)], [500, 1000])
})
