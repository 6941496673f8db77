/** NanoDet: numbers by hand, and the real model on a real photograph. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { assertFinds } from '../../../../test/detection/assert-finds.ts'
import { needs } from '../../../../test/require.ts'
import type { TensorInfo } from '../../runtimes/runtime.ts'
import { Candidates } from '../candidates.ts'
import { decodeLevel } from './gfl.ts'
import { nanodet } from './nanodet.ts'

const level = { stride: 8, columns: 3, rows: 2, bins: 4 }

/** Logits whose softmax is one bin. */
const certain = (bin: number): number[] => [0, 1, 2, 3].map((index) => (index === bin ? 60 : -60))

test('decodeLevel() measures each side from the centre of the cell', () => {
  const scores = new Float32Array(6 * 2)
  scores.set([0.25, 0.75], 4 * 2)
  const distances = new Float32Array(6 * 16)
  distances.set([...certain(0), ...certain(1), ...certain(2), ...certain(3)], 4 * 16)
  const candidates = new Candidates()
  decodeLevel(scores, distances, 2, level, 0.5, candidates)
  assert.equal(candidates.count, 1)
  assert.equal(candidates.classes[0], 1)
  assert.equal(candidates.scores[0], 0.75)
  // Cell (1, 1): centre (12, 12); distances of 0, 1, 2 and 3 strides.
  assert.deepEqual([...candidates.corners.subarray(0, 4)], [12, 4, 28, 36])
})

test('decodeLevel() takes the mean of a distribution, however large its logits', () => {
  const scores = Float32Array.of(1, ...Array(5).fill(0))
  const distances = new Float32Array(6 * 16)
  distances.set([1000, 1000, -1000, -1000, 5, 5, 5, 5], 0)
  const candidates = new Candidates()
  decodeLevel(scores, distances, 1, level, 0.5, candidates)
  // Left: half of bins 0 and 1; the others: the mean of 0, 1, 2, 3.
  assert.deepEqual([...candidates.corners.subarray(0, 4)], [0, -8, 16, 16])
})

test('decodeLevel() leaves out scores that are too low or no numbers', () => {
  const scores = Float32Array.of(0.49, Number.NaN, 0, 0, 0, 0)
  const candidates = new Candidates()
  decodeLevel(scores, new Float32Array(6 * 16), 1, level, 0.5, candidates)
  assert.equal(candidates.count, 0)
})

const output = (name: string, cells: number, last: number): TensorInfo => ({
  name,
  type: 'float32',
  shape: [1, cells, last],
})
const expected =
  'two outputs per stride, [1, cells, classes] and [1, cells, 4 × bins], with 1600, 400, 100 cells (strides 8, 16, 32 at 320×320)'

test('nanodet.check() pairs the outputs of each stride in any order', () => {
  const outputs = [
    output('dis_pred_stride_8', 1600, 32),
    output('cls_pred_stride_8', 1600, 32),
    output('a', 400, 32),
    output('b', 400, 32),
    output('c', 100, 32),
    output('d', 100, 32),
  ]
  const checked = nanodet.check({ width: 320, height: 320, outputs })
  assert('decode' in checked)
  assert.equal(checked.classes, 32)
  const candidates = new Candidates()
  const zeros = (name: string, cells: number, last: number) => [
    name,
    { type: 'float32', shape: [1, cells, last], data: new Float32Array(cells * last) },
  ]
  const scores = new Float32Array(1600 * 32)
  scores[5] = 0.9
  const tensors = {
    ...Object.fromEntries(
      outputs.map(({ name, shape }) => zeros(name, Number(shape[1]), Number(shape[2]))),
    ),
    cls_pred_stride_8: { type: 'float32', shape: [1, 1600, 32], data: scores },
  } as const
  checked.decode(tensors, 0.5, candidates)
  assert.equal(candidates.count, 1)
  assert.equal(candidates.classes[0], 5)
})

test('nanodet.check() says which outputs it had expected', () => {
  const wrong: TensorInfo[][] = [
    [],
    [output('output', 3549, 85)],
    [output('c8', 1600, 80), output('d8', 1600, 32), output('c16', 400, 80)],
    // Not the same classes on every map.
    [
      ...[output('c8', 1600, 80), output('d8', 1600, 32), output('c16', 400, 79)],
      ...[output('d16', 400, 32), output('c32', 100, 80), output('d32', 100, 32)],
    ],
    // Not four sides.
    [
      ...[output('c8', 1600, 80), output('d8', 1600, 33), output('c16', 400, 80)],
      ...[output('d16', 400, 32), output('c32', 100, 80), output('d32', 100, 32)],
    ],
  ]
  for (const outputs of wrong) {
    assert.deepEqual(nanodet.check({ width: 320, height: 320, outputs }), { expected })
  }
})

test('nanodet finds what is in a real photograph', needs('material'), async () => {
  await assertFinds(
    { model: 'nanodet_m_320.onnx', layout: 'nanodet', labels: 'coco' },
    'darknet_person.jpg',
    {
      person: [0.3, 0.23, 0.13, 0.66],
      horse: [0.62, 0.32, 0.32, 0.5],
      dog: [0.1, 0.62, 0.22, 0.19],
    },
  )
})
