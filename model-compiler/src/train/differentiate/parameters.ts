/**
 * Which of a model's constants are parameters, and how they lie in one flat vector. A constant is a parameter by where it
 * is read: weights and biases of layers always, constants of plain arithmetic only where they stand for a bias or a scale
 * per channel behind a layer. Numbers such as the 3 and the 6 of a HardSwish, or the mean and deviation that pixels are
 * normalized by, are none.
 */
import { intOf, intsOf } from '../../graph/attributes.ts'
import type { Graph } from '../../graph/graph.ts'
import { staticShape } from '../../graph/value-type.ts'
import type { NodeProto } from '../../onnx/schema.ts'
import { tensorTypes } from '../../onnx/types.ts'
import { isPlain } from '../../passes/matching.ts'
import { sizeOf } from '../tape/sym.ts'

/** A constant that could be trained. */
export type Candidate = {
  readonly name: string
  readonly shape: readonly number[]
  /** The axis that counts the channels that come out of its layer. */
  readonly channelAxis: number
  /** Layers (nodes with weights) before the first that reads it, the model's first layer has 0. */
  readonly depth: number
}

/** A parameter and its place in the flat vector. */
export type Parameter = {
  readonly name: string
  readonly shape: readonly number[]
  readonly offset: number
  readonly elements: number
  readonly channelAxis: number
}

/** An input of the step graph that reads a piece of the flat vector. */
export type ParameterInput = {
  readonly name: string
  readonly offset: number
  readonly elements: number
  readonly shape: readonly number[]
}

/** Parameters up to this many elements travel together: many small tensors cost more than their bytes. */
export const smallElementsMax = 4096
/** The input that holds them. */
export const smallName = 'parameters/small'

type Role = (node: NodeProto, rank: number) => number
const last: Role = (_, rank) => rank - 1
const first: Role = () => 0

/** Inputs that hold weights, each with its channel axis. */
const weights: Readonly<Record<string, Readonly<Record<number, Role>>>> = {
  Conv: { 1: first, 2: first },
  ConvTranspose: { 1: () => 1, 2: first },
  Gemm: {
    0: (node) => (intOf(node, 'transA', 0) ? 1 : 0),
    1: (node) => (intOf(node, 'transB', 0) ? 0 : 1),
    2: last,
  },
  MatMul: { 0: (_, rank) => Math.max(0, rank - 2), 1: last },
  BatchNormalization: { 1: first, 2: first },
  InstanceNormalization: { 1: first, 2: first },
  GroupNormalization: { 1: first, 2: first },
  LayerNormalization: { 1: last, 2: last },
  PRelu: { 1: first },
  Gather: { 0: last },
}
/** What makes a layer for counting depth. */
const layers = new Set(['Conv', 'ConvTranspose', 'Gemm', 'MatMul'])
const products = new Set([...layers])
const elementwise = new Set(['Add', 'Sub', 'Mul', 'Div'])

/** In the order in which the model reads them. */
export function candidatesOf(graph: Graph): readonly Candidate[] {
  const found = new Map<string, Candidate>()
  const behindLayer = new Set<string>()
  let depth = -1
  const add = (name: string | undefined, role: (rank: number) => number) => {
    const source = sourceOf(graph, name ?? '')
    if (!source || found.has(source.name)) return
    const axis = source.axisOf(role)
    found.set(source.name, {
      name: source.name,
      shape: source.shape,
      channelAxis: axis,
      depth: Math.max(0, depth),
    })
  }
  for (const node of graph.nodes) {
    if (!isPlain(node)) continue
    const table = weights[node.opType]
    const roles = Object.entries(table ?? {}).filter(([at]) =>
      sourceOf(graph, node.input[Number(at)] ?? ''),
    )
    if (layers.has(node.opType) && roles.length > 0) depth++
    for (const [at, role] of roles) {
      add(node.input[Number(at)], (rank) => role(node, rank))
    }
    const behind = roles.length > 0 || node.input.some((name) => behindLayer.has(name))
    if (behind) for (const name of node.output) behindLayer.add(name)
    if (!behind || !elementwise.has(node.opType)) continue
    for (const [at, name] of node.input.entries()) {
      const source = sourceOf(graph, name)
      if (!source || source.name !== name) continue
      if (isPerChannel(graph, node, source.shape, node.input[1 - at])) {
        add(name, () =>
          Math.max(
            0,
            source.shape.findIndex((length) => length > 1),
          ),
        )
      }
    }
  }
  return [...found.values()]
}

/** A vector along one axis; a single number only as the bias of a layer with one channel. */
function isPerChannel(
  graph: Graph,
  node: NodeProto,
  shape: readonly number[],
  other: string | undefined,
): boolean {
  if (shape.filter((length) => length > 1).length > 1) return false
  if (sizeOf(shape) > 1) return true
  const producer = graph.producerOf(other ?? '')
  const length = graph.typeOf(other ?? '')?.shape
  return (
    node.opType === 'Add' &&
    producer !== undefined &&
    products.has(producer.opType) &&
    (length?.at(-1) === 1 || length?.[1] === 1)
  )
}

type Source = {
  readonly name: string
  readonly shape: readonly number[]
  /** Its own axis for the one that the layer counts its channels by. */
  readonly axisOf: (role: (rank: number) => number) => number
}

/** The float32 initializer behind a value, also through what only turns it around. */
function sourceOf(graph: Graph, value: string): Source | undefined {
  const tensor = graph.initializers.get(value)
  if (tensor) {
    if (tensor.dataType !== tensorTypes.float32) return undefined
    const shape = tensor.dims.map(Number)
    return { name: value, shape, axisOf: (role) => role(shape.length) }
  }
  const node = graph.producerOf(value)
  if (!node || !isPlain(node)) return undefined
  if (!['Transpose', 'Reshape', 'Squeeze', 'Unsqueeze', 'Flatten'].includes(node.opType))
    return undefined
  const source = sourceOf(graph, node.input[0] ?? '')
  if (!source) return undefined
  const rank = staticShape(graph.typeOf(value))?.length ?? source.shape.length
  const perm = intsOf(
    node,
    'perm',
    Array.from({ length: rank }, (_, at) => rank - 1 - at),
  )
  return {
    ...source,
    axisOf: (role) => {
      const axis = role(rank)
      if (node.opType === 'Transpose') return source.axisOf(() => perm[axis] ?? axis)
      return source.axisOf(() => Math.min(axis, source.shape.length - 1))
    },
  }
}

/** Small parameters first, behind each other; then each large one by itself. */
export function layOut(chosen: readonly Candidate[]): {
  readonly parameters: readonly Parameter[]
  readonly inputs: readonly ParameterInput[]
} {
  const small = chosen.filter(({ shape }) => sizeOf(shape) <= smallElementsMax)
  const large = chosen.filter(({ shape }) => sizeOf(shape) > smallElementsMax)
  let offset = 0
  const parameters = [...small, ...large].map(({ name, shape, channelAxis }): Parameter => {
    const elements = sizeOf(shape)
    const parameter = { name, shape, offset, elements, channelAxis }
    offset += elements
    return parameter
  })
  const packed = parameters.slice(0, small.length).reduce((sum, { elements }) => sum + elements, 0)
  const inputs = [
    ...(packed > 0 ? [{ name: smallName, offset: 0, elements: packed, shape: [packed] }] : []),
    ...parameters.slice(small.length).map(({ name, offset, elements, shape }) => ({
      name,
      offset,
      elements,
      shape,
    })),
  ]
  return { parameters, inputs }
}
