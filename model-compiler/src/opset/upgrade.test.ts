/** Each operator that changed, in its old form and in the new one: ONNX Runtime computes the same with both. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { clone, create } from '@bufbuild/protobuf'
import { Graph } from '../graph/graph.ts'
import { verify } from '../graph/verify.ts'
import { type Attribute, model, node, value } from '../onnx/build.ts'
import { OnnxError, readModel } from '../onnx/read.ts'
import {
  AttributeProtoSchema,
  GraphProtoSchema,
  type ModelProto,
  type NodeProto,
  type TensorProto,
  ValueInfoProtoSchema,
} from '../onnx/schema.ts'
import { tensor } from '../onnx/tensor.ts'
import { attributeTypes } from '../onnx/types.ts'
import { writeModel } from '../onnx/write.ts'
import { openSession } from '../runtime/session.ts'
import { upgradeOpset } from './upgrade.ts'

type Old = {
  readonly opset: number
  readonly dims: readonly number[]
  readonly nodes: readonly NodeProto[]
  readonly outputs?: readonly string[]
  readonly initializers?: readonly TensorProto[]
  readonly to?: number
  /** Operators afterwards, in order. */
  readonly becomes: string
}
const one = (
  opType: string,
  attributes: Record<string, Attribute>,
  inputs = ['x'],
  outputs = ['y'],
) => [node(opType, inputs, outputs, attributes)]
const int = (value: number): Attribute => ({ int: value })
const ints = (...values: number[]): Attribute => ({ ints: values })
const toTheEnd = node('Slice', ['x'], ['y'], {
  axes: ints(1, 2),
  starts: ints(1, -3),
  ends: ints(0, 100),
})
toTheEnd.attribute.find(({ name }) => name === 'ends')!.ints[0] = 2n ** 63n - 1n
const floats = (name: string, ...values: number[]) =>
  tensor(name, [values.length], Float32Array.from(values))

