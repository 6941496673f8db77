/** Operators that arrange elements anew: what computes shapes is here, so values are followed through them. */
import type { Dimension } from '../../graph/value-type.ts'
import { OnnxError } from '../../onnx/read.ts'
import { tensorTypes } from '../../onnx/types.ts'
import {
  axisFrom,
  broadcast,
  isNumber,
  plus,
  product,
  quotient,
  type Shape,
  shapeText,
  times,
  unknownDims,
} from '../dimensions.ts'
import {
  type Inference,
  inferred,
  type NodeFacts,
  type OperatorTable,
  repeated,
} from '../node-facts.ts'

const { int64 } = tensorTypes

/** The same elements in another shape. */
const again = (facts: NodeFacts, shape: Shape | undefined) => [
  inferred(facts.elementType(0), shape, facts.values(0)),
]
/** A shape of which only the rank is known, from the length of the list that says it. */
const ofRank = (list: Shape | undefined): Shape | undefined => {
  const rank = list?.[0]
  return isNumber(rank) && list?.length === 1 && rank >= 0 && rank <= 64
    ? unknownDims(rank)
    : undefined
}

const shapeOf: Inference = (facts) => {
  const shape = facts.shape(0)
  if (!shape) return [inferred(int64, [undefined])]
  const clamp = (at: number) => Math.min(shape.length, Math.max(0, at < 0 ? at + shape.length : at))
  const part = shape.slice(clamp(facts.int('start', 0)), clamp(facts.int('end', shape.length)))
  return [inferred(int64, [part.length], part)]
}

const reshape: Inference = (facts) => {
  const from = facts.shape(0)
  const to = facts.ints('shape', undefined) ?? facts.values(1)
  if (!to) return again(facts, ofRank(facts.shape(1)))
  const copies = facts.int('allowzero', 0) === 0
  const shape = to.map((one, at): Dimension => (one === 0 && copies ? from?.[at] : one))
  const open = shape.indexOf(-1)
  if (open < 0) {
    const before = from && product(from)
    const after = product(shape)
    if (isNumber(before) && isNumber(after) && before !== after) {
      throw new OnnxError(`${before} elements do not fill ${shapeText(shape)}`)
    }
    return again(facts, shape)
  }
  const others = shape.filter((_, at) => at !== open)
  const rest = from && quotient(from, others)
  const all = from && product(from)
  const known = product(others)
  if (isNumber(all) && isNumber(known) && (known === 0 ? all !== 0 : all % known !== 0)) {
    throw new OnnxError(`${all} elements do not fill ${shapeText(to)}`)
  }
  return again(facts, shape.toSpliced(open, 1, rest))
}

const flatten: Inference = (facts) => {
  const shape = facts.shape(0)
  if (!shape) return again(facts, [undefined, undefined])
  const given = facts.int('axis', 1)
  const axis = given === shape.length ? given : axisFrom(given, shape.length)
  return again(facts, [product(shape.slice(0, axis)), product(shape.slice(axis))])
}

const squeeze: Inference = (facts) => {
  const shape = facts.shape(0)
  const axes = facts.listFrom('axes', 1)
  if (!shape || axes === 'unknown') return again(facts, undefined)
  if (axes === 'absent') {
    return again(facts, shape.every(isNumber) ? shape.filter((one) => one !== 1) : undefined)
  }
  const gone = axes.map((axis) => axisFrom(axis, shape.length))
  for (const axis of gone) {
    const size = shape[axis]
    if (isNumber(size) && size !== 1) throw new OnnxError(`axis ${axis} holds ${size}, not 1`)
  }
  return again(
    facts,
    shape.filter((_, axis) => !gone.includes(axis)),
  )
}

const unsqueeze: Inference = (facts) => {
  const shape = facts.shape(0)
  const axes = facts.listFrom('axes', 1)
  if (!shape || axes === 'absent' || axes === 'unknown') return again(facts, undefined)
  const rank = shape.length + axes.length
  const added = new Set(axes.map((axis) => axisFrom(axis, rank)))
  if (added.size !== axes.length) throw new OnnxError(`axes ${axes} name one twice`)
  const rest = shape.values()
  return again(
    facts,
    Array.from({ length: rank }, (_, axis) => (added.has(axis) ? 1 : rest.next().value)),
  )
}

