import assert from 'node:assert/strict'
import { test } from 'node:test'
import { believableFps, pauseMaxMs, timeline } from './timeline.ts'

const positions = (stamps: (number | undefined)[], fps?: number): number[] => {
  const position = timeline(fps)
  return stamps.map((stamp) => Math.round(position(stamp)))
}

test('timeline() starts at 0 and follows the time stamps', () => {
  assert.deepEqual(positions([500, 540, 640, 650]), [0, 40, 140, 150])
})

test('timeline() puts frames without a time stamp one frame apart', () => {
  assert.deepEqual(positions([undefined, undefined, undefined], 10), [0, 100, 200])
  assert.deepEqual(positions([0, undefined, 200], 10), [0, 100, 200])
})

test('timeline() learns the length of a frame where nothing says it', () => {
  assert.deepEqual(positions([0, 20, undefined, undefined]), [0, 20, 40, 60])
})

test('timeline() goes on by one frame where the clock jumps back, stands still or leaps', () => {
  assert.deepEqual(
    positions([1000, 1050, 0, 50, 50, 50 + pauseMaxMs + 1], 20),
    [0, 50, 100, 150, 200, 250],
  )
  assert.deepEqual(positions([0, pauseMaxMs], 20), [0, pauseMaxMs])
})

test('timeline() joins the passes of a loop one frame apart', () => {
  const position = timeline(25)
  assert.deepEqual(
    [position(0), position(40), position(0, true), position(40), position(0, true)],
    [0, 40, 80, 120, 160],
  )
})

test('believableFps() refuses what containers write when they do not know', () => {
  assert.equal(believableFps(29.97), 29.97)
  for (const fps of [0, -1, Number.NaN, Number.POSITIVE_INFINITY, 90_000]) {
    assert.equal(believableFps(fps), undefined)
  }
})
