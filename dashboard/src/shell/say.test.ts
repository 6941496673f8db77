import assert from 'node:assert/strict'
import { test } from 'node:test'
import { sayAgo, sayBytes, sayCount, sayDuration, sayOf, sayShare } from './say.ts'

test('sayDuration() says one unit, rounded down', () => {
  assert.deepEqual(
    [-5, 0, 59_999, 60_000, 3_599_999, 3_600_000, 86_400_000 * 3.9].map(sayDuration),
    ['0 s', '0 s', '59 s', '1 min', '59 min', '1 h', '3 d'],
  )
})

test('sayAgo() knows now, before and a clock that is ahead', () => {
  assert.deepEqual(
    [1_000_000, 880_000, 1_005_000].map((at) => sayAgo(at, 1_000_500)),
    ['just now', '2 min ago', 'in 4 s'],
  )
})

test('sayBytes(), sayShare(), sayCount() and sayOf() put the unit after the number', () => {
  assert.deepEqual([999, 212_400_000, 1_440_000_000].map(sayBytes), ['999 B', '212 MB', '1.4 GB'])
  assert.equal(sayShare(0.384), '38 %')
  assert.equal(sayShare(1.5), '150 %')
  assert.equal(sayCount(12_304), '12,304')
  assert.deepEqual([sayOf(1, 'device'), sayOf(0, 'device')], ['1 device', '0 devices'])
})
