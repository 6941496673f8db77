/** Constant nodes: every kind of number becomes an initializer, what is an output stays a node. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { create } from '@bufbuild/protobuf'
import { applyPass } from '../../../test/compiler/apply-pass.ts'
import { model, node, value } from '../onnx/build.ts'
import { TensorProtoSchema } from '../onnx/schema.ts'
import { tensor, valuesOf } from '../onnx/tensor.ts'
import { listConstants } from './list-constants.ts'

test('Constant nodes become initializers of the same name, whatever attribute holds the number', async () => {
  const { graph, changes } = await applyPass(
    model({
      name: 'constants',
      inputs: [value('x', 'float32', [2])],
      outputs: [value('y', 'float32', [2]), value('kept', 'float32', [])],
      nodes: [
        node('Constant', [], ['two'], { value: { tensor: tensor('', [1], Float32Array.of(2)) } }),
        node('Constant', [], ['three'], { value_float: { float: 3 } }),
        node('Constant', [], ['pair'], { value_floats: { floats: [1, 5] } }),
        node('Constant', [], ['shape'], { value_ints: { ints: [2] } }),
        node('Constant', [], ['kept'], { value_float: { float: 9 } }),
        node('Mul', ['x', 'two'], ['a']),
        node('Add', ['a', 'three'], ['b']),
        node('Add', ['b', 'pair'], ['c']),
        node('Reshape', ['c', 'shape'], ['y']),
      ],
    }),
    listConstants,
  )
  assert.equal(changes, 4)
  assert.deepEqual(valuesOf(graph.initializers.get('pair')!), Float32Array.of(1, 5))
  assert.deepEqual(valuesOf(graph.initializers.get('shape')!), BigInt64Array.of(2n))
  assert.equal(graph.producerOf('kept')?.opType, 'Constant')
})

test('a Constant that keeps its numbers as a list of floats is read as well as one that keeps bytes', async () => {
  const two = create(TensorProtoSchema, { dims: [1n], dataType: 1, floatData: [2] })
  const { graph } = await applyPass(
    model({
      name: 'listed',
      inputs: [value('x', 'float32', [2])],
      outputs: [value('y', 'float32', [2])],
      nodes: [
        node('Constant', [], ['two'], { value: { tensor: two } }),
        node('Mul', ['x', 'two'], ['y']),
      ],
    }),
    listConstants,
  )
  assert.deepEqual(valuesOf(graph.initializers.get('two')!), Float32Array.of(2))
})

test('before IR 4, where an initializer has to be an input, Constant nodes stay', async () => {
  const old = model({
    name: 'old',
    opset: 8,
    inputs: [value('x', 'float32', [2])],
    outputs: [value('y', 'float32', [2])],
    nodes: [
      node('Constant', [], ['two'], { value: { tensor: tensor('', [1], Float32Array.of(2)) } }),
      node('Mul', ['x', 'two'], ['y']),
    ],
  })
  old.irVersion = 3n
  assert.equal((await applyPass(old, listConstants)).changes, 0)
})
