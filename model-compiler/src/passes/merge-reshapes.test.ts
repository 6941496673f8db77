/** Reshapes in a row: the last one counts, as long as it says the whole shape. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { applyPass } from '../../../test/compiler/apply-pass.ts'
import { model, node, value } from '../onnx/build.ts'
import { tensor } from '../onnx/tensor.ts'
import { mergeReshapes } from './merge-reshapes.ts'
import type { Pass } from './pass.ts'
import { removeDead } from './remove-dead.ts'

const both: Pass = {
  ...mergeReshapes,
  run: async (graph) => {
    const changes = await mergeReshapes.run(graph)
    await removeDead.run(graph)
    return changes
  },
}
const ints = (name: string, ...numbers: number[]) =>
  tensor(name, [numbers.length], BigInt64Array.from(numbers, BigInt))

test('Reshape, Unsqueeze, Squeeze and Flatten in a row become one Reshape', async () => {
  const row = model({
    name: 'row',
    inputs: [value('x', 'float32', [2, 3, 4])],
    outputs: [value('y', 'float32', [6, 4])],
    initializers: [ints('six', 6, 4), ints('axis', 0)],
    nodes: [
      node('Flatten', ['x'], ['a']),
      node('Unsqueeze', ['a', 'axis'], ['b']),
      node('Squeeze', ['b', 'axis'], ['c']),
      node('Reshape', ['c', 'six'], ['y']),
    ],
  })
  assert.equal((await applyPass(row, both)).operators, 'Reshape')
})

test('a size that is taken over from before holds the Reshape before in place', async () => {
  const kept = model({
    name: 'kept',
    inputs: [value('x', 'float32', ['n', 12])],
    outputs: [value('y', 'float32', ['n', 'b', 'c'])],
    initializers: [ints('first', -1, 6), ints('second', 0, 2, 3)],
    nodes: [node('Reshape', ['x', 'first'], ['a']), node('Reshape', ['a', 'second'], ['y'])],
  })
  assert.equal((await applyPass(kept, both)).changes, 0)
})

test('a Flatten of unknown shape stays', async () => {
  const free = model({
    name: 'free',
    inputs: [value('x', 'float32', ['n', 12])],
    outputs: [value('y', 'float32', ['n', 'm'])],
    initializers: [ints('first', -1, 6, 2)],
    nodes: [node('Reshape', ['x', 'first'], ['a']), node('Flatten', ['a'], ['y'])],
  })
  assert.equal((await applyPass(free, both)).changes, 0)
})
