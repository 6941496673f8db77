import assert from 'node:assert/strict'
import { test } from 'node:test'
import { pickFrames } from './pick-frames.ts'

const picked = (stampsMs: readonly number[], analysisFps: number | undefined): number[] =>
  stampsMs.filter(pickFrames(analysisFps))

const every = (stepMs: number, count: number): number[] =>
  Array.from({ length: count }, (_, n) => n * stepMs)

test('pickFrames() picks every frame where no rate is asked for', () => {
  assert.deepEqual(picked([0, 0, 33, 20], undefined), [0, 0, 33, 20])
})

test('pickFrames() keeps the average rate of a source whose rate is no multiple of it', () => {
  assert.equal(picked(every(1000 / 25, 250), 10).length, 100)
  assert.equal(picked(every(1001 / 30, 300), 5).length, 50)
})

test('pickFrames() picks everything from a source slower than the rate', () => {
  assert.deepEqual(picked(every(500, 6), 5), every(500, 6))
})

test('pickFrames() does not drift where time stamps are rounded to milliseconds', () => {
  const rounded = every(1000 / 30, 3000).map(Math.round)
  const numbers = picked(rounded, 5).map((stamp) => rounded.indexOf(stamp))
  assert.deepEqual(numbers, every(6, 500))
})

test('pickFrames() picks one frame per cell however the time stamps jitter', () => {
  const jittered = every(1000 / 30, 300).map((stamp, n) => stamp + (n % 3) * 9 - 9)
  assert.equal(picked(jittered, 5).length, 50)
})

test('pickFrames() goes on when the clock of the source starts again', () => {
  assert.deepEqual(picked([0, 100, 200, 300, 5000, 0, 100, 200], 5), [0, 200, 5000, 0, 200])
})