const transpose: Inference = (facts) => {
  const shape = facts.shape(0)
  if (!shape) return [inferred(facts.elementType(0), undefined)]
  const order = facts.ints('perm', undefined) ?? shape.map((_, axis) => shape.length - 1 - axis)
  if (order.length !== shape.length || new Set(order).size !== shape.length) {
    throw new OnnxError(`perm ${order} is no order of ${shape.length} axes`)
  }
  const turned = order.map((axis) => shape[axisFrom(axis, shape.length)])
  // What has one axis longer than 1 keeps the order of its elements.
  const line = shape.filter((one) => one !== 1).length <= 1
  return [inferred(facts.elementType(0), turned, line ? facts.values(0) : undefined)]
}

/** @param at which inputs are joined */
export function joined(facts: NodeFacts, inputs: readonly number[]): Shape | undefined {
  const shapes = inputs.map((at) => facts.shape(at))
  const rank = shapes.find(Boolean)?.length
  if (rank === undefined) return undefined
  const axis = axisFrom(facts.int('axis', 1), rank)
  for (const shape of shapes) {
    if (shape && shape.length !== rank) {
      throw new OnnxError(`inputs of rank ${rank} and ${shape.length} are not joined`)
    }
  }
  return Array.from({ length: rank }, (_, place) => {
    const sizes = shapes.map((shape) => shape?.[place])
    if (place === axis) return sizes.reduce(plus, 0)
    const size = sizes.find(isNumber) ?? sizes.find(Boolean)
    const other = sizes.find((one) => isNumber(one) && one !== size)
    if (isNumber(size) && other !== undefined) {
      throw new OnnxError(`inputs of ${size} and ${other} along axis ${place} are not joined`)
    }
    return size
  })
}

const concat: Inference = (facts) => {
  const all = facts.inputs.map((_, at) => at)
  const shape = joined(facts, all)
  const values = all.map((at) => facts.values(at))
  const known = shape?.length === 1 && values.every((one) => one !== undefined)
  return [
    inferred(facts.elementType(0), shape, known ? values.flatMap((one) => [...one]) : undefined),
  ]
}

const split: Inference = (facts) => {
  const shape = facts.shape(0)
  const type = facts.elementType(0)
  const outputs = facts.node.output
  const given = facts.listFrom('split', 1)
  if (!shape) return outputs.map(() => inferred(type, undefined))
  const axis = axisFrom(facts.int('axis', 0), shape.length)
  const size = shape[axis]
  const count = facts.int('num_outputs', outputs.length)
  let at = 0
  return outputs.map((_, place) => {
    const chunk = isNumber(size) ? Math.ceil(size / count) : undefined
    const even =
      chunk !== undefined && Math.max(0, Math.min(chunk, (size as number) - place * chunk))
    const length =
      given === 'absent'
        ? even === false
          ? undefined
          : even
        : given === 'unknown'
          ? undefined
          : given[place]
    const values = facts.values(0)
    const part =
      values && shape.length === 1 && length !== undefined
        ? values.slice(at, at + length)
        : undefined
    at += length ?? 0
    return inferred(type, shape.with(axis, length), part)
  })
}

type Cut = { axes: readonly number[]; starts: Shape; ends: Shape; steps: readonly number[] }

function cutOf(facts: NodeFacts, rank: number): Cut | undefined {
  const starts = facts.ints('starts', undefined) ?? facts.values(1)
  const ends = facts.ints('ends', undefined) ?? facts.values(2)
  const axes = facts.listFrom('axes', 3)
  const steps = facts.has(4) ? facts.numbers(4) : starts?.map(() => 1)
  if (!starts || !ends || axes === 'unknown' || !steps) return undefined
  const places = axes === 'absent' ? starts.map((_, axis) => axis) : axes
  return { axes: places.map((axis) => axisFrom(axis, rank)), starts, ends, steps }
}

function cutLength(size: Dimension, start: Dimension, end: Dimension, step: number): Dimension {
  if (start === 0 && step === 1 && (end === size || (isNumber(end) && end >= 2 ** 31 - 1)))
    return size
  if (!isNumber(size) || !isNumber(start) || !isNumber(end)) return undefined
  const [from, to] = bounds(size, start, end, step)
  return Math.max(0, Math.ceil((to - from) / step))
}

