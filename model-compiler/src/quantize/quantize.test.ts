/** Where Q and DQ go, seen in the graph and in what the runtime makes of it; how near the result is to float. */
import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { calibrate } from '../calibrate/calibrate.ts'
import { samplesFrom } from '../calibrate/samples.ts'
import { Graph } from '../graph/graph.ts'
import { model, node, value } from '../onnx/build.ts'
import { OnnxError, readModel } from '../onnx/read.ts'
import type { ModelProto } from '../onnx/schema.ts'
import { tensor } from '../onnx/tensor.ts'
import { writeModel } from '../onnx/write.ts'
import { openSession } from '../runtime/session.ts'
import { targets } from '../targets/index.ts'
import { quantize } from './quantize.ts'
import { medianSqnrDb } from './sqnr.ts'

/** The same numbers each time, evenly in ±1 (Park and Miller's generator). */
function numbers(size: number, seed: number): Float32Array {
  let state = seed
  return Float32Array.from({ length: size }, () => {
    state = (state * 48271) % 2147483647
    return (state / 2147483647) * 2 - 1
  })
}
const weights = (name: string, dims: readonly number[], seed: number) =>
  tensor(
    name,
    dims,
    numbers(
      dims.reduce((a, b) => a * b),
      seed,
    ),
  )
const same = { pads: { ints: [1, 1, 1, 1] } } as const

/** Preprocessing, a residual block, pooling, a branch that both a Conv and a float operator read, a head. */
const network = model({
  name: 'network',
  inputs: [value('x', 'float32', [1, 3, 16, 16])],
  outputs: [value('scores', 'float32', [1, 5, 8, 8]), value('side', 'float32', [1, 4, 8, 8])],
  initializers: [
    tensor('half', [1], Float32Array.of(0.5)),
    ...[weights('w1', [8, 3, 3, 3], 1), weights('b1', [8], 2), weights('w2', [8, 8, 3, 3], 3)],
    ...[weights('b2', [8], 4), weights('w3', [4, 8, 1, 1], 5), weights('w4', [5, 4, 1, 1], 6)],
    weights('b4', [5], 7),
  ],
  nodes: [
    node('Mul', ['x', 'half'], ['scaled']),
    node('Conv', ['scaled', 'w1', 'b1'], ['c1'], same),
    node('Relu', ['c1'], ['r1']),
    node('Conv', ['r1', 'w2', 'b2'], ['c2'], same),
    node('Add', ['r1', 'c2'], ['sum']),
    node('Relu', ['sum'], ['r2']),
    node('MaxPool', ['r2'], ['pooled'], {
      kernel_shape: { ints: [2, 2] },
      strides: { ints: [2, 2] },
    }),
    node('Conv', ['pooled', 'w3'], ['c3']),
    node('Tanh', ['c3'], ['side']),
    node('Conv', ['c3', 'w4', 'b4'], ['c4']),
    node('Sigmoid', ['c4'], ['scores']),
  ],
})
const samples = samplesFrom(
  [11, 12, 13].map((seed) => ({
    x: { type: 'float32', dims: [1, 3, 16, 16], data: numbers(768, seed) } as const,
  })),
)
const ranges = await calibrate(network, samples, { method: 'minmax' })
const count = (graph: ModelProto, opType: string) =>
  graph.graph!.node.filter((one) => one.opType === opType).length

test('on a CPU: pairs between the convolutions, Relu taken in, the ends left float', () => {
  const made = quantize(network, ranges, { target: targets['linux-x64-vnni'] })
  const quantized = made
    .graph!.node.filter(({ opType }) => opType === 'QuantizeLinear')
    .map(({ input }) => input[0])
  // Not x, which is scaled first, and not scores: the sigmoid behind the last convolution is float.
  assert.deepEqual(quantized.toSorted(), ['c2', 'c3', 'c4', 'pooled', 'r1', 'r2', 'scaled'])
  assert.equal(count(made, 'Relu'), 0)
  const graph = new Graph(made)
  assert.equal(graph.producerOf('r1')?.opType, 'Conv')
  for (const one of quantized) {
    const users = graph.usersOf(one!).map(({ opType }) => opType)
    assert.deepEqual(users, ['QuantizeLinear'], `whoever reads ${one} reads it dequantized`)
  }
  const parameters = (name: string) => graph.usersOf(name)[0]!.input.slice(1)
  assert.deepEqual(parameters('pooled'), parameters('r2'), 'a pool has the parameters of its input')
  for (const name of ['w1', 'w2', 'w3', 'w4', 'b1']) assert.ok(!graph.initializers.has(name), name)
})

