/** Four bits a weight: the runtime multiplies with what was packed, and what is no large matrix stays. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { model, node, value } from '../onnx/build.ts'
import { OnnxError } from '../onnx/read.ts'
import { tensor } from '../onnx/tensor.ts'
import { writeModel } from '../onnx/write.ts'
import { differences, sequence } from '../passes/equivalence.ts'
import { toInt4Weights } from './int4-weights.ts'

const seed = 13
const numbers = (size: number, salt: number) => {
  const next = sequence(seed + salt)
  return Float32Array.from({ length: size }, () => next() - 0.5)
}

/** MatMul, Gemm either way around with and without bias, and a product that is too small. */
const network = () =>
  model({
    name: 'products',
    inputs: [value('x', 'float32', [3, 72])],
    outputs: [value('y', 'float32', [3, 4])],
    initializers: [
      tensor('w', [72, 96], numbers(72 * 96, 1)),
      tensor('g', [96, 64], numbers(96 * 64, 2)),
      tensor('gb', [64], numbers(64, 3)),
      tensor('t', [8, 64], numbers(8 * 64, 4)),
      tensor('small', [8, 4], numbers(32, 5)),
    ],
    nodes: [
      node('MatMul', ['x', 'w'], ['a']),
      node('Gemm', ['a', 'g', 'gb'], ['b']),
      node('Gemm', ['b', 't'], ['c'], { transB: { int: 1 } }),
      node('MatMul', ['c', 'small'], ['y']),
    ],
  })
const feeds = { x: { type: 'float32', dims: [3, 72], data: numbers(3 * 72, 6) } } as const
const operatorsOf = (changed: ReturnType<typeof network>) =>
  changed.graph!.node.map(({ opType }) => opType)

test('matrices of at least one block become int4, and their products stay near', async () => {
  const before = network()
  const after = toInt4Weights(before)
  assert.deepEqual(operatorsOf(after), [
    'MatMulNBits',
    'MatMulNBits',
    'Add',
    'MatMulNBits',
    'MatMul',
  ])
  assert.ok(writeModel(before).length > 5 * writeModel(after).length)
  const [four] = await differences(before, after, feeds)
  assert.ok(four!.relative > 0 && four!.relative < 0.3, `seed ${seed}: ${four!.relative}`)
  // Weights that four bits hold exactly come out exactly: nothing is packed into a wrong place.
  for (const one of before.graph!.initializer) {
    const size = one.dims.reduce((product, dim) => product * Number(dim), 1)
    const whole = Float32Array.from(numbers(size, 7), (x, at) =>
      at % 7 === 0 ? 7 : Math.round(x * 14),
    )
    one.rawData = new Uint8Array(whole.buffer)
  }
  const [exact] = await differences(before, toInt4Weights(before), feeds)
  assert.ok(exact!.relative < 1e-5, `seed ${seed}: ${exact!.relative}`)
})

test('what is kept, larger blocks than columns, and factors stay as they are', () => {
  assert.deepEqual(
    operatorsOf(toInt4Weights(network(), { keepFloat: new Set(['w']) })).slice(0, 2),
    [...['MatMul', 'MatMulNBits']],
  )
  const large = toInt4Weights(network(), { blockSize: 128 })
  assert.deepEqual(writeModel(large), writeModel(network()))
  const scaled = network()
  scaled.graph!.node[1] = node('Gemm', ['a', 'g', 'gb'], ['b'], { alpha: { float: 2 } })
  assert.equal(operatorsOf(toInt4Weights(scaled))[1], 'Gemm')
})

test('weights that are not finite are refused by name', () => {
  const before = network()
  before.graph!.initializer[0] = tensor('w', [72, 96], new Float32Array(72 * 96).fill(Number.NaN))
  assert.throws(
    () => toInt4Weights(before),
    (error) => error instanceof OnnxError && /"w"/.test(error.message),
  )
})
