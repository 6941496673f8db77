/** Transposes before arithmetic on inputs: constants turn with them; what others read stays. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { applyPass } from '../../../test/compiler/apply-pass.ts'
import { model, node, value } from '../onnx/build.ts'
import type { NodeProto } from '../onnx/schema.ts'
import { tensor } from '../onnx/tensor.ts'
import { raiseTransposes } from './raise-transposes.ts'

const of = (nodes: readonly NodeProto[], outputs: readonly string[] = ['y']) =>
  model({
    name: 'raising',
    inputs: [value('x', 'uint8', [2, 4, 5, 3])],
    outputs: outputs.map((name) => value(name, 'float32', [...'abcd'])),
    initializers: [
      tensor('mean', [3], Float32Array.of(1, 2, 3)),
      tensor('scale', [1, 1, 1, 3], Float32Array.of(0.5, 2, 3)),
      tensor('map', [5, 3], new Float32Array(15)),
      tensor('order', [3], BigInt64Array.of(2n, 1n, 0n)),
      tensor('one', [], Float32Array.of(1)),
    ].filter(({ name }) => nodes.some(({ input }) => input.includes(name))),
    nodes,
  })
const cast = node('Cast', ['x'], ['a'], { to: { int: 1 } })
const turn = (from: string, to: string) =>
  node('Transpose', [from], [to], { perm: { ints: [0, 3, 1, 2] } })

test('a Transpose moves before all arithmetic on the input, per channel too', async () => {
  const chain = [
    cast,
    node('Sub', ['a', 'mean'], ['b']),
    node('Mul', ['scale', 'b'], ['c']),
    node('Gather', ['c', 'order'], ['d'], { axis: { int: -1 } }),
    node('Sub', ['one', 'd'], ['e']),
    node('Relu', ['e'], ['f']),
    turn('f', 'y'),
  ]
  const { operators, changes } = await applyPass(of(chain), raiseTransposes)
  assert.equal(operators, 'Transpose Cast Sub Mul Gather Sub Relu')
  assert.equal(changes, 1)
})

test('it stays where somebody reads what lies between, or a constant has two axes', async () => {
  const read = [cast, node('Relu', ['a'], ['b']), turn('b', 'y')]
  assert.equal((await applyPass(of(read, ['y', 'b']), raiseTransposes)).changes, 0)
  const map = [cast, node('Sub', ['a', 'map'], ['b']), turn('b', 'y')]
  assert.equal((await applyPass(of(map), raiseTransposes)).changes, 0)
})
