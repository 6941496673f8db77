import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { DeviceLog, LogLevel } from '@edgeloop/protocol'
import { keptLinesMax, keyOfLine, mergeLog, narrowLog, writeLog } from './device-log.ts'

const at = '2026-11-21T10:00:00.000Z'
const answer = (
  bootId: string,
  sequences: readonly number[],
  { omitted = 0, level = 'info' }: { omitted?: number; level?: LogLevel } = {},
): DeviceLog => ({
  state: 'answered',
  reason: '',
  bootId,
  omitted,
  lines: sequences.map((sequence) => ({
    sequence,
    at,
    level,
    text: `Line ${sequence}`,
    facts: 'stream=gate',
  })),
})
const away: DeviceLog = {
  state: 'offline',
  reason: 'not connected',
  bootId: null,
  lines: [],
  omitted: 0,
}

test('answers are put together, and no line is there twice', () => {
  const first = mergeLog(undefined, answer('a', [1, 2]), 10)
  const both = mergeLog(first, answer('a', [2, 3]), 20)
  assert.deepEqual(
    both.lines.map(({ sequence }) => sequence),
    [1, 2, 3],
  )
  assert.equal(both.readAt, 20)
})

test('a new start of the agent goes on below the last, and what is missing is known', () => {
  const first = mergeLog(undefined, answer('a', [1, 2]), 10)
  const then = mergeLog(first, answer('b', [5, 6], { omitted: 4 }), 20)
  assert.deepEqual(then.lines.map(keyOfLine), ['a 1', 'a 2', 'b 5', 'b 6'])
  assert.deepEqual(then.gaps, { 'b 5': 4 })
})

test('what was read stays while the device is away', () => {
  const first = mergeLog(undefined, answer('a', [1]), 10)
  const then = mergeLog(first, away, 20)
  assert.deepEqual([then.lines.length, then.readAt, then.state], [1, 10, 'offline'])
  assert.equal(mergeLog(undefined, away, 20).readAt, undefined)
})

test('only so many lines are kept', () => {
  const sequences = Array.from({ length: 1000 }, (_, i) => i + 1)
  let log = mergeLog(undefined, answer('a', sequences), 0)
  for (let i = 1; i <= 4; i++) {
    log = mergeLog(
      log,
      answer(
        'a',
        sequences.map((s) => s + i * 1000),
      ),
      i,
    )
  }
  assert.equal(log.lines.length, keptLinesMax)
  assert.equal(log.lines.at(-1)?.sequence, 5000)
})

test('lines are narrowed by level and by words', () => {
  const log = mergeLog(undefined, answer('a', [1, 2]), 0)
  const { lines } = mergeLog(log, answer('a', [3], { level: 'error' }), 0)
  assert.deepEqual(narrowLog(lines, { level: 'warn' }).map(keyOfLine), ['a 3'])
  assert.deepEqual(narrowLog(lines, { words: 'GATE line 2' }).map(keyOfLine), ['a 2'])
  assert.equal(narrowLog(lines, {}).length, 3)
})

test('a file holds a line each', () => {
  const { lines } = mergeLog(undefined, answer('a', [1]), 0)
  assert.equal(writeLog(lines), `${at} info  Line 1 stream=gate\n`)
})
