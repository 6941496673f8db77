/** FastestDet: numbers by hand, and the real model on a real photograph. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { assertFinds } from '../../../../test/detection/assert-finds.ts'
import { needs } from '../../../../test/require.ts'
import { Candidates } from '../candidates.ts'
import { decodeFastestdet, fastestdet } from './fastestdet.ts'

const map = { columns: 4, rows: 2, stride: 16 }
const cells = map.columns * map.rows

/** Channels × cells of zeros, with the channels of one cell filled in. */
function dataWith(channels: number, cell: number, values: readonly number[]): Float32Array {
  const data = new Float32Array(channels * cells)
  for (const [channel, value] of values.entries()) data[channel * cells + cell] = value
  return data
}

test('decodeFastestdet() offsets the centre by tanh and sizes by the canvas', () => {
  const candidates = new Candidates()
  const quarter = Math.log(1 / 3) // sigmoid: 1/4
  const values = [1, Math.atanh(0.5), Math.atanh(-0.25), 0, quarter, 0.1, 0.9]
  decodeFastestdet(dataWith(7, 6, values), 2, map, 0.5, candidates)
  assert.equal(candidates.count, 1)
  assert.equal(candidates.classes[0], 1)
  assert(Math.abs(candidates.scores[0]! - 0.9 ** 0.4) < 1e-6)
  // Cell (2, 1): centre (2.5, 0.75) · 16 = (40, 12); size half of 64 and a quarter of 32.
  const corners = [...candidates.corners.subarray(0, 4)].map(Math.round)
  assert.deepEqual(corners, [24, 8, 56, 16])
})

test('decodeFastestdet() weighs objectness and class, and leaves out what scores too little', () => {
  const score = 0.5 ** 0.6 * 0.25 ** 0.4
  for (const [scoreMin, count] of [
    [score - 1e-4, 1],
    [score + 1e-4, 0],
  ] as const) {
    const candidates = new Candidates()
    decodeFastestdet(dataWith(6, 0, [0.5, 0, 0, 0, 0, 0.25]), 1, map, scoreMin, candidates)
    assert.equal(candidates.count, count)
  }
  const candidates = new Candidates()
  decodeFastestdet(dataWith(6, 0, [Number.NaN, 0, 0, 0, 0, 1]), 1, map, 0.1, candidates)
  decodeFastestdet(dataWith(6, 0, [1, 0, 0, 0, 0, Number.NaN]), 1, map, 0.1, candidates)
  assert.equal(candidates.count, 0)
})

test('fastestdet.check() says which output it had expected', () => {
  const outputs = [{ name: '758', type: 'float32', shape: [1, 85, 22, 22] }] as const
  const checked = fastestdet.check({ width: 352, height: 352, outputs })
  assert('classes' in checked)
  assert.equal(checked.classes, 80)
  assert.deepEqual(fastestdet.check({ width: 416, height: 352, outputs }), {
    expected: 'one output [1, 5 + classes, 22, 26] (one map of stride 16 at 416×352)',
  })
})

test('fastestdet finds what is in a real photograph', needs('material'), async () => {
  await assertFinds(
    { model: 'fastestdet_352.onnx', layout: 'fastestdet', labels: 'coco' },
    'darknet_dog.jpg',
    { dog: [0.17, 0.38, 0.24, 0.56], bicycle: [0.16, 0.21, 0.58, 0.52] },
  )
})
