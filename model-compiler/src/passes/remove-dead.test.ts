/** Dead code: whole branches go at once; what an output needs, or somebody may feed, stays. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { applyPass } from '../../../test/compiler/apply-pass.ts'
import { model, node, value } from '../onnx/build.ts'
import { tensor } from '../onnx/tensor.ts'
import { removeDead } from './remove-dead.ts'

test('a branch that no output depends on goes with its constants; an input stays', async () => {
  const { graph, operators } = await applyPass(
    model({
      name: 'dead',
      inputs: [
        value('x', 'float32', [2]),
        value('unused', 'float32', [2]),
        value('w', 'float32', [1]),
      ],
      outputs: [value('y', 'float32', [2])],
      initializers: ['used', 'lost', 'w'].map((name) => tensor(name, [1], Float32Array.of(2))),
      nodes: [
        node('Mul', ['x', 'used'], ['y']),
        node('Mul', ['y', 'lost'], ['p']),
        node('Relu', ['p'], ['q']),
      ],
    }),
    removeDead,
  )
  assert.equal(operators, 'Mul')
  assert.deepEqual([...graph.initializers.keys()], ['used', 'w'])
  assert.equal(graph.inputs.length, 3)
})
