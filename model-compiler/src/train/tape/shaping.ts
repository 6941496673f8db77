/** What moves elements and leaves them as they are. */
import { axisOf, type Sym, sameShape, sizeOf } from './sym.ts'
import type { Tape } from './tape.ts'

/** A part of one axis. Bounds beyond it are cut; with a negative step it runs from `start` down to after `end`. */
export type Cut = {
  readonly axis: number
  readonly start: number
  readonly end: number
  readonly step?: number
}

export function reshape(tape: Tape, x: Sym, shape: readonly number[]): Sym {
  if (sameShape(x.shape, shape)) return x
  // To ONNX a 0 says "as before", which is not what is meant here; no value of a step graph is empty.
  return tape.record([x], tape.emit('Reshape', [x, tape.ints(shape)]), (d) => [
    tape.reshape(d, x.shape),
  ])
}

export function transpose(tape: Tape, x: Sym, perm: readonly number[]): Sym {
  if (perm.every((from, to) => from === to)) return x
  const moved = perm.filter((axis) => x.shape[axis] !== 1)
  // Where only axes of length 1 change their place, no element does.
  if (moved.every((axis, at) => at === 0 || axis > moved[at - 1]!)) {
    return reshape(
      tape,
      x,
      perm.map((axis) => x.shape[axis]!),
    )
  }
  const inverse = perm.map((_, axis) => perm.indexOf(axis))
  return tape.record([x], tape.emit('Transpose', [x], { perm: { ints: perm } }), (d) => [
    tape.transpose(d, inverse),
  ])
}

export function expand(tape: Tape, x: Sym, shape: readonly number[]): Sym {
  if (sameShape(x.shape, shape)) return x
  return tape.record([x], tape.emit('Expand', [x, tape.ints(shape)]), (d) => [
    tape.sumTo(d, x.shape),
  ])
}

export function concat(tape: Tape, parts: readonly Sym[], axis: number): Sym {
  if (parts.length === 1) return parts[0]!
  const at = axisOf(axis, parts[0]!.shape.length)
  return tape.record(parts, tape.emit('Concat', parts, { axis: { int: at } }), (d) => {
    if (parts.filter((one) => one.needsGradient).length > 1) {
      return tape.split(
        d,
        parts.map(({ shape }) => shape[at]!),
        at,
      )
    }
    let start = 0
    return parts.map((part) => {
      const from = start
      start += part.shape[at]!
      return part.needsGradient ? tape.slice(d, [{ axis: at, start: from, end: start }]) : undefined
    })
  })
}

export function split(
  tape: Tape,
  x: Sym,
  lengths: readonly number[],
  axis: number,
): readonly Sym[] {
  if (lengths.length === 1) return [x]
  const at = axisOf(axis, x.shape.length)
  const parts = tape.emitSeveral('Split', [x, tape.ints(lengths)], lengths.length, {
    axis: { int: at },
  })
  return tape.recordSeveral([x], parts, (gradients) => [
    tape.concat(
      gradients.map((one, index) => one ?? zeros(tape, parts[index]!.shape)),
      at,
    ),
  ])
}

export function slice(tape: Tape, x: Sym, cuts: readonly Cut[]): Sym {
  const exact = cuts.map((cut) => exactCut(cut, x.shape))
  const kept = exact.filter(
    ({ axis, start, step, count }) => !(start === 0 && step === 1 && count === x.shape[axis]),
  )
  if (kept.length === 0) return x
  // Down to and with the first element is said by an end before every element.
  const ends = kept.map(({ axis, start, step, count }) => {
    const end = start + count * step
    return end < 0 ? end - x.shape[axis]! - 1 : end
  })
  const y = tape.emit('Slice', [
    x,
    tape.ints(kept.map(({ start }) => start)),
    tape.ints(ends),
    tape.ints(kept.map(({ axis }) => axis)),
    tape.ints(kept.map(({ step }) => step)),
  ])
  return tape.record([x], y, (d) => [spread(tape, d, x.shape, kept)])
}

type ExactCut = {
  readonly axis: number
  readonly start: number
  readonly step: number
  readonly count: number
}

function exactCut({ axis, start, end, step = 1 }: Cut, shape: readonly number[]): ExactCut {
  const at = axisOf(axis, shape.length)
  const length = shape[at]!
  const within = (bound: number, least: number, most: number) =>
    Math.min(most, Math.max(least, bound < 0 ? bound + length : bound))
  const from = step > 0 ? within(start, 0, length) : within(start, -1, length - 1)
  const to = step > 0 ? within(end, 0, length) : within(end, -1, length - 1)
  return { axis: at, start: from, step, count: Math.max(0, Math.ceil((to - from) / step)) }
}

/** Elements back at the places they were cut from, zeros between and around. */
function spread(tape: Tape, d: Sym, shape: readonly number[], cuts: readonly ExactCut[]): Sym {
  let result = d
  const before = shape.map(() => 0)
  const after = shape.map(() => 0)
  for (const { axis, start, step, count } of cuts) {
    let first = start
    if (step < 0) {
      result = slice(tape, result, [{ axis, start: count - 1, end: -count - 1, step: -1 }])
      first = start + (count - 1) * step
    }
    const stride = Math.abs(step)
    if (stride > 1) result = stretched(tape, result, axis, stride)
    before[axis] = first
    // Stretching has put zeros behind the last element too; they may reach beyond the end, and are cropped then.
    after[axis] = shape[axis]! - first - result.shape[axis]!
  }
  return tape.pad(result, [...before, ...after])
}

