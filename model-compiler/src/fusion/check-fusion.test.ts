/** Each rule of the runtime's fusions, broken on purpose: it stays float there, and we say why. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { model, node, value } from '../onnx/build.ts'
import { OnnxError } from '../onnx/read.ts'
import type { NodeProto, TensorProto } from '../onnx/schema.ts'
import { tensor } from '../onnx/tensor.ts'
import { checkFusion, requireFused } from './check-fusion.ts'

const cpu = {
  name: 'linux-x64-vnni',
  operators: { Conv: 'weights', MatMul: 'weights', Gemm: 'weights' },
}

/** Initializers that every graph here may use: scales, zero points, codes of weights and bias. */
const constants: TensorProto[] = [
  tensor('scale', [], Float32Array.of(0.05)),
  tensor('middle', [], Uint8Array.of(100)),
  tensor('bottom', [], Uint8Array.of(0)),
  tensor('signed', [], Int8Array.of(0)),
  tensor('w_scale', [8], new Float32Array(8).fill(0.01)),
  tensor('w_zero', [8], new Int8Array(8)),
  tensor(
    'w_codes',
    [8, 8, 1, 1],
    Int8Array.from({ length: 64 }, (_, at) => (at % 7) - 3),
  ),
  tensor(
    'w_float',
    [8, 8, 1, 1],
    Float32Array.from({ length: 64 }, (_, at) => (at % 7) / 10),
  ),
  tensor('m_zero', [], Int8Array.of(0)),
  tensor(
    'm_codes',
    [8, 8],
    Int8Array.from({ length: 64 }, (_, at) => (at % 7) - 3),
  ),
  tensor('b_scale', [8], new Float32Array(8).fill(0.0005)),
  tensor('b_zero', [8], new Int32Array(8)),
  tensor(
    'b_codes',
    [8],
    Int32Array.from({ length: 8 }, (_, at) => at * 10),
  ),
  tensor('b_float', [8], new Float32Array(8).fill(0.1)),
]
const axis = { axis: { int: 0 } }
const weights = node('DequantizeLinear', ['w_codes', 'w_scale', 'w_zero'], ['w'], axis)
const matrix = node('DequantizeLinear', ['m_codes', 'scale', 'm_zero'], ['m'])
const bias = node('DequantizeLinear', ['b_codes', 'b_scale', 'b_zero'], ['b'], axis)
const through = (from: string, to: string, zero = 'middle') => [
  node('QuantizeLinear', [from, 'scale', zero], [`${to}_codes`]),
  node('DequantizeLinear', [`${to}_codes`, 'scale', zero], [to]),
]
const conv = (inputs: string[], output = 'y') => node('Conv', inputs, [output])
const sigmoid = (from: string) => node('Sigmoid', [from], ['out'])

const graphOf = (nodes: readonly NodeProto[], dims: (number | string)[] = [1, 8, 4, 4]) =>
  model({
    name: 'codes',
    opset: 13,
    inputs: [value('x', 'float32', dims)],
    outputs: [value('out', 'float32', dims)],
    nodes: nodes.map((one) => structuredClone(one)),
    initializers: constants,
  })

test('products between Q and DQ are fused, with and without bias, through a redundant Relu, and a MatMul with a float result', async () => {
  const nodes = [
    ...[...through('x', 'xq'), weights, bias, matrix, conv(['xq', 'w', 'b'])],
    ...[...through('y', 'yq'), conv(['yq', 'w'], 'z'), node('Relu', ['z'], ['r'])],
    ...[...through('r', 'rq', 'bottom'), node('MatMul', ['rq', 'm'], ['out'])],
  ]
  const dims = [1, 8, 8, 8]
  const report = await checkFusion(graphOf(nodes, dims), cpu)
  assert.deepEqual([report.fused, report.unfused], [3, []])
  assert.equal(report.operators.QLinearConv, 2)
  assert.equal(report.operators.MatMulIntegerToFloat, 1)
  requireFused(report)
})

