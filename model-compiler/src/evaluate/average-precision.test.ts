/** Average precision against figures that others published, and against cases worked out by hand. */
import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { basename } from 'node:path'
import { test } from 'node:test'
import { material, needs } from '../../../test/require.ts'
import {
  averagePrecision,
  type Box,
  type Found,
  intersectionOverUnion,
  meanAveragePrecision,
  type Truth,
} from './average-precision.ts'

const at = (box: Box, image = 'a'): Truth => ({ image, label: 'x', box })
const found = (score: number, box: Box, image = 'a'): Found => ({ image, label: 'x', score, box })

/** Lines `label [score] left top width height` of every file of a folder. */
function readSample(folder: string): string[][] {
  const files = globSync(`${material}/suites/detection-metrics/samples/sample_2/${folder}/*.txt`)
  return files.flatMap((file) =>
    readFileSync(file, 'utf8')
      .split('\n')
      .filter((line) => line.trim() !== '')
      .map((line) => [basename(file), ...line.trim().split(/\s+/)]),
  )
}

/** The suite counts pixels as Pascal VOC does: a box from 1 to 3 is three pixels wide, not two. */
function boxOf(words: readonly string[]): Box {
  const [left = 0, top = 0, width = 0, height = 0] = words.map(Number)
  return [left, top, width + 1, height + 1]
}

test('averagePrecision() gives the published figures of sample_2', needs('material'), () => {
  const truths = readSample('groundtruths').map(([image = '', , ...box]) => at(boxOf(box), image))
  const detections = readSample('detections').map(([image = '', , score, ...box]) =>
    found(Number(score), boxOf(box), image),
  )
  assert.equal(truths.length, 15)
  assert.equal(detections.length, 24)
  const near = (interpolation: 'all' | 11, published: number) => {
    const precision = averagePrecision(truths, detections, 0.3, interpolation) * 100
    assert(Math.abs(precision - published) < 0.01, `${interpolation}: ${precision}`)
  }
  near('all', 24.56)
  near(11, 26.84)
})

test('averagePrecision() is 1 for a perfect detector and 0 for one that says nothing', () => {
  const truths = [at([0, 0, 1, 1]), at([2, 2, 1, 1]), at([0, 0, 1, 1], 'b')]
  const detections = truths.map(({ box, image }, index) => found(0.9 - index / 10, box, image))
  for (const interpolation of ['all', 101, 11] as const) {
    assert.equal(averagePrecision(truths, detections, 0.95, interpolation), 1)
    assert.equal(averagePrecision(truths, [], 0.5, interpolation), 0)
  }
})

test('averagePrecision() counts a second detection of the same truth as false', () => {
  const truths = [at([0, 0, 1, 1]), at([5, 5, 1, 1])]
  const detections = [found(0.9, [0, 0, 1, 1]), found(0.8, [0, 0, 1, 1]), found(0.7, [5, 5, 1, 1])]
  // Recall .5 at precision 1, recall 1 at precision 2/3.
  const expected = 0.5 + 0.5 * (2 / 3)
  assert(Math.abs(averagePrecision(truths, detections, 0.5, 'all') - expected) < 1e-12)
})

test('averagePrecision() does not match across images', () => {
  assert.equal(averagePrecision([at([0, 0, 1, 1])], [found(1, [0, 0, 1, 1], 'b')], 0.5, 101), 0)
})

test('averagePrecision() without truth is no number', () => {
  assert(Number.isNaN(averagePrecision([], [found(1, [0, 0, 1, 1])], 0.5, 101)))
})

test('meanAveragePrecision() takes the mean over labels that occur, and over ten overlaps', () => {
  const truths = [at([0, 0, 10, 10]), { ...at([0, 0, 10, 10]), label: 'y' }]
  // x overlaps by .725: right at .5 to .7. y is never found; z does not occur.
  const detections = [found(1, [0, 0, 10, 7.25]), { ...found(1, [0, 0, 1, 1]), label: 'z' }]
  const { ap50, ap50to95 } = meanAveragePrecision(truths, detections)
  assert.equal(ap50, 0.5)
  assert(Math.abs(ap50to95 - 0.25) < 1e-12)
})

test('intersectionOverUnion() of boxes that only touch, or have no area, is 0', () => {
  assert.equal(intersectionOverUnion([0, 0, 1, 1], [1, 0, 1, 1]), 0)
  assert.equal(intersectionOverUnion([0, 0, 0, 0], [0, 0, 0, 0]), 0)
  assert.equal(intersectionOverUnion([0, 0, 2, 1], [1, 0, 2, 1]), 1 / 3)
})
