import assert from 'node:assert/strict'
import { test } from 'node:test'
import { classColour } from './class-colour.ts'
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

test('classColour() is the same for the same label and tells apart what is often together', () => {
  assert.equal(classColour('person'), classColour('person'))
  for (const labels of [
    ['bolt', 'nut', 'gear', 'washer', 'bracket', 'defect'],
    ['person', 'car', 'truck', 'bus', 'bicycle', 'motorcycle'],
  ]) {
    assert.equal(new Set(labels.map(classColour)).size, labels.length, labels.join(', '))
  }
})
