/** Versions of one epoch: the same scales, and codes that move only where weights did. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { calibrate } from '../calibrate/calibrate.ts'
import { type Sample, samplesFrom } from '../calibrate/samples.ts'
import { Graph } from '../graph/graph.ts'
import { model, node, value } from '../onnx/build.ts'
import type { ModelProto } from '../onnx/schema.ts'
import { floatsOf, tensor } from '../onnx/tensor.ts'
import { targets } from '../targets/index.ts'
import { clippedShare, frozenScalesOf } from './frozen-scales.ts'
import { quantize } from './quantize.ts'

const target = targets['linux-x64-vnni']
const wave = (size: number, by: number) =>
  Float32Array.from({ length: size }, (_, i) => Math.sin(1 + i * by))

/** Two convolutions whose weights are `factor` times those of the champion, and moved a little. */
function net(factor: number, moved: number): ModelProto {
  const weights = (size: number, by: number) =>
    wave(size, by).map((one, i) => one * factor + moved * Math.cos(i))
  return model({
    name: 'net',
    inputs: [value('x', 'float32', [1, 4, 8, 8])],
    outputs: [value('y', 'float32', [1, 8, 8, 8])],
    initializers: [
      tensor('w1', [8, 4, 3, 3], weights(288, 1.7)),
      tensor('b1', [8], wave(8, 0.9)),
      tensor('w2', [8, 8, 1, 1], weights(64, 2.3)),
    ],
    nodes: [
      node('Conv', ['x', 'w1', 'b1'], ['a'], { pads: { ints: [1, 1, 1, 1] } }),
      node('Relu', ['a'], ['r']),
      node('Conv', ['r', 'w2'], ['y']),
    ],
  })
}
const samples = (by: number) => {
  const x: Sample[string] = { type: 'float32', dims: [1, 4, 8, 8], data: wave(256, by) }
  return samplesFrom([{ x }])
}
const codesOf = (made: ModelProto, name: string) => new Graph(made).initializers.get(name)!.rawData

test('quantize() keeps the scales of a champion, whatever the samples are now', async () => {
  const champion = quantize(
    net(1, 0),
    await calibrate(net(1, 0), samples(0.3), { method: 'minmax' }),
    { target },
  )
  const next = net(1, 0.002)
  const ranges = await calibrate(next, samples(0.7), { method: 'minmax' })
  const frozen = frozenScalesOf(champion)
  const kept = quantize(next, ranges, { target, frozen })
  const own = quantize(next, ranges, { target })
  const scalesOf = (made: ModelProto) => ({ ...frozenScalesOf(made), codes: undefined })
  assert.deepEqual(scalesOf(kept), scalesOf(champion))
  assert.notDeepEqual(scalesOf(own), scalesOf(champion))
  assert.deepEqual([...frozen.weights.keys()].toSorted(), ['b1', 'w1', 'w2'])
  const [before, after] = [codesOf(champion, 'w1_quantized'), codesOf(kept, 'w1_quantized')]
  const moved = after.filter((code, i) => code !== before[i]).length
  assert.ok(moved > 0 && moved < 0.4 * after.length, `${moved} of ${after.length} codes moved`)
  const scale = new Graph(kept).initializers.get('w1_scale')!
  assert.deepEqual(floatsOf(scale), frozen.weights.get('w1'))
})

test('with hysteresis fewer codes move, and all of them by a real step', async () => {
  const champion = quantize(
    net(1, 0),
    await calibrate(net(1, 0), samples(0.3), { method: 'minmax' }),
    { target },
  )
  const next = net(1, 0.006)
  const ranges = await calibrate(next, samples(0.3), { method: 'minmax' })
  const frozen = frozenScalesOf(champion)
  const before = codesOf(champion, 'w1_quantized')
  const moved = [0, 0.25, 0.5, 1].map((hysteresis) => {
    const made = quantize(next, ranges, { target, frozen: { ...frozen, hysteresis } })
    return codesOf(made, 'w1_quantized').filter((code, i) => code !== before[i]).length
  })
  assert.ok(moved[0]! > moved[1]! && moved[1]! > moved[2]! && moved[2]! > moved[3]!, `${moved}`)
})

test('clippedShare() says how much of new weights is beyond the old scales', async () => {
  const champion = quantize(
    net(1, 0),
    await calibrate(net(1, 0), samples(0.3), { method: 'minmax' }),
    { target },
  )
  const frozen = frozenScalesOf(champion)
  assert.equal(clippedShare(net(1, 0), frozen), 0)
  assert.equal(clippedShare(net(0.5, 0), frozen), 0)
  const share = clippedShare(net(1.5, 0), frozen)
  assert.ok(share > 0.2 && share < 0.8, `${share}`)
})
