import assert from 'node:assert/strict'
import { test } from 'node:test'
import { byteRange } from './byte-range.ts'

test('byteRange() reads one range, and takes everything else for the whole', () => {
  for (const [header, expected] of [
    [undefined, 'whole'],
    ['bytes=0-', { from: 0, through: 99 }],
    ['bytes=10-19', { from: 10, through: 19 }],
    ['bytes=90-1000', { from: 90, through: 99 }],
    ['bytes=-10', { from: 90, through: 99 }],
    ['bytes=-1000', { from: 0, through: 99 }],
    ['bytes=100-', 'unsatisfiable'],
    ['bytes=-0', 'unsatisfiable'],
    ['bytes=20-10', 'whole'],
    ['bytes=-', 'whole'],
    ['bytes=0-1,5-6', 'whole'],
    ['items=0-1', 'whole'],
  ] as const) {
    assert.deepEqual(byteRange(header, 100), expected, String(header))
  }
})
