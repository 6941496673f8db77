/** When the scales of a champion are kept, when a new epoch begins, and what a delta-aware model may lose. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Sample, samplesFrom } from '../calibrate/samples.ts'
import { Graph } from '../graph/graph.ts'
import { model, node, value } from '../onnx/build.ts'
import { OnnxError } from '../onnx/read.ts'
import type { ModelProto } from '../onnx/schema.ts'
import { tensor, valuesOf } from '../onnx/tensor.ts'
import { frozenScalesOf } from '../quantize/frozen-scales.ts'
import { medianSqnrDb } from '../quantize/sqnr.ts'
import { toInt8 } from '../quantize/to-int8.ts'
import { targets } from '../targets/index.ts'
import { type Champion, epochOf, int8Keeping } from './keep-scales.ts'
import { Workshop } from './recipes.ts'

const target = targets['linux-x64-vnni']
const wave = (size: number, by: number) =>
  Float32Array.from({ length: size }, (_, i) => Math.sin(1 + i * by))

function net(factor: number, moved: number): ModelProto {
  const weights = wave(288, 1.7).map((one, i) => one * factor + moved * Math.cos(i))
  return model({
    name: 'net',
    inputs: [value('x', 'float32', [1, 4, 8, 8])],
    outputs: [value('y', 'float32', [1, 8, 8, 8])],
    initializers: [tensor('w', [8, 4, 3, 3], weights), tensor('b', [8], wave(8, 0.9))],
    nodes: [node('Conv', ['x', 'w', 'b'], ['y'], { pads: { ints: [1, 1, 1, 1] } })],
  })
}
const x: Sample[string] = { type: 'float32', dims: [1, 4, 8, 8], data: wave(256, 0.3) }
const samples = samplesFrom([{ x }])
const own = (float: ModelProto) => toInt8(float, samples, { target, strengths: [0] })

/** The metric is how near a model is to the float one: 1 at 60 dB. */
function keep(
  float: ModelProto,
  champion: ModelProto,
  more: Partial<Champion> = {},
  seen = samples,
) {
  return int8Keeping(
    {
      model: champion,
      deltaAware: false,
      original: () => 1,
      valueOf: async (made) => Math.min(1, (await medianSqnrDb(float, made, samples)) / 60),
      ...more,
    },
    { float, reference: float, samples: seen, target, own: () => own(float) },
  )
}
const scaleOf = (made: ModelProto) => frozenScalesOf(made).weights.get('w')

test('weights that fit keep the scales of the champion and its epoch', async () => {
  const champion = (await own(net(1, 0))).model
  const { int8, scales, frozen } = await keep(net(1, 0.001), champion, { valueOf: async () => 1 })
  assert.equal(scales.kept, true)
  assert.equal(scales.epoch, 0)
  assert.deepEqual(scaleOf(int8.model), scaleOf(champion))
  assert.ok(frozen)
})

test('biases that moved by less than the output can show stay, others move', async () => {
  const champion = (await own(net(1, 0))).model
  const codesOf = (made: ModelProto) => {
    const graph = new Graph(made)
    const conv = graph.nodes.find(({ opType }) => opType === 'Conv')!
    return valuesOf(graph.constantOf(graph.producerOf(conv.input[2]!)!.input[0]!)!)
  }
  const before = codesOf(champion)
  // One bias of eight is another; samples are others too, so that corrections are.
  const float = net(1, 0)
  const bias = wave(8, 0.9)
  bias[3]! += 0.5
  const other = new Graph(float)
  other.setInitializer(tensor('b', [8], bias))
  const x: Sample[string] = { type: 'float32', dims: [1, 4, 8, 8], data: wave(256, 0.31) }
  const more = { valueOf: async () => 1 }
  const { int8 } = await keep(other.toModel(), champion, more, samplesFrom([{ x }]))
  const changed = [...codesOf(int8.model)].flatMap((code, i) => (code === before[i] ? [] : [i]))
  assert.deepEqual(changed, [3])
})

