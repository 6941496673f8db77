/** Each measure against cases worked out by hand. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { cosine, MapOverlap, topAccuracy } from './accuracy.ts'

test('topAccuracy() counts pictures whose class is among the first k', () => {
  const pictures = [
    { classes: ['cat', 'dog', 'cow'], truth: 'cat' },
    { classes: ['cat', 'dog', 'cow'], truth: 'dog' },
    { classes: ['cat', 'dog', 'cow'], truth: 'horse' },
    { classes: [], truth: 'cat' },
  ]
  assert.equal(topAccuracy(pictures, 1), 0.25)
  assert.equal(topAccuracy(pictures, 2), 0.5)
  assert.equal(topAccuracy(pictures, 5), 0.5)
  assert(Number.isNaN(topAccuracy([], 1)))
})

test('MapOverlap takes the mean over classes, over all maps together', () => {
  const overlap = new MapOverlap(255)
  overlap.add([0, 0, 1, 255], [0, 1, 1, 2])
  overlap.add([0], [0])
  // Class 0: 2 of 3 pixels; class 1: 1 of 2. What is ignored counts for neither.
  assert.equal(overlap.meanIntersectionOverUnion(), (2 / 3 + 1 / 2) / 2)
})

test('MapOverlap counts a class that only the model names as wrong, and refuses maps of two sizes', () => {
  const overlap = new MapOverlap()
  overlap.add([0, 0], [0, 7])
  assert.equal(overlap.meanIntersectionOverUnion(), (1 / 2 + 0) / 2)
  assert.throws(() => overlap.add([0], [0, 0]), /one has 1 pixels, the other 2/)
  assert(Number.isNaN(new MapOverlap().meanIntersectionOverUnion()))
})

test('cosine() is 1 for the same direction, 0 across and where a number is none', () => {
  assert.equal(cosine([1, 2], [2, 4]), 1)
  assert.equal(cosine([1, 0], [0, 3]), 0)
  assert.equal(cosine([1, 1], [-1, -1]), -1)
  assert.equal(cosine([0, 0], [0, 0]), 1)
  assert.equal(cosine([0, 0], [1, 0]), 0)
  assert.equal(cosine([1, 1], [Number.NaN, 1]), 0)
  assert.throws(() => cosine([1], [1, 2]), RangeError)
})
