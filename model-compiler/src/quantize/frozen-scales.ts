/**
 * Scales of a model that is in the field, for the next version of it. With the same scales a weight that hardly moved keeps its code, so that
 * the difference between the two files is small; versions that share their scales are of one epoch (decision 41).
 */
import { Graph } from '../graph/graph.ts'
import type { ModelProto } from '../onnx/schema.ts'
import { floatsOf, valuesOf } from '../onnx/tensor.ts'
import { tensorTypes } from '../onnx/types.ts'
import type { Parameters } from './parameters.ts'
import { channelsOf, type Weights, weightCodes, weightsOf } from './weights.ts'

export type FrozenScales = {
  /** By the name that a value has in the float model. */
  readonly activations: ReadonlyMap<string, Parameters>
  /** Of each channel, by the name that the weights have in the float model. */
  readonly weights: ReadonlyMap<string, Float32Array>
  /** The codes that weights have in the field, by the same names. */
  readonly codes: ReadonlyMap<string, Int8Array>
  /** A code in the field changes only where its weight is more than half a step and this much away from it, in steps (default 0). */
  readonly hysteresis?: number
}

/** What `quantize` names codes after. */
const codesSuffix = '_quantized'

/** The scales of a model that `quantize` has made. */
export function frozenScalesOf(champion: ModelProto): FrozenScales {
  const graph = new Graph(champion)
  const activations = new Map<string, Parameters>()
  const weights = new Map<string, Float32Array>()
  const held = new Map<string, Int8Array>()
  for (const node of graph.nodes) {
    if (node.opType !== 'DequantizeLinear') continue
    const [codes = '', scaleName = '', zeroName = ''] = node.input
    const scale = graph.constantOf(scaleName)
    const zero = graph.constantOf(zeroName)
    if (scale === undefined) continue
    const constant = graph.constantOf(codes)
    if (constant !== undefined) {
      if (!codes.endsWith(codesSuffix)) continue
      const name = codes.slice(0, -codesSuffix.length)
      weights.set(name, floatsOf(scale))
      if (constant.dataType === tensorTypes.int8) held.set(name, valuesOf(constant) as Int8Array)
      continue
    }
    const output = node.output[0] ?? ''
    const source = graph.producerOf(codes)?.input[0]
    const value = graph.isOutput(output) ? output : source
    const [single] = floatsOf(scale)
    if (value === undefined || single === undefined) continue
    const point = zero === undefined ? 0 : Number(valuesOf(zero)[0] ?? 0)
    activations.set(value, { scale: single, zero: point })
  }
  return { activations, weights, codes: held }
}

/** Codes of weights that stay what they are in the field unless they are clearly something else. */
export function reluctant(
  codes: Int8Array,
  weights: Weights,
  scales: Float32Array,
  name: string,
  { codes: held, hysteresis = 0 }: FrozenScales,
): Int8Array {
  const before = held.get(name)
  if (hysteresis === 0 || before?.length !== codes.length) return codes
  const { channels, inner } = channelsOf(weights)
  return codes.map((code, i) => {
    const exact = weights.values[i]! / scales[Math.floor(i / inner) % channels]!
    return Math.abs(exact - before[i]!) > 0.5 + hysteresis ? code : before[i]!
  })
}

/** How much of the weights lies beyond the codes of these scales, from 0 to 1. */
export function clippedShare(float: ModelProto, { weights }: FrozenScales): number {
  const graph = new Graph(float)
  const { max } = weightCodes(8)
  let [clipped, all] = [0, 0]
  for (const [name, scales] of weights) {
    const tensor = graph.constantOf(name)
    if (tensor === undefined || tensor.dims.length < 2) continue
    const dims = tensor.dims.map(Number)
    const axis = scales.length === 1 ? undefined : dims.indexOf(scales.length)
    if (axis === -1) continue
    const read = weightsOf({ ...tensor, name }, axis)
    const { channels, inner } = channelsOf(read)
    for (const [i, value] of read.values.entries()) {
      const code = Math.abs(value) / scales[Math.floor(i / inner) % channels]!
      if (code > max + 0.5) clipped++
    }
    all += read.values.length
  }
  return all === 0 ? 0 : clipped / all
}
