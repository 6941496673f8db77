/** Operators that make several elements along axes into one. */
import type { Dimension } from '../../graph/value-type.ts'
import { tensorTypes } from '../../onnx/types.ts'
import { axisFrom, isNumber, type Shape, times, unknownDims } from '../dimensions.ts'
import { type Inference, inferred, type NodeFacts, type OperatorTable } from '../node-facts.ts'

const { int64 } = tensorTypes

/** A shape whose given axes are 1 or gone. */
export function reduced(shape: Shape, axes: readonly number[], keep: boolean): Shape {
  const gone = new Set(axes.map((axis) => axisFrom(axis, shape.length)))
  return keep
    ? shape.map((dimension, axis) => (gone.has(axis) ? 1 : dimension))
    : shape.filter((_, axis) => !gone.has(axis))
}

function reducedShape(facts: NodeFacts): Shape | undefined {
  const shape = facts.shape(0)
  const axes = facts.listFrom('axes', 1)
  const keep = facts.int('keepdims', 1) !== 0
  if (axes === 'unknown') return shape && keep ? unknownDims(shape.length) : undefined
  // No axes are all axes, unless the operator was told that they are none.
  const all = axes === 'absent' || axes.length === 0
  if (all && facts.int('noop_with_empty_axes', 0) !== 0) return shape
  if (all && !keep) return []
  return shape && reduced(shape, all ? shape.map((_, axis) => axis) : axes, keep)
}

const reduce =
  (combine?: (a: Dimension, b: Dimension) => Dimension): Inference =>
  (facts) => {
    const shape = reducedShape(facts)
    const values = facts.values(0)
    const whole = shape?.every((one) => one === 1) && (facts.shape(0)?.length ?? 2) <= 1
    const value = combine && values && values.length > 0 ? values.reduce(combine) : undefined
    return [inferred(facts.elementType(0), shape, whole && combine && values ? [value] : undefined)]
  }

const index: Inference = (facts) => {
  const shape = facts.shape(0)
  const axis = facts.int('axis', 0)
  return [inferred(int64, shape && reduced(shape, [axis], facts.int('keepdims', 1) !== 0))]
}

const numeric = (compute: (a: number, b: number) => number) => (a: Dimension, b: Dimension) =>
  isNumber(a) && isNumber(b) ? compute(a, b) : undefined

export const reduction: OperatorTable = {
  ReduceL1: reduce(),
  ReduceL2: reduce(),
  ReduceLogSum: reduce(),
  ReduceLogSumExp: reduce(),
  ReduceMean: reduce(),
  ReduceSumSquare: reduce(),
  ReduceMax: reduce(numeric(Math.max)),
  ReduceMin: reduce(numeric(Math.min)),
  ReduceSum: reduce(numeric((a, b) => a + b)),
  ReduceProd: reduce(times),
  ArgMax: index,
  ArgMin: index,
}