function bounds(size: number, start: number, end: number, step: number): [number, number] {
  if (step === 0) throw new OnnxError('a step of 0')
  const low = step > 0 ? 0 : -1
  const high = step > 0 ? size : size - 1
  const clamp = (at: number, least: number) =>
    Math.min(high, Math.max(least, at < 0 ? at + size : at))
  return [clamp(start, 0), clamp(end, low)]
}

const slice: Inference = (facts) => {
  const shape = facts.shape(0)
  const type = facts.elementType(0)
  if (!shape) return [inferred(type, undefined)]
  const cut = cutOf(facts, shape.length)
  if (!cut) return [inferred(type, cutAxes(facts, shape))]
  const result = [...shape]
  for (const [at, axis] of cut.axes.entries()) {
    result[axis] = cutLength(shape[axis], cut.starts[at], cut.ends[at], cut.steps[at] ?? 1)
  }
  const values = facts.values(0)
  const length = result[0]
  const [start, step] = [cut.starts[0], cut.steps[0] ?? 1]
  if (
    values &&
    shape.length === 1 &&
    isNumber(length) &&
    isNumber(start) &&
    cut.axes.length === 1
  ) {
    const [from] = bounds(values.length, start, 0, step)
    const part = Array.from({ length }, (_, index) => values[from + index * step])
    return [inferred(type, result, part)]
  }
  return [inferred(type, result)]
}

/** Where the bounds are computed only the axes that are cut are unknown, if they are said. */
function cutAxes(facts: NodeFacts, shape: Shape): Shape {
  const axes = facts.listFrom('axes', 3)
  if (typeof axes === 'string') return unknownDims(shape.length)
  const cut = new Set(axes.map((axis) => axisFrom(axis, shape.length)))
  return shape.map((dimension, axis) => (cut.has(axis) ? undefined : dimension))
}

const expand: Inference = (facts) => {
  const to = facts.values(1) ?? ofRank(facts.shape(1))
  const shape = facts.shape(0)
  const result = broadcast(shape, to)
  const values = facts.values(0)
  const filled = values?.length === 1 ? repeated(values[0], result && product(result)) : undefined
  return [inferred(facts.elementType(0), result, filled)]
}

const tile: Inference = (facts) => {
  const shape = facts.shape(0)
  const repeats = facts.values(1)
  if (!shape) return [inferred(facts.elementType(0), undefined)]
  return [
    inferred(
      facts.elementType(0),
      shape.map((size, axis) => times(size, repeats?.[axis])),
    ),
  ]
}

const pad: Inference = (facts) => {
  const shape = facts.shape(0)
  const type = facts.elementType(0)
  if (!shape) return [inferred(type, undefined)]
  const pads = facts.listFrom('pads', 1)
  const axes = facts.has(3) ? facts.numbers(3) : shape.map((_, axis) => axis)
  if (typeof pads === 'string' || !axes) return [inferred(type, unknownDims(shape.length))]
  if (pads.length !== 2 * axes.length) {
    throw new OnnxError(`${pads.length} pads do not fit ${axes.length} axes`)
  }
  const result = [...shape]
  for (const [at, axis] of axes.entries()) {
    const place = axisFrom(axis, shape.length)
    result[place] = plus(result[place], pads[at]! + pads[at + axes.length]!)
  }
  return [inferred(type, result)]
}

/** Upsample and Resize: by sizes, or by factors. */
function scaled(
  facts: NodeFacts,
  scales: readonly Dimension[] | undefined,
  sizes: readonly Dimension[] | undefined,
) {
  const shape = facts.shape(0)
  const type = facts.elementType(0)
  if (!shape) return [inferred(type, ofRank(undefined))]
  const axes = (facts.ints('axes', undefined) ?? shape.map((_, axis) => axis)).map((axis) =>
    axisFrom(axis, shape.length),
  )
  const given = sizes ?? scales
  if (given && given.length !== axes.length) {
    throw new OnnxError(`${given.length} sizes or scales do not fit ${axes.length} axes`)
  }
  const result: Dimension[] = [...shape]
  const ratio = sizes && ratioOf(facts, shape, axes, sizes)
  const region = facts.string('coordinate_transformation_mode', '') === 'tf_crop_and_resize'
  const roi = region ? facts.numbers(1) : undefined
  for (const [at, axis] of axes.entries()) {
    const size = shape[axis]
    const scale = scales?.[at]
    if (sizes) {
      result[axis] =
        ratio === undefined
          ? sizes[at]
          : isNumber(size) && ratio !== null
            ? Math.floor(size * ratio + 0.5)
            : undefined
    } else if (scale === 1 && !region) result[axis] = size
    else if (!isNumber(size) || !isNumber(scale) || (region && !roi)) result[axis] = undefined
    else {
      const part = roi ? roi[at + axes.length]! - roi[at]! : 1
      result[axis] = Math.floor(Math.fround(Math.fround(size * part) * scale))
    }
  }
  return [inferred(type, result)]
}

