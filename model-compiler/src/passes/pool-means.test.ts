/** Means over whole pictures become a pool; other means stay. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { applyPass } from '../../../test/compiler/apply-pass.ts'
import { type Attribute, model, node, value } from '../onnx/build.ts'
import { tensor } from '../onnx/tensor.ts'
import { poolMeans } from './pool-means.ts'

const mean = (attributes: Record<string, Attribute>, rank = 4) =>
  model({
    name: 'mean',
    inputs: [value('x', 'float32', [2, 3, 4, 5])],
    outputs: [value('y', 'float32', [...'abcd'].slice(0, rank))],
    nodes: [node('ReduceMean', ['x'], ['y'], attributes)],
  })

test('a mean over height and width becomes GlobalAveragePool', async () => {
  for (const axes of [
    [2, 3],
    [-1, -2],
  ]) {
    const { operators } = await applyPass(mean({ axes: { ints: axes } }), poolMeans)
    assert.equal(operators, 'GlobalAveragePool')
  }
})
test('also where the axes are an input', async () => {
  const { operators } = await applyPass(
    model({
      name: 'later',
      opset: 18,
      inputs: [value('x', 'float32', [2, 3, 4, 5])],
      outputs: [value('y', 'float32', [2, 3, 1, 1])],
      initializers: [tensor('axes', [2], BigInt64Array.of(2n, 3n))],
      nodes: [node('ReduceMean', ['x', 'axes'], ['y'])],
    }),
    poolMeans,
  )
  assert.equal(operators, 'GlobalAveragePool')
})
test('a mean over other axes, or that drops them, stays', async () => {
  const keepdims = { int: 0 }
  for (const [given, rank] of [
    [mean({ axes: { ints: [1, 2] } }), 4],
    [mean({ axes: { ints: [2] } }), 4],
    [mean({}), 4],
    [mean({ axes: { ints: [2, 3] }, keepdims }, 2), 2],
  ] as const) {
    assert.equal((await applyPass(given, poolMeans)).changes, 0, `${rank}`)
  }
})
