/** What passes ask of a graph over and over: which operator a node is, and which numbers a constant holds. */
import type { Graph } from '../graph/graph.ts'
import type { NodeProto } from '../onnx/schema.ts'
import { numberTypeOf, valuesOf } from '../onnx/tensor.ts'
import { tensorTypes } from '../onnx/types.ts'

/** Constants with more elements than this are weights, and nobody asks for their numbers one by one. */
const elementsMax = 1024

/** Whether a node is one of these operators of ONNX itself. */
export function isOp(node: NodeProto | undefined, ...types: readonly string[]): boolean {
  return node !== undefined && isPlain(node) && types.includes(node.opType)
}

/** Whether a node's operator is one of ONNX itself. */
export const isPlain = ({ domain }: NodeProto): boolean => domain === '' || domain === 'ai.onnx'

/** The node that makes a value, if it is one of these operators. */
export function producerAs(
  graph: Graph,
  value: string | undefined,
  ...types: readonly string[]
): NodeProto | undefined {
  const producer = value === undefined ? undefined : graph.producerOf(value)
  return isOp(producer, ...types) ? producer : undefined
}

/** The numbers of a small constant; undefined where it is none, or holds no numbers, or too many. */
export function numbersOf(graph: Graph, value: string | undefined): number[] | undefined {
  const tensor = graph.constantOf(value)
  if (tensor === undefined || numberTypeOf(tensor.dataType) === undefined) return undefined
  if (tensor.externalData.length > 0) return undefined
  if (tensor.dims.reduce((size, dim) => size * Number(dim), 1) > elementsMax) return undefined
  return Array.from(valuesOf(tensor) as ArrayLike<number | bigint>, Number)
}

/** The number of a constant with one element. */
export function scalarOf(graph: Graph, value: string | undefined): number | undefined {
  const numbers = numbersOf(graph, value)
  return numbers?.length === 1 ? numbers[0] : undefined
}

/** Whether a constant holds one float32 close to a number (as far as float32 can tell). */
export function isScalar(graph: Graph, value: string | undefined, wanted: number): boolean {
  const found = scalarOf(graph, value)
  return found !== undefined && Math.abs(found - wanted) <= Math.abs(wanted) * 1e-6
}

/** The one node that reads a value, which is then no output of the graph. */
export function onlyUserOf(graph: Graph, value: string | undefined): NodeProto | undefined {
  if (value === undefined || graph.isOutput(value)) return undefined
  const users = graph.usersOf(value)
  return users.length === 1 ? users[0] : undefined
}

/** Which input of a two-input node is a constant, and which the other. */
export function splitConstant(
  graph: Graph,
  { input }: NodeProto,
):
  | { readonly constant: string; readonly other: string; readonly constantFirst: boolean }
  | undefined {
  const [first, second] = input
  if (input.length !== 2 || !first || !second) return undefined
  if (graph.constantOf(second)) {
    return graph.constantOf(first)
      ? undefined
      : { constant: second, other: first, constantFirst: false }
  }
  if (graph.constantOf(first)) return { constant: first, other: second, constantFirst: true }
  return undefined
}

/** Whether a value is known to hold float32. */
export const isFloat32 = (graph: Graph, value: string | undefined): boolean =>
  value !== undefined && graph.typeOf(value)?.elementType === tensorTypes.float32
