import assert from 'node:assert/strict'
import { test } from 'node:test'
import { areasMisfit, type Point, pointsMax } from '@edgeloop/protocol'
import {
  clampShare,
  drawingsOf,
  withDrawing,
  withMiddle,
  withoutDrawing,
  withPoints,
} from './drawing.ts'

const square: Point[] = [
  [0.1, 0.1],
  [0.9, 0.1],
  [0.9, 0.9],
  [0.1, 0.9],
]

test('drawings are added under a free name, moved, and taken away', () => {
  const zone = withDrawing({}, 'zone', square)
  assert.deepEqual(zone.id, { kind: 'zone', index: 0 })
  const named = { zones: [{ name: 'Zone 2', polygon: square.map((point) => [...point]) }] }
  const second = withDrawing(named, 'zone', square)
  assert.deepEqual(
    second.areas.zones?.map(({ name }) => name),
    ['Zone 2', 'Zone 3'],
  )
  const line = withDrawing({}, 'line', square.slice(0, 2))
  assert.equal(areasMisfit({ ...(second.areas as object), ...(line.areas as object) }), undefined)
  const moved = withPoints(second.areas, second.id, [
    [-1, 0.5],
    [2, 0.5],
    [0.5, 1],
  ])
  assert.deepEqual(moved.zones?.[1]?.polygon, [
    [0, 0.5],
    [1, 0.5],
    [0.5, 1],
  ])
  assert.deepEqual(moved.zones?.[0], named.zones[0])
  assert.deepEqual(withoutDrawing(second.areas, { kind: 'zone', index: 0 }).zones?.length, 1)
  assert.deepEqual(withoutDrawing(line.areas, line.id), { lines: undefined })
})

test('drawingsOf() paints masks first', () => {
  const { areas } = withDrawing(withDrawing({}, 'zone', square).areas, 'mask', square)
  const all = { ...withDrawing({}, 'zone', square).areas, ...areas }
  assert.deepEqual(
    drawingsOf(all).map(({ kind }) => kind),
    ['mask', 'zone'],
  )
})

test('withMiddle() divides the longest side, of a closed drawing also the last', () => {
  const path: Point[] = [
    [0, 0],
    [0.2, 0],
    [0.2, 0.9],
  ]
  assert.deepEqual(withMiddle(path, false)[2], [0.2, 0.45])
  assert.deepEqual(withMiddle(path, true).at(-1), [0.1, 0.45])
  const full = Array.from({ length: pointsMax }, (_, n): Point => [n / 100, 0])
  assert.equal(withMiddle(full, true), full)
})

test('clampShare() stays inside and does not keep what no pixel shows', () => {
  assert.deepEqual([-3, 0.123456, 7].map(clampShare), [0, 0.1235, 1])
})
