/** Shapes that are known become constants; those with a free dimension do not. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { applyPass } from '../../../test/compiler/apply-pass.ts'
import { model, node, value } from '../onnx/build.ts'
import { valuesOf } from '../onnx/tensor.ts'
import { foldShapes } from './fold-shapes.ts'

test('Shape of a known shape becomes a constant, also a part of a shape', async () => {
  const { graph, operators } = await applyPass(
    model({
      name: 'known',
      inputs: [value('x', 'float32', [2, 3, 4]), value('free', 'float32', ['n', 3])],
      outputs: ['a', 'b', 'c'].map((name) => value(name, 'int64', ['n'])),
      nodes: [
        node('Shape', ['x'], ['whole']),
        node('Shape', ['x'], ['part'], { start: { int: -2 }, end: { int: 9 } }),
        node('Shape', ['free'], ['unknown']),
        ...['whole', 'part', 'unknown'].map((from, at) => node('Identity', [from], ['abc'[at]!])),
      ],
    }),
    foldShapes,
  )
  assert.equal(operators, 'Shape Identity Identity Identity')
  assert.deepEqual(valuesOf(graph.initializers.get('part')!), BigInt64Array.of(3n, 4n))
})
