import assert from 'node:assert/strict'
import { test } from 'node:test'
import { classStyle } from './class-colour.ts'
import { boxWithin, contain } from './draw.ts'

test('contain() centres the whole picture', () => {
  assert.deepEqual(contain(640, 360, 1280, 720), { x: 0, y: 0, width: 640, height: 360 })
  assert.deepEqual(contain(640, 360, 400, 300), { x: 80, y: 0, width: 480, height: 360 })
  assert.deepEqual(contain(300, 300, 1600, 900), { x: 0, y: 65.625, width: 300, height: 168.75 })
})

test('boxWithin() scales shares of the source frame to where the picture lies', () => {
  const placed = { x: 80, y: 0, width: 480, height: 360 }
  assert.deepEqual(boxWithin([0.25, 0.5, 0.5, 0.25], placed), {
    x: 200,
    y: 180,
    width: 240,
    height: 90,
  })
})

test('classStyle() is the same for the same label and tells many apart', () => {
  assert.deepEqual(classStyle('person'), classStyle('person'))
  const styles = ['person', 'car', 'truck', 'bus', 'bicycle', 'dog', 'gear', 'nut', 'ring', 'plate']
    .map(classStyle)
    .map(({ colour, dashed }) => `${colour}${dashed}`)
  assert.ok(new Set(styles).size >= 7, `only ${new Set(styles).size} of 10 differ`)
})
