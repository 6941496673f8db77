/** Nodes that change nothing go; those that only look like it stay. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { applyPass } from '../../../test/compiler/apply-pass.ts'
import { model, node, value } from '../onnx/build.ts'
import { tensor } from '../onnx/tensor.ts'
import { removeIdentities } from './remove-identities.ts'

const shape = [2, 3, 4]
const scalar = (name: string, number: number) => tensor(name, [], Float32Array.of(number))
const initializers = [
  scalar('zero', 0),
  scalar('one', 1),
  tensor('pads', [6], new BigInt64Array(6)),
  tensor('shape', [3], BigInt64Array.of(2n, 3n, 4n)),
  tensor('starts', [1], BigInt64Array.of(0n)),
  tensor('ends', [1], BigInt64Array.of(99n)),
  tensor('back', [1], BigInt64Array.of(-1n)),
  tensor('first', [1], BigInt64Array.of(-1n)),
  tensor('before', [1], BigInt64Array.of(-99n)),
  tensor('ones', [2, 3, 4], new Float32Array(24).fill(1)),
]
const through = (made: ReturnType<typeof node>) =>
  model({
    name: 'through',
    inputs: [value('x', 'float32', shape)],
    outputs: [value('y', 'float32', shape)],
    initializers: initializers.filter(({ name }) => made.input.includes(name)),
    nodes: [node('Relu', ['x'], ['a']), made, node('Neg', ['b'], ['y'])],
  })
const known = (made: ReturnType<typeof node>) => {
  const all = through(made)
  all.graph!.valueInfo = [value('a', 'float32', shape), value('b', 'float32', shape)]
  return all
}

const nothing = [
  node('Identity', ['a'], ['b']),
  node('Dropout', ['a'], ['b']),
  node('Cast', ['a'], ['b'], { to: { int: 1 } }),
  node('Transpose', ['a'], ['b'], { perm: { ints: [0, 1, 2] } }),
  node('Reshape', ['a', 'shape'], ['b']),
  node('Expand', ['a', 'shape'], ['b']),
  node('Pad', ['a', 'pads'], ['b']),
  node('Slice', ['a', 'starts', 'ends'], ['b']),
  node('Concat', ['a'], ['b'], { axis: { int: 1 } }),
  node('Sum', ['a'], ['b']),
  node('Add', ['zero', 'a'], ['b']),
  node('Sub', ['a', 'zero'], ['b']),
  node('Mul', ['a', 'ones'], ['b']),
  node('Div', ['a', 'one'], ['b']),
]
for (const made of nothing) {
  test(`${made.opType} that changes nothing goes`, async () => {
    const { operators } = await applyPass(known(made), removeIdentities)
    assert.equal(operators, 'Relu Neg')
  })
}

const something = [
  node('Sub', ['zero', 'a'], ['b']),
  node('Div', ['one', 'a'], ['b']),
  node('Add', ['a', 'one'], ['b']),
  node('Slice', ['a', 'first', 'before', 'starts', 'back'], ['b']),
]
for (const made of something) {
  test(`${made.opType} of ${made.input} stays`, async () => {
    const { changes } = await applyPass(known(made), removeIdentities)
    assert.equal(changes, 0)
  })
}

test('a sum with zeros that makes a value larger stays', async () => {
  const wide = model({
    name: 'wide',
    inputs: [value('x', 'float32', [1, 4])],
    outputs: [value('y', 'float32', [3, 4])],
    initializers: [tensor('zeros', [3, 1], new Float32Array(3))],
    nodes: [node('Relu', ['x'], ['a']), node('Add', ['a', 'zeros'], ['y'])],
  })
  assert.equal((await applyPass(wide, removeIdentities)).changes, 0)
})

test('a Dropout whose mask is read stays', async () => {
  const masked = model({
    name: 'masked',
    inputs: [value('x', 'float32', [4])],
    outputs: [value('y', 'float32', [4]), value('mask', 'bool', [4])],
    nodes: [node('Relu', ['x'], ['a']), node('Dropout', ['a'], ['y', 'mask'])],
  })
  assert.equal((await applyPass(masked, removeIdentities)).changes, 0)
})
