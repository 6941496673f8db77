/** Weights as int8 codes: the file shrinks, the runtime folds them while it loads, and the numbers hardly move. */
import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { material, needs } from '../../../test/require.ts'
import { Graph } from '../graph/graph.ts'
import { model, node, value } from '../onnx/build.ts'
import { OnnxError, readModel } from '../onnx/read.ts'
import type { ModelProto } from '../onnx/schema.ts'
import { tensor } from '../onnx/tensor.ts'
import { tensorTypes } from '../onnx/types.ts'
import { writeModel } from '../onnx/write.ts'
import { differences, randomFeeds, sequence } from '../passes/equivalence.ts'
import { openSession } from '../runtime/session.ts'
import { dropInitializerInputs } from '../shapes/input-shapes.ts'
import { toInt8Weights } from './int8-weights.ts'

const seed = 11
const weights = (name: string, ...dims: number[]) => {
  const next = sequence(seed + dims.length)
  const size = dims.reduce((product, dim) => product * dim, 1)
  // Sums stay about as large as what goes in, or the last operator would only see its limits.
  const loudness = 2 / Math.sqrt(size / dims[0]!)
  return tensor(
    name,
    dims,
    Float32Array.from({ length: size }, () => (next() - 0.5) * loudness),
  )
}

/** Every operator whose weights are stored as codes, one after the other. */
const everyOperator = () =>
  model({
    name: 'every operator with weights',
    inputs: [value('x', 'float32', [1, 16, 8, 8])],
    outputs: [value('y', 'float32', [32, 1, 1, 12])],
    initializers: [
      ...[weights('conv', 32, 16, 3, 3), weights('depthwise', 32, 1, 3, 3), weights('small', 4, 4)],
      ...[weights('deconv', 32, 32, 2, 2), weights('gemm', 256, 64), weights('gemmT', 64, 64)],
      ...[weights('matmul', 64, 48), weights('bias', 32), weights('w', 1, 48, 48)],
      ...[weights('r', 1, 48, 12), tensor('flat', [2], new BigInt64Array([32n, 256n]))],
      tensor('row', [3], new BigInt64Array([32n, 1n, 48n])),
    ],
    nodes: [
      node('Conv', ['x', 'conv', 'bias'], ['a'], { pads: { ints: [1, 1, 1, 1] } }),
      node('Conv', ['a', 'depthwise'], ['b'], {
        group: { int: 32 },
        pads: { ints: [1, 1, 1, 1] },
      }),
      node('ConvTranspose', ['b', 'deconv'], ['c'], { strides: { ints: [2, 2] } }),
      node('Reshape', ['c', 'flat'], ['d']),
      node('Gemm', ['d', 'gemm'], ['e']),
      node('Gemm', ['e', 'gemmT'], ['f'], { transB: { int: 1 } }),
      node('MatMul', ['f', 'matmul'], ['g']),
      node('Reshape', ['g', 'row'], ['h']),
      node('LSTM', ['h', 'w', 'r'], ['y'], { hidden_size: { int: 12 } }),
    ],
  })

/** What the runtime keeps of a model: the operators, and the types of the constants. */
async function loaded(t: TestContext, changed: ModelProto) {
  const folder = await mkdtemp(join(tmpdir(), 'edgeloop-int8-'))
  t.after(() => rm(folder, { recursive: true }))
  const dumpTo = join(folder, 'loaded.onnx')
  await using _ = await openSession(writeModel(changed), { level: 'basic', dumpTo })
  const { node: nodes, initializer } = readModel(await readFile(dumpTo)).graph!
  return {
    operators: nodes.map(({ opType }) => opType),
    constants: new Set(initializer.map(({ dataType }) => dataType)),
  }
}

