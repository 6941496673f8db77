import assert from 'node:assert/strict'
import { test } from 'node:test'
import { placeBoxes, plotSize } from './box-places.ts'

const boxes = (values: number[]) => values.map((value, at) => ({ deviceId: `box-${at}`, value }))

test('boxes stand in the order of their figure, and the limit is on the axis', () => {
  const { places, xOf } = placeBoxes(boxes([0.9, 0.4, 0.8]), 0.6, [0, 1])
  assert.deepEqual(
    places.map(({ value }) => value),
    [0.4, 0.8, 0.9],
  )
  assert.ok(places[0]!.x < xOf(0.6) && xOf(0.6) < places[1]!.x)
})

test('boxes of one figure stand above each other, and none leaves the picture', () => {
  const { places } = placeBoxes(boxes(Array(200).fill(1)), 1.25)
  assert.notEqual(places[0]!.y, places[1]!.y)
  for (const { x, y } of places) {
    assert.ok(x >= 0 && x <= plotSize.width, `${x}`)
    assert.ok(y >= 0 && y <= plotSize.height, `${y}`)
  }
})

test('figures that are all the limit have an axis, too', () => {
  const { ticks, places } = placeBoxes(boxes([1, 1]), 1)
  assert.ok(ticks.every(Number.isFinite) && places.every(({ x }) => Number.isFinite(x)))
})
