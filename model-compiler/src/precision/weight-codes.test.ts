/** Scales of weights: never worse than the obvious one, by channel, and honest about what cannot be. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { OnnxError } from '../onnx/read.ts'
import { sequence } from '../passes/equivalence.ts'
import { weightCodes } from './weight-codes.ts'

/** Sum of squares of what rounding by the largest value loses. */
function plainLoss(values: Float32Array, codeMax: number): number {
  const scale = values.reduce((most, value) => Math.max(most, Math.abs(value)), 0) / codeMax || 1
  return values.reduce((sum, value) => sum + (value - Math.round(value / scale) * scale) ** 2, 0)
}

test('weightCodes() loses what its codes and scales say, and never more than the largest value as scale does', () => {
  const seed = 4
  const random = sequence(seed)
  for (const codeMax of [127, 7]) {
    for (let round = 0; round < 20; round++) {
      // A sum of uniform numbers, cubed: a few loud weights among many quiet ones.
      const weights = Float32Array.from(
        { length: 3 * 40 },
        () => (random() + random() + random() - 1.5) ** 3,
      )
      const found = weightCodes('w', weights, [3, 40], 0, codeMax)
      let lost = 0
      for (let c = 0; c < 3; c++) {
        const channel = weights.subarray(c * 40, c * 40 + 40)
        const codes = found.codes.subarray(c * 40, c * 40 + 40)
        const scale = found.scales[c]!
        const loss = channel.reduce((sum, value, at) => sum + (value - codes[at]! * scale) ** 2, 0)
        assert.ok(loss <= plainLoss(channel, codeMax) * (1 + 1e-5), `seed ${seed}, round ${round}`)
        lost += loss
      }
      assert.ok(Math.abs(lost - found.lostPower) <= 1e-5 * lost)
      assert.ok(found.codes.every((code) => Math.abs(code) <= codeMax))
    }
  }
})

test('a scale is for one channel, along whichever dimension the channels lie', () => {
  const weights = new Float32Array([1, 100, -0.5, 50, 0.25, -100]) // 3 × 2: the second column is loud.
  const { codes, scales } = weightCodes('w', weights, [3, 2], 1)
  assert.equal(scales.length, 2)
  weights.forEach((value, at) => {
    assert.ok(Math.abs(value - codes[at]! * scales[at % 2]!) <= Math.abs(scales[at % 2]!) / 2)
  })
  assert.ok(scales[1]! > 90 * scales[0]!)
})

test('silent channels, denormal weights and no weights at all are no trouble; what is not finite is refused', () => {
  const silent = weightCodes('w', new Float32Array(4), [2, 2], 0)
  assert.deepEqual([...silent.codes, ...silent.scales], [0, 0, 0, 0, 1, 1])
  const denormal = weightCodes('w', new Float32Array([1e-45, -1e-45]), [1, 2], 0)
  assert.ok(denormal.scales[0]! > 0 && denormal.lostPower < 1e-80)
  assert.equal(weightCodes('w', new Float32Array(0), [0, 3], 0).codes.length, 0)
  for (const wrong of [Number.NaN, Number.POSITIVE_INFINITY]) {
    assert.throws(
      () => weightCodes('head.w', new Float32Array([1, 2, wrong, 3]), [2, 2], 0),
      (error) => error instanceof OnnxError && /"head.w": channel 1 /.test(error.message),
    )
  }
})
