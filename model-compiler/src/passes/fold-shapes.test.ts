/** Shapes that are known become constants; those with a free dimension do not. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { applyPass } from '../../../test/compiler/apply-pass.ts'
import { model, node, value } from '../onnx/build.ts'
import { valuesOf } from '../onnx/tensor.ts'
import { foldShapes } from './fold-shapes.ts'

test('Shape and Size of a known shape become constants, also a part of a shape', async () => {
  const { graph, operators } = await applyPass(
    model({
      name: 'known',
      inputs: [value('x', 'float32', [2, 3, 4]), value('free', 'float32', ['n', 3])],
      outputs: ['a', 'b', 'c', 'd'].map((name) => value(name, 'int64', name === 'c' ? [] : ['n'])),
      nodes: [
        node('Shape', ['x'], ['whole']),
        node('Shape', ['x'], ['part'], { start: { int: -2 }, end: { int: 9 } }),
        node('Size', ['x'], ['size']),
        node('Shape', ['free'], ['unknown']),
        ...['whole', 'part', 'size', 'unknown'].map((from, at) =>
          node('Identity', [from], ['abcd'[at]!]),
        ),
      ],
    }),
    foldShapes,
  )
  assert.equal(operators, 'Shape Identity Identity Identity Identity')
  assert.deepEqual(valuesOf(graph.initializers.get('part')!), BigInt64Array.of(3n, 4n))
  assert.deepEqual(valuesOf(graph.initializers.get('size')!), BigInt64Array.of(24n))
})
