/**
 * What changed in ONNX's operators from version to version, as far as a file has to change with it. What only takes
 * more types or has a new attribute whose default is the old behaviour is not here.
 */
import { floatOf, intOf, setAttribute, stringOf } from '../graph/attributes.ts'
import { node as newNode } from '../onnx/build.ts'
import { OnnxError } from '../onnx/read.ts'
import type { NodeProto } from '../onnx/schema.ts'
import { type Numbers, numberTypeOf, tensor, valuesOf } from '../onnx/tensor.ts'
import { isNumber } from '../shapes/dimensions.ts'
import type { Adapter, Place } from './place.ts'

/** A list of whole numbers becomes an input; the numbers stay exact (an end of 2^63 - 1 means "to the end"). */
const listToInput =
  (name: string, at: number): Adapter =>
  (node, place) => {
    const found = node.attribute.find((one) => one.name === name)
    if (!found) return undefined
    const values = BigInt64Array.from(found.ints)
    const list = tensor(`${node.name || node.output[0]}_${name}`, [values.length], values)
    putInput(node, at, place.constant(list))
    setAttribute(node, name, undefined)
    return undefined
  }

function putInput(node: NodeProto, at: number, value: string): void {
  while (node.input.length < at) node.input.push('')
  node.input[at] = value
}

const all =
  (...adapters: readonly Adapter[]): Adapter =>
  (node, place) => {
    for (const adapt of adapters) adapt(node, place)
    return undefined
  }

/** A scalar of the type of the node's data. */
function scalarLike(node: NodeProto, place: Place, name: string, value: number): string {
  const elementType = place.typeOf(node.input[0] ?? '')?.elementType
  const type = numberTypeOf(elementType ?? 0)
  const base = `${node.name || node.output[0]}_${name}`
  let values: Numbers
  if (type === 'float16') values = Float16Array.of(value)
  else if (type === 'float64') values = Float64Array.of(value)
  else if (type === 'float32') values = Float32Array.of(value)
  else throw new OnnxError('the type of its input is not known')
  return place.constant(tensor(base, [], values))
}

const clip: Adapter = (node, place) => {
  for (const [at, name] of [
    [1, 'min'],
    [2, 'max'],
  ] as const) {
    const bound = floatOf(node, name, undefined)
    if (bound !== undefined) putInput(node, at, scalarLike(node, place, name, bound))
    setAttribute(node, name, undefined)
  }
  return undefined
}

const padding: Adapter = (node, place) => {
  const value = floatOf(node, 'value', 0)
  listToInput('pads', 1)(node, place)
  if (value !== 0) putInput(node, 2, scalarLike(node, place, 'value', value))
  setAttribute(node, 'value', undefined)
  return undefined
}

const scalesToInput: Adapter = (node, place) => {
  const scales = node.attribute.find(({ name }) => name === 'scales')?.floats
  if (!scales) throw new OnnxError('it has no scales')
  const values = Float32Array.from(scales)
  const list = tensor(`${node.name || node.output[0]}_scales`, [values.length], values)
  node.input = [node.input[0]!, place.constant(list)]
  setAttribute(node, 'scales', undefined)
  return undefined
}

const renamed =
  (opType: string): Adapter =>
  (node) => {
    node.opType = opType
    return undefined
  }

/**
 * Before 11 a pixel was looked up from its corner, rounded down where the picture grows and up where it shrinks.
 */
const lookUp: Adapter = (node, place) => {
  const scales = node.input[1] ?? ''
  const known = place.constantOf(scales)
  if (stringOf(node, 'mode', 'nearest') === 'nearest') {
    if (!known) throw new OnnxError('its scales are computed, so how it rounds is not known')
    const factors = Array.from(valuesOf(known) as Float32Array, Number)
    const shrinks = factors.some((one) => one < 1)
    if (shrinks && factors.some((one) => one > 1)) {
      throw new OnnxError('it shrinks one axis and stretches another')
    }
    setAttribute(node, 'nearest_mode', { string: shrinks ? 'ceil' : 'floor' })
  }
  setAttribute(node, 'coordinate_transformation_mode', { string: 'asymmetric' })
  const region = tensor(`${node.name || node.output[0]}_roi`, [0], new Float32Array(0))
  node.input = [node.input[0]!, place.constant(region), scales]
  return undefined
}

const noHalfPixelForNearest: Adapter = (node) => {
  if (stringOf(node, 'coordinate_transformation_mode', '') === 'tf_half_pixel_for_nn') {
    throw new OnnxError('its coordinate_transformation_mode "tf_half_pixel_for_nn" is gone')
  }
  return undefined
}

const countToInput: Adapter = (node, place) => {
  const count = intOf(node, 'k', undefined)
  if (count === undefined) throw new OnnxError('it has no k')
  const list = tensor(`${node.name || node.output[0]}_k`, [1], BigInt64Array.of(BigInt(count)))
  putInput(node, 1, place.constant(list))
  setAttribute(node, 'k', undefined)
  return undefined
}

/** The mask of a Dropout had the type of the data. */
const maskToBool: Adapter = (node, place) => {
  const mask = node.output[1] ?? ''
  if (mask === '') return undefined
  if (!place.isRead(mask)) {
    node.output = node.output.slice(0, 1)
    return undefined
  }
  const type = place.typeOf(node.input[0] ?? '')?.elementType
  if (!type) throw new OnnxError('the type of its input is not known')
  node.output = [node.output[0]!, place.fresh(`${mask}_bool`)]
  return [node, newNode('Cast', [node.output[1]!], [mask], { to: { int: type } })]
}

