import assert from 'node:assert/strict'
import { test } from 'node:test'
import { rolloutProgressSlots } from '@edgeloop/protocol'
import { slotsOf } from './progress.ts'

test('a line rises with every box, and ends at all of them', () => {
  const span = { from: 1000, to: 1000 + rolloutProgressSlots * 10 }
  const line = slotsOf([1000, 1005, 1011, span.to + 50, 0], span)
  assert.equal(line.length, rolloutProgressSlots)
  assert.deepEqual(line.slice(0, 2), [3, 4])
  assert.equal(line.at(-1), 5)
  assert.ok(line.every((count, at) => count >= (line[at - 1] ?? 0)))
})

test('a rollout that has just begun has a line, too', () => {
  assert.equal(slotsOf([7], { from: 7, to: 7 }).at(-1), 1)
  assert.equal(slotsOf([], { from: 7, to: 7 }).at(-1), 0)
})