const faults: { name: string; nodes: readonly NodeProto[]; why: RegExp; kept?: string }[] = [
  {
    name: 'a float input',
    nodes: [weights, conv(['x', 'w']), ...through('y', 'yq'), sigmoid('yq')],
    why: /its input "x" is float, as it comes in/,
    kept: 'x',
  },
  {
    name: 'an input that a float operator makes',
    nodes: [
      ...[...through('x', 'xq'), node('Tanh', ['xq'], ['t']), weights, conv(['t', 'w'])],
      ...[...through('y', 'yq'), sigmoid('yq')],
    ],
    why: /its input "t" is float, made by Tanh "t"/,
    kept: 't',
  },
  {
    name: 'float weights',
    nodes: [...through('x', 'xq'), conv(['xq', 'w_float']), ...through('y', 'yq'), sigmoid('yq')],
    why: /its weights "w_float" are float/,
  },
  {
    name: 'a float bias',
    nodes: [
      ...[...through('x', 'xq'), weights, conv(['xq', 'w', 'b_float'])],
      ...[...through('y', 'yq'), sigmoid('yq')],
    ],
    why: /its bias "b_float" is float; as int32/,
  },
  {
    name: 'a result that others read too',
    nodes: [
      ...[...through('x', 'xq'), weights, conv(['xq', 'w']), ...through('y', 'yq')],
      ...[node('Tanh', ['y'], ['t']), node('Sub', ['yq', 't'], ['out'])],
    ],
    why: /its result "y" is read by Tanh "t" besides the QuantizeLinear/,
  },
  {
    name: 'a result that stays float',
    nodes: [...through('x', 'xq'), weights, conv(['xq', 'w']), sigmoid('y')],
    why: /its result "y" goes to Sigmoid "out" in float/,
    kept: 'y',
  },
  {
    name: 'a result that leaves the graph',
    nodes: [...through('x', 'xq'), weights, conv(['xq', 'w'], 'out')],
    why: /its result "out" leaves the graph/,
    kept: 'out',
  },
  {
    name: 'a Relu that is not redundant',
    nodes: [
      ...[...through('x', 'xq'), weights, conv(['xq', 'w']), node('Relu', ['y'], ['r'])],
      ...[...through('r', 'rq'), sigmoid('rq')],
    ],
    why: /Relu "r" behind it is not redundant: the codes there begin at -5\.00/,
  },
  {
    name: 'a Relu whose result stays float',
    nodes: [
      ...[...through('x', 'xq'), weights, conv(['xq', 'w']), node('Relu', ['y'], ['r'])],
      sigmoid('r'),
    ],
    why: /what Relu makes of its result, "r", goes to Sigmoid "out" in float/,
    kept: 'r',
  },
  {
    name: 'signed activations that are read twice',
    nodes: [
      ...[
        ...through('x', 'xq', 'signed'),
        weights,
        conv(['xq', 'w']),
        ...through('y', 'yq', 'signed'),
      ],
      node('Sub', ['xq', 'yq'], ['out']),
    ],
    why: /its activations are int8/,
  },
]

for (const { name, nodes, why, kept } of faults) {
  test(`a Conv with ${name} stays float, and the report says so`, async () => {
    const report = await checkFusion(graphOf(nodes), cpu)
    assert.equal(report.fused, 0)
    const [one, ...more] = report.unfused
    assert.equal(more.length, 0)
    assert.match(one!.why, why)
    assert.deepEqual([one!.opType, one!.onPurpose], ['Conv', false])
    assert.throws(
      () => requireFused(report),
      (error) => error instanceof OnnxError && why.test(error.message),
    )
    if (kept === undefined) return
    const onPurpose = await checkFusion(graphOf(nodes), cpu, { keptFloat: new Set([kept]) })
    assert.ok(onPurpose.unfused[0]!.why.endsWith(`"${kept}" was kept float`))
    requireFused(onPurpose)
  })
}

test('an operator that the target does not compute with codes is no fault', async () => {
  const report = await checkFusion(graphOf(faults[0]!.nodes), { name: 'webgpu', operators: {} })
  assert.equal(report.unfused[0]?.why, 'webgpu computes no Conv with codes')
  requireFused(report)
})
