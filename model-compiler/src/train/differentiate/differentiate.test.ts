/** A model becomes a training step whose gradients are right. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { checkGradient } from '../../../../test/training/check-gradient.ts'
import { model, node, value } from '../../onnx/build.ts'
import { tensor } from '../../onnx/tensor.ts'
import { sequence } from '../../passes/equivalence.ts'

const random = (seed: number) => {
  const next = sequence(seed)
  return (name: string, dims: readonly number[], scale = 1) => {
    const count = dims.reduce((a, b) => a * b, 1)
    return tensor(
      name,
      dims,
      Float32Array.from({ length: count }, () => (next() * 2 - 1) * scale),
    )
  }
}

test('a small convolutional net: every gradient agrees with differences in doubles', async () => {
  const weights = random(3)
  const net = model({
    name: 'net',
    inputs: [value('x', 'float32', ['n', 1, 10, 10])],
    outputs: [value('y', 'float32', ['n', 5])],
    initializers: [
      weights('conv1.w', [4, 1, 3, 3]),
      weights('conv1.b', [4]),
      weights('conv2.w', [6, 4, 3, 3], 0.5),
      weights('conv2.b', [6]),
      weights('fc.w', [5, 24], 0.3),
      weights('fc.b', [5]),
    ],
    nodes: [
      node('Conv', ['x', 'conv1.w', 'conv1.b'], ['a'], { pads: { ints: [1, 1, 1, 1] } }),
      node('Relu', ['a'], ['b']),
      node('MaxPool', ['b'], ['c'], { kernel_shape: { ints: [2, 2] }, strides: { ints: [2, 2] } }),
      node('Conv', ['c', 'conv2.w', 'conv2.b'], ['d'], { strides: { ints: [2, 2] } }),
      node('Relu', ['d'], ['e']),
      node('Flatten', ['e'], ['f']),
      node('Gemm', ['f', 'fc.w', 'fc.b'], ['y'], { transB: { int: 1 } }),
    ],
  })
  const { step } = await checkGradient(net)
  assert.deepEqual(
    step.parameters.map(({ name, offset, channelAxis }) => [name, offset, channelAxis]),
    [
      ['conv1.w', 0, 0],
      ['conv1.b', 36, 0],
      ['conv2.w', 40, 0],
      ['conv2.b', 256, 0],
      ['fc.w', 262, 0],
      ['fc.b', 382, 0],
    ],
  )
})
