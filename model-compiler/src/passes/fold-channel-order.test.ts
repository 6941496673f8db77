/** Reordered channels go into weights; where not all go on, or groups divide them, they stay. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { applyPass } from '../../../test/compiler/apply-pass.ts'
import { model, node, value } from '../onnx/build.ts'
import { tensor } from '../onnx/tensor.ts'
import { foldChannelOrder } from './fold-channel-order.ts'

const ordered = (order: readonly number[], group = 1) => {
  const channels = order.length
  const weights = Float32Array.from({ length: (6 * channels * 4) / group }, (_, at) => Math.sin(at))
  const made = model({
    name: 'ordered',
    inputs: [value('x', 'float32', [1, 3, 4, 5])],
    outputs: [value('y', 'float32', ['n', 'c', 'h', 'w'])],
    initializers: [
      tensor('order', [channels], BigInt64Array.from(order, BigInt)),
      tensor('w', [6, channels / group, 2, 2], weights),
    ],
    nodes: [
      node('Relu', ['x'], ['r']),
      node('Gather', ['r', 'order'], ['a'], { axis: { int: 1 } }),
      node('Conv', ['a', 'w'], ['y'], { group: { int: group }, pads: { ints: [1, 0, 0, 1] } }),
    ],
  })
  made.graph!.valueInfo = [value('r', 'float32', [1, 3, 4, 5])]
  return made
}

test('channels in another order go into the weights of the convolution', async () => {
  for (const order of [
    [2, 1, 0],
    [1, 2, 0],
    [-1, 0, 1],
  ]) {
    assert.equal((await applyPass(ordered(order), foldChannelOrder)).operators, 'Relu Conv')
  }
})
test('a choice of channels, or a convolution in groups, stays', async () => {
  assert.equal((await applyPass(ordered([2, 0]), foldChannelOrder)).changes, 0)
  assert.equal((await applyPass(ordered([0, 0, 1]), foldChannelOrder)).changes, 0)
  assert.equal((await applyPass(ordered([2, 1, 0], 3), foldChannelOrder)).changes, 0)
})
