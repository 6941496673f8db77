/**
 * Arithmetic on dimensions. A free dimension keeps its name as long as nothing changes it; what would need
 * algebra on names is not known (`undefined`), which is never wrong.
 */
import type { Dimension } from '../graph/value-type.ts'
import { OnnxError } from '../onnx/read.ts'

export type Shape = readonly Dimension[]

export const isNumber = (dimension: Dimension): dimension is number => typeof dimension === 'number'

/** `2×n×?`, for errors and for the text of a graph; `scalar` where there are none. */
export const shapeText = (shape: Shape | undefined): string =>
  shape === undefined
    ? '?'
    : shape.length === 0
      ? 'scalar'
      : shape.map((dimension) => dimension ?? '?').join('×')

export function plus(a: Dimension, b: Dimension): Dimension {
  if (isNumber(a) && isNumber(b)) return a + b
  if (b === 0) return a
  return a === 0 ? b : undefined
}

export function times(a: Dimension, b: Dimension): Dimension {
  if (a === 0 || b === 0) return 0
  if (isNumber(a) && isNumber(b)) return a * b
  if (b === 1) return a
  return a === 1 ? b : undefined
}

/** How many elements a shape holds. */
export const product = (shape: Shape): Dimension => shape.reduce(times, 1)

/**
 * One whole divided by another; factors that stand on both sides (also by name) cancel.
 * @returns undefined where it is not known or not whole
 */
export function quotient(all: Shape, parts: Shape): Dimension {
  const over = [...all]
  const under = parts.filter((part) => {
    const at = over.indexOf(part)
    if (part === undefined || at < 0) return true
    over.splice(at, 1)
    return false
  })
  const divisor = product(under)
  const dividend = product(over)
  if (divisor === 1) return dividend
  if (!isNumber(divisor) || !isNumber(dividend) || divisor === 0) return undefined
  return dividend % divisor === 0 ? dividend / divisor : undefined
}

/** The common dimension of two that stretch to each other: 1 stretches to anything. */
function stretched(a: Dimension, b: Dimension, shapes: readonly Shape[]): Dimension {
  if (a === b || b === 1) return a
  if (a === 1) return b
  if (isNumber(a) && isNumber(b)) {
    throw new OnnxError(`shapes ${shapes.map(shapeText).join(' and ')} do not broadcast`)
  }
  if (isNumber(a)) return a
  return isNumber(b) ? b : undefined
}

/**
 * The shape that several stretch to, by ONNX's multidirectional broadcasting.
 * @throws {OnnxError} where they do not
 */
export function broadcast(...shapes: readonly (Shape | undefined)[]): Shape | undefined {
  if (shapes.some((shape) => shape === undefined)) return undefined
  const known = shapes as readonly Shape[]
  const rank = Math.max(0, ...known.map(({ length }) => length))
  return Array.from({ length: rank }, (_, at) => {
    const dims = known.map((shape) => {
      const index = at - rank + shape.length
      return index < 0 ? 1 : shape[index]
    })
    return dims.reduce((a, b) => stretched(a, b, known), 1)
  })
}

/** An axis counted from the front. @throws {OnnxError} where the shape has no such axis */
export function axisFrom(axis: number, rank: number): number {
  if (!Number.isInteger(axis) || axis < -rank || axis >= rank) {
    throw new OnnxError(`axis ${axis} is outside a shape of rank ${rank}`)
  }
  return axis < 0 ? axis + rank : axis
}

/** What both say; @throws {OnnxError} where they say different numbers */
export function mergeDimension(a: Dimension, b: Dimension): Dimension {
  if (isNumber(a) && isNumber(b) && a !== b) throw new OnnxError(`${a} is not ${b}`)
  if (isNumber(a)) return a
  if (isNumber(b)) return b
  return a ?? b
}

/** `undefined` as often as the rank says. */
export const unknownDims = (rank: number): Shape => Array.from({ length: rank }, () => undefined)
