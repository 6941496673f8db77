/** Transposes before arithmetic on inputs: constants turn with them; what others read stays. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { applyPass } from '../../../test/compiler/apply-pass.ts'
import { model, node, value } from '../onnx/build.ts'
import type { NodeProto } from '../onnx/schema.ts'
import { tensor } from '../onnx/tensor.ts'
import { inferTypes } from '../shapes/infer-types.ts'
import type { Pass } from './pass.ts'
import { raiseTransposes } from './raise-transposes.ts'

/** The pass asks for ranks. */
const raising: Pass = {
  ...raiseTransposes,
  run: (graph) => {
    inferTypes(graph)
    return raiseTransposes.run(graph)
  },
}

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
  const { operators, changes } = await applyPass(of(chain), raising)
  assert.equal(operators, 'Transpose Cast Sub Mul Gather Sub Relu')
  assert.equal(changes, 1)
})

test('it stays where somebody reads what lies between, or a constant has two axes', async () => {
  const read = [cast, node('Relu', ['a'], ['b']), turn('b', 'y')]
  assert.equal((await applyPass(of(read, ['y', 'b']), raising)).changes, 0)
  const map = [cast, node('Sub', ['a', 'map'], ['b']), turn('b', 'y')]
  assert.equal((await applyPass(of(map), raising)).changes, 0)
})

test('it moves before a normalization too, where values are read twice and axes are named', async () => {
  const region = [
    cast,
    node('Split', ['a'], ['r', 'g', 'b'], { axis: { int: 3 } }),
    node('Concat', ['b', 'g', 'r'], ['c'], { axis: { int: -1 } }),
    node('ReduceMean', ['c'], ['m'], { axes: { ints: [1, 2] } }),
    node('Sub', ['c', 'm'], ['d']),
    node('Mul', ['d', 'd'], ['e']),
    node('ReduceMean', ['e'], ['v'], { axes: { ints: [-1, 1, 2] } }),
    node('Add', ['v', 'one'], ['w']),
    node('Sqrt', ['w'], ['s']),
    node('Div', ['d', 's'], ['n']),
    node('Mul', ['n', 'scale'], ['o']),
    turn('o', 'y'),
  ]
  const { operators, changes } = await applyPass(of(region), raising)
  assert.equal(changes, 1)
  assert.match(operators, /^Transpose Cast Split Concat/)
  assert.ok(!operators.slice(1).includes('Transpose'))
})
