/**
 * Golden vectors: runs whose results are signed with a model, so that a box can see whether the model does there what it did
 * where it was published. Inputs are drawn from a seed by integer and plain IEEE 754 arithmetic alone, so they are the same
 * bytes everywhere; outputs are compared within what another processor may change.
 */
import type { GoldenVector } from '@edgeloop/protocol'
import { ArtifactError } from './artifact-error.ts'

type GoldenInput = GoldenVector['inputs'][number]
type GoldenOutput = GoldenVector['outputs'][number]

export type GoldenTensor = {
  readonly type: GoldenInput['type']
  readonly shape: readonly number[]
  /** Halves are their bits, as runtimes take them; booleans are 0 and 1. */
  readonly data: Float32Array | Uint8Array | Int8Array | Int32Array | BigInt64Array | Uint16Array
}

/** What a run gave; data of any type of numbers. */
export type GivenTensor = {
  readonly shape: readonly number[]
  readonly data: ArrayLike<number | bigint>
}

/** Elements of all inputs together: larger ones than any picture need. */
const elementsMax = 64 * 1024 * 1024
/** Elements that stand for an output, at most. */
export const goldenValuesMax = 64

/**
 * Draws the inputs of a vector.
 * @throws {ArtifactError} `too-large`
 */
export function goldenInputs({
  seed,
  inputs,
}: Pick<GoldenVector, 'seed' | 'inputs'>): Record<string, GoldenTensor> {
  const elements = inputs.reduce((sum, { shape }) => sum + elementsOf(shape), 0)
  if (!(elements <= elementsMax)) {
    throw new ArtifactError(
      'too-large',
      `Cannot draw golden inputs of ${elements} elements: at most ${elementsMax} are drawn`,
    )
  }
  return Object.fromEntries(
    inputs.map((input, at) => {
      const { name, type, shape } = input
      return [name, { type, shape, data: fill(input, picture(seed + at, planesOf(shape))) }]
    }),
  )
}

/** What is kept of an output; `tolerance` is as in `GoldenVector`. */
export function goldenOutput(name: string, given: GivenTensor, tolerance: number): GoldenOutput {
  const { shape, data } = given
  return {
    name,
    shape: [...shape],
    values: picked(data.length).map((at) => Number(data[at])),
    rms: rmsOf(data),
    tolerance,
  }
}

export type GoldenComparison = {
  readonly agrees: boolean
  /** Why not, in a sentence; empty where it agrees. */
  readonly reason: string
  /** Largest difference of any output, as a share of its own root mean square. */
  readonly difference: number
}

/** Compares what a run gave with what it gave where the model was published. Outputs that the vector leaves out may be anything. */
export function compareGolden(
  vector: Pick<GoldenVector, 'outputs'>,
  given: Readonly<Record<string, GivenTensor>>,
): GoldenComparison {
  let difference = 0
  const wrong = (reason: string) => ({ agrees: false, reason, difference })
  for (const golden of vector.outputs) {
    const { name, shape, tolerance } = golden
    const found = Object.hasOwn(given, name) ? given[name] : undefined
    if (!found) return wrong(`the output "${name}" is missing`)
    if (found.shape.length !== shape.length || found.shape.some((size, at) => size !== shape[at])) {
      return wrong(`the output "${name}" has shape [${found.shape}], and [${shape}] was expected`)
    }
    const apart = goldenDifference(golden, found)
    difference = Math.max(difference, apart)
    if (!(apart <= tolerance)) {
      return wrong(
        `the output "${name}" is ${percent(apart)} away from what was signed, allowed are ${percent(tolerance)}`,
      )
    }
  }
  return { agrees: true, reason: '', difference }
}

/**
 * How far an output of the same shape is away: root of the mean squared difference of the kept elements, or the difference of the
 * root mean squares over all elements, whichever is larger, over the signed root mean square. Infinity for what is no number.
 */
export function goldenDifference(
  golden: Omit<GoldenOutput, 'tolerance'>,
  given: GivenTensor,
): number {
  const { values, rms } = golden
  const found = rmsOf(given.data)
  const places = picked(given.data.length)
  if (!Number.isFinite(found) || places.length !== values.length) return Number.POSITIVE_INFINITY
  const squares = places.reduce((sum, at, i) => sum + (Number(given.data[at]) - values[i]!) ** 2, 0)
  const apart = Math.max(Math.sqrt(squares / places.length), Math.abs(found - rms))
  // Where nothing but zeros came out, zeros are expected.
  return apart === 0 ? 0 : apart / Math.max(rms, 1e-12)
}

/** Indexes at equal distances, the first and the last among them; all where there are few. */
function picked(length: number): number[] {
  const count = Math.min(length, goldenValuesMax)
  return Array.from({ length: count }, (_, at) =>
    count === 1 ? 0 : Math.floor((at * (length - 1)) / (count - 1)),
  )
}

function rmsOf(data: ArrayLike<number | bigint>): number {
  let sum = 0
  for (let at = 0; at < data.length; at++) sum += Number(data[at]) ** 2
  return data.length === 0 ? 0 : Math.sqrt(sum / data.length)
}

