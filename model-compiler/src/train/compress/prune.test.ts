/** Pruning: what is taken out is the weakest, what stays computes as before, and nobody else notices. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { buildNet } from '../../builders/index.ts'
import { Graph } from '../../graph/graph.ts'
import { verify } from '../../graph/verify.ts'
import { model, node, value } from '../../onnx/build.ts'
import type { ModelProto } from '../../onnx/schema.ts'
import { floatsOf, tensor } from '../../onnx/tensor.ts'
import { writeModel } from '../../onnx/write.ts'
import { sequence } from '../../passes/equivalence.ts'
import { openSession } from '../../runtime/session.ts'
import { inferTypes } from '../../shapes/infer-types.ts'
import { pruneChannels, pruneWeights } from './prune.ts'

const seed = 5

/** Two convolutions with BatchNorm and a depthwise one between; every second channel of 16 does nothing. */
function net(dead: (channel: number) => boolean): ModelProto {
  const next = sequence(seed)
  const random = (count: number) => Float32Array.from({ length: count }, () => next() * 2 - 1)
  const silent = (values: Float32Array, each: number) =>
    values.map((one, at) => (dead(Math.floor(at / each)) ? 0 : one))
  const ones = new Float32Array(16).fill(1)
  return model({
    name: 'net',
    inputs: [value('x', 'float32', [1, 3, 8, 8])],
    outputs: [value('y', 'float32', [1, 4, 8, 8])],
    initializers: [
      tensor('w1', [16, 3, 3, 3], silent(random(16 * 27), 27)),
      tensor('b1', [16], silent(random(16), 1)),
      tensor(
        'scale',
        [16],
        random(16).map((one) => one + 2),
      ),
      tensor('shift', [16], silent(random(16), 1)),
      ...[tensor('mean', [16], new Float32Array(16)), tensor('variance', [16], ones)],
      tensor('w2', [16, 1, 3, 3], random(16 * 9)),
      tensor(
        'w3',
        [4, 16, 1, 1],
        random(64).map((one, at) => (dead(at % 16) ? 0 : one)),
      ),
    ],
    nodes: [
      node('Conv', ['x', 'w1', 'b1'], ['a'], { pads: { ints: [1, 1, 1, 1] } }),
      node('BatchNormalization', ['a', 'scale', 'shift', 'mean', 'variance'], ['n']),
      node('Relu', ['n'], ['r']),
      node('Conv', ['r', 'w2'], ['d'], { group: { int: 16 }, pads: { ints: [1, 1, 1, 1] } }),
      node('Conv', ['d', 'w3'], ['y']),
    ],
  })
}

async function answer(of: ModelProto): Promise<Float32Array> {
  await using session = await openSession(writeModel(of))
  const next = sequence(seed + 1)
  const data = Float32Array.from({ length: 192 }, () => next() * 2 - 1)
  const { y } = await session.run({ x: { type: 'float32', dims: [1, 3, 8, 8], data } })
  return y!.data as Float32Array
}

test('channels that do nothing go first, and the model computes what it did', async () => {
  const before = net((channel) => channel % 2 === 1)
  const { model: pruned, removed, of } = pruneChannels(before, { share: 0.5 })
  assert.deepEqual([removed, of], [8, 16])
  const graph = new Graph(pruned)
  assert.deepEqual(graph.constantOf('w2')!.dims.map(Number), [8, 1, 3, 3])
  assert.deepEqual(graph.constantOf('variance')!.dims.map(Number), [8])
  const [wanted, made] = [await answer(before), await answer(pruned)]
  const apart = Math.max(...wanted.map((one, at) => Math.abs(one - made[at]!)))
  assert.ok(apart < 1e-5, `seed ${seed}: ${apart}`)
})

test('what stays is a multiple of eight, and never nothing', () => {
  assert.equal(
    pruneChannels(
      net(() => false),
      { share: 0.3 },
    ).removed,
    0,
  )
  assert.equal(
    pruneChannels(
      net(() => false),
      { share: 0.95 },
    ).removed,
    8,
  )
  assert.equal(
    pruneChannels(
      net(() => false),
      { share: 0.3, multiple: 1 },
    ).removed,
    4,
  )
})

test('a MobileNetV2 loses half of what its blocks widen to, and is still whole', () => {
  const made = buildNet('mobilenet-v2', {
    classes: 4,
    channels: 3,
    height: 32,
    width: 32,
    scale: 0.5,
    seed: 1,
  })
  const { model: pruned, removed, of } = pruneChannels(made, { share: 0.5 })
  assert.ok(removed > 0.4 * of, `${removed} of ${of}`)
  verify(pruned)
  const graph = new Graph(pruned)
  assert.deepEqual(inferTypes(graph).faults, [])
  const size = (one: ModelProto) => writeModel(one).length
  assert.ok(size(pruned) < 0.75 * size(made))
})

test('single weights: the smallest become zero, and the masks say which stay', () => {
  const {
    model: pruned,
    removed,
    of,
    masks,
  } = pruneWeights(
    net(() => false),
    { share: 0.6 },
  )
  assert.ok(Math.abs(removed / of - 0.6) < 0.01)
  const graph = new Graph(pruned)
  let largestGone = 0
  let smallestLeft = Infinity
  const before = new Graph(net(() => false))
  for (const [name, mask] of masks) {
    const [was, is] = [floatsOf(before.constantOf(name)!), floatsOf(graph.constantOf(name)!)]
    for (const [at, stays] of mask.entries()) {
      assert.equal(is[at], stays ? was[at] : 0)
      if (stays) smallestLeft = Math.min(smallestLeft, Math.abs(was[at]!))
      else largestGone = Math.max(largestGone, Math.abs(was[at]!))
    }
  }
  assert.ok(largestGone < smallestLeft)
})

test('a share that is none, and a model with nothing to take out, are refused', () => {
  assert.throws(
    () =>
      pruneChannels(
        net(() => false),
        { share: 1 },
      ),
    /a share of 1: it is from 0 to 0\.95/,
  )
  const alone = model({
    name: 'alone',
    inputs: [value('x', 'float32', [1, 3, 8, 8])],
    outputs: [value('y', 'float32', [1, 2, 8, 8])],
    initializers: [tensor('w', [2, 3, 1, 1], new Float32Array(6).fill(1))],
    nodes: [node('Conv', ['x', 'w'], ['y'])],
  })
  assert.throws(
    () => pruneChannels(alone, { share: 0.5 }),
    /no value lies between two convolutions/,
  )
})
