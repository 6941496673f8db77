/** Operators that slide a window over the axes behind batch and channels. */
import type { Dimension } from '../../graph/value-type.ts'
import { OnnxError } from '../../onnx/read.ts'
import { tensorTypes } from '../../onnx/types.ts'
import { isNumber, product, type Shape, times, unknownDims } from '../dimensions.ts'
import { type Inference, inferred, type NodeFacts, type OperatorTable } from '../node-facts.ts'

const { int32, int64 } = tensorTypes

type Window = {
  readonly kernel: readonly Dimension[]
  readonly strides: readonly number[]
  readonly dilations: readonly number[]
  readonly pads: readonly number[]
  readonly autoPad: string
  readonly ceil: boolean
}

function windowOf(facts: NodeFacts, kernel: readonly Dimension[]): Window {
  const axes = kernel.length
  const list = (name: string, count: number, otherwise: number) => {
    const given = facts.ints(name, undefined)
    if (given === undefined || given.length === 0) return new Array(count).fill(otherwise)
    if (given.length !== count) {
      throw new OnnxError(`${name} has ${given.length} entries for ${axes} axes`)
    }
    return given
  }
  const strides = list('strides', axes, 1)
  if (strides.some((stride) => stride < 1)) throw new OnnxError(`strides ${strides} are below 1`)
  return {
    kernel,
    strides,
    dilations: list('dilations', axes, 1),
    pads: list('pads', 2 * axes, 0),
    autoPad: facts.string('auto_pad', 'NOTSET'),
    ceil: facts.int('ceil_mode', 0) !== 0,
  }
}

/** How often the window fits along one axis. */
function steps(size: Dimension, axis: number, window: Window): Dimension {
  const { autoPad, ceil } = window
  const kernel = window.kernel[axis]
  const stride = window.strides[axis]!
  if (autoPad.startsWith('SAME')) {
    if (isNumber(size)) return Math.ceil(size / stride)
    return stride === 1 ? size : undefined
  }
  if (!isNumber(kernel)) return undefined
  const reach = window.dilations[axis]! * (kernel - 1) + 1
  const before = autoPad === 'VALID' ? 0 : window.pads[axis]!
  const after = autoPad === 'VALID' ? 0 : window.pads[axis + window.kernel.length]!
  if (!isNumber(size)) {
    return stride === 1 && before + after === reach - 1 ? size : undefined
  }
  const room = size + before + after - reach
  if (room < 0) {
    throw new OnnxError(
      `its window of ${reach} does not fit into ${size} with padding ${before}+${after}`,
    )
  }
  if (!ceil) return Math.floor(room / stride) + 1
  const count = Math.ceil(room / stride) + 1
  // A last window that would begin in the padding behind is left out.
  return (count - 1) * stride >= size + before ? count - 1 : count
}

function slid(facts: NodeFacts, shape: Shape, kernel: readonly Dimension[]): Dimension[] {
  const space = shape.slice(2)
  if (kernel.length !== space.length) {
    throw new OnnxError(
      `a kernel of ${kernel.length} axes does not fit an input of rank ${shape.length}`,
    )
  }
  const window = windowOf(facts, kernel)
  return space.map((size, axis) => steps(size, axis, window))
}

/** @param data and weights: which inputs they are */
const convolution =
  (data: number, weights: number, elementType?: (facts: NodeFacts) => number): Inference =>
  (facts) => {
    const shape = facts.shape(data)
    const filter = facts.shape(weights)
    const type = elementType ? elementType(facts) : facts.elementType(data)
    if (!shape) return [inferred(type, filter && unknownDims(filter.length))]
    if (filter && filter.length !== shape.length) {
      throw new OnnxError(`weights of rank ${filter.length} meet an input of rank ${shape.length}`)
    }
    const group = facts.int('group', 1)
    const channels = shape[1]
    const per = filter?.[1]
    if (isNumber(channels) && isNumber(per) && per * group !== channels) {
      throw new OnnxError(`weights for ${per}×${group} channels meet an input of ${channels}`)
    }
    const kernel = facts.ints('kernel_shape', undefined) ?? filter?.slice(2)
    const space = kernel ? slid(facts, shape, kernel) : unknownDims(Math.max(0, shape.length - 2))
    return [inferred(type, [shape[0], filter?.[0], ...space])]
  }

