/** What is trained with fake quantization is what the compiler makes of it, to the code, before a step and after some. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { calibrate } from '../../calibrate/calibrate.ts'
import { samplesFrom } from '../../calibrate/samples.ts'
import { model, node, value } from '../../onnx/build.ts'
import type { ModelProto } from '../../onnx/schema.ts'
import { tensor } from '../../onnx/tensor.ts'
import { writeModel } from '../../onnx/write.ts'
import { sequence } from '../../passes/equivalence.ts'
import { quantize } from '../../quantize/quantize.ts'
import { openSession, type Value } from '../../runtime/session.ts'
import { targets } from '../../targets/index.ts'
import { differentiate, type Step } from '../differentiate/differentiate.ts'
import { fakeQuantization } from './fake-quantization.ts'

const seed = 11
const target = targets['linux-x64-vnni']
const batch = 4

function net(): ModelProto {
  const next = sequence(seed)
  const random = (name: string, dims: readonly number[], scale: number) =>
    tensor(
      name,
      dims,
      Float32Array.from(
        { length: dims.reduce((a, b) => a * b, 1) },
        () => (next() * 2 - 1) * scale,
      ),
    )
  return model({
    name: 'net',
    inputs: [value('x', 'float32', ['n', 3, 12, 12])],
    outputs: [value('y', 'float32', ['n', 5])],
    initializers: [
      ...[random('w1', [8, 3, 3, 3], 0.4), random('b1', [8], 0.2)],
      ...[random('w2', [8, 1, 3, 3], 0.5), random('b2', [8], 0.2)],
      ...[random('w3', [6, 8, 1, 1], 0.6), random('fc.w', [5, 6], 0.8), random('fc.b', [5], 0.1)],
    ],
    nodes: [
      node('Conv', ['x', 'w1', 'b1'], ['a'], {
        strides: { ints: [2, 2] },
        pads: { ints: [1, 1, 1, 1] },
      }),
      node('Relu', ['a'], ['ar']),
      node('Conv', ['ar', 'w2', 'b2'], ['d'], { group: { int: 8 }, pads: { ints: [1, 1, 1, 1] } }),
      node('Relu', ['d'], ['dr']),
      node('Add', ['ar', 'dr'], ['s']),
      node('Conv', ['s', 'w3'], ['p']),
      node('GlobalAveragePool', ['p'], ['g']),
      node('Flatten', ['g'], ['f']),
      node('Gemm', ['f', 'fc.w', 'fc.b'], ['y'], { transB: { int: 1 } }),
    ],
  })
}

const random = sequence(seed + 1)
const x: Value = {
  type: 'float32',
  dims: [batch, 3, 12, 12],
  data: Float32Array.from({ length: batch * 432 }, () => random() * 2 - 1),
}

async function trained(step: Step, parameters: Float32Array) {
  await using session = await openSession(writeModel(step.model))
  const feeds = Object.fromEntries(
    step.inputs.map(({ name, offset, elements, shape }) => [
      name,
      {
        type: 'float32' as const,
        dims: shape,
        data: parameters.subarray(offset, offset + elements),
      },
    ]),
  )
  return await session.run({ ...feeds, x })
}

/** The largest difference, in codes of the output, between what training sees and what the compiled model says. */
async function apart(
  step: Step,
  parameters: Float32Array,
  ranges: Awaited<ReturnType<typeof calibrate>>,
) {
  const outputs = await trained(step, parameters)
  const seen = outputs[step.outputs.values.y!]!.data as Float32Array
  const compiled = quantize(step.write(parameters, new Float32Array(0)), ranges, { target })
  await using session = await openSession(writeModel(compiled))
  const { y } = await session.run({ x })
  const said = y!.data as Float32Array
  const { min, max } = ranges.get('y')!
  const code = (Math.max(max, 0) - Math.min(min, 0)) / 255
  return Math.max(...said.map((one, at) => Math.abs(one - seen[at]!) / code))
}

test('what training sees is what the compiled model computes, also after steps of training', async () => {
  const float = net()
  const ranges = await calibrate(float, samplesFrom([{ x }]), { method: 'minmax' })
  const step = differentiate(float, {
    batch,
    trainable: () => true,
    batchNorm: 'frozen',
    values: ['y'],
    through: fakeQuantization(float, ranges, { target }),
    loss: (tape, { y }) => ({ total: tape.reduceMean(tape.mul(y!, y!)) }),
  })
  const weights = step.initial.parameters.slice()
  // A sum may round to the neighbouring code where it lies in the middle between two.
  const before = await apart(step, weights, ranges)
  assert.ok(before <= 1.01, `seed ${seed}: ${before} codes apart`)

  const losses: number[] = []
  for (let at = 0; at < 30; at++) {
    const outputs = await trained(step, weights)
    losses.push((outputs[step.outputs.loss]!.data as Float32Array)[0]!)
    for (const { name, offset } of step.gradients) {
      const gradient = outputs[name]!.data as Float32Array
      for (const [i, one] of gradient.entries()) weights[offset + i]! -= 0.02 * one
    }
  }
  assert.ok(losses.at(-1)! < 0.7 * losses[0]!, losses.join(' '))
  const after = await apart(step, weights, ranges)
  assert.ok(after <= 1.01, `seed ${seed}: ${after} codes apart after training`)
})

test('no gradient flows to what lies beyond the codes', async () => {
  const one = model({
    name: 'clipped',
    inputs: [value('x', 'float32', [batch, 3, 12, 12])],
    outputs: [value('y', 'float32', [batch, 1, 12, 12])],
    initializers: [
      tensor('w', [1, 3, 1, 1], Float32Array.of(1, 1, 1)),
      tensor('b', [1], Float32Array.of(0)),
    ],
    nodes: [node('Conv', ['x', 'w', 'b'], ['y'])],
  })
  const gradientWith = async (high: number) => {
    const ranges = new Map([
      ['x', { min: -1, max: 1 }],
      ['y', { min: -high, max: high }],
    ])
    const step = differentiate(one, {
      batch,
      trainable: (name) => name === 'b',
      batchNorm: 'frozen',
      through: fakeQuantization(one, ranges, { target }),
      loss: (tape, { y }) => ({ total: tape.reduceMean(y!) }),
    })
    const outputs = await trained(step, step.initial.parameters)
    return (outputs[step.gradients[0]!.name]!.data as Float32Array)[0]!
  }
  assert.ok(Math.abs((await gradientWith(3.1)) - 1) < 1e-5)
  const sums = Array.from({ length: batch * 144 }, (_, at) => {
    const [picture, pixel] = [Math.floor(at / 144), at % 144]
    const data = x.data as Float32Array
    return [0, 1, 2].reduce((sum, c) => sum + data[picture * 432 + c * 144 + pixel]!, 0)
  })
  const inside = sums.filter((sum) => Math.abs(sum) < 0.5).length / sums.length
  assert.ok(inside > 0.1 && inside < 0.9)
  assert.ok(Math.abs((await gradientWith(0.5)) - inside) < 0.03)
})

test('a target that computes nothing with codes is refused', () => {
  assert.throws(
    () => fakeQuantization(net(), new Map(), { target: targets.webgpu }),
    /nothing of the model is computed with codes on "webgpu"/,
  )
})
