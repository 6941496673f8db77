/**
 * Where the channels between two convolutions are nobody else's: one makes them, operators that keep channels apart
 * carry them on, and another reads them. How many there are can be changed there without anybody noticing.
 */
import { intOf } from '../graph/attributes.ts'
import type { Graph } from '../graph/graph.ts'
import type { NodeProto } from '../onnx/schema.ts'
import { tensorTypes } from '../onnx/types.ts'
import { isOp } from './matching.ts'

/** A run of operators whose channels only its two ends know. */
export type ChannelStretch = {
  readonly first: NodeProto
  /** In order; depthwise convolutions and BatchNorm have constants by channel, the others nothing. */
  readonly between: readonly NodeProto[]
  readonly last: NodeProto
  readonly channels: number
}

/** Keep each channel to itself, know no channel by itself, and make something finite of zero. */
const ofEachChannel = [
  ...['Relu', 'LeakyRelu', 'Clip', 'Sigmoid', 'HardSigmoid', 'HardSwish', 'Tanh', 'Elu'],
  ...['MaxPool', 'AveragePool'],
]

/** The stretch that begins with a convolution; undefined where somebody else sees its channels. */
export function stretchFrom(graph: Graph, first: NodeProto): ChannelStretch | undefined {
  if (!isDense(graph, first)) return undefined
  const between: NodeProto[] = []
  for (let at = first; ; ) {
    const value = at.output[0]!
    const [next, ...others] = graph.usersOf(value)
    if (!next || others.length > 0 || graph.isOutput(value)) return undefined
    if (next.input[0] !== value || next.input.lastIndexOf(value) !== 0) return undefined
    if (at.output.filter((one) => one !== '').length > 1) return undefined
    if (isDense(graph, next)) {
      const channels = Number(graph.constantOf(first.input[1])!.dims[0])
      return { first, between, last: next, channels }
    }
    const carries = isDepthwise(graph, next) || isNorm(graph, next) || isOp(next, ...ofEachChannel)
    if (!carries) return undefined
    between.push(next)
    at = next
  }
}

/** A convolution of all channels with all channels, with constant weights. */
export const isDense = (graph: Graph, node: NodeProto): boolean =>
  isConstantConv(graph, node) && intOf(node, 'group', 1) === 1

/** A convolution of each channel by itself. */
export const isDepthwise = (graph: Graph, node: NodeProto): boolean => {
  if (!isConstantConv(graph, node)) return false
  const [outer, inner] = graph.constantOf(node.input[1])!.dims.map(Number)
  return inner === 1 && intOf(node, 'group', 1) === outer && outer! > 1
}

const isNorm = (graph: Graph, node: NodeProto): boolean =>
  isOp(node, 'BatchNormalization') && hasFloats(graph, node)

const isConstantConv = (graph: Graph, node: NodeProto): boolean =>
  isOp(node, 'Conv') && hasFloats(graph, node)

const hasFloats = (graph: Graph, node: NodeProto): boolean =>
  node.input
    .slice(1)
    .every((name) => name === '' || graph.constantOf(name)?.dataType === tensorTypes.float32)
