/** Bytes in place of floats: the same results, and in a quantized model the bytes are the first codes. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { calibrate } from '../calibrate/calibrate.ts'
import { samplesFrom } from '../calibrate/samples.ts'
import { Graph } from '../graph/graph.ts'
import { type Attribute, model, node, value } from '../onnx/build.ts'
import { OnnxError } from '../onnx/read.ts'
import type { ModelProto } from '../onnx/schema.ts'
import { tensor } from '../onnx/tensor.ts'
import { writeModel } from '../onnx/write.ts'
import { quantize } from '../quantize/quantize.ts'
import { toInt8 } from '../quantize/to-int8.ts'
import { openSession, type Value } from '../runtime/session.ts'
import { inferTypes } from '../shapes/infer-types.ts'
import { targets } from '../targets/index.ts'
import { difference, sequence } from './equivalence.ts'
import { feedBytes } from './feed-bytes.ts'
import { foldPreprocessing, type Preprocessing, rangesOfBytes } from './fold-preprocessing.ts'
import { quantizedPasses } from './index.ts'
import { optimize } from './optimize.ts'

const [height, width] = [7, 6]
const next = sequence(5)
const random = (name: string, dims: readonly number[]) => {
  const length = dims.reduce((all, one) => all * one, 1)
  return tensor(
    name,
    dims,
    Float32Array.from({ length }, () => next() - 0.5),
  )
}
const bytes = Uint8Array.from({ length: height * width * 3 }, () => Math.floor(next() * 256))

/** A small network that takes floats as planes, or as pixels. */
function network(layout: 'nchw' | 'nhwc', pad: number): ModelProto {
  const attributes: Record<string, Attribute> = { pads: { ints: [pad, pad, pad, pad] } }
  const shape = layout === 'nchw' ? ['n', 3, height, width] : ['n', height, width, 3]
  return model({
    name: layout,
    inputs: [value('image', 'float32', shape)],
    outputs: [value('y', 'float32', ['n', 4, 'h', 'w'])],
    initializers: [random('w', [6, 3, 3, 3]), random('b', [6]), random('v', [4, 6, 1, 1])],
    nodes: [
      ...(layout === 'nchw'
        ? []
        : [node('Transpose', ['image'], ['planes'], { perm: { ints: [0, 3, 1, 2] } })]),
      node('Conv', [layout === 'nchw' ? 'image' : 'planes', 'w', 'b'], ['a'], attributes),
      node('Relu', ['a'], ['r']),
      node('Conv', ['r', 'v'], ['y']),
    ],
  })
}

/** The bytes as the network was fed with them so far. */
function floatsFor(layout: 'nchw' | 'nhwc', { mean, std, reversed }: Preprocessing): Value {
  const pixels = height * width
  const data = new Float32Array(pixels * 3)
  for (let at = 0; at < pixels; at++) {
    for (let channel = 0; channel < 3; channel++) {
      const byte = bytes[at * 3 + (reversed ? 2 - channel : channel)]!
      const to = layout === 'nchw' ? channel * pixels + at : at * 3 + channel
      data[to] = (byte - mean[channel]!) / std[channel]!
    }
  }
  const dims = layout === 'nchw' ? [1, 3, height, width] : [1, height, width, 3]
  return { type: 'float32', dims, data }
}
const picture: Value = { type: 'uint8', dims: [1, height, width, 3], data: bytes }

async function run(given: ModelProto, image: Value): Promise<Value> {
  await using session = await openSession(writeModel(given))
  return (await session.run({ image })).y!
}

const asBytes = { mean: [0, 0, 0], std: [1, 1, 1] } as const
const asImageNet = { mean: [103.53, 116.28, 123.675], std: [57.375, 57.12, 58.395] } as const
const asSigned = { mean: [127, 127, 127], std: [128, 128, 128] } as const
type Case = {
  readonly how: Preprocessing
  readonly layout: 'nchw' | 'nhwc'
  readonly pad: number
  /** Of the float graph: everything else went into weights. */
  readonly left: string
}
const cases: Record<string, Case> = {
  'bytes as they are': { how: asBytes, layout: 'nchw', pad: 1, left: 'Transpose Cast' },
  'a mean that padding keeps out of the weights': {
    how: asImageNet,
    layout: 'nchw',
    pad: 1,
    left: 'Transpose Cast Sub',
  },
  'a mean that goes into the bias': {
    how: asImageNet,
    layout: 'nchw',
    pad: 0,
    left: 'Transpose Cast',
  },
  'red and blue the other way around': {
    how: { ...asImageNet, reversed: true },
    layout: 'nchw',
    pad: 1,
    left: 'Transpose Cast Sub',
  },
  'pixels, one mean': { how: asSigned, layout: 'nhwc', pad: 1, left: 'Transpose Cast Sub' },
  'pixels, a mean per channel': {
    how: { ...asImageNet, reversed: true },
    layout: 'nhwc',
    pad: 1,
    left: 'Transpose Cast Sub',
  },
}
for (const [what, { how, layout, pad, left }] of Object.entries(cases)) {
  test(`a model takes bytes: ${what}`, async () => {
    const original = network(layout, pad)
    const graph = new Graph(original)
    assert.equal(await foldPreprocessing(how).run(graph), 1)
    await optimize(graph)
    const expected = await run(original, floatsFor(layout, how))
    const { relative } = difference('y', expected, await run(graph.toModel(), picture))
    assert.ok(relative < 1e-5, `${relative}`)
    const operators = graph.nodes.map(({ opType }) => opType).join(' ')
    assert.equal(operators, `${left} Conv Relu Conv`)
    assert.equal(await foldPreprocessing(how).run(graph), 0)
  })
}

