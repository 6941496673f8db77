/** What stands on a tape: values of the step graph, and how gradients go back through them. */
import type { TensorTypeName } from '../../onnx/types.ts'

/** A value of the step graph. Its shape is known to the last number. */
export type Sym = {
  readonly name: string
  readonly type: TensorTypeName
  readonly shape: readonly number[]
  /** Whether something that is trained, or whose gradient is asked for, has gone into it. */
  readonly needsGradient: boolean
}

/** What arithmetic takes: a value, or a number that becomes a constant. */
export type Operand = Sym | number

/** Gradients of the inputs, in order; undefined where none flows. Only those whose input `needsGradient` are looked at. */
export type Backward = (gradient: Sym) => readonly (Sym | undefined)[]
/** The same for an operator with several outputs; an output that nothing came back to is undefined. */
export type BackwardOfSeveral = (
  gradients: readonly (Sym | undefined)[],
) => readonly (Sym | undefined)[]

/** How many elements a shape holds. */
export const sizeOf = (shape: readonly number[]): number =>
  shape.reduce((size, one) => size * one, 1)

export const sameShape = (a: readonly number[], b: readonly number[]): boolean =>
  a.length === b.length && a.every((one, at) => one === b[at])

/** An axis counted from the front. @throws {RangeError} where there is no such axis */
export function axisOf(axis: number, rank: number): number {
  if (!Number.isInteger(axis) || axis < -rank || axis >= rank) {
    throw new RangeError(`Cannot use axis ${axis}: the value has ${rank} axes`)
  }
  return axis < 0 ? axis + rank : axis
}
