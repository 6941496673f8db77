import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  annotationOf,
  boxAround,
  boxBetween,
  clamped,
  grown,
  handleAt,
  hitBy,
  moved,
  pulled,
  type Shape,
  shapeOf,
} from './shapes.ts'

const size = { width: 200, height: 100 }
const box = boxBetween([10, 20], [50, 60])

test('a box is spanned by opposite corners in any order, and by its extreme points', () => {
  assert.deepEqual(boxBetween([50, 60], [10, 20]), box)
  const extremes = [
    [30, 20],
    [50, 33],
    [21, 60],
    [10, 50],
  ] as const
  assert.deepEqual(boxAround(extremes), box)
})

test('what is beyond the picture is cut off; what is moved keeps its size and stays', () => {
  assert.deepEqual(clamped(boxBetween([-5, -5], [300, 50]), size), boxBetween([0, 0], [200, 50]))
  assert.deepEqual(moved(box, -30, 0, size), boxBetween([0, 20], [40, 60]))
  assert.deepEqual(moved(box, 1000, 1000, size), boxBetween([160, 60], [200, 100]))
  assert.deepEqual(grown(box, 0, -100, size), boxBetween([10, 20], [50, 21]))
  assert.deepEqual(grown(box, 500, 0, size), boxBetween([10, 20], [200, 60]))
})

test('a handle that is pulled over the other side turns the box over', () => {
  assert.deepEqual(pulled(box, 'e', [0, 0], size), boxBetween([0, 20], [10, 60]))
  assert.deepEqual(pulled(box, 'nw', [-9, -9], size), boxBetween([0, 0], [50, 60]))
  const corner: Shape = {
    kind: 'polygon',
    points: [
      [1, 1],
      [9, 1],
      [5, 9],
    ],
  }
  assert.deepEqual(pulled(corner, 1, [20, 2], size), {
    kind: 'polygon',
    points: [
      [1, 1],
      [20, 2],
      [5, 9],
    ],
  })
})

test('the nearest handle within reach is taken, the smallest shape is hit', () => {
  assert.equal(handleAt([12, 22], box, 4), 'nw')
  assert.equal(handleAt([30, 40], box, 4), undefined)
  assert.equal(handleAt([50, 41], box, 4), 'e')
  const inner = { pieceId: 2, shape: boxBetween([20, 30], [30, 40]) }
  const pieces = [{ pieceId: 1, shape: box }, inner]
  assert.equal(hitBy([25, 35], pieces, 1)?.pieceId, 2)
  assert.equal(hitBy([45, 55], pieces, 1)?.pieceId, 1)
  assert.equal(hitBy([99, 99], pieces, 1), undefined)
})

test('an outline is hit inside and on its line, not in its hollow', () => {
  const shape: Shape = {
    kind: 'polygon',
    points: [
      [0, 0],
      [40, 0],
      [40, 40],
      [20, 10],
      [0, 40],
    ],
  }
  const at = (x: number, y: number) => hitBy([x, y], [{ shape }], 1) !== undefined
  assert.ok(at(5, 5))
  assert.ok(!at(20, 30))
  assert.ok(at(20, 10.5))
})

test('shares and pixels lead to each other, and a share is never beyond the picture', () => {
  const annotation = annotationOf({ label: 'nut', shape: box, crowd: true }, size)
  assert.ok(annotation.kind === 'box' && annotation.crowd)
  assert.deepEqual(
    annotation.box.map((one) => Number(one.toFixed(9))),
    [0.05, 0.2, 0.2, 0.4],
  )
  const back = shapeOf({ box: [0.05, 0.2, 0.2, 0.4] }, size)
  assert.ok(back.kind === 'box' && Math.abs(back.right - 50) < 1e-9)
  const whole = annotationOf(
    { label: 'nut', shape: boxBetween([-1, -1], [201, 101]), crowd: false },
    size,
  )
  assert.deepEqual(whole, { kind: 'box', label: 'nut', box: [0, 0, 1, 1] })
  assert.deepEqual(annotationOf({ label: 'ok', shape: shapeOf({}, size), crowd: false }, size), {
    kind: 'class',
    label: 'ok',
  })
  // Rounded shares add up to no more than the hub lets pass.
  for (let n = 1; n < 200; n++) {
    const shape = boxBetween([n / 3, 0], [200, 100])
    const one = annotationOf({ label: 'a', shape, crowd: false }, size)
    assert.ok(one.kind === 'box' && (one.box[0] ?? 0) + (one.box[2] ?? 0) <= 1 + 1e-9)
  }
})