for (const [what, how] of Object.entries({ asBytes, asSigned })) {
  test(`the bytes are the first quantized tensor, ${what}`, async () => {
    const graph = new Graph(network('nchw', 1))
    await foldPreprocessing(how).run(graph)
    await optimize(graph)
    inferTypes(graph)
    const float = graph.toModel()
    const samples = samplesFrom([{ image: picture }])
    // Calibration has not seen every byte; that there are 256 of them is known without it.
    const ranges = new Map([
      ...(await calibrate(float, samples, { method: 'minmax' })),
      ...rangesOfBytes(graph),
    ])
    const codes = quantize(float, ranges, { target: targets['linux-x64-vnni'] })
    const fed = new Graph(codes)
    inferTypes(fed)
    const [bytesFed] = (await optimize(fed, { passes: quantizedPasses })).filter(
      ({ pass }) => pass === feedBytes.name,
    )
    assert.equal(bytesFed?.changes, 1)
    const operators = fed.nodes.map(({ opType }) => opType)
    assert.equal(operators.includes('Cast'), false, operators.join(' '))
    const before = await run(codes, picture)
    const after = await run(fed.toModel(), picture)
    assert.deepEqual(after.data, before.data)
    const expected = await run(float, picture)
    assert.ok(difference('y', expected, after).relative < 0.1)
  })
}

test('an int8 model of one that takes bytes reads them as codes, and is as near as before', async () => {
  const graph = new Graph(network('nchw', 1))
  await foldPreprocessing(asSigned).run(graph)
  await optimize(graph)
  const float = graph.toModel()
  const samples = samplesFrom([{ image: picture }])
  const { model: codes } = await toInt8(float, samples, { target: targets['linux-x64-vnni'] })
  assert.equal(codes.graph!.node[1]?.opType, 'DequantizeLinear')
  const expected = await run(float, picture)
  assert.ok(difference('y', expected, await run(codes, picture)).relative < 0.1)
})

test('with a mean that is no whole number the bytes are not the codes, and the arithmetic stays', async () => {
  const graph = new Graph(network('nchw', 1))
  await foldPreprocessing({ mean: [127.5, 127.5, 127.5], std: [127.5, 127.5, 127.5] }).run(graph)
  await optimize(graph)
  inferTypes(graph)
  const float = graph.toModel()
  const samples = samplesFrom([{ image: picture }])
  const ranges = await calibrate(float, samples, { method: 'minmax' })
  for (const [name, range] of rangesOfBytes(graph)) ranges.set(name, range)
  const fed = new Graph(quantize(float, ranges, { target: targets['linux-x64-vnni'] }))
  inferTypes(fed)
  assert.equal(await feedBytes.run(fed), 0)
})

test('what cannot be fed with bytes is refused by name', async () => {
  const twice = network('nchw', 1)
  twice.graph!.input.push(value('other', 'float32', [1]))
  const flat = model({
    name: 'flat',
    inputs: [value('image', 'float32', [1, 10])],
    outputs: [value('y', 'float32', [1, 10])],
    nodes: [node('Relu', ['image'], ['y'])],
  })
  for (const [given, how, why] of [
    [twice, asBytes, /2 inputs \(image, other\); say which one/],
    [flat, asBytes, /input "image": it is not \[N, 3, height, width\]/],
    [network('nchw', 1), { ...asBytes, input: 'images' }, /has no such input/],
    [network('nchw', 1), { ...asBytes, std: [1, 0, 1] as const }, /std 1, 0, 1 has to be above 0/],
  ] as const) {
    await assert.rejects(
      async () => await foldPreprocessing(how).run(new Graph(given)),
      (error) => error instanceof OnnxError && why.test(error.message),
    )
  }
})