test('the runtime makes integer operators of all convolutions, and the result is near', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'edgeloop-quantize-'))
  t.after(() => rm(folder, { recursive: true }))
  for (const name of ['linux-x64-vnni', 'linux-arm64', 'linux-x64'] as const) {
    const made = quantize(network, ranges, { target: targets[name] })
    const dumpTo = join(folder, `${name}.onnx`)
    await (await openSession(writeModel(made), { dumpTo }))[Symbol.asyncDispose]()
    const fused = readModel(await readFile(dumpTo))
    assert.equal(count(fused, 'QLinearConv'), 4, name)
    assert.equal(count(fused, 'QLinearAdd'), 1, name)
    assert.equal(count(fused, 'Conv') + count(fused, 'FusedConv'), 0, name)
    const ratio = await medianSqnrDb(network, made, samples)
    assert.ok(ratio > (name === 'linux-x64' ? 27 : 33), `${name}: ${ratio} dB`)
  }
})

test('every target that computes with codes makes a model that runs and is near', async () => {
  for (const target of Object.values(targets)) {
    if (target.name === 'webgpu') continue
    const made = quantize(network, ranges, { target })
    const ratio = await medianSqnrDb(network, made, samples)
    assert.ok(ratio > 24, `${target.name}: ${ratio} dB`)
  }
  assert.throws(
    () => quantize(network, ranges, { target: targets.webgpu }),
    /take fp16 or int8-weights/,
  )
})

test('TensorRT: symmetric, before the convolutions only, bias and Relu as they were', () => {
  const made = quantize(network, ranges, { target: targets.tensorrt })
  const graph = new Graph(made)
  const zeros = [...graph.initializers.values()].filter(({ name }) => name.endsWith('_zero_point'))
  assert.ok(zeros.every(({ rawData }) => rawData.every((byte) => byte === 0)))
  assert.ok(graph.initializers.has('b1') && count(made, 'Relu') === 2)
  assert.equal(graph.producerOf(graph.usersOf('r1')[0]!.output[0]!), graph.usersOf('r1')[0])
  assert.deepEqual(
    graph.usersOf('c1').map(({ opType }) => opType),
    ['Relu'],
    'nothing between a convolution and its Relu',
  )
})

test('what is kept float stays float, and what needs it as codes with it', () => {
  const target = targets['linux-x64-vnni']
  const made = quantize(network, ranges, { target, keepFloat: new Set(['r2', 'c4']) })
  const graph = new Graph(made)
  assert.ok(graph.usersOf('r2').every(({ opType }) => opType === 'MaxPool'))
  assert.equal(graph.producerOf('c4')?.input[1], 'w4', 'the last convolution is as it was')
  assert.equal(count(made, 'Relu'), 1, 'the Relu that makes r2 is there')
})

