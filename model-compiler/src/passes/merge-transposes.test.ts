/** Transposes: joined in a row, carried behind elementwise operators, gathered behind a sum. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { applyPass } from '../../../test/compiler/apply-pass.ts'
import { model, node, value } from '../onnx/build.ts'
import type { NodeProto } from '../onnx/schema.ts'
import { tensor } from '../onnx/tensor.ts'
import { mergeTransposes } from './merge-transposes.ts'
import type { Pass } from './pass.ts'
import { removeDead } from './remove-dead.ts'
import { removeIdentities } from './remove-identities.ts'

const all: Pass = {
  ...mergeTransposes,
  run: async (graph) => {
    let changes = 0
    for (const pass of [mergeTransposes, removeIdentities, removeDead]) {
      changes += await pass.run(graph)
    }
    return changes
  },
}
const turn = (from: string, to: string, ...perm: number[]) =>
  node('Transpose', [from], [to], { perm: { ints: perm } })
const of = (nodes: readonly NodeProto[], outputs: readonly string[] = ['y']) =>
  model({
    name: 'turning',
    inputs: ['x', 'z'].map((name) => value(name, 'float32', [2, 3, 4])),
    outputs: outputs.map((name) => value(name, 'float32', ['a', 'b', 'c'])),
    initializers: [
      tensor('two', [1], Float32Array.of(2)),
      tensor('four', [4], Float32Array.of(1, 2, 3, 4)),
    ],
    nodes: [...nodes, node('Neg', ['z'], ['unread'])],
  })
const operators = async (...given: Parameters<typeof of>) =>
  (await applyPass(of(...given), all)).operators

test('Transposes in a row become one, and none where the second undoes the first', async () => {
  assert.equal(await operators([turn('x', 'a', 1, 2, 0), turn('a', 'y', 1, 0, 2)]), 'Transpose')
  const undone = [turn('x', 'a', 1, 2, 0), turn('a', 'b', 2, 0, 1), node('Relu', ['b'], ['y'])]
  assert.equal(await operators(undone), 'Relu')
  // Without `perm` the axes are reversed, which takes a known rank.
  const reversed = of([node('Transpose', ['x'], ['a']), node('Transpose', ['a'], ['y'])])
  reversed.graph!.valueInfo = [value('a', 'float32', [4, 3, 2])]
  assert.equal((await applyPass(reversed, all)).operators, 'Transpose')
})

test('a Transpose is carried behind elementwise operators to one that undoes it', async () => {
  const chain = [
    turn('x', 'a', 0, 2, 1),
    node('Relu', ['a'], ['b']),
    node('Mul', ['two', 'b'], ['c']),
    node('Mul', ['c', 'c'], ['d']),
    turn('d', 'y', 0, 2, 1),
  ]
  assert.equal(await operators(chain), 'Relu Mul Mul')
  const other = [...chain.slice(0, -1), turn('d', 'y', 1, 0, 2)]
  assert.equal(await operators(other), 'Relu Mul Mul Transpose')
})

test('it stays where a constant belongs to an axis, or somebody reads what lies between', async () => {
  const axis = [turn('x', 'a', 2, 1, 0), node('Mul', ['a', 'k'], ['b']), turn('b', 'y', 2, 1, 0)]
  const given = of(axis)
  given.graph!.initializer.push(tensor('k', [2], Float32Array.of(1, 2)))
  assert.equal((await applyPass(given, all)).operators, 'Transpose Mul Transpose')
  const read = [turn('x', 'a', 0, 2, 1), node('Relu', ['a'], ['b']), turn('b', 'y', 0, 2, 1)]
  assert.equal(await operators(read, ['y', 'b']), 'Transpose Relu Transpose')
})

test('a sum of values that were transposed alike is transposed once', async () => {
  const sum = [turn('x', 'a', 0, 2, 1), turn('z', 'b', 0, 2, 1), node('Add', ['a', 'b'], ['y'])]
  assert.equal(await operators(sum), 'Add Transpose')
  const other = [turn('x', 'a', 0, 2, 1), turn('q', 'b', 2, 0, 1), node('Add', ['a', 'b'], ['y'])]
  const given = of(other)
  given.graph!.input.push(value('q', 'float32', [4, 3, 2]))
  assert.equal((await applyPass(given, all)).operators, 'Transpose Transpose Add')
})