const ratioToInput: Adapter = (node, place) => {
  const ratio = floatOf(node, 'ratio', undefined)
  setAttribute(node, 'ratio', undefined)
  if (ratio === undefined) return undefined
  putInput(
    node,
    1,
    place.constant(tensor(`${node.name || node.output[0]}_ratio`, [], Float32Array.of(ratio))),
  )
  return undefined
}

const spatialOnly: Adapter = (node) => {
  if (intOf(node, 'spatial', 1) === 0) {
    throw new OnnxError('it normalizes each place by itself (spatial = 0), which is gone')
  }
  setAttribute(node, 'spatial', undefined)
  return undefined
}

/** Its further outputs were those of training. */
const oneOutput: Adapter = (node, place) => {
  if (node.output.slice(1).some((one) => one !== '' && place.isRead(one))) {
    throw new OnnxError('its statistics of training are read')
  }
  node.output = node.output.slice(0, 1)
  return undefined
}

/** Before 13 all axes from the given one on were one; from 13 on it is the given axis alone. */
const oneAxis: Adapter = (node, place) => {
  const axis = intOf(node, 'axis', 1)
  const shape = place.typeOf(node.input[0] ?? '')?.shape
  const at = shape && axis < 0 ? axis + shape.length : axis
  if (shape?.slice(at + 1).every((dimension) => dimension === 1)) {
    setAttribute(node, 'axis', { int: at })
    return undefined
  }
  const name = node.name || node.output[0]!
  const [from, to] = [node.input[0]!, node.output[0]!]
  const [flat, soft] = [place.fresh(`${name}_flat`), place.fresh(`${name}_soft`)]
  const before: NodeProto[] = []
  let back: string
  if (shape?.every(isNumber)) {
    const dims = BigInt64Array.from(shape, BigInt)
    back = place.constant(tensor(`${name}_shape`, [dims.length], dims))
  } else {
    back = place.fresh(`${name}_shape`)
    before.push(newNode('Shape', [from], [back]))
  }
  node.input = [flat]
  node.output = [soft]
  setAttribute(node, 'axis', { int: 1 })
  return [
    ...before,
    newNode('Flatten', [from], [flat], { axis: { int: axis } }),
    node,
    newNode('Reshape', [soft, back], [to]),
  ]
}

const splitInParts: Adapter = (node) => {
  if ((node.input[1] ?? '') === '') setAttribute(node, 'num_outputs', { int: node.output.length })
  return undefined
}

/** The default was another one before the attribute came. */
const halfPixelOutput: Adapter = (node) => {
  setAttribute(node, 'coordinate_transformation_mode', { string: 'output_half_pixel' })
  return undefined
}

const gridModes: Adapter = (node) => {
  const mode = stringOf(node, 'mode', 'bilinear')
  const names: Readonly<Record<string, string>> = { bilinear: 'linear', bicubic: 'cubic' }
  setAttribute(node, 'mode', { string: names[mode] ?? mode })
  return undefined
}

const axisToInput: Adapter = (node, place) => {
  const axis = BigInt64Array.of(BigInt(intOf(node, 'axis', 1)))
  putInput(node, 2, place.constant(tensor(`${node.name || node.output[0]}_axis`, [], axis)))
  setAttribute(node, 'axis', undefined)
  return undefined
}

/** Scale and bias were one per group; from 21 on they are one per channel. */
const perChannel: Adapter = (node, place) => {
  const groups = intOf(node, 'num_groups', 0)
  const channels = place.typeOf(node.input[0] ?? '')?.shape?.[1]
  for (const at of [1, 2]) {
    const given = place.constantOf(node.input[at] ?? '')
    if (!isNumber(channels) || !given || groups < 1 || channels % groups !== 0) {
      throw new OnnxError('its channels or its scale and bias are not known')
    }
    const values = valuesOf(given)
    const spread = values.slice(0, 0).constructor as new (from: ArrayLike<number>) => Float32Array
    const each = Array.from({ length: channels }, (_, channel) =>
      Number(values[Math.floor((channel * groups) / channels)]),
    )
    node.input[at] = place.constant(
      tensor(`${given.name}_per_channel`, [channels], new spread(each)),
    )
  }
  return undefined
}

const gone =
  (why: string): Adapter =>
  () => {
    throw new OnnxError(why)
  }

const axes = listToInput('axes', 1)

/** By version: what a node of the version before has to become. */
export const adapters: Readonly<Record<number, Readonly<Record<string, Adapter>>>> = {
  9: {
    BatchNormalization: spatialOnly,
    Scan: gone('its batches are gone'),
    Upsample: scalesToInput,
  },
  10: {
    Dropout: maskToBool,
    Slice: all(listToInput('starts', 1), listToInput('ends', 2), listToInput('axes', 3)),
    TopK: countToInput,
    Upsample: renamed('Resize'),
  },
  11: {
    Clip: clip,
    Pad: padding,
    Resize: lookUp,
    Scatter: renamed('ScatterElements'),
  },
  12: { Dropout: ratioToInput },
  13: {
    Hardmax: oneAxis,
    LogSoftmax: oneAxis,
    ReduceSum: axes,
    Resize: noHalfPixelForNearest,
    Softmax: oneAxis,
    Split: listToInput('split', 1),
    Squeeze: axes,
    Unsqueeze: axes,
  },
  14: { BatchNormalization: oneOutput },
  16: { RoiAlign: halfPixelOutput },
  18: {
    ReduceL1: axes,
    ReduceL2: axes,
    ReduceLogSum: axes,
    ReduceLogSumExp: axes,
    ReduceMax: axes,
    ReduceMean: axes,
    ReduceMin: axes,
    ReduceProd: axes,
    ReduceSumSquare: axes,
    Split: splitInParts,
  },
  20: { DFT: axisToInput, GridSample: gridModes },
  21: { GroupNormalization: perChannel },
}