test('weights of every operator become codes, which the runtime folds back while it loads', async (t) => {
  const before = everyOperator()
  const after = toInt8Weights(before, { float16Share: 0 })
  const types = new Map(after.graph!.initializer.map(({ name, dataType }) => [name, dataType]))
  for (const name of ['conv', 'depthwise', 'deconv', 'gemm', 'gemmT', 'matmul', 'w', 'r']) {
    assert.equal(types.get(name), tensorTypes.int8, name)
  }
  assert.equal(types.get('bias'), tensorTypes.float32)
  assert.equal(types.get('small'), tensorTypes.float32)
  assert.ok(writeModel(before).length > 3.4 * writeModel(after).length)

  const runs = await loaded(t, after)
  assert.ok(!runs.operators.includes('Cast') && !runs.operators.includes('Mul'))
  assert.ok(!runs.constants.has(tensorTypes.int8))
  const feeds = randomFeeds([{ name: 'x', type: 'float32', shape: [1, 16, 8, 8] }], seed)
  const [difference] = await differences(before, after, feeds)
  assert.ok(difference!.relative < 0.03, `seed ${seed}: ${difference!.relative}`)
})

test('the smallest weights are float16, and those that are asked for', async (t) => {
  const before = everyOperator()
  const after = toInt8Weights(before, { float16: new Set(['gemm']), float16Share: 0.01 })
  const types = new Map(after.graph!.initializer.map(({ name, dataType }) => [name, dataType]))
  assert.equal(types.get('gemm'), tensorTypes.float16)
  assert.equal(types.get('depthwise'), tensorTypes.float16)
  assert.equal(types.get('conv'), tensorTypes.int8)
  assert.deepEqual((await loaded(t, after)).constants.has(tensorTypes.float16), false)
})

test('what is kept float, shared with something else or overridable stays as it is', () => {
  const before = everyOperator()
  before.graph!.node.push(node('Relu', ['gemm'], ['unused']))
  before.graph!.input.push(value('matmul', 'float32', [64, 48]))
  const after = toInt8Weights(before, { keepFloat: new Set(['conv']) })
  for (const { name, dataType } of after.graph!.initializer) {
    const stays = ['conv', 'gemm', 'matmul', 'bias', 'small'].includes(name)
    if (stays) assert.equal(dataType, tensorTypes.float32, name)
  }
})

test('a model of before IR 4, which lists its weights as inputs, loses the list and runs', async () => {
  const before = everyOperator()
  before.irVersion = 3n
  for (const { name, dims, dataType } of before.graph!.initializer) {
    const type = dataType === tensorTypes.int64 ? 'int64' : 'float32'
    before.graph!.input.push(value(name, type, dims.map(Number)))
  }
  const after = toInt8Weights(before)
  assert.deepEqual(
    after.graph!.input.map(({ name }) => name),
    ['x'],
  )
  await using session = await openSession(writeModel(after))
  await session.run(randomFeeds(session.inputs, seed))
})

test('weights that are not finite, too large for float16 or before broadcasting are refused', () => {
  const refused = (change: (before: ModelProto) => void, why: RegExp) => {
    const before = everyOperator()
    change(before)
    assert.throws(
      () => toInt8Weights(before, { float16: new Set(['gemm']) }),
      (error) => error instanceof OnnxError && why.test(error.message),
    )
  }
  const replaced = (value: number) => (before: ModelProto) => {
    const at = before.graph!.initializer.findIndex(({ name }) => name === 'gemm')
    before.graph!.initializer[at] = tensor(
      'gemm',
      [256, 64],
      new Float32Array(256 * 64).fill(value),
    )
  }
  refused(replaced(Number.NaN), /tensor "gemm"/)
  refused(replaced(1e5), /"gemm" as float16.*65504/)
  refused((before) => {
    before.opsetImport[0]!.version = 6n
  }, /opset 6.*upgrade/)
})

test('nanodet is 3.5 times smaller and computes nearly the same', needs('material'), async (t) => {
  const bytes = await readFile(join(material, 'models/nanodet_m_320.onnx'))
  const graph = new Graph(readModel(bytes))
  dropInitializerInputs(graph)
  const after = toInt8Weights(graph.toModel())
  const written = writeModel(after)
  t.diagnostic(`${bytes.length} bytes became ${written.length}`)
  assert.ok(bytes.length > 3.5 * written.length)
  const { constants } = await loaded(t, after)
  assert.ok(!constants.has(tensorTypes.int8) && !constants.has(tensorTypes.float16))
  const feeds = randomFeeds([{ name: 'input.1', type: 'float32', shape: [1, 3, 320, 320] }], seed)
  for (const { output, relative } of await differences(graph.toModel(), after, feeds)) {
    assert.ok(relative < 0.2, `seed ${seed}: ${output} ${relative}`)
  }
})
