import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { test } from 'node:test'
import type { GoldenVector } from '@edgeloop/protocol'
import fc from 'fast-check'
import { compareGolden, goldenDifference, goldenInputs, goldenOutput } from './golden.ts'

const input = (
  type: GoldenVector['inputs'][number]['type'],
  shape: number[],
  black = 0,
  white = 255,
) => ({ name: 'x', type, shape, black, white })

const digestOf = (data: ArrayBufferView): string =>
  createHash('sha256')
    .update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength))
    .digest('hex')

test('a seed draws the same bytes everywhere', async () => {
  // Written down once: another implementation must come to the same (docs/artifact.md).
  const file = new URL('fixtures/golden-inputs.json', import.meta.url)
  const vectors = JSON.parse(await readFile(file, 'utf8')) as (Pick<
    GoldenVector,
    'seed' | 'inputs'
  > & { digests: Record<string, string> })[]
  assert.equal(vectors.length, 7)
  for (const { digests, ...vector } of vectors) {
    const drawn = Object.entries(goldenInputs(vector))
    assert.deepEqual(
      Object.fromEntries(drawn.map(([name, { data }]) => [name, digestOf(data)])),
      digests,
      JSON.stringify(vector),
    )
  }
})

test('what is drawn looks like a picture: smooth, with edges, in all its brightness', () => {
  const { data } = goldenInputs({ seed: 3, inputs: [input('uint8', [1, 3, 120, 160])] }).x!
  const bytes = data as Uint8Array
  let smooth = 0
  let edges = 0
  for (let at = 1; at < 120 * 160; at++) {
    const step = Math.abs(bytes[at]! - bytes[at - 1]!)
    if (step <= 10) smooth++
    if (step > 40) edges++
  }
  assert.ok(smooth / (120 * 160) > 0.9, `${smooth} steps are smooth`)
  assert.ok(edges > 100, `${edges} steps are edges`)
  assert.ok(new Set(bytes).size > 150)
})

test('interleaved and planar inputs of the same seed are both whole pictures, batches repeat them', () => {
  const one = goldenInputs({ seed: 5, inputs: [input('uint8', [1, 1, 10, 12])] }).x!.data
  const two = goldenInputs({ seed: 5, inputs: [input('uint8', [2, 1, 10, 12])] }).x!.data
  assert.deepEqual([...two], [...one, ...one])
})

test('float inputs keep to black and white', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 0, max: 2 ** 32 - 1 }),
      fc.array(fc.integer({ min: 0, max: 12 }), { maxLength: 5 }),
      (seed, shape) => {
        const { data } = goldenInputs({ seed, inputs: [input('float32', shape, -2, 2)] }).x!
        assert.equal(
          data.length,
          shape.reduce((a, b) => a * b, 1),
        )
        for (const value of data) assert.ok(Math.abs(Number(value)) <= 2)
      },
    ),
    { seed: 1 },
  )
})

test('inputs larger than any picture are refused before memory is taken', () => {
  const vector = { seed: 0, inputs: [input('float32', [65_536, 65_536])] }
  assert.throws(() => goldenInputs(vector), { code: 'too-large' })
})

const given = (values: number[], shape = [values.length]) => ({
  shape,
  data: Float32Array.from(values),
})
const values = Array.from({ length: 1000 }, (_, at) => Math.sin(at))
const vector = { outputs: [goldenOutput('y', given(values), 0.05)] }

test('a vector agrees with itself, and with what differs by less than it allows', () => {
  assert.deepEqual(vector.outputs[0]?.values.length, 64)
  const again = compareGolden(vector, { y: given(values), other: given([1]) })
  assert.deepEqual([again.agrees, again.reason], [true, ''])
  const near = compareGolden(vector, { y: given(values.map((value) => value * 1.02)) })
  assert.equal(near.agrees, true)
  assert.ok(near.difference > 0.015 && near.difference < 0.025, String(near.difference))
})

test('a vector refuses other values, other shapes, missing outputs and what is no number', () => {
  const reasons = [
    {},
    { y: given(values.slice(1)) },
    { y: given(values, [10, 100]) },
    { y: given(values.map((value) => value * 1.1)) },
    { y: given(values.map((_, at) => Math.cos(at))) },
    { y: given(values.map((value, at) => (at === 500 ? Number.NaN : value))) },
    { y: given(values.map((value, at) => (at === 501 ? Number.POSITIVE_INFINITY : value))) },
  ].map((outputs) => compareGolden(vector, outputs))
  for (const { agrees, reason } of reasons) {
    assert.equal(agrees, false)
    assert.match(reason, /"y"/)
  }
})

test('whole numbers of 64 bits and outputs without elements can be golden', () => {
  const whole = goldenOutput('n', { shape: [2], data: BigInt64Array.from([3n, 4n]) }, 0.01)
  assert.deepEqual([whole.values, whole.rms], [[3, 4], Math.sqrt(12.5)])
  assert.equal(goldenDifference(whole, { shape: [2], data: BigInt64Array.from([3n, 4n]) }), 0)
  const zeros = goldenOutput('z', given([0, 0]), 0.01)
  assert.equal(goldenDifference(zeros, given([0, 0])), 0)
  assert.ok(goldenDifference(zeros, given([0, 0.1])) > 1)
})
