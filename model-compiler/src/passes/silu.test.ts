/** SiLU in its other forms becomes the one that the runtime fuses. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { applyPass } from '../../../test/compiler/apply-pass.ts'
import { model, node, value } from '../onnx/build.ts'
import { tensor } from '../onnx/tensor.ts'
import { silu } from './silu.ts'

const quotient = (one: number) =>
  model({
    name: 'quotient',
    inputs: [value('x', 'float32', [5])],
    outputs: [value('y', 'float32', [5])],
    initializers: [tensor('one', [1], Float32Array.of(one))],
    nodes: [
      node('Neg', ['x'], ['a']),
      node('Exp', ['a'], ['b']),
      node('Add', ['one', 'b'], ['c']),
      node('Div', ['x', 'c'], ['y']),
    ],
  })

test('x / (1 + exp(−x)) becomes x · Sigmoid(x)', async () => {
  assert.match((await applyPass(quotient(1), silu)).operators, /Sigmoid Mul$/)
})
test('x / (2 + exp(−x)) stays', async () => {
  assert.equal((await applyPass(quotient(2), silu)).changes, 0)
})
test('Swish becomes x · Sigmoid(x), with another factor it stays', async () => {
  const swish = (alpha: number) =>
    model({
      name: 'swish',
      opset: 24,
      inputs: [value('x', 'float32', [5])],
      outputs: [value('y', 'float32', [5])],
      nodes: [node('Swish', ['x'], ['y'], { alpha: { float: alpha } })],
    })
  assert.equal((await applyPass(swish(1), silu)).operators, 'Sigmoid Mul')
  assert.equal((await applyPass(swish(2), silu)).changes, 0)
})
