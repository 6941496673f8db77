/** Regions outlive a miss: they stay, move on, grow, and end. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Box } from '@edgeloop/protocol'
import { HeldRegions, heldMs, type Region, widened } from './held-regions.ts'

const face = (left: number, top = 0.4): Region => ({ label: 'face', box: [left, top, 0.1, 0.1] })
const covers = ([l, t, w, h]: Box, [x, y, u, v]: Box): boolean =>
  l <= x + 1e-9 && t <= y + 1e-9 && l + w >= x + u - 1e-9 && t + h >= y + v - 1e-9

test('a face that the detector misses for a second stays covered, and longer not', () => {
  const held = new HeldRegions()
  assert.deepEqual(held.take([face(0.5)], 0), [face(0.5)])
  for (let ms = 100; ms <= heldMs; ms += 100) {
    const [region, ...others] = held.take([], ms)
    assert.deepEqual(others, [])
    assert.ok(region && covers(region.box, face(0.5).box), `after ${ms} ms`)
  }
  assert.deepEqual(held.take([], heldMs + 100), [])
})

test('one that moves is covered where it will be, for as long as it is held', () => {
  const held = new HeldRegions()
  const at = (ms: number): Region => face(0.1 + (0.2 * ms) / 1000)
  for (let ms = 0; ms <= 600; ms += 200) held.take([at(ms)], ms)
  for (let ms = 800; ms <= 2400; ms += 200) {
    const [region] = held.take([], ms)
    assert.ok(region && covers(region.box, at(ms).box), `at ${ms} ms`)
  }
})

test('what is found again is held once, and one of two is held while the other is found', () => {
  const held = new HeldRegions()
  held.take([face(0.1), face(0.7)], 0)
  assert.equal(held.take([face(0.12)], 200).length, 2)
  assert.equal(held.take([face(0.13), face(0.7)], 400).length, 2)
  assert.equal(held.take([{ ...face(0.13), label: 'plate' }], 600).length, 3, 'another label')
})

test('a widened box stays within the frame', () => {
  assert.deepEqual(widened([0, 0.5, 0.2, 0.5], 0.5), [0, 0.25, 0.30000000000000004, 0.75])
})
