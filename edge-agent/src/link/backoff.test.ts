import assert from 'node:assert/strict'
import { test } from 'node:test'
import { reconnectBackoff, waitMs } from './backoff.ts'

test('waitMs() spreads boxes over a time that doubles up to 30 s', () => {
  const longest = (failures: number) => waitMs(reconnectBackoff, failures, 1)
  assert.deepEqual([0, 1, 2, 5, 1000].map(longest), [1000, 2000, 4000, 30_000, 30_000])
  assert.equal(waitMs(reconnectBackoff, 5, 0), 100)
})
