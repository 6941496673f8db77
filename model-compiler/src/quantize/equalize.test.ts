/** Equalizing: the same function, larger channels, nearer to float in codes; where it must keep its hands off. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { calibrate } from '../calibrate/calibrate.ts'
import { channelFigures } from '../calibrate/observe.ts'
import { samplesFrom } from '../calibrate/samples.ts'
import { model, node, value } from '../onnx/build.ts'
import type { ModelProto } from '../onnx/schema.ts'
import { tensor } from '../onnx/tensor.ts'
import { targets } from '../targets/index.ts'
import { traceChannels } from './channels.ts'
import { correctBias } from './correct-bias.ts'
import { equalize } from './equalize.ts'
import { quantize } from './quantize.ts'
import { medianSqnrDb, sqnrByValue } from './sqnr.ts'
import { toInt8 } from './to-int8.ts'

/** The same numbers each time, evenly in ±1 (Park and Miller's generator). */
function numbers(size: number, seed: number): Float32Array {
  let state = seed
  return Float32Array.from({ length: size }, () => {
    state = (state * 48271) % 2147483647
    return (state / 2147483647) * 2 - 1
  })
}
/** Weights whose output channels differ in size by powers of two. */
function uneven(name: string, dims: readonly number[], seed: number) {
  const values = numbers(
    dims.reduce((a, b) => a * b),
    seed,
  )
  const perChannel = values.length / dims[0]!
  return tensor(
    name,
    dims,
    values.map((one, i) => one / 2 ** (Math.floor(i / perChannel) % 5)),
  )
}
const channelCount = 8

/** A stem, a shuffle block (split, depthwise, concatenation, shuffle), a residual sum, a head. */
const network = model({
  name: 'shuffling',
  inputs: [value('x', 'float32', [1, 3, 12, 12])],
  outputs: [value('y', 'float32', [1, 4, 12, 12])],
  initializers: [
    ...[uneven('w1', [channelCount, 3, 3, 3], 1), uneven('b1', [channelCount], 2)],
    ...[uneven('w2', [4, 1, 3, 3], 3), uneven('w3', [4, 4, 1, 1], 4), uneven('b3', [4], 5)],
    ...[
      uneven('w4', [channelCount, channelCount, 1, 1], 6),
      uneven('w5', [4, channelCount, 1, 1], 7),
    ],
    tensor('halves', [2], BigInt64Array.of(4n, 4n)),
    tensor('apart', [5], BigInt64Array.of(1n, 2n, 4n, 12n, 12n)),
    tensor('together', [4], BigInt64Array.of(1n, 8n, 12n, 12n)),
  ],
  nodes: [
    node('Conv', ['x', 'w1', 'b1'], ['c1'], { pads: { ints: [1, 1, 1, 1] } }),
    node('LeakyRelu', ['c1'], ['r1'], { alpha: { float: 0.1 } }),
    node('Split', ['r1', 'halves'], ['left', 'right'], { axis: { int: 1 } }),
    node('Conv', ['right', 'w2'], ['c2'], { group: { int: 4 }, pads: { ints: [1, 1, 1, 1] } }),
    node('Conv', ['c2', 'w3', 'b3'], ['c3']),
    node('Relu', ['c3'], ['r3']),
    node('Concat', ['left', 'r3'], ['joined'], { axis: { int: 1 } }),
    node('Reshape', ['joined', 'apart'], ['grouped']),
    node('Transpose', ['grouped'], ['swapped'], { perm: { ints: [0, 2, 1, 3, 4] } }),
    node('Reshape', ['swapped', 'together'], ['shuffled']),
    node('Conv', ['shuffled', 'w4'], ['c4']),
    node('Add', ['c4', 'shuffled'], ['sum']),
    node('Conv', ['sum', 'w5'], ['y']),
  ],
})
const samples = samplesFrom(
  [21, 22, 23, 24].map((seed) => ({
    x: { type: 'float32', dims: [1, 3, 12, 12], data: numbers(432, seed) } as const,
  })),
)
const target = targets['linux-x64-vnni']
const nearness = async (from: ModelProto, made: ModelProto) => medianSqnrDb(from, made, samples)

test('labels find a channel again behind a split, a concatenation and a shuffle', async () => {
  const channels = (await traceChannels(network))!
  const [r1, r3, shuffled] = ['r1', 'r3', 'shuffled'].map((name) => channels.of(name)!)
  // Halves dealt like cards: left 0, r3 0, left 1, r3 1, …
  assert.deepEqual(
    shuffled!.filter((_, i) => i % 2 === 0),
    r1!.slice(0, 4),
  )
  assert.deepEqual(
    shuffled!.filter((_, i) => i % 2 === 1),
    r3,
  )
  assert.deepEqual(channels.of('c4'), shuffled, 'a sum ties its terms')
  assert.ok(
    channels.of('x')!.every((label) => channels.isFixed(label)),
    'the input is as it is',
  )
  assert.ok(
    channels.of('y')!.every((label) => channels.isFixed(label)),
    'the output is as it is',
  )
  assert.ok(!channels.isFixed(r1![4]!))
})

test('an equalized model computes the same, with channels as large as their tensor allows', async () => {
  const { model: equalized, channels } = await equalize(network, samples)
  assert.ok(channels >= 6, `${channels} channels`)
  assert.ok((await nearness(network, equalized)) > 110)
  const shareOf = async (one: ModelProto, name: string) => {
    const seen = (await channelFigures(one, [name], samples, 'largest')).get(name)!
    return Math.min(...seen) / Math.max(...seen)
  }
  assert.ok((await shareOf(network, 'right')) < 0.3)
  assert.ok((await shareOf(equalized, 'right')) > 0.9)
})

