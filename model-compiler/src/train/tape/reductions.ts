/** Sums, means and extremes over axes, and the sum that undoes broadcasting. */
import { axisOf, type Sym, sameShape, sizeOf } from './sym.ts'
import type { Tape } from './tape.ts'

/** Axes counted from the front, in order; all where none are given. */
const axesOf = (x: Sym, axes: readonly number[] | undefined): number[] =>
  axes
    ? axes.map((axis) => axisOf(axis, x.shape.length)).toSorted((a, b) => a - b)
    : x.shape.map((_, axis) => axis)

/** The shape with the axes kept at length 1. */
const keptShape = (x: Sym, axes: readonly number[]): number[] =>
  x.shape.map((length, axis) => (axes.includes(axis) ? 1 : length))

function reduce(tape: Tape, operator: string, x: Sym, axes: readonly number[], keep: boolean): Sym {
  const attributes = { keepdims: { int: keep ? 1 : 0 } }
  return tape.emit(operator, [x, tape.ints(axes)], attributes)
}

export function reduceSum(tape: Tape, x: Sym, axes?: readonly number[], keep = false): Sym {
  const over = axesOf(x, axes)
  if (over.length === 0) return x
  return tape.record([x], reduce(tape, 'ReduceSum', x, over, keep), (d) => [
    tape.expand(tape.reshape(d, keptShape(x, over)), x.shape),
  ])
}

export function reduceMean(tape: Tape, x: Sym, axes?: readonly number[], keep = false): Sym {
  const over = axesOf(x, axes)
  if (over.length === 0) return x
  const kept = keptShape(x, over)
  const share = sizeOf(kept) / sizeOf(x.shape)
  return tape.record([x], reduce(tape, 'ReduceMean', x, over, keep), (d) => [
    tape.expand(tape.emit('Mul', [tape.reshape(d, kept), tape.scalar(share)]), x.shape),
  ])
}

const extreme =
  (operator: string) =>
  (tape: Tape, x: Sym, axes?: readonly number[], keep = false): Sym => {
    const over = axesOf(x, axes)
    if (over.length === 0) return x
    const y = reduce(tape, operator, x, over, keep)
    return tape.record([x], y, (d) => {
      const kept = keptShape(x, over)
      const chosen = tape.cast(tape.emit('Equal', [x, tape.reshape(y, kept)]), 'float32')
      const share = tape.emit('Div', [
        tape.reshape(d, kept),
        reduce(tape, 'ReduceSum', chosen, over, true),
      ])
      return [tape.emit('Mul', [chosen, share])]
    })
  }
export const reduceMax = extreme('ReduceMax')
export const reduceMin = extreme('ReduceMin')

export function sumTo(tape: Tape, x: Sym, shape: readonly number[]): Sym {
  if (sameShape(x.shape, shape)) return x
  const extra = x.shape.length - shape.length
  const over = x.shape.flatMap((length, axis) =>
    axis < extra || (shape[axis - extra] === 1 && length !== 1) ? [axis] : [],
  )
  const summed = over.length === 0 ? x : reduceSum(tape, x, over, true)
  return tape.reshape(summed, shape)
}