test('clipped weights begin a new epoch, which the file and the next version of it know', async () => {
  const champion = (await own(net(1, 0))).model
  const { int8, scales, frozen } = await keep(net(1.5, 0), champion)
  assert.equal(scales.kept, false)
  assert.equal(scales.epoch, 1)
  assert.match(scales.why, /of the weights are beyond the champion's codes/)
  assert.equal(frozen, undefined)
  assert.equal(epochOf(int8.model), 1)
  const third = await keep(net(1.5, 0.001), int8.model, { valueOf: async () => 1 })
  assert.deepEqual([third.scales.kept, third.scales.epoch], [true, 1])
  assert.equal(epochOf(third.int8.model), 1)
})

test('a loss of more than half a point begins a new epoch only where other scales are better', async () => {
  const champion = (await own(net(1, 0))).model
  // Weights of half the size leave half of the codes unused.
  const shrunk = await keep(net(0.1, 0), champion)
  assert.equal(shrunk.scales.kept, false)
  assert.match(shrunk.scales.why, /of the metric are lost/)
  const useless = await keep(net(1, 0), champion, { valueOf: async () => 0.5 })
  assert.equal(useless.scales.kept, true)
})

test('a delta-aware model takes the largest hysteresis that costs no more than 0.3 points', async () => {
  const champion = (await own(net(1, 0))).model
  const float = net(1, 0.004)
  const free = await keep(float, champion, { deltaAware: true, valueOf: async () => 1 })
  assert.equal(free.scales.hysteresis, 1)
  const values = [1, 0.9, 0.998]
  const careful = await keep(float, champion, {
    deltaAware: true,
    valueOf: async () => values.shift() ?? 0,
  })
  assert.equal(careful.scales.hysteresis, 0.5)
  const strict = [1, 0.9, 0.9, 0.9]
  const none = await keep(float, champion, {
    deltaAware: true,
    valueOf: async () => strict.shift() ?? 0,
  })
  assert.equal(none.scales.hysteresis, 0)
  assert.equal(none.scales.kept, true)
})

test('a champion without codes of these weights is refused', async () => {
  await assert.rejects(keep(net(1, 0), net(1, 0)), (error: Error) => {
    assert.ok(error instanceof OnnxError)
    assert.match(error.message, /name the int8 model\.onnx that runs now/)
    return true
  })
  assert.equal(new Graph(net(1, 0)).metadata('edgeloop.scaleEpoch'), undefined)
})

test('a model with successors is equalized only where it is wrong without', async () => {
  // Channels that differ a hundredfold: what equalizing is for.
  const uneven = wave(32, 0.7).map((one, i) => one * (Math.floor(i / 4) % 2 === 0 ? 1 : 0.01))
  const float = model({
    name: 'two',
    inputs: [value('x', 'float32', [1, 4, 8, 8])],
    outputs: [value('y', 'float32', [1, 4, 8, 8])],
    initializers: [tensor('w', [8, 4, 1, 1], uneven), tensor('v', [4, 8, 1, 1], wave(32, 2.3))],
    nodes: [
      node('Conv', ['x', 'w'], ['hidden']),
      node('Relu', ['hidden'], ['seen']),
      node('Conv', ['seen', 'v'], ['y']),
    ],
  })
  const strengthOf = async (more: { successors?: boolean; isRight?: () => Promise<boolean> }) => {
    const workshop = new Workshop({
      original: float,
      samples,
      first: { x },
      target,
      measureSeconds: 0.05,
      onCalibrate: () => {},
      onSearch: () => {},
      ...more,
    })
    return (await workshop.int8()).chosen.strength
  }
  assert.ok((await strengthOf({})) > 0, 'it is nearer when it is equalized')
  assert.equal(await strengthOf({ successors: true, isRight: async () => true }), 0)
  assert.ok((await strengthOf({ successors: true, isRight: async () => false })) > 0)
})
