/** Ultra-Light-Fast: numbers by hand, and the real models on real photographs. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { assertFinds } from '../../../../test/detection/assert-finds.ts'
import { needs } from '../../../../test/require.ts'
import type { TensorInfo } from '../../runtimes/runtime.ts'
import { Candidates } from '../candidates.ts'
import { decodeUltraface, ultraface } from './ultraface.ts'

test('decodeUltraface() takes the score of a face and scales corners to the canvas', () => {
  const scores = Float32Array.of(1, 0, 0.25, 0.75, 0, Number.NaN)
  const boxes = Float32Array.of(0, 0, 0, 0, 0.25, 0.5, 0.5, 1.125, 0, 0, 1, 1)
  const candidates = new Candidates()
  decodeUltraface(scores, boxes, { width: 320, height: 240 }, 0.5, candidates)
  assert.equal(candidates.count, 1)
  assert.equal(candidates.scores[0], 0.75)
  assert.deepEqual([...candidates.corners.subarray(0, 4)], [80, 120, 160, 270])
})

test('ultraface.check() says which outputs it had expected', () => {
  const scores: TensorInfo = { name: 'scores', type: 'float32', shape: [1, 4420, 2] }
  const boxes: TensorInfo = { name: 'boxes', type: 'float32', shape: [1, 4420, 4] }
  const size = { width: 320, height: 240 }
  assert('classes' in ultraface.check({ ...size, outputs: [boxes, scores] }))
  const expected = { expected: 'two outputs, scores [1, priors, 2] and boxes [1, priors, 4]' }
  assert.deepEqual(ultraface.check({ ...size, outputs: [scores] }), expected)
  const other = { ...boxes, shape: [1, 4000, 4] }
  assert.deepEqual(ultraface.check({ ...size, outputs: [scores, other] }), expected)
})

for (const model of ['ultraface_rfb_320.onnx', 'ultraface_slim_320.onnx']) {
  test(`ultraface finds the faces in real photographs (${model})`, needs('material'), async () => {
    // Two men shaking hands; a woman at a desk.
    await assertFinds({ model, layout: 'ultraface' }, 'faces_13.jpg', {
      face: [0.2, 0.05, 0.14, 0.25],
      'face 2': [0.666, 0.24, 0.14, 0.25],
    })
    await assertFinds({ model, layout: 'ultraface' }, 'faces_5.jpg', {
      face: [0.48, 0.15, 0.175, 0.3],
    })
  })
}
