import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Around, closed, followed, idle, pressed, released, sketchOf } from './gesture.ts'
import { boxBetween, type Spot } from './shapes.ts'

const large = { pieceId: 1, shape: boxBetween([10, 10], [90, 90]) }
const around = (tool: Around['tool'], selected?: number): Around => ({
  tool,
  selected,
  size: { width: 200, height: 100 },
  pieces: [large],
  reach: 4,
})

/** Down at the first, along to the last, up there. */
function drag(given: Around, ...way: Spot[]) {
  let { gesture } = pressed(idle, way[0] ?? [0, 0], given)
  for (const spot of way) gesture = followed(gesture, spot, given)
  return released(gesture, way.at(-1) ?? [0, 0], given)
}

test('a box is dragged, inside another one too, and cut off at the edge', () => {
  assert.deepEqual(drag(around('draw', 1), [20, 20], [30, 40]).made, boxBetween([20, 20], [30, 40]))
  assert.deepEqual(
    drag(around('draw'), [150, 50], [999, 999]).made,
    boxBetween([150, 50], [200, 100]),
  )
})

test('a box is drawn by two clicks', () => {
  const given = around('draw')
  const first = drag(given, [20, 20])
  assert.equal(first.made, undefined)
  const hovered = followed(first.gesture, [40, 30], given)
  assert.deepEqual(sketchOf(hovered), boxBetween([20, 20], [40, 30]))
  const second = pressed(hovered, [60, 50], given)
  assert.deepEqual(released(second.gesture, [60, 50], given).made, boxBetween([20, 20], [60, 50]))
})

test('a slip of the hand makes nothing', () => {
  const given = around('draw')
  const first = drag(given, [20, 20])
  const second = released(pressed(first.gesture, [21, 21], given).gesture, [21, 21], given)
  assert.equal(second.made, undefined)
  assert.equal(second.gesture.kind, 'idle')
})

test('four extreme clicks make the tight box', () => {
  const given = around('extremes')
  let gesture: Parameters<typeof pressed>[0] = idle
  for (const [n, spot] of (
    [
      [50, 5],
      [95, 40],
      [60, 80],
      [15, 30],
    ] as const
  ).entries()) {
    const outcome = pressed(gesture, spot, given)
    gesture = released(outcome.gesture, spot, given).gesture
    assert.deepEqual(outcome.made, n === 3 ? boxBetween([15, 5], [95, 80]) : undefined)
  }
})

test('an outline ends on its first point, or when it is told to', () => {
  const given = around('outline')
  let gesture: Parameters<typeof pressed>[0] = idle
  for (const spot of [
    [10, 10],
    [50, 10],
    [30, 40],
  ] as const)
    gesture = pressed(gesture, spot, given).gesture
  const points = [
    [10, 10],
    [50, 10],
    [30, 40],
  ]
  assert.deepEqual(closed(gesture).made, { kind: 'polygon', points })
  assert.deepEqual(pressed(gesture, [12, 11], given).made, { kind: 'polygon', points })
  assert.equal(closed(pressed(idle, [1, 1], given).gesture).made, undefined)
})

test('what is there is selected and moved; the handles of the selected one come first', () => {
  const outcome = pressed(idle, [50, 50], around('select'))
  assert.equal(outcome.select, 1)
  assert.deepEqual(drag(around('select'), [50, 50], [60, 45]).changed, {
    pieceId: 1,
    shape: boxBetween([20, 5], [100, 85]),
  })
  assert.equal(drag(around('select'), [50, 50]).changed, undefined)
  assert.deepEqual(drag(around('select', 1), [91, 91], [120, 95]).changed, {
    pieceId: 1,
    shape: boxBetween([10, 10], [120, 95]),
  })
  assert.equal(pressed(idle, [150, 50], around('select', 1)).select, null)
})
