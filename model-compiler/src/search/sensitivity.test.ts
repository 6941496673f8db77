/** A network with one value that codes ruin: it is found, kept float, and worth what it costs. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { calibrate } from '../calibrate/calibrate.ts'
import { samplesFrom } from '../calibrate/samples.ts'
import { model, node, value } from '../onnx/build.ts'
import { OnnxError } from '../onnx/read.ts'
import { tensor } from '../onnx/tensor.ts'
import { sequence } from '../passes/equivalence.ts'
import { targets } from '../targets/index.ts'
import { searchSensitivity } from './sensitivity.ts'

const seed = 3
const target = targets['linux-x64-vnni']
const dims = [1, 8, 16, 16]

/** Four convolutions; one channel of `loud` is a thousand times as loud as the others, and who reads it hardly listens to that one. */
function network() {
  const next = sequence(seed)
  const weights = (name: string, loudness: (output: number, input: number) => number) =>
    tensor(
      name,
      [8, 8, 3, 3],
      Float32Array.from(
        { length: 8 * 8 * 9 },
        (_, at) => (next() - 0.5) * loudness(Math.floor(at / 72), Math.floor(at / 9) % 8),
      ),
    )
  const padded = { pads: { ints: [1, 1, 1, 1] } }
  return model({
    name: 'one loud channel',
    opset: 13,
    inputs: [value('x', 'float32', dims)],
    outputs: [value('y', 'float32', dims)],
    initializers: [
      ...[weights('w1', () => 0.3), weights('w2', (output) => (output === 0 ? 300 : 0.3))],
      ...[weights('w3', (_, input) => (input === 0 ? 0.0003 : 0.3)), weights('w4', () => 0.3)],
    ],
    nodes: [
      ...[node('Conv', ['x', 'w1'], ['a'], padded), node('Conv', ['a', 'w2'], ['loud'], padded)],
      ...[node('Conv', ['loud', 'w3'], ['c'], padded), node('Relu', ['c'], ['d'])],
      node('Transpose', ['d'], ['turned'], { perm: { ints: [0, 1, 3, 2] } }),
      node('Conv', ['turned', 'w4'], ['y'], padded),
    ],
  })
}

function samples(count = 4) {
  const next = sequence(seed + 1)
  return samplesFrom(
    Array.from({ length: count }, () => ({
      x: { type: 'float32', dims, data: Float32Array.from({ length: 2048 }, () => next() - 0.5) },
    })),
  )
}
const ranges = () => calibrate(network(), samples(), { method: 'minmax' })
const quick = { target, pairSeconds: 0.02, latencyRatioMin: 0 } as const

test('the value that codes ruin is the worst, stays float, and the rest is quantized', async () => {
  const steps: number[] = []
  const found = await searchSensitivity(network(), await ranges(), samples(), {
    ...quick,
    progress: ({ done, of }) => steps.push(done / of),
  })
  assert.equal(found.errors[0]!.value, 'loud', `seed ${seed}`)
  assert.ok(found.errors.every(({ outputDb }) => outputDb !== undefined))
  assert.ok(
    found.errors.every((one) => one.value !== 'turned'),
    'its codes are those of its input',
  )
  assert.ok(found.keepFloat.has('loud'))
  assert.ok(found.end.sqnrDb >= 30 && found.start.sqnrDb < 20, `seed ${seed}: ${found.end.sqnrDb}`)
  const [loud] = found.kept.filter((one) => one.value === 'loud')
  assert.ok(loud!.gainDb > 10 && Number.isFinite(loud!.costMs))
  assert.ok(found.model.graph!.node.some(({ opType }) => opType === 'QuantizeLinear'))
  assert.ok(steps.length >= 5 && steps.every((one) => one > 0 && one <= 1))
})

test('what would be too slow is not kept, and what is enough already is left alone', async () => {
  const slow = await searchSensitivity(network(), await ranges(), samples(), {
    ...quick,
    latencyRatioMin: 1e6,
  })
  assert.equal(slow.keepFloat.size, 0)
  assert.equal(slow.trials.length, 2, 'after two that are too slow none is tried')
  const fine = await searchSensitivity(network(), await ranges(), samples(), {
    ...quick,
    isEnough: () => true,
  })
  assert.deepEqual([fine.keepFloat.size, fine.trials.length], [0, 0])
})

test('without time every value is still named, coarsest first, and the search ends', async () => {
  const found = await searchSensitivity(network(), await ranges(), samples(), {
    ...quick,
    seconds: 1e-6,
  })
  assert.ok(found.errors.length > 3 && found.errors.every(({ outputDb }) => outputDb === undefined))
  const own = found.errors.map(({ ownDb }) => ownDb)
  assert.deepEqual(
    own,
    own.toSorted((a, b) => a - b),
  )
  assert.equal(found.trials.length, 0)
})

test('a search without samples is refused, and one that is aborted ends', async () => {
  await assert.rejects(
    searchSensitivity(network(), await ranges(), samples(0), quick),
    (error) => error instanceof OnnxError && /no sample/.test(error.message),
  )
  await assert.rejects(
    searchSensitivity(network(), await ranges(), samples(), {
      ...quick,
      signal: AbortSignal.abort(),
    }),
    { name: 'AbortError' },
  )
})
