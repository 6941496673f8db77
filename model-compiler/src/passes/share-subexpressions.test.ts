/** Equal computations become one; random ones, Q and DQ, and outputs of the graph stay. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { applyPass } from '../../../test/compiler/apply-pass.ts'
import { model, node, value } from '../onnx/build.ts'
import { tensor } from '../onnx/tensor.ts'
import { shareSubexpressions } from './share-subexpressions.ts'

test('a chain that is computed twice is computed once', async () => {
  const { operators, changes } = await applyPass(
    model({
      name: 'twice',
      inputs: [value('x', 'float32', [1, 4])],
      outputs: [value('y', 'float32', [1, 8]), value('z', 'float32', [1, 4])],
      nodes: [
        node('Relu', ['x'], ['a']),
        node('Relu', ['x'], ['b']),
        node('LeakyRelu', ['a'], ['c'], { alpha: { float: 0.5 } }),
        node('LeakyRelu', ['b'], ['d'], { alpha: { float: 0.5 } }),
        node('LeakyRelu', ['b'], ['z'], { alpha: { float: 0.25 } }),
        node('Concat', ['c', 'd'], ['y'], { axis: { int: 1 } }),
      ],
    }),
    shareSubexpressions,
  )
  assert.equal(changes, 2)
  assert.equal(operators, 'Relu LeakyRelu LeakyRelu Concat')
})

test('DequantizeLinear, random numbers and outputs of the graph stay apart', async () => {
  const { changes } = await applyPass(
    model({
      name: 'apart',
      inputs: [value('x', 'uint8', [4])],
      outputs: ['y', 'z'].map((name) => value(name, 'float32', [4])),
      initializers: [tensor('s', [], Float32Array.of(0.5))],
      nodes: [
        node('DequantizeLinear', ['x', 's'], ['a']),
        node('DequantizeLinear', ['x', 's'], ['b']),
        node('Add', ['a', 'b'], ['y']),
        node('Add', ['a', 'b'], ['z']),
      ],
    }),
    shareSubexpressions,
  )
  assert.equal(changes, 0)
})
