import assert from 'node:assert/strict'
import { test } from 'node:test'
import { polygonMisfit } from '@edgeloop/protocol'
import fc from 'fast-check'
import { isInside } from '../streams/geometry.ts'
import { type ClassPicture, outlinePointsMax, outlinesMax, outlinesOf } from './outlines.ts'

/** `#` is class 1. */
const pictureOf = (...rows: string[]): ClassPicture => ({
  width: rows[0]!.length,
  height: rows.length,
  classes: Uint16Array.from(rows.join(''), (pixel) => (pixel === '#' ? 1 : 0)),
})

test('outlinesOf() walks around each part, the largest first', () => {
  const picture = pictureOf('..........', '.####.....', '.####.....', '.####..##.', '.......##.')
  assert.deepEqual(outlinesOf(picture, 1), [
    [
      [0.1, 0.2],
      [0.5, 0.2],
      [0.5, 0.8],
      [0.1, 0.8],
    ],
    [
      [0.7, 0.6],
      [0.9, 0.6],
      [0.9, 1],
      [0.7, 1],
    ],
  ])
  assert.deepEqual(outlinesOf(picture, 2), [])
})

test('outlinesOf() leaves a step of a pixel out and a corner in', () => {
  const [outline] = outlinesOf(pictureOf('##........', '##........', '##########', '##########'), 1)
  assert.deepEqual(outline, [
    [0, 0],
    [0.2, 0],
    [0.2, 0.5],
    [1, 0.5],
    [1, 1],
    [0, 1],
  ])
})

test('outlinesOf() is bounded, and holds what it goes around, for any picture', () => {
  const side = 24
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat(side), fc.nat(side), fc.nat(8), fc.nat(8)), { maxLength: 40 }),
      (boxes) => {
        const classes = new Uint16Array(side * side)
        for (const [left, top, width, height] of boxes) {
          for (let y = top; y < Math.min(side, top + height); y++) {
            for (let x = left; x < Math.min(side, left + width); x++) classes[y * side + x] = 1
          }
        }
        const outlines = outlinesOf({ width: side, height: side, classes }, 1)
        assert.ok(outlines.length <= outlinesMax)
        for (const outline of outlines) {
          assert.ok(outline.length >= 3 && outline.length <= outlinePointsMax)
          assert.ok(outline.flat().every((share) => share >= 0 && share <= 1))
        }
        // Simplifying moves an outline by a pixel at most: what lies deeper is inside one of them.
        const deep = (x: number, y: number) =>
          [-2, -1, 0, 1, 2].every((dy) =>
            [-2, -1, 0, 1, 2].every(
              (dx) =>
                x + dx >= 0 &&
                y + dy >= 0 &&
                x + dx < side &&
                y + dy < side &&
                classes[(y + dy) * side + x + dx] === 1,
            ),
          )
        for (let y = 0; y < side; y++) {
          for (let x = 0; x < side; x++) {
            if (!deep(x, y)) continue
            const point = [(x + 0.5) / side, (y + 0.5) / side] as const
            assert.ok(
              outlines.some((outline) => isInside(outline, point)),
              `${x},${y}`,
            )
          }
        }
      },
    ),
  )
})

test('a noisy picture of a whole camera frame is done in time', () => {
  const [width, height] = [512, 288]
  let state = 7
  const classes = Uint16Array.from({ length: width * height }, () => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0
    return state >>> 31
  })
  const began = performance.now()
  outlinesOf({ width, height, classes }, 1)
  assert.ok(performance.now() - began < 5000)
  assert.equal(polygonMisfit(outlinesOf(pictureOf('####', '####'), 1)[0] ?? []), undefined)
})
