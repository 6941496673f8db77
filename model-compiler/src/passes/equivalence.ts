/**
 * Whether two models compute the same: both run in ONNX Runtime on the same inputs, and the outputs are
 * compared. This is how every change that a pass makes is checked.
 */
import { OnnxError } from '../onnx/read.ts'
import type { ModelProto } from '../onnx/schema.ts'
import type { Numbers, NumberTypeName } from '../onnx/tensor.ts'
import { writeModel } from '../onnx/write.ts'
import { type Level, openSession, type Port, type Value } from '../runtime/session.ts'

export type Feeds = Readonly<Record<string, Value>>

export type Difference = {
  readonly output: string
  /** Largest difference over the largest magnitude of the output. */
  readonly relative: number
  /** Largest difference of an element over its own magnitude, of those above a thousandth of the largest. */
  readonly elementwise: number
}

/**
 * How far the outputs of a model that was changed lie from those of the original.
 * @param level what the runtime may rewrite of the two (default `disabled`: the graphs as they are)
 * @throws {OnnxError} when the outputs do not have the same names, types and shapes, or one does not run
 */
export async function differences(
  original: ModelProto,
  changed: ModelProto,
  feeds: Feeds,
  level: Level = 'disabled',
): Promise<Difference[]> {
  const before = await outputsOf(original, feeds, level)
  const after = await outputsOf(changed, feeds, level)
  const names = Object.keys(before)
  if (names.join() !== Object.keys(after).join()) {
    throw new OnnxError(
      `Cannot compare two models: one has the outputs ${names.join(', ')}, the other ${Object.keys(after).join(', ')}`,
    )
  }
  return names.map((name) => difference(name, before[name]!, after[name]!))
}

async function outputsOf(model: ModelProto, feeds: Feeds, level: Level) {
  await using session = await openSession(writeModel(model), { level })
  // Awaited here, or the session would end before it has run.
  return await session.run(feeds)
}

/** Compares two values of one output. @throws {OnnxError} when type or shape differ */
export function difference(output: string, expected: Value, actual: Value): Difference {
  const shown = ({ type, dims }: Value) => `${type} [${dims.join(', ')}]`
  if (shown(expected) !== shown(actual)) {
    throw new OnnxError(
      `Cannot compare output "${output}": ${shown(expected)} became ${shown(actual)}`,
    )
  }
  let largest = 0
  for (const value of expected.data) {
    const magnitude = Math.abs(Number(value))
    if (magnitude > largest && magnitude < Number.POSITIVE_INFINITY) largest = magnitude
  }
  let relative = 0
  let elementwise = 0
  for (let at = 0; at < expected.data.length; at++) {
    const [a, b] = [Number(expected.data[at]), Number(actual.data[at])]
    if (Object.is(a, b) || a === b) continue
    const apart = Number.isFinite(a - b) ? Math.abs(a - b) : Number.POSITIVE_INFINITY
    relative = Math.max(relative, largest > 0 ? apart / largest : Number.POSITIVE_INFINITY)
    if (Math.abs(a) > largest / 1000) elementwise = Math.max(elementwise, apart / Math.abs(a))
  }
  return { output, relative, elementwise }
}

/** A sequence of numbers in 0..1 that is the same for the same seed (xorshift32). */
export function sequence(seed: number): () => number {
  let state = seed * 2654435761 || 1
  return () => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return (state >>> 0) / 2 ** 32
  }
}

/**
 * Inputs for a model: floats in −2..2, integers in 0..9 (bytes in 0..255), booleans.
 * @param free size of dimensions that the model leaves free
 */
export function randomFeeds(ports: readonly Port[], seed: number, free = 1): Feeds {
  const next = sequence(seed)
  return Object.fromEntries(
    ports.map(({ name, type, shape }) => {
      const dims = shape.map((size) => (typeof size === 'number' && size >= 0 ? size : free))
      const size = dims.reduce((all, one) => all * one, 1)
      return [name, { type: type as NumberTypeName, dims, data: numbers(type, size, next) }]
    }),
  )
}

function numbers(type: string, size: number, next: () => number): Numbers {
  const ints = (limit: number) => Array.from({ length: size }, () => Math.floor(next() * limit))
  switch (type) {
    case 'float32':
      return Float32Array.from({ length: size }, () => next() * 4 - 2)
    case 'float64':
      return Float64Array.from({ length: size }, () => next() * 4 - 2)
    case 'float16':
      return Float16Array.from({ length: size }, () => next() * 4 - 2)
    case 'uint8':
      return Uint8Array.from(ints(256))
    case 'int8':
      return Int8Array.from(ints(10))
    case 'int32':
      return Int32Array.from(ints(10))
    case 'int64':
      return BigInt64Array.from(ints(10), BigInt)
    case 'bool':
      return Uint8Array.from(ints(2))
    default:
      throw new OnnxError(`Cannot make numbers of type "${type}" up`)
  }
}
