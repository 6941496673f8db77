/** Equal constants become one, by value, however they are stored; unequal ones do not. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { create } from '@bufbuild/protobuf'
import { applyPass } from '../../../test/compiler/apply-pass.ts'
import { model, node, value } from '../onnx/build.ts'
import { TensorProtoSchema } from '../onnx/schema.ts'
import { tensor } from '../onnx/tensor.ts'
import { tensorTypes } from '../onnx/types.ts'
import { shareInitializers } from './share-initializers.ts'

test('constants of equal type, shape and bits become one', async () => {
  const listed = create(TensorProtoSchema, {
    name: 'listed',
    dims: [1n],
    dataType: tensorTypes.float32,
    floatData: [2],
  })
  const { graph, changes } = await applyPass(
    model({
      name: 'equal',
      inputs: [value('x', 'float32', [2])],
      outputs: [value('y', 'float32', [1, 2])],
      initializers: [
        tensor('raw', [1], Float32Array.of(2)),
        listed,
        tensor('other shape', [1, 1], Float32Array.of(2)),
        tensor('other bits', [1], Float32Array.of(-2)),
      ],
      nodes: [
        node('Mul', ['x', 'raw'], ['a']),
        node('Mul', ['a', 'listed'], ['b']),
        node('Mul', ['b', 'other shape'], ['c']),
        node('Mul', ['c', 'other bits'], ['y']),
      ],
    }),
    shareInitializers,
  )
  assert.equal(changes, 1)
  assert.deepEqual([...graph.initializers.keys()], ['raw', 'other shape', 'other bits'])
})
