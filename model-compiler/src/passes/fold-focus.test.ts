/** Focus: slices of every second pixel in any order become a convolution; other slices stay. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { applyPass } from '../../../test/compiler/apply-pass.ts'
import { model, node, value } from '../onnx/build.ts'
import { tensor } from '../onnx/tensor.ts'
import { inferTypes } from '../shapes/infer-types.ts'
import { foldFocus } from './fold-focus.ts'
import type { Pass } from './pass.ts'
import { removeDead } from './remove-dead.ts'

const folding: Pass = {
  ...foldFocus,
  run: async (graph) => {
    inferTypes(graph)
    const changes = await foldFocus.run(graph)
    await removeDead.run(graph)
    return changes
  },
}
const ints = (name: string, ...numbers: number[]) =>
  tensor(name, [numbers.length], BigInt64Array.from(numbers, BigInt))

const focus = (order: readonly number[], end = 99) =>
  model({
    name: 'focus',
    inputs: [value('x', 'float32', [2, 3, 8, 6])],
    outputs: [value('y', 'float32', [...'nchw'])],
    initializers: [
      ...[ints('zero', 0), ints('one', 1), ints('end', end), ints('step', 2)],
      ...[ints('rows', 2), ints('columns', 3)],
      tensor(
        'w',
        [5, 12, 3, 3],
        Float32Array.from({ length: 540 }, (_, at) => Math.sin(at)),
      ),
    ],
    nodes: [
      node('Slice', ['x', 'zero', 'end', 'rows', 'step'], ['even']),
      node('Slice', ['x', 'one', 'end', 'rows', 'step'], ['odd']),
      ...[0, 1, 2, 3].map((at) =>
        node(
          'Slice',
          [at < 2 ? 'even' : 'odd', at % 2 === 0 ? 'zero' : 'one', 'end', 'columns', 'step'],
          [`q${at}`],
        ),
      ),
      node(
        'Concat',
        order.map((at) => `q${at}`),
        ['stacked'],
        { axis: { int: 1 } },
      ),
      node('Conv', ['stacked', 'w'], ['y'], {
        pads: { ints: [1, 0, 1, 1] },
        strides: { ints: [1, 2] },
      }),
    ],
  })

test('four quarters in any order, and a convolution, become a convolution with double steps', async () => {
  for (const order of [
    [0, 1, 2, 3],
    [0, 2, 1, 3],
    [3, 3, 0, 1],
  ]) {
    assert.equal((await applyPass(focus(order), folding)).operators, 'Conv')
  }
})
test('slices that end before the picture does stay', async () => {
  const slices = 'Slice Slice Slice Slice Slice Slice Concat Conv'
  assert.equal((await applyPass(focus([0, 1, 2, 3], 6), folding)).operators, slices)
})