const old: Record<string, Old> = {
  'Slice, to the end': { opset: 7, dims: [2, 4, 5], nodes: [toTheEnd], becomes: 'Slice' },
  'Clip with both bounds': {
    opset: 7,
    dims: [9],
    nodes: one('Clip', { min: { float: -0.3 }, max: { float: 0.4 } }),
    becomes: 'Clip',
  },
  'Clip with one bound': {
    opset: 8,
    dims: [9],
    nodes: one('Clip', { max: { float: 0.1 } }),
    becomes: 'Clip',
  },
  'Pad with a value': {
    opset: 7,
    dims: [2, 3],
    nodes: one('Pad', { pads: ints(0, 1, 2, 0), value: { float: 7 } }),
    becomes: 'Pad',
  },
  'Pad by reflection': {
    opset: 10,
    dims: [2, 3],
    nodes: one('Pad', { mode: { string: 'reflect' }, pads: ints(1, 1, 0, 2) }),
    becomes: 'Pad',
  },
  'Upsample of 7': {
    opset: 7,
    dims: [1, 2, 3, 3],
    nodes: one('Upsample', { scales: { floats: [1, 1, 2, 3] } }),
    becomes: 'Resize',
  },
  'Upsample of 9, linear': {
    opset: 9,
    dims: [1, 2, 3, 3],
    initializers: [floats('s', 1, 1, 2, 2)],
    becomes: 'Resize',
    nodes: one('Upsample', { mode: { string: 'linear' } }, ['x', 's']),
  },
  'Resize that stretches by a fraction': {
    opset: 10,
    dims: [1, 1, 5, 5],
    initializers: [floats('s', 1, 1, 1.6, 1.4)],
    becomes: 'Resize',
    nodes: one('Resize', {}, ['x', 's']),
  },
  'Resize that shrinks': {
    opset: 10,
    dims: [1, 1, 7, 9],
    initializers: [floats('s', 1, 1, 0.6, 0.5)],
    becomes: 'Resize',
    nodes: one('Resize', {}, ['x', 's']),
  },
  'Resize that shrinks, linear': {
    opset: 10,
    dims: [1, 1, 7, 9],
    initializers: [floats('s', 1, 1, 0.6, 0.5)],
    becomes: 'Resize',
    nodes: one('Resize', { mode: { string: 'linear' } }, ['x', 's']),
  },
  TopK: {
    opset: 9,
    dims: [3, 5],
    nodes: one('TopK', { k: int(2), axis: int(1) }, ['x'], ['y', 'i']),
    becomes: 'TopK',
  },
  Dropout: {
    opset: 7,
    dims: [3, 5],
    nodes: one('Dropout', { ratio: { float: 0.7 } }),
    becomes: 'Dropout',
  },
  Scatter: {
    opset: 9,
    dims: [3],
    becomes: 'ScatterElements',
    initializers: [tensor('i', [2], BigInt64Array.of(2n, 0n)), floats('u', 8, 9)],
    nodes: one('Scatter', { axis: int(0) }, ['x', 'i', 'u']),
  },
  'BatchNormalization with its outputs of training': {
    opset: 7,
    dims: [2, 3, 2, 2],
    outputs: ['y'],
    becomes: 'BatchNormalization',
    initializers: [
      floats('s', 1, 2, 3),
      floats('b', 0, 1, 2),
      floats('m', 0.1, 0.2, 0.3),
      floats('v', 1, 2, 3),
    ],
    nodes: one('BatchNormalization', { spatial: int(1), epsilon: { float: 1e-3 } }, [
      'x',
      's',
      'b',
      'm',
      'v',
    ]),
  },
  'Softmax over the last axis': {
    opset: 11,
    dims: [2, 3, 4],
    nodes: one('Softmax', { axis: int(-1) }),
    becomes: 'Softmax',
  },
  'Softmax over several axes': {
    opset: 11,
    dims: [2, 3, 4],
    nodes: one('Softmax', {}),
    becomes: 'Flatten Softmax Reshape',
  },
  'LogSoftmax over all axes': {
    opset: 9,
    dims: [2, 3, 4],
    nodes: one('LogSoftmax', { axis: int(0) }),
    becomes: 'Flatten LogSoftmax Reshape',
  },
  'Softmax before axes of 1': {
    opset: 9,
    dims: [2, 3, 1, 1],
    nodes: one('Softmax', { axis: int(1) }),
    becomes: 'Softmax',
  },
  Squeeze: {
    opset: 7,
    dims: [2, 1, 3, 1],
    nodes: one('Squeeze', { axes: ints(1) }),
    becomes: 'Squeeze',
  },
  'Squeeze without axes': {
    opset: 11,
    dims: [2, 1, 3, 1],
    nodes: one('Squeeze', {}),
    becomes: 'Squeeze',
  },
  Unsqueeze: {
    opset: 11,
    dims: [2, 3],
    nodes: one('Unsqueeze', { axes: ints(0, -1) }),
    becomes: 'Unsqueeze',
  },
  ReduceSum: {
    opset: 11,
    dims: [2, 3, 4],
    nodes: one('ReduceSum', { axes: ints(1, -1), keepdims: int(0) }),
    becomes: 'ReduceSum',
  },
  ReduceMean: {
    opset: 11,
    dims: [2, 3, 4],
    nodes: one('ReduceMean', { axes: ints(2) }),
    becomes: 'ReduceMean',
  },
  'ReduceMax over everything': {
    opset: 13,
    dims: [2, 3, 4],
    nodes: one('ReduceMax', {}),
    becomes: 'ReduceMax',
  },
  'Split by sizes': {
    opset: 11,
    dims: [2, 5],
    nodes: one('Split', { axis: int(1), split: ints(1, 4) }, ['x'], ['y', 'z']),
    becomes: 'Split',
  },
  'Split in equal parts': {
    opset: 11,
    dims: [2, 6],
    nodes: one('Split', { axis: int(1) }, ['x'], ['y', 'z']),
    becomes: 'Split',
  },
  RoiAlign: {
    opset: 10,
    dims: [1, 1, 6, 6],
    becomes: 'RoiAlign',
    initializers: [
      tensor('r', [1, 4], new Float32Array([0, 1, 4, 5])),
      tensor('b', [1], BigInt64Array.of(0n)),
    ],
    nodes: one('RoiAlign', { output_height: int(2), output_width: int(3) }, ['x', 'r', 'b']),
  },
  GridSample: {
    opset: 16,
    dims: [1, 1, 4, 4],
    becomes: 'GridSample',
    initializers: [tensor('g', [1, 1, 2, 2], new Float32Array([-0.4, 0.2, 0.7, 0.9]))],
    nodes: one('GridSample', { mode: { string: 'bicubic' } }, ['x', 'g']),
  },
  DFT: { opset: 17, dims: [1, 4, 3, 1], nodes: one('DFT', { axis: int(2) }), becomes: 'DFT' },
  GroupNormalization: {
    opset: 18,
    dims: [2, 4, 3],
    initializers: [floats('s', 1, 2), floats('b', 3, 4)],
    becomes: 'GroupNormalization',
    nodes: one('GroupNormalization', { num_groups: int(2) }, ['x', 's', 'b']),
  },
  Pow: {
    opset: 7,
    dims: [4],
    initializers: [floats('p', 2)],
    becomes: 'Pow',
    nodes: one('Pow', {}, ['x', 'p']),
  },
}

