import assert from 'node:assert/strict'
import { test } from 'node:test'
import { sparklinePath } from './sparkline-path.ts'

const frame = { width: 30, height: 22, max: 1 }

test('sparklinePath() joins what was measured one after the other and nothing else', () => {
  assert.equal(sparklinePath([0, 1, 0.5, null], frame), 'M0 21L10 1L20 11')
  assert.equal(sparklinePath([0.5, null, 1, 0], frame), 'M0 11h5M20 1L30 21')
  assert.equal(sparklinePath([null, null], frame), '')
})

test('sparklinePath() stays inside whatever the values are', () => {
  assert.equal(sparklinePath([4, 2], { ...frame, width: 10 }), 'M0 1L10 11')
})
