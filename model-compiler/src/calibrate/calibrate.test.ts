/** Calibration against what the values of a small graph are by hand; bounds; what is refused. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { model, node, value } from '../onnx/build.ts'
import { OnnxError } from '../onnx/read.ts'
import { tensor } from '../onnx/tensor.ts'
import { calibrate, chunksOf } from './calibrate.ts'
import { floatValuesOf, openRuns } from './observe.ts'
import { type SampleSource, samplesFrom } from './samples.ts'

const graph = model({
  name: 'small',
  inputs: [value('x', 'float32', ['n'])],
  outputs: [value('y', 'float32', ['n']), value('size', 'int64', [1])],
  initializers: [tensor('two', [1], Float32Array.of(2)), tensor('three', [1], Float32Array.of(3))],
  nodes: [
    node('Mul', ['x', 'two'], ['doubled']),
    node('Add', ['two', 'three'], ['constant']),
    node('Add', ['doubled', 'constant'], ['shifted']),
    node('Relu', ['shifted'], ['y']),
    node('Shape', ['x'], ['size']),
  ],
})
const sample = (...values: number[]) => ({
  x: { type: 'float32', dims: [values.length], data: Float32Array.from(values) } as const,
})
const samples = samplesFrom([sample(-1, 0, 1), sample(-4, 2, 3, 3), sample(0.5)])

test('the runtime says which values are float activations; constants and whole numbers are none', async () => {
  assert.deepEqual(await floatValuesOf(graph), ['x', 'doubled', 'shifted', 'y'])
})

test('min-max: the extrema over all samples, also of inputs', async () => {
  const ranges = await calibrate(graph, samples, { method: 'minmax' })
  assert.deepEqual(Object.fromEntries(ranges), {
    x: { min: -4, max: 3 },
    doubled: { min: -8, max: 6 },
    shifted: { min: -3, max: 11 },
    y: { min: 0, max: 11 },
  })
  const some = await calibrate(graph, samples, { method: 'minmax', values: new Set(['y']) })
  assert.deepEqual([...some.keys()], ['y'])
})

test('every method stays within what was seen and zero, and one chunk gives what many give', async () => {
  const wide = samplesFrom([
    sample(...Array.from({ length: 4000 }, (_, i) => Math.sin(i) ** 5)),
    sample(9),
  ])
  for (const method of ['percentile', 'mse', 'entropy'] as const) {
    const seen = await calibrate(graph, wide, { method: 'minmax' })
    const whole = await calibrate(graph, wide, { method, percentile: 99.9 })
    const chunked = await calibrate(graph, wide, { method, percentile: 99.9, memoryBytesMax: 1 })
    assert.deepEqual(chunked, whole, method)
    for (const [name, { min, max }] of whole) {
      const { min: low, max: high } = seen.get(name)!
      assert.ok(
        min >= Math.min(low, 0) && max <= Math.max(high, 0) && min < max,
        `${method} ${name}: ${min}..${max}`,
      )
    }
  }
})

test('no more activations are asked for at once than the memory allows, whatever their number', () => {
  const sizes = new Map([3, 4, 2, 9, 1, 5, 4].map((bytes, i) => [`v${i}`, { bytes }]))
  const chunks = chunksOf(sizes, 8)
  assert.deepEqual(chunks.flat(), [...sizes.keys()])
  const bytesOf = (chunk: string[]) => chunk.reduce((sum, name) => sum + sizes.get(name)!.bytes, 0)
  assert.deepEqual(chunks.map(bytesOf), [7, 2, 9, 6, 4])
  assert.ok(chunks.every((chunk) => chunk.length === 1 || bytesOf(chunk) <= 8))
})

test('progress counts every run, and a signal ends the work', async () => {
  const steps: { done: number; of: number }[] = []
  const progress = (step: { done: number; of: number }) => steps.push(step)
  await calibrate(graph, samples, { method: 'mse', memoryBytesMax: 1, progress })
  // Extrema, then four values one by one.
  assert.equal(steps.length, 15)
  assert.deepEqual(steps.at(-1), { done: 15, of: 15 })
  const stop = new AbortController()
  const stopping: SampleSource = {
    count: 3,
    async *read() {
      yield sample(1)
      stop.abort(new Error('enough'))
      yield sample(2)
    },
  }
  await assert.rejects(
    calibrate(graph, stopping, { method: 'minmax', signal: stop.signal }),
    /enough/,
  )
})

test('NaN and infinity in an activation are refused by its name', async () => {
  const rooted = model({
    name: 'rooted',
    inputs: [value('x', 'float32', ['n'])],
    outputs: [value('y', 'float32', ['n'])],
    nodes: [node('Sqrt', ['x'], ['root']), node('Reciprocal', ['root'], ['y'])],
  })
  const calibrated = (bad: number) =>
    calibrate(rooted, samplesFrom([sample(1), sample(1, bad, 1)]), { method: 'minmax' })
  await assert.rejects(calibrated(-1), /"root" holds NaN in sample 1/)
  await assert.rejects(calibrated(0), /"y" holds infinite values in sample 1/)
})

test('without samples, with a senseless percentile or a sample that does not fit there is an error', async () => {
  await assert.rejects(calibrate(graph, samplesFrom([]), { method: 'minmax' }), /no sample/)
  await assert.rejects(
    calibrate(graph, samples, { method: 'percentile', percentile: 0.999 }),
    /percentile 0.999/,
  )
  const wrong = { x: { type: 'int64', dims: [1], data: new BigInt64Array(1) } as const }
  await assert.rejects(calibrate(graph, samplesFrom([wrong]), { method: 'minmax' }), OnnxError)
  await using runs = await openRuns(graph, ['size'])
  await assert.rejects(runs.run(sample(1)), /"size": it is not float32/)
})
