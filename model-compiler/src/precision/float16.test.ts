/** Half precision: the interface stays, the middle is halved, and what does not fit is named and left alone. */
import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { create } from '@bufbuild/protobuf'
import { material, needs } from '../../../test/require.ts'
import { Graph } from '../graph/graph.ts'
import { model, node, value } from '../onnx/build.ts'
import { OnnxError, readModel } from '../onnx/read.ts'
import { AttributeProtoSchema, type ModelProto } from '../onnx/schema.ts'
import { tensor } from '../onnx/tensor.ts'
import { attributeTypes, tensorTypes } from '../onnx/types.ts'
import { writeModel } from '../onnx/write.ts'
import { differences, randomFeeds, sequence } from '../passes/equivalence.ts'
import { openSession } from '../runtime/session.ts'
import { outOfFloat16, toFloat16 } from './float16.ts'

const seed = 7
const some = (name: string, dims: number[], times = 1) => {
  const next = sequence(seed + name.length)
  const size = dims.reduce((product, dim) => product * dim, 1)
  return tensor(
    name,
    dims,
    Float32Array.from({ length: size }, () => (next() - 0.5) * times),
  )
}

/** Two convolutions with all sorts of things between them; `seen` is an output in the middle. */
const network = () =>
  model({
    name: 'halved',
    opset: 13,
    inputs: [value('x', 'float32', [1, 3, 8, 8]), value('k', 'int64', [1])],
    outputs: [
      ...[value('y', 'float32', [1, 4, 16, 16]), value('seen', 'float32', [1, 4, 8, 8])],
      value('size', 'int64', [4]),
    ],
    initializers: [
      ...[some('w', [4, 3, 3, 3]), some('b', [4]), some('w2', [4, 4, 1, 1])],
      ...[
        tensor('scales', [4], Float32Array.of(1, 1, 2, 2)),
        tensor('low', [], Float32Array.of(0)),
      ],
      tensor('high', [], Float32Array.of(3.4e38)),
    ],
    nodes: [
      node('Conv', ['x', 'w', 'b'], ['seen'], { pads: { ints: [1, 1, 1, 1] } }),
      node('Clip', ['seen', 'low', 'high'], ['clipped']),
      node('Resize', ['clipped', '', 'scales'], ['large']),
      node('Cast', ['k'], ['factor'], { to: { int: tensorTypes.float32 } }),
      node('Mul', ['large', 'factor'], ['more']),
      node('Conv', ['more', 'w2'], ['y']),
      node('Shape', ['y'], ['size']),
    ],
  })
const typesIn = ({ graph }: ModelProto) =>
  Object.fromEntries(graph!.initializer.map(({ name, dataType }) => [name, dataType]))
const operatorsIn = ({ graph }: ModelProto) => graph!.node.map(({ opType }) => opType)

async function largestDifference(before: ModelProto, after: ModelProto): Promise<number> {
  await using session = await openSession(writeModel(before))
  const feeds = randomFeeds(session.inputs, seed)
  const found = await differences(before, after, feeds)
  return Math.max(...found.map(({ relative }) => relative))
}

test('the graph keeps its inputs and outputs, weights are halves, and it computes nearly the same', async () => {
  const before = network()
  const after = toFloat16(before)
  assert.deepEqual(after.graph!.input, before.graph!.input)
  assert.deepEqual(after.graph!.output, before.graph!.output)
  const types = typesIn(after)
  for (const name of ['w', 'b', 'w2']) {
    assert.equal(types[`${name}_float16`], tensorTypes.float16)
    assert.equal(types[name], undefined)
  }
  assert.equal(types.scales, tensorTypes.float32, 'Resize takes its scales in float32 only')
  // In and out, the output in the middle, and the one that was there.
  assert.equal(operatorsIn(after).filter((one) => one === 'Cast').length, 4)
  const difference = await largestDifference(before, after)
  assert.ok(difference > 0 && difference < 0.005, `seed ${seed}: ${difference}`)
})

test('what is kept, what is out of range and what knows float32 alone stays, with a Cast on either side', async () => {
  const kept = toFloat16(network(), { keepFloat: new Set(['more']) })
  assert.equal(operatorsIn(kept).filter((one) => one === 'Cast').length, 7)
  assert.ok((await largestDifference(network(), kept)) < 0.005)

  const ranged = toFloat16(network(), { ranges: new Map([['more', { min: -1, max: 70_000 }]]) })
  assert.equal(typesIn(ranged).w2, tensorTypes.float32)
  assert.ok((await largestDifference(network(), ranged)) < 0.005)

  const loud = network()
  loud.graph!.initializer[2] = some('w2', [4, 4, 1, 1], 1e6)
  assert.equal(typesIn(toFloat16(loud)).w2, tensorTypes.float32)
  assert.ok((await largestDifference(loud, toFloat16(loud))) < 0.005)
  const found = outOfFloat16(new Graph(loud), new Map([['seen', { min: -1e6, max: 0 }]]))
  assert.deepEqual(
    found.map((one) => one.value),
    ['w2', 'seen'],
  )
  assert.equal(found[1]!.largest, 1e6)
})

test('an operator with a body stays, and reads what it read under the same name', async () => {
  const before = network()
  const body = model({
    name: 'body',
    inputs: [],
    outputs: [value('doubled', 'float32', [1, 4, 16, 16])],
    nodes: [node('Add', ['y', 'y'], ['doubled'])],
  }).graph!
  const branch = node('If', ['yes'], ['z'])
  branch.attribute = ['then_branch', 'else_branch'].map((name) =>
    create(AttributeProtoSchema, { name, type: attributeTypes.graph, g: body }),
  )
  before.graph!.node.push(branch)
  before.graph!.initializer.push(tensor('yes', [], Uint8Array.of(1), 'bool'))
  before.graph!.output.push(value('z', 'float32', [1, 4, 16, 16]))
  assert.ok((await largestDifference(before, toFloat16(before))) < 0.005)
})

test('a model without anything to halve is refused', () => {
  const bytes = model({
    name: 'integers',
    inputs: [value('x', 'int64', [1])],
    outputs: [value('y', 'int64', [1])],
    nodes: [node('Add', ['x', 'x'], ['y'])],
  })
  assert.throws(
    () => toFloat16(bytes),
    (error) => error instanceof OnnxError && /no operator/.test(error.message),
  )
})

test('real models run in half precision', needs('material'), async (t) => {
  for (const name of ['ultraface_slim_320', 'mnist-8_cntk']) {
    const before = readModel(await readFile(join(material, 'models', `${name}.onnx`)))
    const after = toFloat16(before)
    const difference = await largestDifference(before, after)
    t.diagnostic(`${name}: ${difference}`)
    assert.ok(difference < 0.01, `seed ${seed}: ${difference}`)
  }
})
