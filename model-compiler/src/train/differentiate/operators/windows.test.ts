/** Operators with windows, and BatchNorm, as nodes of a model. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { runStep } from '../../../../../test/training/check-gradient.ts'
import { model, node, value } from '../../../onnx/build.ts'
import { tensor } from '../../../onnx/tensor.ts'
import { writeModel } from '../../../onnx/write.ts'
import { openSession } from '../../../runtime/session.ts'
import { differentiate } from '../differentiate.ts'

let state = 5
const random = () => {
  state = (state * 48271) % 2147483647
  return (state / 2147483647) * 2 - 1
}
const weights = (name: string, dims: readonly number[]) =>
  tensor(name, dims, Float32Array.from({ length: dims.reduce((a, b) => a * b, 1) }, random))

/** Everything of this folder behind each other, with the padding left to the runtime in places. */
const net = model({
  name: 'windows',
  inputs: [value('x', 'float32', ['n', 3, 20, 18])],
  outputs: [value('y', 'float32', ['n', 4, 1, 1])],
  initializers: [
    weights('w1', [6, 3, 5, 5]),
    ...[weights('scale', [6]), weights('shift', [6]), weights('mean', [6])],
    tensor(
      'variance',
      [6],
      Float32Array.from({ length: 6 }, () => 1 + random() / 2),
    ),
    ...[weights('w2', [6, 1, 3, 3]), weights('b2', [6]), weights('w3', [8, 3, 3, 3])],
    ...[weights('w4', [8, 4, 2, 2]), weights('b4', [4]), weights('w5', [4, 4, 1, 1])],
  ],
  nodes: [
    node('Conv', ['x', 'w1'], ['a'], {
      auto_pad: { string: 'SAME_LOWER' },
      strides: { ints: [2, 2] },
    }),
    node('BatchNormalization', ['a', 'scale', 'shift', 'mean', 'variance'], ['b']),
    node('MaxPool', ['b'], ['c'], {
      kernel_shape: { ints: [3, 3] },
      strides: { ints: [2, 2] },
      ceil_mode: { int: 1 },
    }),
    node('Conv', ['c', 'w2', 'b2'], ['d'], {
      group: { int: 6 },
      auto_pad: { string: 'SAME_UPPER' },
    }),
    node('Conv', ['d', 'w3'], ['e'], { group: { int: 2 }, pads: { ints: [1, 1, 1, 1] } }),
    node('ConvTranspose', ['e', 'w4', 'b4'], ['f'], { strides: { ints: [2, 2] } }),
    node('AveragePool', ['f'], ['g'], {
      kernel_shape: { ints: [3, 2] },
      strides: { ints: [2, 2] },
      pads: { ints: [1, 0, 1, 0] },
    }),
    node('Conv', ['g', 'w5'], ['h']),
    node('GlobalAveragePool', ['h'], ['y']),
  ],
})
const x = {
  type: 'float32',
  dims: [2, 3, 20, 18],
  data: Float32Array.from({ length: 2160 }, random),
} as const

const stepOf = (batchNorm: 'train' | 'frozen') =>
  differentiate(net, {
    batch: 2,
    trainable: () => true,
    batchNorm,
    values: ['y'],
    loss: (tape, { y }) => ({ total: tape.reduceMean(tape.mul(y!, y!)) }),
  })

test('with frozen figures the step computes what the model does', async () => {
  await using session = await openSession(writeModel(net))
  const { y } = await session.run({ x })
  const step = stepOf('frozen')
  const { outputs } = await runStep(step, { x })
  assert.equal(step.state.length, 0)
  const found = outputs[step.outputs.values.y!]!.data as Float32Array
  for (const [at, one] of (y!.data as Float32Array).entries()) {
    assert.ok(Math.abs(found[at]! - one) < 1e-5, `${found[at]} is not ${one}`)
  }
})

for (const batchNorm of ['frozen', 'train'] as const) {
  test(`a step against the gradient moves the loss as the gradient says (${batchNorm})`, async () => {
    const step = stepOf(batchNorm)
    const { gradient } = await runStep(step, { x })
    const { parameters } = step.initial
    const square = gradient.reduce((sum, one) => sum + one * one, 0)
    // Along the gradient the loss changes by its length for each unit; both sides, so that its bend cancels.
    const by = 1e-3 / Math.sqrt(square)
    const lossAt = async (sign: number) =>
      (
        await runStep(
          step,
          { x },
          parameters.map((one, at) => one + sign * by * gradient[at]!),
        )
      ).loss
    const slope = ((await lossAt(1)) - (await lossAt(-1))) / (2 * by)
    assert.ok(Math.abs(slope / square - 1) < 5e-3, `${slope} is not ${square}`)
  })
}

test('in training BatchNorm gives the figures of the batch', async () => {
  const step = stepOf('train')
  assert.deepEqual(
    step.state.map(({ name, elements, momentum }) => [name, elements, Number(momentum.toFixed(3))]),
    [
      ['mean', 6, 0.9],
      ['variance', 6, 0.9],
    ],
  )
})
