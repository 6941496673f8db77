/** Scale, zero point and codes against numbers worked out by hand and against ONNX Runtime itself. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { model, node, value } from '../onnx/build.ts'
import { OnnxError } from '../onnx/read.ts'
import { tensor } from '../onnx/tensor.ts'
import { writeModel } from '../onnx/write.ts'
import { openSession } from '../runtime/session.ts'
import { codeTypes, parametersFor, rangeOf, roundHalfEven } from './parameters.ts'
import { biasCodesOf, constantCodesOf, weightCodesOf, weightScales, weightsOf } from './weights.ts'

test('halves go to the even number', () => {
  const rounded = [0.5, 1.5, 2.5, -0.5, -1.5, -2.5, 2.4999, 2.5001, -7].map(roundHalfEven)
  assert.deepEqual(
    rounded.map((x) => x + 0),
    [0, 2, 2, 0, -2, -2, 2, 3, -7],
  )
})

test('zero is always in the range, and its code is whole', () => {
  const { uint8, int8 } = codeTypes
  assert.deepEqual(parametersFor({ min: 0, max: 255 }, uint8), { scale: 1, zero: 0 })
  assert.deepEqual(parametersFor({ min: 51, max: 255 }, uint8), { scale: 1, zero: 0 })
  assert.deepEqual(parametersFor({ min: -255, max: -3 }, uint8), { scale: 1, zero: 255 })
  assert.deepEqual(parametersFor({ min: -64, max: 191 }, uint8), { scale: 1, zero: 64 })
  assert.deepEqual(parametersFor({ min: -64, max: 191 }, int8), { scale: 1, zero: -64 })
  assert.deepEqual(parametersFor({ min: -1, max: 127 }, { min: -127, max: 127 }, true), {
    scale: 1,
    zero: 0,
  })
  // From the middle, 127.5, to the even one.
  assert.equal(parametersFor({ min: -1, max: 1 }, uint8, true).zero, 128)
  assert.deepEqual(rangeOf({ scale: 0.5, zero: 10 }, uint8), { min: -5, max: 122.5 })
})

test('a range of nothing gets scale 1; what is no range is refused', () => {
  const { uint8 } = codeTypes
  assert.deepEqual(parametersFor({ min: 0, max: 0 }, uint8), { scale: 1, zero: 0 })
  assert.deepEqual(parametersFor({ min: -1e-45, max: 1e-45 }, uint8), { scale: 1, zero: 0 })
  for (const [min, max] of [
    [Number.NaN, 1],
    [0, Infinity],
    [2, 1],
  ] as const) {
    assert.throws(() => parametersFor({ min, max }, uint8), OnnxError)
  }
})

test('codes of constants are those that QuantizeLinear gives', async () => {
  const values = Float32Array.from({ length: 500 }, (_, i) => (i - 200) / 32)
  const parameters = parametersFor({ min: -6, max: 9 }, codeTypes.uint8)
  const quantizing = model({
    name: 'quantizing',
    inputs: [value('x', 'float32', [500])],
    outputs: [value('y', 'uint8', [500])],
    initializers: [
      tensor('scale', [], Float32Array.of(parameters.scale)),
      tensor('zero', [], Uint8Array.of(parameters.zero)),
    ],
    nodes: [node('QuantizeLinear', ['x', 'scale', 'zero'], ['y'])],
  })
  await using session = await openSession(writeModel(quantizing))
  const { y } = await session.run({ x: { type: 'float32', dims: [500], data: values } })
  assert.deepEqual(y?.data, constantCodesOf(values, 'uint8', parameters))
})

test('each channel of weights has its own scale, along whichever axis; 7 bits end at 64', () => {
  const source = tensor('w', [2, 3], Float32Array.of(1, -2, 127, 0, 0, 254))
  const rows = weightsOf(source, 0)
  const perRow = weightScales(rows, 8)
  assert.deepEqual([...perRow], [1, 2])
  assert.deepEqual([...weightCodesOf(rows, perRow, 8)], [1, -2, 127, 0, 0, 127])
  const columns = weightsOf(source, 1)
  const perColumn = weightScales(columns, 8)
  assert.equal(perColumn.length, 3)
  assert.deepEqual([...weightCodesOf(columns, perColumn, 8)], [127, -127, 64, 0, 0, 127])
  const whole = weightsOf(source, undefined)
  assert.deepEqual([...weightCodesOf(whole, weightScales(whole, 7), 7)], [0, -1, 32, 0, 0, 64])
})

test('a bias is counted in steps of input × weight, and makes room where 32 bits are too few', () => {
  const weights = weightsOf(tensor('w', [2, 1], Float32Array.of(127, 127e-9)), 0)
  const bias = Float32Array.of(3, 100)
  const scales = weightScales(weights, 8, { values: bias, inputScale: 0.5 })
  assert.equal(scales[0], 1)
  assert.ok(scales[1]! > 1e-9, 'the second channel needs larger steps')
  const { codes } = biasCodesOf(bias, 0.5, scales)
  assert.equal(codes[0], 6)
  assert.ok(codes[1]! > 2 ** 31 * 0.99 && codes[1]! < 2 ** 31, `${codes[1]}`)
})

test('NaN and infinity in weights are refused with name and place', () => {
  const bad = tensor('conv1.weight', [3], Float32Array.of(1, Number.NaN, 2))
  assert.throws(() => weightsOf(bad, undefined), /"conv1.weight": element 1 is NaN/)
})
