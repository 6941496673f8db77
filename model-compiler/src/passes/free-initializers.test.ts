/** Constants of old models are constants alone afterwards; those of newer ones may be replaced by a caller. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { applyPass } from '../../../test/compiler/apply-pass.ts'
import { model, node, value } from '../onnx/build.ts'
import { tensor } from '../onnx/tensor.ts'
import { freeInitializers } from './free-initializers.ts'

const listed = () =>
  model({
    name: 'listed',
    opset: 8,
    inputs: [value('x', 'float32', [2]), value('w', 'float32', [1])],
    outputs: [value('y', 'float32', [2])],
    initializers: [tensor('w', [1], Float32Array.of(2))],
    nodes: [node('Mul', ['x', 'w'], ['y'])],
  })

test('a model before IR 4 no longer lists its constants as inputs', async () => {
  const { graph } = await applyPass({ ...listed(), irVersion: 3n }, freeInitializers)
  assert.deepEqual(
    graph.inputs.map(({ name }) => name),
    ['x'],
  )
  assert.equal(graph.irVersion, 4)
})

test('from IR 4 on, what is listed can be replaced, and stays listed', async () => {
  assert.equal((await applyPass(listed(), freeInitializers)).changes, 0)
})
