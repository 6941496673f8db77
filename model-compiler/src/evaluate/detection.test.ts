/** Detectors: each figure in cases worked out by hand, and drawn sets against sets that were written out. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  averagePrecision,
  type Box,
  type Found,
  meanAveragePrecision,
  type Truth,
} from './average-precision.ts'
import { detectionMetrics } from './detection.ts'
import { seeded } from './seeded.ts'

const truth = (label: string, box: Box, image = 'a'): Truth => ({ image, label, box })
const found = (label: string, score: number, box: Box, image = 'a'): Found => ({
  image,
  label,
  score,
  box,
})

test('detectionMetrics() gives AP, the best threshold and the confusion of a small case', () => {
  const truths = [truth('cat', [0, 0, 10, 10]), truth('dog', [20, 0, 10, 10])]
  const said = [
    found('cat', 0.9, [0, 0, 10, 10]),
    found('cat', 0.6, [20, 0, 10, 9]), // the dog
    found('dog', 0.3, [50, 50, 5, 5]), // nothing
  ]
  const metrics = detectionMetrics(['cat', 'dog', 'cow'], ['a'], truths, said, { scoreMin: 0.2 })
  const [cat, dog, cow] = metrics.perLabel
  assert.equal(cat!.ap50, 1)
  assert.deepEqual(cat!.best, { score: 0.9, precision: 1, recall: 1, f1: 1 })
  assert.equal(dog!.ap50, 0)
  assert.equal(dog!.best, undefined)
  assert(Number.isNaN(cow!.ap50))
  assert.equal(metrics.ap50, 0.5)
  assert.deepEqual(metrics.confusion, [
    [1, 0, 0, 0],
    [1, 0, 0, 0],
    [0, 0, 0, 0],
    [0, 1, 0, 0],
  ])
})

test('what nobody found stands in the last column', () => {
  const metrics = detectionMetrics(['x'], ['a'], [truth('x', [0, 0, 1, 1])], [])
  assert.deepEqual(metrics.confusion, [
    [0, 1],
    [0, 0],
  ])
  assert.equal(metrics.scoreMin, 0.5)
})

test('a crowd is nobody that must be found, and what lies in it is not wrong, as often as it likes', () => {
  const crowd: Truth = { ...truth('x', [0, 0, 100, 10]), crowd: true }
  const alone = truth('x', [200, 0, 10, 10])
  const inside = [found('x', 0.9, [0, 0, 10, 10]), found('x', 0.8, [50, 0, 10, 10])]
  const right = found('x', 0.7, [200, 0, 10, 10])
  assert.equal(averagePrecision([crowd, alone], [...inside, right], 0.5, 101), 1)
  // Half outside of it and more: wrong after all.
  const outside = found('x', 0.95, [96, 0, 10, 10])
  const penalised = averagePrecision([crowd, alone], [outside, right], 0.5, 101)
  assert.equal(penalised, 0.5)
  // Somebody within the crowd who is marked alone is found first.
  const person = truth('x', [0, 0, 10, 10])
  assert.equal(averagePrecision([crowd, person], inside, 0.5, 101), 1)
  assert(Number.isNaN(averagePrecision([crowd], inside, 0.5, 101)))
  const { confusion } = detectionMetrics(['x'], ['a'], [crowd], inside, { scoreMin: 0 })
  assert.deepEqual(confusion, [
    [0, 0],
    [0, 0],
  ])
})

/** Truths and detections of eight images with errors of every kind. */
function scene(seed: number) {
  const random = seeded(seed)
  const images = Array.from({ length: 8 }, (_, at) => `image ${at}`)
  const truths: Truth[] = []
  const said: Found[] = []
  for (const image of images) {
    for (let one = 0; one < 4; one++) {
      const box: Box = [random() * 100, random() * 100, 10 + random() * 20, 10 + random() * 20]
      const label = random() < 0.5 ? 'x' : 'y'
      truths.push({ image, label, box })
      if (random() < 0.7) {
        const moved: Box = [box[0] + random() * 4, box[1] + random() * 4, box[2], box[3]]
        said.push({ image, label: random() < 0.9 ? label : 'y', box: moved, score: random() })
      }
      if (random() < 0.4) said.push({ image, label, box: [200, 200, 9, 9], score: random() })
    }
  }
  return { images, truths, said }
}

test('figures are those of meanAveragePrecision()', () => {
  for (const seed of [1, 2, 3]) {
    const { images, truths, said } = scene(seed)
    const metrics = detectionMetrics(['x', 'y'], images, truths, said)
    const { ap50, ap75, ap50to95 } = meanAveragePrecision(truths, said)
    assert.equal(metrics.ap50, ap50)
    assert.equal(metrics.ap75, ap75)
    assert(Math.abs(metrics.ap - ap50to95) < 1e-12)
  }
})

test('figure() with counts is the figure of a set in which images stand so often', () => {
  const { images, truths, said } = scene(7)
  const counts = [0, 2, 1, 0, 3, 1, 1, 0]
  const copies = <T extends { readonly image: string }>(list: readonly T[]): T[] =>
    list.flatMap((one) =>
      Array.from({ length: counts[images.indexOf(one.image)]! }, (_, copy) => ({
        ...one,
        image: `${one.image} copy ${copy}`,
      })),
    )
  const drawn = detectionMetrics(['x', 'y'], images, truths, said)
  const written = meanAveragePrecision(copies(truths), copies(said))
  assert(Math.abs(drawn.figure('ap', counts) - written.ap50to95) < 0.01)
  // Counted by whole images copies come in as one step; at one label and distinct scores that changes little.
  assert(Math.abs(drawn.figure('ap50', counts) - written.ap50) < 0.02)
  const once = new Array<number>(8).fill(1)
  assert.equal(drawn.figure('ap50', once), drawn.ap50)
})

test('of one image and label the hundred best count', () => {
  const truths = [truth('x', [0, 0, 10, 10])]
  const wrong = Array.from({ length: 100 }, (_, at) => found('x', 0.9, [100 + at, 0, 5, 5]))
  const late = found('x', 0.1, [0, 0, 10, 10])
  assert.equal(detectionMetrics(['x'], ['a'], truths, [...wrong, late]).ap50, 0)
  assert(detectionMetrics(['x'], ['a'], truths, [...wrong.slice(1), late]).ap50 > 0)
})
