/** Constants per channel into weights: each operator, each side, and shapes that must not fold. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { applyPass } from '../../../test/compiler/apply-pass.ts'
import { model, node, value } from '../onnx/build.ts'
import { tensor } from '../onnx/tensor.ts'
import { foldArithmetic } from './fold-arithmetic.ts'

const wave = (name: string, dims: readonly number[]) => {
  const size = dims.reduce((all, one) => all * one, 1)
  return tensor(
    name,
    dims,
    Float32Array.from({ length: size }, (_, at) => Math.sin(at * 1.7) + 1.5),
  )
}
const weights = wave('w', [3, 3, 2, 2])

const afterwards = (op: string, dims: readonly number[], first = false) =>
  model({
    name: 'after',
    inputs: [value('x', 'float32', [1, 3, 4, 4])],
    outputs: [value('y', 'float32', ['n', 'c', 'h', 'w'])],
    initializers: [weights, wave('k', dims)],
    nodes: [node('Conv', ['x', 'w'], ['a']), node(op, first ? ['k', 'a'] : ['a', 'k'], ['y'])],
  })

for (const op of ['Add', 'Sub', 'Mul', 'Div']) {
  for (const dims of [[], [1], [3, 1, 1], [1, 3, 1, 1]]) {
    test(`${op} of [${dims}] after a convolution goes into it`, async () => {
      assert.equal((await applyPass(afterwards(op, dims), foldArithmetic)).operators, 'Conv')
    })
  }
}
test('a constant minus a convolution goes into it, a constant over one does not', async () => {
  assert.equal((await applyPass(afterwards('Sub', [3, 1, 1], true), foldArithmetic)).changes, 1)
  assert.equal((await applyPass(afterwards('Div', [3, 1, 1], true), foldArithmetic)).changes, 0)
})
test('constants along another axis, or that make the value larger, stay', async () => {
  for (const dims of [[3], [3, 3, 1, 1], [1, 1, 3, 1], [1, 1, 3, 1, 1]]) {
    const graph = afterwards('Mul', dims)
    graph.graph!.output[0] = value('y', 'float32', dims.length === 5 ? [...'abcde'] : [...'abcd'])
    assert.equal((await applyPass(graph, foldArithmetic)).changes, 0, `[${dims}]`)
  }
})

const beforehand = (op: string, channels: number, pads: readonly number[]) =>
  model({
    name: 'before',
    inputs: [value('x', 'float32', [1, channels, 4, 3])],
    outputs: [value('y', 'float32', ['n', 'c', 'h', 'w'])],
    initializers: [weights, wave('k', [3, 1, 1])],
    nodes: [node(op, ['x', 'k'], ['a']), node('Conv', ['a', 'w'], ['y'], { pads: { ints: pads } })],
  })
test('arithmetic before a convolution goes into it; a shift does not pass through padding', async () => {
  const changes = async (op: string, channels: number, pad: number) =>
    (await applyPass(beforehand(op, channels, [pad, pad, pad, pad]), foldArithmetic)).changes
  assert.equal(await changes('Mul', 3, 1), 1)
  assert.equal(await changes('Sub', 3, 0), 1)
  assert.equal(await changes('Sub', 3, 1), 0)
  // One channel becomes three here.
  assert.equal(await changes('Mul', 1, 0), 0)
})