/** Each element followed by `stride - 1` zeros along an axis. */
function stretched(tape: Tape, x: Sym, axis: number, stride: number): Sym {
  const front = x.shape.slice(0, axis + 1)
  const back = x.shape.slice(axis + 1)
  const apart = tape.reshape(x, [...front, 1, ...back])
  const none = apart.shape.map(() => 0)
  const padded = tape.pad(apart, [...none, ...none.with(axis + 1, stride - 1)])
  return tape.reshape(padded, [...front.with(axis, front[axis]! * stride), ...back])
}

/** How an axis goes on beyond its ends. */
export type PadMode = 'edge' | 'reflect' | 'wrap'

/** Elements around, taken from the value itself. */
export function padBy(tape: Tape, x: Sym, pads: readonly number[], mode: PadMode): Sym {
  if (pads.every((one) => one === 0)) return x
  const y = tape.emit('Pad', [x, tape.ints(pads)], { mode: { string: mode } })
  const rank = x.shape.length
  return tape.record([x], y, (d) => {
    let result = d
    for (const [axis, length] of x.shape.entries()) {
      const [before, after] = [pads[axis]!, pads[axis + rank]!]
      if (before === 0 && after === 0) continue
      const weights = Array.from(
        { length: before + length + after },
        (_, at): Weights => [[sourceOf(at - before, length, mode), 1]],
      )
      result = backAlong(tape, result, axis, weights, length)
    }
    return [result]
  })
}

/** Which element stands at a place beyond the ends. */
function sourceOf(at: number, length: number, mode: PadMode): number {
  if (mode === 'edge') return Math.min(length - 1, Math.max(0, at))
  if (mode === 'wrap') return (at + length) % length
  return at < 0 ? -at : at >= length ? 2 * (length - 1) - at : at
}

export function pad(tape: Tape, x: Sym, pads: readonly number[], fill = 0): Sym {
  if (pads.every((one) => one === 0)) return x
  const y = tape.emit('Pad', [x, tape.ints(pads), fill === 0 ? undefined : tape.scalar(fill)])
  return tape.record([x], y, (d) => [
    tape.pad(
      d,
      pads.map((one) => (one === 0 ? 0 : -one)),
    ),
  ])
}

export function gather(tape: Tape, x: Sym, indices: Sym, axis = 0): Sym {
  const at = axisOf(axis, x.shape.length)
  const y = tape.emit('Gather', [x, indices], { axis: { int: at } })
  return tape.record([x], y, (d) => {
    const length = x.shape[at]!
    const count = sizeOf(indices.shape)
    const flat = x.shape.with(at, count)
    const known = tape.valuesOf(indices)?.map((one) => (one < 0 ? one + length : one))
    if (known && isPermutation(known, length)) {
      const inverse = Array.from(known, (_, place) => known.indexOf(place))
      return [
        tape.emit('Gather', [tape.reshape(d, flat), tape.ints(inverse)], { axis: { int: at } }),
      ]
    }
    if (known && count * length <= matrixElementsMax) {
      const picks = known.map((picked): Weights => [[picked, 1]])
      return [backAlong(tape, tape.reshape(d, flat), at, picks, length)]
    }
    // All index axes as one, then each index repeated over what it picks.
    const each = x.shape.map((_, place) => (place === at ? count : 1))
    const places = tape.expand(tape.reshape(indices, each), flat)
    return [scattered(tape, x.shape, places, tape.reshape(d, flat), at)]
  })
}

const isPermutation = (indices: readonly number[], length: number): boolean =>
  indices.length === length && new Set(indices).size === length

/** A matrix with more elements is not written into the graph for moving elements. */
const matrixElementsMax = 2 ** 16

export function gatherElements(tape: Tape, x: Sym, indices: Sym, axis: number): Sym {
  const at = axisOf(axis, x.shape.length)
  const y = tape.emit('GatherElements', [x, indices], { axis: { int: at } })
  return tape.record([x], y, (d) => [scattered(tape, x.shape, indices, d, at)])
}

const scattered = (tape: Tape, shape: readonly number[], indices: Sym, d: Sym, axis: number): Sym =>
  tape.emit('ScatterElements', [zeros(tape, shape), indices, d], {
    axis: { int: axis },
    reduction: { string: 'add' },
  })

/** Made when it runs: the graph stays small. */
export const zeros = (tape: Tape, shape: readonly number[]): Sym =>
  tape.emit('Expand', [tape.scalar(0), tape.ints(shape)])

/** What one element of a result is made of along an axis: places of the source, each with its share. */
export type Weights = readonly (readonly [place: number, share: number])[]

/**
 * The way back through what makes each element along one axis a weighted sum of elements along it (resizing, padding by
 * repetition, picking): a product with the matrix of the weights.
 * @param weights of each element of the result
 * @param length of the axis before
 */
export function backAlong(
  tape: Tape,
  d: Sym,
  axis: number,
  weights: readonly Weights[],
  length: number,
): Sym {
  const count = weights.length
  const matrix = new Float32Array(count * length)
  const isLast = axis === d.shape.length - 1
  for (const [to, parts] of weights.entries()) {
    for (const [from, share] of parts) {
      const at = isLast ? to * length + from : from * count + to
      matrix[at] = matrix[at]! + share
    }
  }
  const outer = sizeOf(d.shape.slice(0, axis))
  const inner = sizeOf(d.shape.slice(axis + 1))
  const result = isLast
    ? tape.emit('MatMul', [tape.reshape(d, [outer, count]), tape.constant([count, length], matrix)])
    : tape.emit('MatMul', [
        tape.constant([length, count], matrix),
        tape.reshape(d, [outer, count, inner]),
      ])
  return tape.reshape(result, d.shape.with(axis, length))
}
