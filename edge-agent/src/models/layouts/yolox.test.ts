/** YOLOX: numbers by hand, and the real model on a real photograph. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { assertFinds } from '../../../../test/detection/assert-finds.ts'
import { needs } from '../../../../test/require.ts'
import { Candidates } from '../candidates.ts'
import type { ModelShape } from './layout.ts'
import { decodeYolox, gridCells, yolox } from './yolox.ts'

const classes = 2
const rowWidth = 5 + classes

/** Rows of zeros with some filled in. */
function rowsWith(count: number, filled: Record<number, readonly number[]>): Float32Array {
  const data = new Float32Array(count * rowWidth)
  for (const [row, values] of Object.entries(filled)) data.set(values, Number(row) * rowWidth)
  return data
}

test('gridCells() goes row by row through the map of each stride', () => {
  const { x, y, stride } = gridCells(32, 16, [8, 16])
  assert.deepEqual([...x], [0, 1, 2, 3, 0, 1, 2, 3, 0, 1])
  assert.deepEqual([...y], [0, 0, 0, 0, 1, 1, 1, 1, 0, 0])
  assert.deepEqual([...stride], [8, 8, 8, 8, 8, 8, 8, 8, 16, 16])
})

test('decodeYolox() places the centre in its cell and scales the size by its stride', () => {
  const data = rowsWith(10, {
    5: [0.5, 0.25, Math.log(2), 0, 0.8, 0.1, 0.5], // cell (1, 1) of stride 8
    9: [0, 0.5, 0, Math.log(3), 1, 0.75, 0.5], // cell (1, 0) of stride 16
  })
  const candidates = new Candidates()
  decodeYolox(data, classes, gridCells(32, 16, [8, 16]), 0.3, candidates)
  assert.equal(candidates.count, 2)
  assert.deepEqual([...candidates.classes.subarray(0, 2)], [1, 0])
  assert.deepEqual([...candidates.scores.subarray(0, 2)].map(toThousandths), [0.4, 0.75])
  // Centres (12, 10) and (16, 8), sizes 16 × 8 and 16 × 48.
  const corners = [...candidates.corners.subarray(0, 8)].map(toThousandths)
  assert.deepEqual(corners, [4, 6, 20, 14, 8, -16, 24, 32])
})

test('decodeYolox() leaves out what scores too little or is no number', () => {
  const data = rowsWith(4, {
    0: [0, 0, 0, 0, 0.29, 1, 1],
    1: [0, 0, 0, 0, 0.9, 0.1, 0.3],
    2: [0, 0, 0, 0, Number.NaN, 1, 1],
    3: [0, 0, 0, 0, 1, Number.NaN, Number.NaN],
  })
  const candidates = new Candidates()
  decodeYolox(data, classes, gridCells(16, 16, [8]), 0.3, candidates)
  assert.equal(candidates.count, 0)
})

const shape: ModelShape = {
  width: 416,
  height: 416,
  outputs: [{ name: 'output', type: 'float32', shape: [1, 3549, 85] }],
}

function expectation(changes: Partial<ModelShape>): string {
  const checked = yolox.check({ ...shape, ...changes })
  assert('expected' in checked)
  return checked.expected
}

test('yolox.check() counts the classes of a model that fits', () => {
  const checked = yolox.check(shape)
  assert('classes' in checked)
  assert.equal(checked.classes, 80)
})

test('yolox.check() takes other strides and canvases that are not square', () => {
  const outputs = [{ name: 'output', type: 'float32', shape: [1, 40 * 24, 9] }] as const
  const checked = yolox.check({ width: 320, height: 192, outputs, strides: [8] })
  assert('classes' in checked)
  assert.equal(checked.classes, 4)
})

test('yolox.check() says which output it had expected', () => {
  const outputs = [{ name: 'output', type: 'float32', shape: [1, 85, 22, 22] }] as const
  const threeMaps =
    'one output [1, 3549, 5 + classes] (3549 = 52×52 + 26×26 + 13×13 cells of strides 8, 16, 32 at 416×416)'
  assert.equal(expectation({ outputs }), threeMaps)
  assert.equal(expectation({ outputs: [...shape.outputs, ...shape.outputs] }), threeMaps)
  assert.equal(
    expectation({ width: 320, height: 192, strides: [8] }),
    'one output [1, 960, 5 + classes] (960 = 40×24 cells of strides 8 at 320×192)',
  )
})

test('yolox finds what is in a real photograph', needs('material'), async () => {
  await assertFinds(
    { model: 'yolox_nano_416.onnx', layout: 'yolox', labels: 'coco' },
    'darknet_dog.jpg',
    { dog: [0.17, 0.38, 0.24, 0.56], bicycle: [0.16, 0.21, 0.58, 0.52] },
  )
})

function toThousandths(value: number): number {
  return Math.round(value * 1000) / 1000
}