function modelOf({ opset, dims, nodes, initializers = [], outputs }: Old): ModelProto {
  return model({
    name: 'old',
    opset,
    nodes,
    initializers,
    inputs: [value('x', 'float32', dims)],
    // The runtime tells types and shapes itself.
    outputs: (outputs ?? nodes.at(-1)!.output).map((name) =>
      create(ValueInfoProtoSchema, { name }),
    ),
  })
}

async function run(made: ModelProto, dims: readonly number[]) {
  await using session = await openSession(writeModel(made), { level: 'disabled' })
  const data = new Float32Array(dims.reduce((product, dim) => product * dim, 1))
  for (let at = 0; at < data.length; at++) data[at] = ((at * 7919) % 101) / 50 - 1
  return await session.run({ x: { type: 'float32', dims, data } })
}

for (const [what, form] of Object.entries(old)) {
  test(`upgradeOpset() keeps what is computed: ${what}`, async () => {
    const before = readModel(writeModel(modelOf(form)))
    const graph = new Graph(before)
    assert.ok(upgradeOpset(graph, form.to ?? 21) > 0 || what === 'Pow')
    graph.sort()
    const after = graph.toModel()
    verify(after)
    assert.equal(after.graph!.node.map(({ opType }) => opType).join(' '), form.becomes)
    assert.deepEqual(await run(after, form.dims), await run(before, form.dims))
  })
}

test('upgradeOpset() brings bodies along, with constants of their own', async () => {
  const inner = model({
    name: 'b',
    inputs: [],
    outputs: [value('z', 'float32', [2, 3])],
    nodes: [
      node('Unsqueeze', ['x'], ['u'], { axes: ints(0) }),
      node('ReduceSum', ['u'], ['z'], { axes: ints(0), keepdims: int(0) }),
    ],
  }).graph!
  const branch = node('If', ['yes'], ['y'])
  for (const name of ['then_branch', 'else_branch']) {
    const g = clone(GraphProtoSchema, inner)
    branch.attribute.push(create(AttributeProtoSchema, { name, g, type: attributeTypes.graph }))
  }
  const made = readModel(
    writeModel(
      modelOf({
        opset: 11,
        dims: [2, 3],
        becomes: 'If',
        nodes: [branch],
        initializers: [tensor('yes', [], new Uint8Array([1]), 'bool')],
      }),
    ),
  )
  const graph = new Graph(made)
  assert.equal(upgradeOpset(graph, 13), 4)
  const after = graph.toModel()
  verify(after)
  assert.deepEqual(await run(after, [2, 3]), await run(made, [2, 3]))
})

test('upgradeOpset() raises the IR version and frees constants that had to be inputs', () => {
  const made = modelOf(old.Pow!)
  made.irVersion = 3n
  made.graph!.input.push(value('p', 'float32', [1]))
  const graph = new Graph(made)
  upgradeOpset(graph, 21)
  assert.deepEqual([graph.irVersion, graph.inputs.length], [10, 1])
})

const refused: Record<string, [Old, number, RegExp]> = {
  'an older set': [old.Pow!, 6, /from operator set 7 to 6: sets 7 to 21 are known/],
  'a set beyond': [old.Pow!, 22, /to 22: sets 7 to 21 are known/],
  'the way back': [old.DFT!, 13, /from operator set 17 to 13: it would have to become older/],
  'a graph that is too new': [{ ...old.DFT!, opset: 22 }, 21, /its own is outside 7 to 21/],
  'normalization of each place': [
    {
      ...old['BatchNormalization with its outputs of training']!,
      nodes: one('BatchNormalization', { spatial: int(0) }, ['x', 's', 'b', 'm', 'v']),
    },
    21,
    /"BatchNormalization:y" \(BatchNormalization\): it normalizes each place by itself/,
  ],
  'a resize both ways': [
    { ...old['Resize that shrinks']!, initializers: [floats('s', 1, 1, 2, 0.5)] },
    13,
    /it shrinks one axis and stretches another/,
  ],
}
for (const [what, [form, to, expected]] of Object.entries(refused)) {
  test(`upgradeOpset() refuses ${what}`, () => {
    assert.throws(
      () => upgradeOpset(new Graph(modelOf(form)), to),
      (error) => error instanceof OnnxError && expected.test(error.message),
    )
  })
}
