/**
 * Resizing. Forward it is the runtime's operator; back it is the transposed weighted sum along each axis, so the weights are
 * computed here as the runtime computes them: in float32, with its rules for ties and edges.
 */
import { OnnxError } from '../../../onnx/read.ts'
import type { NodeProto } from '../../../onnx/schema.ts'
import { backAlong, type Weights } from '../../tape/shaping.ts'
import type { Sym } from '../../tape/sym.ts'
import type { Tape } from '../../tape/tape.ts'
import { axisIn, type Lowering, type LoweringContext, type LoweringTable } from '../lowering.ts'

/** How a place of the result is found in the source. */
export type Sampling = {
  readonly mode: 'nearest' | 'linear'
  readonly coordinates: string
  /** Of nearest: where a place between two falls. */
  readonly rounding: string
}

/** What each element along a resized axis is made of. @param scale as the node says it, or result / source */
export function weightsOf(
  source: number,
  result: number,
  scale: number,
  sampling: Sampling,
): readonly Weights[] {
  return Array.from({ length: result }, (_, at): Weights => {
    if (source === result && scale === 1) return [[at, 1]]
    const place = placeOf(at, source, result, scale, sampling.coordinates)
    return sampling.mode === 'nearest'
      ? [[Math.min(source - 1, Math.max(0, rounded(place, sampling.rounding))), 1]]
      : linear(Math.min(source - 1, Math.max(0, place)), source)
  })
}

function linear(place: number, source: number): Weights {
  const low = Math.min(Math.floor(place), source - 1)
  const high = Math.min(low + 1, source - 1)
  if (low === high) return [[low, 1]]
  const share = Math.fround(place - low)
  return [
    [low, 1 - share],
    [high, share],
  ]
}

function placeOf(at: number, source: number, result: number, scale: number, mode: string): number {
  const f = Math.fround
  switch (mode) {
    case 'asymmetric':
      return f(at / f(scale))
    case 'align_corners':
      return result === 1 ? 0 : f(f(at * (source - 1)) / (result - 1))
    case 'pytorch_half_pixel':
      return result > 1 ? f(f((at + 0.5) / f(scale)) - 0.5) : 0
    case 'half_pixel':
      return f(f((at + 0.5) / f(scale)) - 0.5)
    case 'half_pixel_symmetric': {
      const adjusted = f(result / f(f(scale) * source))
      const offset = f((source / 2) * f(1 - adjusted))
      return f(offset + f(f((at + 0.5) / f(scale)) - 0.5))
    }
    default:
      throw new OnnxError(`its coordinate_transformation_mode is "${mode}"`)
  }
}

function rounded(place: number, mode: string): number {
  switch (mode) {
    case 'floor':
      return Math.floor(place)
    case 'ceil':
      return Math.ceil(place)
    case 'round_prefer_ceil':
      return Math.floor(place + 0.5)
    default:
      return Math.ceil(place - 0.5)
  }
}

const resize: Lowering = (node, context) => {
  const [name] = node.input
  const layout = context.layoutOf(name)
  const x = context.read(name, layout)
  const sampling = samplingOf(node, context)
  const inModel = context.shapeOf(name)
  const outModel = context.resultShapeOf(node)
  const said = saidScales(node, context, inModel.length)
  const exchanged = (list: readonly number[]) => list.map((_, axis) => list[axisIn(layout, axis)]!)
  const out = exchanged(outModel)
  const scales = exchanged(outModel.map((length, axis) => said?.[axis] ?? length / inModel[axis]!))
  const attributes = {
    mode: { string: sampling.mode },
    coordinate_transformation_mode: { string: sampling.coordinates },
    nearest_mode: { string: sampling.rounding },
  }
  const { tape } = context
  const y = said
    ? tape.emit('Resize', [x, undefined, tape.constant([scales.length], scales)], attributes)
    : tape.emit('Resize', [x, undefined, undefined, tape.ints(out)], attributes)
  const result = tape.record([x], y, (d) => [resizedBack(tape, d, x.shape, scales, sampling)])
  context.write(node.output[0], result, layout)
}

function resizedBack(
  tape: Tape,
  d: Sym,
  shape: readonly number[],
  scales: readonly number[],
  sampling: Sampling,
): Sym {
  const weights = shape.map((length, axis) =>
    weightsOf(length, d.shape[axis]!, scales[axis]!, sampling),
  )
  const factors = weights.map((each, axis) => repeatsOf(each, shape[axis]!))
  // Each pixel repeated as a block: the blocks are summed, which is what a mean does up to a number.
  if (
    shape.length === 4 &&
    factors[0] === 1 &&
    factors[1] === 1 &&
    factors.every((one) => one !== undefined)
  ) {
    const block = [factors[2]!, factors[3]!]
    if (block[0] === 1 && block[1] === 1) return d
    const mean = tape.emit('AveragePool', [d], {
      kernel_shape: { ints: block },
      strides: { ints: block },
    })
    return tape.mul(mean, block[0]! * block[1]!)
  }
  let result = d
  for (const [axis, each] of weights.entries()) {
    if (factors[axis] !== 1) result = backAlong(tape, result, axis, each, shape[axis]!)
  }
  return result
}

/** How often each element is repeated in order, or undefined where it is something else. */
function repeatsOf(weights: readonly Weights[], length: number): number | undefined {
  const factor = weights.length / length
  const plain =
    Number.isInteger(factor) &&
    weights.every(
      (parts, at) =>
        parts.length === 1 && parts[0]![0] === Math.floor(at / factor) && parts[0]![1] === 1,
    )
  return plain ? factor : undefined
}

function samplingOf(node: NodeProto, context: LoweringContext): Sampling {
  const mode = context.string(node, 'mode', 'nearest')
  if (mode !== 'nearest' && mode !== 'linear') throw new OnnxError(`its mode is "${mode}"`)
  if (context.int(node, 'antialias', 0) !== 0)
    throw new OnnxError('it smooths what it makes smaller')
  if (context.int(node, 'exclude_outside', 0) !== 0)
    throw new OnnxError('it leaves out what lies outside')
  return {
    mode,
    coordinates: context.string(node, 'coordinate_transformation_mode', 'half_pixel'),
    rounding: context.string(node, 'nearest_mode', 'round_prefer_floor'),
  }
}

/** Factors of all axes where the node states factors; undefined where it states lengths. */
function saidScales(
  node: NodeProto,
  context: LoweringContext,
  rank: number,
): readonly number[] | undefined {
  if (!context.has(node, 2)) return undefined
  const numbers = context.numbersOf(node.input[2])
  if (numbers === undefined) throw new OnnxError('its scales are computed by the model')
  if (numbers.length === 0) return undefined
  const axes = context.listFrom(node, 'axes', Number.POSITIVE_INFINITY) ?? [...Array(rank).keys()]
  const all = new Array<number>(rank).fill(1)
  for (const [at, axis] of axes.entries()) all[axis < 0 ? axis + rank : axis] = numbers[at]!
  return all
}

export const resizing: LoweringTable = { Resize: resize }