const transposed: Inference = (facts) => {
  const shape = facts.shape(0)
  const filter = facts.shape(1)
  if (!shape) return [inferred(facts.elementType(0), undefined)]
  const kernel =
    facts.ints('kernel_shape', undefined) ?? filter?.slice(2) ?? unknownDims(shape.length - 2)
  const window = windowOf(facts, kernel)
  const axes = shape.length - 2
  const fixed = facts.ints('output_shape', undefined)
  const extra = facts.ints('output_padding', undefined)
  const space = shape.slice(2).map((size, axis): Dimension => {
    // Some exporters write the whole shape, batch and channels included.
    if (fixed && fixed.length >= axes) return fixed[fixed.length - axes + axis]
    const stride = window.strides[axis]!
    if (window.autoPad.startsWith('SAME')) return times(size, stride)
    const side = kernel[axis]
    if (!isNumber(size) || !isNumber(side)) return undefined
    const pads =
      window.autoPad === 'VALID' ? 0 : window.pads[axis]! + window.pads[axis + kernel.length]!
    return (
      stride * (size - 1) + (extra?.[axis] ?? 0) + (side - 1) * window.dilations[axis]! + 1 - pads
    )
  })
  return [
    inferred(facts.elementType(0), [shape[0], times(filter?.[1], facts.int('group', 1)), ...space]),
  ]
}

const pool: Inference = (facts) => {
  const shape = facts.shape(0)
  const kernel = facts.ints('kernel_shape', undefined)
  if (!shape || !kernel) return [inferred(facts.elementType(0), undefined)]
  const result = [shape[0], shape[1], ...slid(facts, shape, kernel)]
  return [inferred(facts.elementType(0), result), inferred(int64, result)]
}

const globalPool: Inference = (facts) => [
  inferred(
    facts.elementType(0),
    facts.shape(0)?.map((dimension, axis) => (axis < 2 ? dimension : 1)),
  ),
]

const unpool: Inference = (facts) => {
  const shape = facts.shape(0)
  const type = facts.elementType(0)
  if (facts.has(2)) return [inferred(type, facts.values(2) ?? (shape && unknownDims(shape.length)))]
  const kernel = facts.ints('kernel_shape', undefined)
  if (!shape || !kernel) return [inferred(type, undefined)]
  const { strides, pads } = windowOf(facts, kernel)
  const space = shape
    .slice(2)
    .map((size, axis) =>
      isNumber(size)
        ? (size - 1) * strides[axis]! + kernel[axis]! - pads[axis]! - pads[axis + kernel.length]!
        : undefined,
    )
  return [inferred(type, [shape[0], shape[1], ...space])]
}

const columnsToImage: Inference = (facts) => {
  const size = facts.values(1)
  const block = facts.values(2)
  const shape = facts.shape(0)
  if (!size || !shape) return [inferred(facts.elementType(0), undefined)]
  const perChannel = block && product(block)
  const channels =
    isNumber(shape[1]) && isNumber(perChannel) && perChannel > 0 ? shape[1] / perChannel : undefined
  return [inferred(facts.elementType(0), [shape[0], channels, ...size])]
}

const regions: Inference = (facts) => [
  inferred(facts.elementType(0), [
    facts.shape(1)?.[0],
    facts.shape(0)?.[1],
    facts.int('output_height', facts.ints('pooled_shape', [])[0] ?? 1),
    facts.int('output_width', facts.ints('pooled_shape', [])[1] ?? 1),
  ]),
]

/** Domain `com.microsoft`. */
export const microsoftConvolution: OperatorTable = {
  FusedConv: convolution(0, 1),
  QLinearAveragePool: (facts) => (facts.int('channels_last', 0) ? [] : pool(facts).slice(0, 1)),
  QLinearGlobalAveragePool: (facts) => (facts.int('channels_last', 0) ? [] : globalPool(facts)),
  NhwcMaxPool: () => [],
}

export const convolutions: OperatorTable = {
  Conv: convolution(0, 1),
  ConvInteger: convolution(0, 1, () => int32),
  QLinearConv: convolution(0, 3, (facts) => facts.elementType(7)),
  DeformConv: convolution(0, 1),
  ConvTranspose: transposed,
  MaxPool: pool,
  AveragePool: pool,
  LpPool: pool,
  GlobalAveragePool: globalPool,
  GlobalMaxPool: globalPool,
  GlobalLpPool: globalPool,
  MaxUnpool: unpool,
  Col2Im: columnsToImage,
  RoiAlign: regions,
  MaxRoiPool: regions,
}