/** What both axes are scaled by where the aspect is kept; undefined where it is not, null where it is not known. */
function ratioOf(
  facts: NodeFacts,
  shape: Shape,
  axes: readonly number[],
  sizes: readonly Dimension[],
): number | null | undefined {
  const policy = facts.string('keep_aspect_ratio_policy', 'stretch')
  if (policy === 'stretch') return undefined
  const ratios = axes.map((axis, at) => Number(sizes[at]) / Number(shape[axis]))
  if (!ratios.every(Number.isFinite)) return null
  return policy === 'not_larger' ? Math.min(...ratios) : Math.max(...ratios)
}

const resize: Inference = (facts) => {
  if (facts.opset < 11) return scaled(facts, facts.values(1), undefined)
  const sizes = facts.has(3) ? facts.values(3) : undefined
  const scales = facts.has(2) ? facts.values(2) : undefined
  // An empty tensor in the place of the scales says that the sizes count.
  return scaled(facts, scales?.length ? scales : undefined, sizes?.length ? sizes : undefined)
}

/** Blocks of pixels to channels, or back. */
const blocks =
  (toSpace: boolean): Inference =>
  (facts) => {
    const shape = facts.shape(0)
    const block = facts.int('blocksize', 0)
    if (shape?.length !== 4 || block < 1) return [inferred(facts.elementType(0), undefined)]
    const over = (size: Dimension, by: number): Dimension => {
      if (!isNumber(size)) return undefined
      if (size % by !== 0) throw new OnnxError(`${size} is no multiple of ${by}`)
      return size / by
    }
    const [batch, channels, height, width] = shape
    return [
      inferred(
        facts.elementType(0),
        toSpace
          ? [batch, over(channels, block * block), times(height, block), times(width, block)]
          : [batch, times(channels, block * block), over(height, block), over(width, block)],
      ),
    ]
  }

const centred: Inference = (facts) => {
  const shape = facts.shape(0)
  const sizes = facts.values(1)
  if (!shape) return [inferred(facts.elementType(0), undefined)]
  const axes = facts.ints('axes', undefined) ?? shape.map((_, axis) => axis)
  const result = [...shape]
  for (const [at, axis] of axes.entries()) result[axisFrom(axis, shape.length)] = sizes?.[at]
  return [inferred(facts.elementType(0), result)]
}

/** Domain `com.microsoft`: each joined tensor comes with its scale and zero point. */
export const microsoftLayout: OperatorTable = {
  QLinearConcat: (facts) => {
    const tensors = facts.inputs.map((_, at) => at).filter((at) => at >= 2 && at % 3 === 2)
    return [inferred(facts.elementType(2), joined(facts, tensors))]
  },
}

export const layouts: OperatorTable = {
  Shape: shapeOf,
  Size: (facts) => {
    const size = facts.shape(0) && product(facts.shape(0)!)
    return [inferred(int64, [], [size])]
  },
  Reshape: reshape,
  Flatten: flatten,
  Squeeze: squeeze,
  Unsqueeze: unsqueeze,
  Transpose: transpose,
  Concat: concat,
  Split: split,
  Slice: slice,
  Expand: expand,
  Tile: tile,
  Pad: pad,
  Upsample: (facts) => {
    const factors = facts.node.attribute.find(({ name }) => name === 'scales')?.floats
    return scaled(facts, factors ?? facts.values(1), undefined)
  },
  Resize: resize,
  DepthToSpace: blocks(true),
  SpaceToDepth: blocks(false),
  CenterCropPad: centred,
}
