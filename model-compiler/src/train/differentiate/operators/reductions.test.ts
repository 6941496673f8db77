/** Gradients of sums, means and extremes. */
import { test } from 'node:test'
import { checkOperator, ints } from '../../../../../test/training/operator-net.ts'

const shape = [3, 4, 5]

for (const op of [
  'ReduceSum',
  'ReduceMean',
  'ReduceMax',
  'ReduceMin',
  'ReduceSumSquare',
  'ReduceL2',
  'ReduceL1',
]) {
  test(`${op} over some axes or all, keeping them or not`, async () => {
    const all = [[2, 3], [1], [-1], [0], [1, 2, 3]]
    for (const axes of op === 'ReduceMean' ? all : all.slice(0, 2)) {
      for (const keep of [0, 1]) {
        await checkOperator(
          {
            op,
            shape,
            inputs: ['x', 'axes'],
            attributes: { keepdims: { int: keep } },
            constants: [ints('axes', ...axes)],
          },
          { tried: 6 },
        )
      }
    }
    await checkOperator({ op, shape, attributes: { keepdims: { int: 0 } } }, { tried: 6 })
  })
}
test('axes as an attribute, as older models say them', async () => {
  const attributes = { axes: { ints: [2, 3] }, keepdims: { int: 0 } }
  await checkOperator({ op: 'ReduceMean', shape, opset: 13, attributes })
})