const percent = (share: number): string => `${(share * 100).toPrecision(3)} %`

const elementsOf = (shape: readonly number[]): number =>
  shape.reduce((product, size) => product * size, 1)

/** How a shape is a picture: its planes, one after the other or element by element. */
type Planes = {
  readonly height: number
  readonly width: number
  readonly channels: number
  readonly interleaved: boolean
}

/** The last three of its dimensions; without three of them one plane as wide as the last. */
function planesOf(shape: readonly number[]): Planes {
  const [a = 1, b = 1, c = 1] = shape.slice(-3)
  const width = shape.at(-1) ?? 1
  if (shape.length < 3 || elementsOf(shape) === 0) {
    const height = width === 0 ? 0 : elementsOf(shape) / width
    return { height, width, channels: 1, interleaved: false }
  }
  const interleaved = c <= 4 && a > 4
  return interleaved
    ? { height: a, width: b, channels: c, interleaved }
    : { height: b, width: c, channels: a, interleaved }
}

/** Cells between which brightness changes evenly, along each side. */
const fieldCells = 5
const shapesDrawn = 6

/**
 * Bytes of a picture: a field that changes smoothly, in front of it ellipses and rectangles with a light grain on all of it,
 * so that a net sees areas, edges and texture.
 */
function picture(seed: number, { height, width, channels, interleaved }: Planes): Uint8Array {
  const bytes = new Uint8Array(height * width * channels)
  const random = randomFrom(seed)
  const knots = fieldCells + 1
  for (let channel = 0; channel < channels; channel++) {
    const field = Array.from({ length: knots * knots }, () => 40 + (random() % 176))
    for (let y = 0; y < height; y++) {
      const fy = (y / height) * fieldCells
      const row = Math.trunc(fy)
      for (let x = 0; x < width; x++) {
        const fx = (x / width) * fieldCells
        const column = Math.trunc(fx)
        const at = row * knots + column
        const upper = mix(field[at]!, field[at + 1]!, fx - column)
        const lower = mix(field[at + knots]!, field[at + knots + 1]!, fx - column)
        const grain = (random() % 9) - 4
        const value = Math.trunc(mix(upper, lower, fy - row)) + grain
        bytes[placeOf(y, x, channel)] = Math.min(255, Math.max(0, value))
      }
    }
  }
  for (let drawn = 0; drawn < shapesDrawn; drawn++) {
    const round = random() % 2 === 0
    const [centreY, centreX] = [(random() % 1000) / 1000, (random() % 1000) / 1000]
    const [halfHeight, halfWidth] = [0.05 + (random() % 200) / 1000, 0.05 + (random() % 200) / 1000]
    const colour = Array.from({ length: channels }, () => random() % 256)
    for (let y = 0; y < height; y++) {
      const dy = (y / height - centreY) / halfHeight
      if (dy < -1 || dy > 1) continue
      for (let x = 0; x < width; x++) {
        const dx = (x / width - centreX) / halfWidth
        if (round ? dx * dx + dy * dy > 1 : dx < -1 || dx > 1) continue
        for (let channel = 0; channel < channels; channel++) {
          const place = placeOf(y, x, channel)
          // The grain stays visible.
          bytes[place] = (colour[channel]! * 7 + bytes[place]!) >> 3
        }
      }
    }
  }
  return bytes

  function placeOf(y: number, x: number, channel: number): number {
    return interleaved ? (y * width + x) * channels + channel : (channel * height + y) * width + x
  }
}

const mix = (from: number, to: number, share: number): number => from + (to - from) * share

/** Numbers of 32 bits: a Weyl sequence through the finalizer of MurmurHash3. */
function randomFrom(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x9e3779b9) >>> 0
    let bits = state
    bits = Math.imul(bits ^ (bits >>> 16), 0x85ebca6b)
    bits = Math.imul(bits ^ (bits >>> 13), 0xc2b2ae35)
    return (bits ^ (bits >>> 16)) >>> 0
  }
}

/** Batches, and whatever else stands before a picture, repeat it. */
function fill({ type, shape, black, white }: GoldenInput, drawn: Uint8Array): GoldenTensor['data'] {
  const length = elementsOf(shape)
  const byteAt = (at: number): number => drawn[at % drawn.length]!
  const scaled = (at: number): number => black + ((white - black) * byteAt(at)) / 255
  switch (type) {
    case 'float32':
      return Float32Array.from({ length }, (_, at) => scaled(at))
    case 'float16': {
      const halves = Float16Array.from({ length }, (_, at) => scaled(at))
      return new Uint16Array(halves.buffer)
    }
    case 'uint8':
      return Uint8Array.from({ length }, (_, at) => byteAt(at))
    case 'int8':
      return Int8Array.from({ length }, (_, at) => byteAt(at) - 128)
    // What whole numbers mean to a net nobody can know; one is a size, a count and an index.
    case 'int32':
      return new Int32Array(length).fill(1)
    case 'int64':
      return new BigInt64Array(length).fill(1n)
    case 'bool':
      return new Uint8Array(length).fill(1)
  }
}
