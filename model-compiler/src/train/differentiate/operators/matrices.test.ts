/** Gradients of matrix products. */
import { test } from 'node:test'
import { checkOperator, randomTensor } from '../../../../../test/training/operator-net.ts'

test('Gemm, turned either way, with factors and with a bias of any shape', async () => {
  for (const transB of [0, 1]) {
    for (const bias of [[], [4], [1, 4], [2, 1], [2, 4]]) {
      const constants = [randomTensor('w', transB ? [4, 3] : [3, 4], 1), randomTensor('b', bias, 2)]
      const attributes = {
        transB: { int: transB },
        alpha: { float: 0.5 },
        beta: { float: bias.length === 1 ? 1 : 2 },
      }
      await checkOperator({
        op: 'Gemm',
        shape: [3],
        inputs: ['x', 'w', 'b'],
        constants,
        attributes,
      })
    }
  }
})
test('Gemm with the batch turned', async () => {
  for (const transB of [0, 1]) {
    const constants = [randomTensor('w', transB ? [4, 2] : [2, 4], 1)]
    const attributes = { transA: { int: 1 }, transB: { int: transB } }
    await checkOperator({ op: 'Gemm', shape: [3], inputs: ['x', 'w'], constants, attributes })
  }
})
test('MatMul of matrices, of stacks of them, and of vectors, stretched to each other', async () => {
  for (const [shape, dims] of [
    [[3], [3, 4]],
    [
      [5, 3],
      [3, 4],
    ],
    [
      [2, 5, 3],
      [3, 4],
    ],
    [
      [2, 5, 3],
      [2, 3, 4],
    ],
    [
      [2, 5, 3],
      [2, 2, 3, 4],
    ],
    [
      [5, 3],
      [4, 1, 3, 2],
    ],
    [[5, 3], [3]],
  ] as const) {
    const constants = [randomTensor('w', dims, 1)]
    await checkOperator({ op: 'MatMul', shape, inputs: ['x', 'w'], constants })
  }
  const constants = [randomTensor('w', [4, 5], 1)]
  await checkOperator({ op: 'MatMul', shape: [3, 5, 2], inputs: ['w', 'x'], constants })
  await checkOperator({ op: 'MatMul', shape: [2, 3, 3], inputs: ['x', 'x'] })
})
