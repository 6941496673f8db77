/** Q and DQ written as operators on codes: what the runtime runs is the same to the bit. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { calibrate } from '../calibrate/calibrate.ts'
import { samplesFrom } from '../calibrate/samples.ts'
import { Graph } from '../graph/graph.ts'
import { model, node, value } from '../onnx/build.ts'
import type { ModelProto, NodeProto } from '../onnx/schema.ts'
import { tensor } from '../onnx/tensor.ts'
import { writeModel } from '../onnx/write.ts'
import { differences, sequence } from '../passes/equivalence.ts'
import { quantize } from '../quantize/quantize.ts'
import { targets } from '../targets/index.ts'
import { toQOperator } from './q-operator.ts'

const seed = 9
const dims = [1, 8, 8, 8]
const weights = (name: string, ...shape: number[]) => {
  const next = sequence(seed + name.length)
  const size = shape.reduce((product, dim) => product * dim, 1)
  return tensor(
    name,
    shape,
    Float32Array.from({ length: size }, () => next() - 0.5),
  )
}
const samples = () => {
  const next = sequence(seed)
  return samplesFrom(
    Array.from({ length: 4 }, () => ({
      x: { type: 'float32', dims, data: Float32Array.from({ length: 512 }, () => next() * 4 - 2) },
    })),
  )
}

/** Every operator that has a form with codes, and some that only move them. */
const network = () =>
  model({
    name: 'all forms',
    opset: 13,
    inputs: [value('x', 'float32', dims)],
    outputs: [value('y', 'float32', [1, 6])],
    initializers: [
      ...[weights('w', 8, 8, 3, 3), weights('b', 8), weights('w2', 8, 16, 1, 1)],
      ...[weights('matrix', 32, 32), weights('gemm', 512, 6), weights('gemm_b', 6)],
      tensor('rows', [2], new BigInt64Array([16n, 32n])),
      tensor('line', [2], new BigInt64Array([1n, 512n])),
      tensor('double', [4], Float32Array.of(1, 1, 2, 2)),
    ],
    nodes: [
      node('Conv', ['x', 'w', 'b'], ['c'], { pads: { ints: [1, 1, 1, 1] } }),
      node('Sigmoid', ['c'], ['s']),
      node('Mul', ['c', 's'], ['m']),
      node('LeakyRelu', ['c'], ['l'], { alpha: { float: 0.1 } }),
      node('Concat', ['m', 'l'], ['joined'], { axis: { int: 1 } }),
      node('Conv', ['joined', 'w2'], ['c2']),
      node('Add', ['c2', 'm'], ['sum']),
      node('MaxPool', ['sum'], ['pooled'], {
        kernel_shape: { ints: [2, 2] },
        strides: { ints: [2, 2] },
      }),
      node('Resize', ['pooled', '', 'double'], ['near'], { mode: { string: 'nearest' } }),
      node('Resize', ['near', '', 'double'], ['between'], { mode: { string: 'linear' } }),
      node('AveragePool', ['between'], ['average'], {
        kernel_shape: { ints: [2, 2] },
        strides: { ints: [2, 2] },
      }),
      node('Reshape', ['average', 'rows'], ['flat']),
      node('MatMul', ['flat', 'matrix'], ['product']),
      node('Reshape', ['product', 'line'], ['row']),
      node('Gemm', ['row', 'gemm', 'gemm_b'], ['y']),
    ],
  })

async function quantized(): Promise<ModelProto> {
  const ranges = await calibrate(network(), samples(), { method: 'minmax' })
  return quantize(network(), ranges, { target: { ...targets['linux-x64-vnni'], ends: true } })
}
const operatorsOf = ({ graph }: ModelProto) => graph!.node.map(({ opType }) => opType)

test('every operator with a form takes codes; the file is smaller, and the runtime computes the same', async () => {
  const before = await quantized()
  const after = toQOperator(before)
  const made = operatorsOf(after)
  for (const opType of [
    ...['QLinearConv', 'QLinearSigmoid', 'QLinearMul', 'QLinearLeakyRelu', 'QLinearConcat'],
    ...['QLinearAdd', 'QLinearAveragePool', 'QLinearMatMul', 'QGemm'],
  ]) {
    assert.ok(made.includes(opType), opType)
  }
  // In, out, and around the one that computes between elements.
  assert.equal(made.filter((one) => one === 'QuantizeLinear').length, 2)
  assert.equal(made.filter((one) => one === 'DequantizeLinear').length, 2)
  assert.ok(writeModel(after).length < writeModel(before).length)
  const graph = new Graph(after)
  assert.equal(graph.opsetOf('com.microsoft'), 1)
  for await (const feeds of samples().read()) {
    const [found] = await differences(before, after, feeds, 'all')
    assert.equal(found!.relative, 0, `seed ${seed}`)
  }
})

test('what is not between Q and DQ stays as it is', async () => {
  const stays = async (change: (before: ModelProto) => void) => {
    const before = await quantized()
    change(before)
    const conv = (one: NodeProto) => one.opType === 'Conv'
    assert.ok(toQOperator(before).graph!.node.some(conv))
  }
  const conv = ({ graph }: ModelProto) => graph!.node.find(({ opType }) => opType === 'Conv')!
  await stays((before) => {
    conv(before).input[0] = 'x'
  })
  await stays((before) => {
    before.graph!.node.push(node('Relu', [conv(before).output[0]!], ['also_read']))
  })
  await stays((before) => {
    before.graph!.output.push(value(conv(before).output[0]!, 'float32', dims))
  })
})

test('a float model is left alone', () => {
  const before = network()
  assert.deepEqual(writeModel(toQOperator(before)), writeModel(before))
})
