/** Which pixels a mask takes: all that it must, and not many more. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Point } from '@edgeloop/protocol'
import fc from 'fast-check'
import { coveredSpans, PictureMask } from './picture-mask.ts'

const none = { x: 0, y: 0 }

function drawn(spans: Uint32Array, width: number, height: number): string[] {
  const rows = Array.from({ length: height }, () => '.'.repeat(width))
  for (let i = 0; i < spans.length; i += 3) {
    const [row, from, to] = [spans[i]!, spans[i + 1]!, spans[i + 2]!]
    rows[row] = rows[row]!.slice(0, from) + '#'.repeat(to - from) + rows[row]!.slice(to)
  }
  return rows
}

test('coveredSpans() takes every pixel that a polygon touches', () => {
  const triangle: Point[] = [
    [0.05, 0.3],
    [0.85, 0.3],
    [0.85, 0.9],
  ]
  assert.deepEqual(drawn(coveredSpans([triangle], { width: 10, height: 5 }, none), 10, 5), [
    '..........',
    '#########.',
    '.########.',
    '....#####.',
    '.......##.',
  ])
  assert.deepEqual(
    drawn(coveredSpans([triangle], { width: 10, height: 5 }, { x: 1, y: 0 }), 10, 5),
    ['..........', '##########', '##########', '...#######', '......####'],
  )
})

test('coveredSpans() keeps apart what a hollow polygon keeps apart, and joins what overlaps', () => {
  const fork: Point[] = [
    [0, 0],
    [0.2, 0],
    [0.2, 0.5],
    [0.8, 0.5],
    [0.8, 0],
    [1, 0],
    [1, 1],
    [0, 1],
  ]
  const size = { width: 10, height: 4 }
  assert.deepEqual(drawn(coveredSpans([fork], size, none), 10, 4), [
    '##......##',
    '##......##',
    '##########',
    '##########',
  ])
  const bar: Point[] = [
    [0.1, 0],
    [0.6, 0],
    [0.6, 0.25],
    [0.1, 0.25],
  ]
  assert.deepEqual([...coveredSpans([fork, bar], size, none).subarray(0, 6)], [0, 0, 6, 0, 8, 10])
})

test('coveredSpans() forgets no point of any star and takes nothing far from it', () => {
  const share = fc.double({ min: 0, max: 1, noNaN: true })
  const star = fc
    .tuple(
      share,
      share,
      fc.array(fc.double({ min: 0.05, max: 0.6, noNaN: true }), { minLength: 3, maxLength: 12 }),
    )
    .map(([cx, cy, radii]) =>
      radii.map((r, i): Point => {
        const angle = (2 * Math.PI * i) / radii.length
        return [clamp(cx + r * Math.cos(angle)), clamp(cy + r * Math.sin(angle))]
      }),
    )
  const size = { width: 24, height: 16 }
  fc.assert(
    fc.property(star, fc.integer({ min: 0, max: 3 }), (polygon, reach) => {
      const rows = drawn(coveredSpans([polygon], size, { x: reach, y: reach }), 24, 16)
      const points: Point[] = []
      for (let y = 0; y < 160; y++) {
        for (let x = 0; x < 240; x++) {
          if (isInside(polygon, (x + 0.5) / 240, (y + 0.5) / 160)) points.push([x / 10, y / 10])
        }
      }
      const near = new Set(points.map(([x, y]) => `${Math.floor(x)},${Math.floor(y)}`))
      for (const key of near) {
        const [x, y] = key.split(',').map(Number)
        for (const [dx, dy] of [
          [0, 0],
          [reach, 0],
          [-reach, 0],
          [0, reach],
          [0, -reach],
        ] as const) {
          const [nx, ny] = [x! + dx, y! + dy]
          if (nx < 0 || ny < 0 || nx >= 24 || ny >= 16) continue
          assert.equal(rows[ny]![nx], '#', `${nx},${ny} is within ${reach} of ${key}`)
        }
      }
      const [left, right] = [
        Math.min(...polygon.map(([x]) => x)),
        Math.max(...polygon.map(([x]) => x)),
      ]
      const [top, bottom] = [
        Math.min(...polygon.map(([, y]) => y)),
        Math.max(...polygon.map(([, y]) => y)),
      ]
      rows.forEach((row, y) => {
        for (let x = 0; x < 24; x++) {
          if (row[x] !== '#') continue
          assert.ok(x + 1 + reach >= left * 24 && x - reach <= right * 24, `${x} is not far`)
          assert.ok(y + 1 + reach >= top * 16 && y - reach <= bottom * 16, `${y} is not far`)
        }
      })
    }),
  )
})

test('blank() leaves the rest of a plane with gaps between its rows as it was', () => {
  const left: Point[] = [
    [0, 0],
    [0.25, 0],
    [0.25, 1],
    [0, 1],
  ]
  const mask = new PictureMask([left])
  const pixels = new Uint8Array(2 * 128).fill(7)
  const size = { width: 40, height: 2 }
  mask.blank(pixels, { ...size, stride: 128, bytesPerPixel: 3 }, { width: 80, height: 4 }, 1)
  // A quarter of 40, two pixels of the picture and four of the source.
  const row = [...Array(14 * 3).fill(1), ...Array(128 - 14 * 3).fill(7)]
  assert.deepEqual([...pixels], [...row, ...row])
})

const clamp = (share: number): number => Math.min(1, Math.max(0, share))

function isInside(polygon: readonly Point[], x: number, y: number): boolean {
  let inside = false
  for (const [i, [ax, ay]] of polygon.entries()) {
    const [bx, by] = polygon[(i + 1) % polygon.length]!
    if (ay > y !== by > y && x < ax + ((bx - ax) * (y - ay)) / (by - ay)) inside = !inside
  }
  return inside
}
