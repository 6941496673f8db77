/** Gradients of what moves elements. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { checkGradient } from '../../../../../test/training/check-gradient.ts'
import { checkOperator, ints, randomTensor } from '../../../../../test/training/operator-net.ts'
import { model, node, value } from '../../../onnx/build.ts'
import { tensor } from '../../../onnx/tensor.ts'

const shape = [4, 4, 6]

test('Reshape, Flatten, Squeeze and Unsqueeze', async () => {
  for (const target of [[0, -1], [2, 4, 24], [0, 2, 2, 4, 6], [-1]]) {
    await checkOperator({
      op: 'Reshape',
      shape,
      inputs: ['x', 's'],
      constants: [ints('s', ...target)],
    })
  }
  for (const axis of [0, 1, 2, -1]) {
    await checkOperator({ op: 'Flatten', shape, attributes: { axis: { int: axis } } })
  }
  await checkOperator({
    op: 'Squeeze',
    shape: [4, 1, 1],
    inputs: ['x', 'a'],
    constants: [ints('a', 2, 3)],
  })
  await checkOperator({ op: 'Squeeze', shape: [4, 1, 1] })
  await checkOperator({ op: 'Unsqueeze', shape, inputs: ['x', 'a'], constants: [ints('a', 1, -1)] })
})
test('Transpose in any order', async () => {
  for (const perm of [
    [0, 2, 3, 1],
    [1, 0, 2, 3],
    [3, 2, 1, 0],
    [0, 1, 3, 2],
  ]) {
    await checkOperator({ op: 'Transpose', shape, attributes: { perm: { ints: perm } } })
  }
  await checkOperator({ op: 'Transpose', shape })
})
test('Concat along any axis, also of a value with itself and with a constant', async () => {
  for (const axis of [1, 2, -1]) {
    const dims = [2, 4, 4, 6].with(axis, 2)
    await checkOperator({
      op: 'Concat',
      shape,
      inputs: ['x', 'k', 'x'],
      attributes: { axis: { int: axis } },
      constants: [randomTensor('k', dims, 2)],
    })
  }
})
test('Split into even parts, given parts, and with a part that nobody reads', async () => {
  const outputs = ['a', 'b']
  await checkOperator({
    op: 'Split',
    shape,
    outputs,
    attributes: { axis: { int: 1 }, num_outputs: { int: 2 } },
  })
  await checkOperator({
    op: 'Split',
    shape,
    outputs,
    inputs: ['x', 's'],
    attributes: { axis: { int: -1 } },
    constants: [ints('s', 1, 5)],
  })
  const net = model({
    name: 'split',
    inputs: [value('x', 'float32', ['n', 4, 2, 2])],
    outputs: [value('y', 'float32', ['n', 2, 2, 2])],
    initializers: [randomTensor('w', [4, 4, 1, 1], 2)],
    nodes: [
      node('Conv', ['x', 'w'], ['c']),
      node('Split', ['c'], ['a', 'b'], { axis: { int: 1 } }),
      node('Relu', ['b'], ['y']),
    ],
  })
  await checkGradient(net)
})
test('Slice with steps, from the end, backwards, and beyond the ends', async () => {
  for (const [starts, ends, axes, steps] of [
    [[1], [3], [1], [1]],
    [
      [0, 0],
      [4, 6],
      [2, 3],
      [2, 2],
    ],
    [
      [1, 1],
      [4, 6],
      [2, 3],
      [2, 3],
    ],
    [[-2], [100], [3], [1]],
    [[-1], [-100], [3], [-1]],
    [[5], [0], [3], [-2]],
    [
      [3, 1],
      [0, -1],
      [1, 2],
      [-2, 1],
    ],
    [[1], [2 ** 62], [1], [3]],
  ] as const) {
    await checkOperator({
      op: 'Slice',
      shape,
      inputs: ['x', 'starts', 'ends', 'axes', 'steps'],
      constants: [
        ints('starts', ...starts),
        ints('ends', ...ends),
        ints('axes', ...axes),
        ints('steps', ...steps),
      ],
    })
  }
})
test('Pad by a number, by the edge, mirrored and around; less than nothing cuts', async () => {
  const pads = ints('pads', 0, 0, 1, 2, 0, 0, 2, 1)
  const constants = [pads, tensor('k', [], Float32Array.of(0.7))]
  await checkOperator({ op: 'Pad', shape, inputs: ['x', 'pads', 'k'], constants })
  for (const mode of ['edge', 'reflect', 'wrap']) {
    const attributes = { mode: { string: mode } }
    await checkOperator({ op: 'Pad', shape, inputs: ['x', 'pads'], constants, attributes })
  }
  const cut = [ints('pads', 0, 1, -1, 1, 0, 0, 1, -2)]
  await checkOperator({ op: 'Pad', shape, inputs: ['x', 'pads'], constants: cut })
  const some = [ints('pads', 1, 2), ints('axes', -1)]
  await checkOperator({ op: 'Pad', shape, inputs: ['x', 'pads', '', 'axes'], constants: some })
})
test('Gather by one index, by a list, by an order, and from a table', async () => {
  const one = tensor('i', [], BigInt64Array.of(-2n))
  const table = tensor('i', [2, 2], BigInt64Array.of(1n, 0n, 3n, 1n))
  for (const indices of [one, ints('i', 2), ints('i', 0, 2, 2, -1), ints('i', 3, 1, 0, 2), table]) {
    for (const axis of [1, 2]) {
      const attributes = { axis: { int: axis } }
      await checkOperator({
        op: 'Gather',
        shape,
        inputs: ['x', 'i'],
        constants: [indices],
        attributes,
      })
    }
  }
})
test('Gather from so long an axis that no matrix is written for it', async () => {
  const indices = Array.from({ length: 300 }, (_, at) => (at * 37) % 250)
  const attributes = { axis: { int: 1 } }
  await checkOperator({
    op: 'Gather',
    shape: [300],
    inputs: ['x', 'i'],
    constants: [ints('i', ...indices)],
    attributes,
  })
})
test('DepthToSpace in both orders, SpaceToDepth, Expand', async () => {
  for (const mode of ['DCR', 'CRD']) {
    const attributes = { blocksize: { int: 2 }, mode: { string: mode } }
    await checkOperator({ op: 'DepthToSpace', shape: [8, 2, 3], attributes })
  }
  await checkOperator({ op: 'SpaceToDepth', shape, attributes: { blocksize: { int: 2 } } })
  await checkOperator({
    op: 'Expand',
    shape: [4, 1, 6],
    inputs: ['x', 's'],
    constants: [ints('s', 2, 4, 3, 6)],
  })
})
test('channels that are shuffled through groups are picked in one step', async () => {
  const net = model({
    name: 'shuffle',
    inputs: [value('x', 'float32', ['n', 6, 2, 2])],
    outputs: [value('y', 'float32', ['n', 6, 2, 2])],
    initializers: [
      randomTensor('w', [6, 6, 1, 1], 2),
      ints('apart', 0, 2, 3, 2, 2),
      ints('together', 0, -1, 2, 2),
    ],
    nodes: [
      node('Conv', ['x', 'w'], ['c']),
      node('Reshape', ['c', 'apart'], ['a']),
      node('Transpose', ['a'], ['t'], { perm: { ints: [0, 2, 1, 3, 4] } }),
      node('Reshape', ['t', 'together'], ['y']),
    ],
  })
  const { step } = await checkGradient(net)
  assert.ok(step.model.graph!.node.some(({ opType }) => opType === 'Gather'))
})
