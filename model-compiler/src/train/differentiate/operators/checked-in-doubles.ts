/**
 * Gradients of the step graph against differences in double precision, for tests: what a graph computes is written a second
 * time as plain loops, and each of its inputs is moved a little to both sides.
 */
import { strict as assert } from 'node:assert'
import { writeModel } from '../../../onnx/write.ts'
import { openSession, type Value } from '../../../runtime/session.ts'
import type { Sym } from '../../tape/sym.ts'
import { Tape } from '../../tape/tape.ts'

export type Given = {
  readonly shape: readonly number[]
  /** Default: even in ±1 by the seed. */
  readonly values?: Float32Array
  /** Whether its gradient is asked for (default yes). */
  readonly gradient?: boolean
}
export type Doubles = Readonly<Record<string, Float64Array>>

export type Check = {
  readonly name: string
  readonly given: Readonly<Record<string, Given>>
  /** The same in the step graph… */
  readonly build: (tape: Tape, syms: Readonly<Record<string, Sym>>) => Sym
  /** …and in doubles, in the same order of elements. */
  readonly plain: (values: Doubles) => Float64Array
  readonly seed?: number
  /** Elements of each input that are moved; the others are taken to be alike (default 40). */
  readonly moved?: number
  /** Of the largest element (default 1e-4). */
  readonly tolerance?: number
}

/** @throws {AssertionError} where the result, or a gradient, is further off than the tolerance */
export async function checkInDoubles(check: Check): Promise<void> {
  const { name, given, seed = 1, moved = 40, tolerance = 1e-4 } = check
  const random = evenly(seed)
  const values = Object.fromEntries(
    Object.entries(given).map(([one, { shape, values }]) => [
      one,
      values ?? Float32Array.from({ length: sizeOf(shape) }, random),
    ]),
  )
  const doubles = Object.fromEntries(
    Object.entries(values).map(([one, floats]) => [one, Float64Array.from(floats)]),
  )
  const expected = check.plain(doubles)
  const weights = Float32Array.from(expected, random)

  const tape = new Tape()
  const syms = Object.fromEntries(
    Object.entries(given).map(([one, { shape, gradient = true }]) => [
      one,
      tape.input(one, 'float32', shape, { needsGradient: gradient }),
    ]),
  )
  const y = check.build(tape, syms)
  const loss = tape.reduceSum(tape.mul(y, tape.constant(y.shape, weights)))
  const wanted = Object.entries(given).filter(([, { gradient = true }]) => gradient)
  const gradients = tape.gradients(
    loss,
    wanted.map(([one]) => syms[one]!),
  )
  const outputs = Object.fromEntries(
    wanted.map(([one], at) => {
      assert(gradients[at], `${name}: nothing flows back to ${one}`)
      return [`gradient of ${one}`, gradients[at]]
    }),
  )
  const model = writeModel(tape.toModel(name, { result: y, ...outputs }))
  await using session = await openSession(model)
  const feeds: Record<string, Value> = Object.fromEntries(
    Object.entries(given).map(([one, { shape }]) => [
      one,
      { type: 'float32', dims: shape, data: values[one]! },
    ]),
  )
  const results = await session.run(feeds)
  const at = `${name} (seed ${seed})`
  compare(`${at}: result`, results.result!.data as Float32Array, expected, tolerance)

  const lossOf = (changed: Doubles) =>
    check.plain(changed).reduce((sum, one, index) => sum + one * weights[index]!, 0)
  for (const [one, { shape }] of wanted) {
    const size = sizeOf(shape)
    const places =
      size <= moved
        ? [...Array(size).keys()]
        : Array.from({ length: moved }, () => Math.floor(((random() + 1) / 2) * size))
    const step = 1e-4
    const slopes = places.map((place) => {
      const slopeAt = (by: number) =>
        lossOf({ ...doubles, [one]: doubles[one]!.with(place, doubles[one]![place]! + by) })
      return (slopeAt(step) - slopeAt(-step)) / (2 * step)
    })
    const found = results[`gradient of ${one}`]!.data as Float32Array
    const picked = Float32Array.from(places, (place) => found[place]!)
    compare(`${at}: gradient of ${one}`, picked, slopes, tolerance)
  }
}

function compare(
  what: string,
  found: Float32Array,
  expected: ArrayLike<number>,
  tolerance: number,
): void {
  assert.equal(found.length, expected.length, `${what}: another number of elements`)
  const largest = Array.from(expected).reduce((most, one) => Math.max(most, Math.abs(one)), 1e-6)
  for (const [at, value] of found.entries()) {
    const off = Math.abs(value - expected[at]!) / largest
    assert(off <= tolerance, `${what}: element ${at} is ${value}, not ${expected[at]}`)
  }
}

const sizeOf = (shape: readonly number[]): number =>
  shape.reduce((product, one) => product * one, 1)

/** Even in ±1 (Park and Miller's generator). */
function evenly(seed: number): () => number {
  let state = (seed * 7919) % 2147483647
  return () => {
    state = (state * 48271) % 2147483647
    return (state / 2147483647) * 2 - 1
  }
}
