import { strict as assert } from 'node:assert'
import { test } from 'node:test'
import { writeModel } from '../../../onnx/write.ts'
import { openSession } from '../../../runtime/session.ts'
import { Tape } from '../../tape/tape.ts'
import { batchNormFrozen, batchNormTrained } from './batch-norm.ts'
import { checkInDoubles, type Doubles } from './checked-in-doubles.ts'

const epsilon = 1e-3
const mean = (values: Float64Array) => values.reduce((sum, one) => sum + one, 0) / values.length

function normalized(
  { x, scale, shift }: Doubles,
  figures: (row: Float64Array, channel: number) => readonly [mean: number, variance: number],
): Float64Array {
  const count = x!.length / scale!.length
  const y = new Float64Array(x!.length)
  for (const channel of scale!.keys()) {
    const row = x!.subarray(channel * count, (channel + 1) * count)
    const [centre, variance] = figures(row, channel)
    for (const [at, value] of row.entries()) {
      const even = (value - centre) / Math.sqrt(variance + epsilon)
      y[channel * count + at] = even * scale![channel]! + shift![channel]!
    }
  }
  return y
}
const ofBatch = (row: Float64Array) => {
  const centre = mean(row)
  return [centre, mean(row.map((one) => (one - centre) ** 2))] as const
}

const shapes = { maps: [5, 3, 4, 6], 'a single row': [4, 7], 'a map of one element': [3, 6, 1, 1] }
for (const [name, shape] of Object.entries(shapes)) {
  const channels = [shape[0]!]
  const given = { x: { shape }, scale: { shape: channels }, shift: { shape: channels } }
  test(`batchNormTrained() of ${name}: as in doubles`, async () => {
    await checkInDoubles({
      name,
      given,
      build: (tape, { x, scale, shift }) =>
        batchNormTrained(tape, { x: x!, scale: scale!, shift: shift! }, epsilon).y,
      plain: (values) => normalized(values, ofBatch),
    })
  })
  test(`batchNormFrozen() of ${name}: as in doubles`, async () => {
    const [means, variances] = [
      [0.3, -1, 2, 0.1, -0.5],
      [0.5, 2, 1, 0.1, 3],
    ].map((figures) => figures.slice(0, shape[0]))
    await checkInDoubles({
      name,
      given,
      build: (tape, { x, scale, shift }) => {
        const running = {
          mean: tape.constant(channels, means!),
          variance: tape.constant(channels, variances!),
        }
        const inputs = { x: x!, scale: scale!, shift: shift! }
        return batchNormFrozen(tape, inputs, running, epsilon)
      },
      plain: (values) =>
        normalized(values, (_, channel) => [means![channel]!, variances![channel]!]),
    })
  })
}

test('batchNormTrained() of values far from zero: as in doubles', async () => {
  const shape = [3, 4, 6, 6]
  const values = Float32Array.from({ length: 432 }, (_, at) => 20 + Math.sin(at * 12.9898))
  await checkInDoubles({
    name: 'far from zero',
    given: { x: { shape, values }, scale: { shape: [3] }, shift: { shape: [3] } },
    build: (tape, { x, scale, shift }) =>
      batchNormTrained(tape, { x: x!, scale: scale!, shift: shift! }, epsilon).y,
    plain: (values) => normalized(values, ofBatch),
  })
})

test('batchNormTrained() of a hundred thousand values a channel: as in doubles', async () => {
  await checkInDoubles({
    name: 'large',
    given: { x: { shape: [2, 8, 112, 112] }, scale: { shape: [2] }, shift: { shape: [2] } },
    build: (tape, { x, scale, shift }) =>
      batchNormTrained(tape, { x: x!, scale: scale!, shift: shift! }, epsilon).y,
    plain: (values) => normalized(values, ofBatch),
    moved: 3,
  })
})

test('batchNormTrained() of one value twice, with the same scale and shift: as in doubles', async () => {
  const given = { x: { shape: [4, 5, 3] }, scale: { shape: [4] }, shift: { shape: [4] } }
  const plain = (values: Doubles) => normalized(values, ofBatch).map((one) => 2 * one)
  for (const trained of [true, false]) {
    const still = trained ? {} : { gradient: false }
    await checkInDoubles({
      name: trained ? 'trained' : 'still',
      given: {
        x: given.x,
        scale: { ...given.scale, ...still },
        shift: { ...given.shift, ...still },
      },
      build: (tape, { x, scale, shift }) => {
        const inputs = { x: x!, scale: scale!, shift: shift! }
        const once = () => batchNormTrained(tape, inputs, epsilon).y
        return tape.add(once(), once())
      },
      plain,
    })
  }
})

test('batchNormTrained() gives mean and variance of the batch, and leaves its inputs as they are', async () => {
  const tape = new Tape()
  const x = tape.input('x', 'float32', [2, 3])
  const [scale, shift] = [tape.constant([2], [2, 3]), tape.constant([2], [5, 7])]
  const first = batchNormTrained(tape, { x, scale, shift }, 0)
  const second = batchNormTrained(tape, { x, scale, shift }, 0)
  const again = tape.emit('Identity', [scale])
  const outputs = { mean: first.mean, variance: first.variance, y: second.y, scale: again }
  await using session = await openSession(writeModel(tape.toModel('twice', outputs)))
  const data = Float32Array.of(1, 2, 3, 10, 10, 40)
  for (const _ of [1, 2]) {
    const found = await session.run({ x: { type: 'float32', dims: [2, 3], data } })
    assert.deepEqual([...(found.mean!.data as Float32Array)], [2, 20])
    const variances = [...(found.variance!.data as Float32Array)]
    assert(Math.abs(variances[0]! - 2 / 3) < 1e-6 && Math.abs(variances[1]! - 200) < 1e-3)
    assert.deepEqual([...(found.scale!.data as Float32Array)], [2, 3])
    assert(Math.abs((found.y!.data as Float32Array)[1]! - 5) < 1e-6)
  }
})