test('equalized, the codes say more', async () => {
  const chain = model({
    name: 'chain',
    inputs: [value('x', 'float32', [1, 3, 12, 12])],
    outputs: [value('y', 'float32', [1, 4, 10, 10])],
    initializers: [
      ...[uneven('w1', [channelCount, 3, 1, 1], 1), uneven('w2', [channelCount, 1, 3, 3], 2)],
      // What is small inside counts as much as what is large.
      tensor(
        'w3',
        [4, channelCount, 1, 1],
        numbers(32, 3).map((one, i) => one * 4 ** (i % 5)),
      ),
    ],
    nodes: [
      node('Conv', ['x', 'w1'], ['c1']),
      node('Relu', ['c1'], ['r1']),
      node('Conv', ['r1', 'w2'], ['c2'], { group: { int: channelCount } }),
      node('Relu', ['c2'], ['r2']),
      node('Conv', ['r2', 'w3'], ['y']),
    ],
  })
  const small = new Map<string, ModelProto>([['plain', chain]])
  small.set('equalized', (await equalize(chain, samples, { strength: 0.5 })).model)
  const found: number[] = []
  for (const one of small.values()) {
    const made = quantize(one, await calibrate(one, samples, { method: 'minmax' }), { target })
    found.push(await nearness(chain, made))
  }
  assert.ok(found[1]! > found[0]! + 1.5, `${found[0]} dB became ${found[1]} dB`)
})

test('what is clipped or seen from outside is not scaled', async () => {
  const clipping = model({
    name: 'clipping',
    inputs: [value('x', 'float32', [1, 3, 4, 4])],
    outputs: [value('y', 'float32', [1, 2, 4, 4]), value('seen', 'float32', [1, 3, 4, 4])],
    initializers: [
      uneven('w1', [3, 3, 1, 1], 1),
      uneven('w2', [3, 3, 1, 1], 2),
      uneven('w3', [2, 3, 1, 1], 3),
    ],
    nodes: [
      node('Conv', ['x', 'w1'], ['c1']),
      node('HardSigmoid', ['c1'], ['h1']),
      node('Conv', ['h1', 'w2'], ['seen']),
      node('Conv', ['seen', 'w3'], ['y']),
    ],
  })
  const some = samplesFrom([
    { x: { type: 'float32', dims: [1, 3, 4, 4], data: numbers(48, 5) } as const },
  ])
  const { model: same, channels } = await equalize(clipping, some)
  assert.equal(channels, 0)
  assert.equal(same, clipping)
})

test('without static shapes nothing is said, and nothing changed', async () => {
  const free = model({
    name: 'free',
    inputs: [value('x', 'float32', ['n', 3, 'h', 'w'])],
    outputs: [value('y', 'float32', ['n', 2, 'h', 'w'])],
    initializers: [uneven('w1', [3, 3, 1, 1], 1), uneven('w3', [2, 3, 1, 1], 3)],
    nodes: [node('Conv', ['x', 'w1'], ['c1']), node('Conv', ['c1', 'w3'], ['y'])],
  })
  assert.equal(await traceChannels(free), undefined)
  assert.equal((await equalize(free, samples)).model, free)
})

test('a corrected bias takes the mean error away, in one go nearly and in sequence wholly', async () => {
  const ranges = await calibrate(network, samples, { method: 'minmax' })
  // Few bits shift means most.
  const coarse = quantize(network, ranges, { target, weightBits: 7 })
  const errorOf = async (made: ModelProto) => {
    const [wanted, got] = [
      (await channelFigures(network, ['c3'], samples, 'mean')).get('c3')!,
      (await channelFigures(made, ['r3'], samples, 'mean')).get('r3')!,
    ]
    return Math.max(...wanted.map((one, i) => Math.abs(one - got[i]!)))
  }
  const before = await errorOf(coarse)
  const sequential = await correctBias(network, coarse, samples)
  assert.ok((await errorOf(sequential)) < before / 5, `${before} → ${await errorOf(sequential)}`)
  const steps: unknown[] = []
  const fast = await correctBias(network, coarse, samples, {
    how: 'fast',
    progress: (step) => steps.push(step),
  })
  assert.deepEqual(steps, [{ done: 1, of: 1 }])
  assert.ok((await nearness(network, fast)) > (await nearness(network, coarse)) - 0.5)
})

test('of all combinations the one nearest to the float model is taken', async () => {
  const steps: number[] = []
  const made = await toInt8(network, samples, { target, progress: ({ done }) => steps.push(done) })
  assert.equal(made.trials.length, 6)
  assert.equal(made.chosen.sqnrDb, Math.max(...made.trials.map(({ sqnrDb }) => sqnrDb)))
  assert.ok(made.chosen.strength > 0)
  assert.ok(Math.abs((await nearness(network, made.model)) - made.chosen.sqnrDb) < 1e-6)
  assert.deepEqual(steps, [1, 2, 3, 4, 5, 6, 6])
})

test('the error of each value can be told, sample by sample', async () => {
  const made = (await toInt8(network, samples, { target, strengths: [0] })).model
  const errors = await sqnrByValue(network, made, ['y', 'c4'], samples)
  assert.deepEqual(
    [...errors].map(([name, list]) => [name, list.length]),
    [
      ['y', 4],
      ['c4', 4],
    ],
  )
  assert.ok(errors.get('c4')!.every((one) => one > 20))
  const itself = await sqnrByValue(network, network, ['y'], samples)
  assert.deepEqual(itself.get('y'), [200, 200, 200, 200])
})
