/** What an operator's inference may look at: the node, the types of its inputs and, of small ones, their values. */
import { floatOf, intOf, intsOf, stringOf } from '../graph/attributes.ts'
import type { Dimension, ValueType } from '../graph/value-type.ts'
import type { GraphProto, NodeProto } from '../onnx/schema.ts'
import type { Shape } from './dimensions.ts'

/**
 * A type and, where it holds few elements that are known before the graph runs, the elements in row-major
 * order: what `Shape` gives and what is computed from it. An element may be the name of a free dimension.
 */
export type Inferred = ValueType & { readonly values?: readonly Dimension[] | undefined }

/** Tensors with more elements are not followed: shapes, axes, pads and scales are small. */
export const valuesMax = 1024

/** Outputs in order; undefined (or missing) where nothing is known. */
export type Inference = (facts: NodeFacts) => readonly (Inferred | undefined)[]
export type OperatorTable = Readonly<Record<string, Inference>>

export class NodeFacts {
  readonly node: NodeProto
  /** Version of the operators of the node's domain. */
  readonly opset: number
  /** Types of the values at the end of a body (If, Loop, Scan), given those of its inputs. */
  readonly inferBody: (
    body: GraphProto,
    inputs?: readonly (Inferred | undefined)[],
  ) => readonly (Inferred | undefined)[]
  readonly #inputs: readonly (Inferred | undefined)[]

  constructor(
    node: NodeProto,
    opset: number,
    inputs: readonly (Inferred | undefined)[],
    inferBody: NodeFacts['inferBody'],
  ) {
    this.node = node
    this.opset = opset
    this.#inputs = inputs
    this.inferBody = inferBody
  }

  /** Whether an optional input is given. */
  has(at: number): boolean {
    return (this.node.input[at] ?? '') !== ''
  }
  get inputs(): readonly (Inferred | undefined)[] {
    return this.#inputs
  }
  input(at: number): Inferred | undefined {
    return this.#inputs[at]
  }
  shape(at: number): Shape | undefined {
    return this.#inputs[at]?.shape
  }
  /** 0 where it is not known. */
  elementType(at: number): number {
    return this.#inputs[at]?.elementType ?? 0
  }
  values(at: number): readonly Dimension[] | undefined {
    return this.#inputs[at]?.values
  }
  /** Values that are all numbers. */
  numbers(at: number): readonly number[] | undefined {
    const values = this.values(at)
    return values?.every((one) => typeof one === 'number') ? (values as number[]) : undefined
  }
  int<T>(name: string, otherwise: T): number | T {
    return intOf(this.node, name, otherwise)
  }
  ints<T>(name: string, otherwise: T): number[] | T {
    return intsOf(this.node, name, otherwise)
  }
  float<T>(name: string, otherwise: T): number | T {
    return floatOf(this.node, name, otherwise)
  }
  string(name: string, otherwise: string): string {
    return stringOf(this.node, name, otherwise)
  }
  /**
   * What was an attribute first and is an input since (axes, pads, split): 'absent' where it is neither,
   * 'unknown' where it is computed.
   */
  listFrom(name: string, at: number): readonly number[] | 'absent' | 'unknown' {
    const attribute = this.ints(name, undefined)
    if (attribute) return attribute
    if (!this.has(at)) return 'absent'
    return this.numbers(at) ?? 'unknown'
  }
}

/** A type; values only where the shape is all numbers, fits them and is small. */
export function inferred(
  elementType: number,
  shape: Shape | undefined,
  values?: readonly Dimension[],
): Inferred {
  const size = shape?.reduce<number>(
    (size, one) => (typeof one === 'number' ? size * one : Number.NaN),
    1,
  )
  return values && values.length <= valuesMax && size === values.length
    ? { elementType, shape, values }
    : { elementType, shape }
}

/** One value, as often as a shape says; undefined where that is not known, too often, or nonsense. */
export function repeated(value: Dimension, count: Dimension): Dimension[] | undefined {
  const fits =
    typeof count === 'number' && Number.isInteger(count) && count >= 0 && count <= valuesMax
  return fits ? new Array(count).fill(value) : undefined
}
