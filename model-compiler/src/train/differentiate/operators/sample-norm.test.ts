/** Gradients of what normalizes within a sample. */
import { test } from 'node:test'
import { checkOperator, randomTensor } from '../../../../../test/training/operator-net.ts'

test('LayerNormalization over one axis or several, with and without a bias', async () => {
  for (const [axis, dims] of [
    [-1, [5]],
    [2, [4, 5]],
    [1, [3, 4, 5]],
  ] as const) {
    const constants = [randomTensor('g', dims, 1), randomTensor('b', dims, 2)]
    const attributes = { axis: { int: axis } }
    const shape = [3, 4, 5]
    for (const inputs of [
      ['x', 'g', 'b'],
      ['x', 'g'],
    ]) {
      await checkOperator({ op: 'LayerNormalization', shape, inputs, constants, attributes })
    }
  }
})
test('InstanceNormalization', async () => {
  const constants = [randomTensor('g', [3], 1), randomTensor('b', [3], 2)]
  const inputs = ['x', 'g', 'b']
  await checkOperator({ op: 'InstanceNormalization', shape: [3, 4, 5], inputs, constants })
})
