/**
 * What a node does to each channel of a picture, where that is y = x · scale + shift with constants: BatchNorm,
 * and + − × ÷ with a constant per channel. Channels are axis 1.
 */
import { floatOf, intOf } from '../graph/attributes.ts'
import type { Graph } from '../graph/graph.ts'
import type { NodeProto } from '../onnx/schema.ts'
import { floatsOf } from '../onnx/tensor.ts'
import { tensorTypes } from '../onnx/types.ts'
import { isOp, isPlain, splitConstant } from './matching.ts'

export type ChannelAffine = {
  /** The value that it is done to. */
  readonly input: string
  readonly scale: Float64Array
  readonly shift: Float64Array
}

/**
 * The arithmetic of a BatchNormalization; undefined when it is training or its numbers are not constants.
 * @param channels how many the value has
 */
export function batchNormOf(
  graph: Graph,
  node: NodeProto,
  channels: number,
): ChannelAffine | undefined {
  if (!isOp(node, 'BatchNormalization')) return undefined
  const training = intOf(node, 'training_mode', 0) !== 0 || intOf(node, 'spatial', 1) !== 1
  // Before opset 7 `is_test` said so; before 14 further outputs did.
  if (training || graph.opset < 7 || node.output.slice(1).some((value) => value !== ''))
    return undefined
  const [x = '', ...rest] = node.input
  const [gamma, beta, mean, variance] = rest.map((value) => channelsOf(graph, value, channels))
  if (!gamma || !beta || !mean || !variance) return undefined
  const epsilon = floatOf(node, 'epsilon', 1e-5)
  const scale = gamma.map((value, c) => value / Math.sqrt(variance[c]! + epsilon))
  const shift = beta.map((value, c) => value - mean[c]! * scale[c]!)
  return areFinite(scale, shift) ? { input: x, scale, shift } : undefined
}

/**
 * The arithmetic of an elementwise node with a constant that is one number or one per channel.
 * @param rank of the value, its first axes batch and channels
 */
export function arithmeticOf(
  graph: Graph,
  node: NodeProto,
  channels: number,
  rank: number,
): ChannelAffine | undefined {
  if (!isPlain(node)) return undefined
  const split = splitConstant(graph, node)
  if (split === undefined || !spreadsOverChannels(graph, split.constant, channels, rank)) {
    return undefined
  }
  const numbers = channelsOf(graph, split.constant, channels)
  if (numbers === undefined) return undefined
  const all = (value: number) => new Float64Array(channels).fill(value)
  const made = combine(node.opType, numbers, split.constantFirst, all)
  if (made === undefined || !areFinite(made.scale, made.shift)) return undefined
  return { input: split.other, ...made }
}

function combine(
  opType: string,
  numbers: Float64Array,
  constantFirst: boolean,
  all: (value: number) => Float64Array,
): { scale: Float64Array; shift: Float64Array } | undefined {
  switch (opType) {
    case 'Mul':
      return { scale: numbers, shift: all(0) }
    case 'Add':
      return { scale: all(1), shift: numbers }
    case 'Sub':
      return constantFirst
        ? { scale: all(-1), shift: numbers }
        : { scale: all(1), shift: numbers.map((value) => -value) }
    case 'Div':
      return constantFirst ? undefined : { scale: numbers.map((value) => 1 / value), shift: all(0) }
    default:
      return undefined
  }
}

const areFinite = (...lists: readonly Float64Array[]): boolean =>
  lists.every((list) => list.every(Number.isFinite))

/** Whether broadcasting spreads a constant over axis 1 alone, and keeps the shape of the value. */
function spreadsOverChannels(
  graph: Graph,
  constant: string,
  channels: number,
  rank: number,
): boolean {
  const dims = graph.constantOf(constant)!.dims.map(Number)
  if (dims.length > rank) return false
  const whole = [...new Array(rank - dims.length).fill(1), ...dims]
  return whole.every((dim, axis) => dim === 1 || (axis === 1 && dim === channels))
}

/** The numbers of a float32 constant with one element or one per channel, one per channel. */
export function channelsOf(
  graph: Graph,
  value: string | undefined,
  channels: number,
): Float64Array | undefined {
  const tensor = graph.constantOf(value)
  if (tensor?.dataType !== tensorTypes.float32 || tensor.externalData.length > 0) return undefined
  const size = tensor.dims.reduce((product, dim) => product * Number(dim), 1)
  if (size !== channels && size !== 1) return undefined
  const floats = floatsOf(tensor)
  return size === channels ? Float64Array.from(floats) : new Float64Array(channels).fill(floats[0]!)
}
