/** Filling up channels: what the graph computes stays, and only what nobody reads is added. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { applyPass, nodeOf } from '../../../test/compiler/apply-pass.ts'
import { calibrate } from '../calibrate/calibrate.ts'
import { samplesFrom } from '../calibrate/samples.ts'
import { checkFusion } from '../fusion/check-fusion.ts'
import { Graph } from '../graph/graph.ts'
import { model, node, value } from '../onnx/build.ts'
import type { ModelProto } from '../onnx/schema.ts'
import { tensor, valuesOf } from '../onnx/tensor.ts'
import { inBlocks } from '../quantize/in-blocks.ts'
import { quantize } from '../quantize/quantize.ts'
import { medianSqnrDb } from '../quantize/sqnr.ts'
import { inferTypes } from '../shapes/infer-types.ts'
import { targets } from '../targets/index.ts'
import { alignChannels } from './align-channels.ts'
import type { Pass } from './pass.ts'
import { removeDead } from './remove-dead.ts'

const filling: Pass = {
  ...alignChannels({ input: 4, depthwise: 16 }),
  run: async (graph) => {
    inferTypes(graph)
    const changes = await alignChannels({ input: 4, depthwise: 16 }).run(graph)
    await removeDead.run(graph)
    return changes
  },
}

const weights = (name: string, ...dims: number[]) =>
  tensor(
    name,
    dims,
    Float32Array.from(
      { length: dims.reduce((a, b) => a * b, 1) },
      (_, at) => Math.sin(at * 1.7) / 3,
    ),
  )

/** A picture, a convolution, one of each channel by itself, and a last one; `between` goes on with what the first made. */
function net({ colours = 3, channels = 10, between = 'LeakyRelu', seen = false } = {}): ModelProto {
  return model({
    name: 'net',
    inputs: [value('x', 'float32', [1, colours, 9, 7])],
    outputs: [
      value('y', 'float32', [1, 5, 9, 7]),
      ...(seen ? [value('a', 'float32', [1, channels, 9, 7])] : []),
    ],
    initializers: [
      ...[weights('w1', channels, colours, 3, 3), weights('b1', channels)],
      ...[
        weights('w2', channels, 1, 3, 3),
        weights('b2', channels),
        weights('w3', 5, channels, 1, 1),
      ],
    ],
    nodes: [
      node('Conv', ['x', 'w1', 'b1'], ['a'], { pads: { ints: [1, 1, 1, 1] } }),
      node(between, ['a'], ['r']),
      node('Conv', ['r', 'w2', 'b2'], ['d'], {
        group: { int: channels },
        pads: { ints: [1, 1, 1, 1] },
      }),
      node('Conv', ['d', 'w3'], ['y']),
    ],
  })
}

const dimsOf = (graph: Graph, at: number) =>
  graph
    .constantOf(graph.nodes.filter(({ opType }) => opType === 'Conv')[at]!.input[1])!
    .dims.map(Number)

test('three colours get a fourth of zeros, and what lies between two convolutions whole blocks', async () => {
  const { graph, changes } = await applyPass(net(), filling)
  assert.equal(changes, 2)
  assert.deepEqual(
    [0, 1, 2].map((at) => dimsOf(graph, at)),
    [
      [16, 4, 3, 3],
      [16, 1, 3, 3],
      [5, 16, 1, 1],
    ],
  )
  const filled = valuesOf(graph.constantOf(nodeOf(graph, 'Conv').input[1])!) as Float32Array
  // The tenth output is the last that means something, and the fourth colour means nothing.
  assert.ok(filled.subarray(10 * 36).every((one) => one === 0))
  assert.ok(filled.subarray(27, 36).every((one) => one === 0))
})

test('blocks that are whole stay as they are', async () => {
  const { changes } = await applyPass(net({ colours: 4, channels: 16 }), filling)
  assert.equal(changes, 0)
})

test('what somebody else reads, or what mixes channels, keeps its size', async () => {
  const seen = await applyPass(net({ seen: true }), filling)
  assert.deepEqual(dimsOf(seen.graph, 0), [10, 4, 3, 3])
  const mixed = await applyPass(net({ between: 'LogSoftmax' }), filling)
  assert.deepEqual(dimsOf(mixed.graph, 0), [10, 4, 3, 3])
})

test('a net that would mostly compute zeros keeps its size', async () => {
  const { graph } = await applyPass(net({ channels: 4 }), filling)
  assert.deepEqual(dimsOf(graph, 1), [4, 1, 3, 3])
})

test('as codes, every convolution still fuses, with the same noise, and the fourth colour is filled in as codes', async () => {
  const target = targets['linux-x64-vnni']
  const plain = net()
  const data = Float32Array.from({ length: 3 * 63 }, (_, at) => Math.cos(at))
  const samples = samplesFrom([{ x: { type: 'float32', dims: [1, 3, 9, 7], data } }])
  const [narrow, wide] = await Promise.all(
    [plain, await inBlocks(plain, target)].map(async (float) =>
      quantize(float, await calibrate(float, samples, { method: 'minmax' }), { target }),
    ),
  )
  const { fused, unfused } = await checkFusion(wide!, target)
  assert.deepEqual([fused, unfused], [3, []])
  const noise = await Promise.all(
    [narrow!, wide!].map((codes) => medianSqnrDb(plain, codes, samples)),
  )
  assert.ok(Math.abs(noise[0]! - noise[1]!) < 0.01, noise.join(' and '))
  const graph = new Graph(wide!)
  const first = graph.producerOf(nodeOf(graph, 'Concat').input[0]!)
  assert.equal(first?.opType, 'QuantizeLinear')
})
