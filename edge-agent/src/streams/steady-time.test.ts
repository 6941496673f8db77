import assert from 'node:assert/strict'
import { test } from 'node:test'
import { steadyTime } from './steady-time.ts'

test('steadyTime() follows the clock, and not its jumps', () => {
  const steady = steadyTime(200)
  const hour = 3_600_000
  const times = [5000, 5200, 5390, hour, hour + 200, 100, 310]
  assert.deepEqual(times.map(steady), [0, 200, 390, 590, 790, 990, 1200])
})