test('a Clip goes only where the codes end where it does', () => {
  const clipped = (max: number) => {
    const made = model({
      name: 'clipped',
      inputs: [value('x', 'float32', [1, 2, 4, 4])],
      outputs: [value('y', 'float32', [1, 2, 4, 4])],
      initializers: [
        ...[weights('w', [2, 2, 1, 1], 1), weights('v', [2, 2, 1, 1], 2)],
        ...[tensor('low', [], Float32Array.of(0)), tensor('high', [], Float32Array.of(6))],
      ],
      nodes: [
        node('Conv', ['x', 'w'], ['c']),
        node('Clip', ['c', 'low', 'high'], ['limited']),
        node('Conv', ['limited', 'v'], ['y']),
      ],
    })
    const seen = new Map([
      ...[['x', { min: -9, max: 9 }] as const, ['c', { min: -9, max: 9 }] as const],
      ...[['limited', { min: 0, max }] as const, ['y', { min: -9, max: 9 }] as const],
    ])
    return count(quantize(made, seen, { target: targets['linux-x64-vnni'] }), 'Clip')
  }
  assert.equal(clipped(6), 0)
  assert.equal(clipped(7), 1, 'a range beyond the limit would let through what it cuts')
})

test('a Relu stays where the codes behind it reach below zero, or where there are none', async () => {
  const joining = model({
    name: 'joining',
    inputs: [value('x', 'float32', [1, 2, 4, 4])],
    outputs: [value('y', 'float32', [1, 2, 4, 4])],
    initializers: [
      weights('w1', [2, 2, 1, 1], 1),
      weights('w2', [2, 2, 1, 1], 2),
      weights('w3', [2, 4, 1, 1], 3),
    ],
    nodes: [
      ...[node('Conv', ['x', 'w1'], ['c1']), node('Conv', ['x', 'w2'], ['c2'])],
      // One half of what is joined goes below zero, the other must not.
      ...[
        node('Relu', ['c1'], ['r1']),
        node('Concat', ['r1', 'c2'], ['both'], { axis: { int: 1 } }),
      ],
      ...[node('Conv', ['both', 'w3'], ['c3']), node('Add', ['c3', 'c3'], ['twice'])],
      node('Relu', ['twice'], ['y']),
    ],
  })
  const some = samplesFrom([
    { x: { type: 'float32', dims: [1, 2, 4, 4], data: numbers(32, 9) } as const },
  ])
  const seen = await calibrate(joining, some, { method: 'minmax' })
  const made = quantize(joining, seen, { target: targets['linux-x64-vnni'] })
  assert.equal(new Graph(made).producerOf('y')?.opType, 'Relu', 'the sum before it is float')
  const ratio = await medianSqnrDb(joining, made, some)
  assert.ok(ratio > 33, `${ratio} dB`)
})

test('an output of the graph that is quantized keeps its name and its type', async () => {
  const made = quantize(network, ranges, { target: { ...targets['linux-x64-vnni'], ends: true } })
  await using session = await openSession(writeModel(made))
  assert.deepEqual(
    session.outputs.map(({ name, type }) => `${name} ${type}`),
    ['scores float32', 'side float32'],
  )
  assert.equal(new Graph(made).producerOf('scores')?.opType, 'DequantizeLinear')
})

test('weights that two operators share are stored once', () => {
  const twice = model({
    name: 'twice',
    inputs: [value('x', 'float32', [1, 2, 4, 4])],
    outputs: [value('y', 'float32', [1, 2, 4, 4])],
    initializers: [weights('w', [2, 2, 1, 1], 1)],
    nodes: [node('Conv', ['x', 'w'], ['c']), node('Conv', ['c', 'w'], ['y'])],
  })
  const seen = new Map(['x', 'c', 'y'].map((name) => [name, { min: -2, max: 2 }]))
  const made = new Graph(quantize(twice, seen, { target: targets['linux-x64-vnni'] }))
  assert.ok(made.initializers.has('w_quantized'))
  assert.ok(!made.initializers.has('w_quantized_1'))
})

test('old opsets and NaN in weights are refused', () => {
  const target = targets['linux-x64-vnni']
  const old = new Graph(network)
  old.setOpset('', 12)
  assert.throws(() => quantize(old.toModel(), ranges, { target }), /opset 12.*upgradeOpset/)
  const broken = new Graph(network)
  broken.setInitializer(tensor('w3', [4, 8, 1, 1], new Float32Array(32).fill(Number.NaN)))
  assert.throws(() => quantize(broken.toModel(), ranges, { target }), OnnxError)
})
