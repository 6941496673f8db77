/** Constants as codes: weights with a scale per output channel, and the bias that fits them. */
import { OnnxError } from '../onnx/read.ts'
import type { TensorProto } from '../onnx/schema.ts'
import { floatsOf } from '../onnx/tensor.ts'
import { type CodeType, codeTypes, parametersFor, roundHalfEven } from './parameters.ts'

export type Weights = {
  readonly name: string
  readonly dims: readonly number[]
  readonly values: Float32Array
  /** The dimension of the output channels, or undefined for one scale for everything. */
  readonly axis: number | undefined
}

/**
 * The values of constant weights.
 * @throws {OnnxError} when one is NaN or infinite
 */
export function weightsOf(tensor: TensorProto, axis: number | undefined): Weights {
  const values = floatsOf(tensor)
  const bad = values.findIndex((one) => !Number.isFinite(one))
  if (bad >= 0) {
    throw new OnnxError(
      `Cannot quantize tensor "${tensor.name}": element ${bad} is ${values[bad]}; every weight has to be a finite number`,
    )
  }
  return { name: tensor.name, dims: tensor.dims.map(Number), values, axis }
}

/** Which channel element `i` belongs to is (i / inner) % channels. */
export function channelsOf({ dims, axis }: Weights): { channels: number; inner: number } {
  if (axis === undefined) return { channels: 1, inner: 1 }
  const inner = dims.slice(axis + 1).reduce((product, dim) => product * dim, 1)
  return { channels: dims[axis]!, inner }
}

/** The largest magnitude of each channel. */
export function magnitudesOf(weights: Weights): Float32Array {
  const { channels, inner } = channelsOf(weights)
  const largest = new Float32Array(channels)
  const { values } = weights
  for (let i = 0; i < values.length; i++) {
    const channel = Math.floor(i / inner) % channels
    const magnitude = Math.abs(values[i]!)
    if (magnitude > largest[channel]!) largest[channel] = magnitude
  }
  return largest
}

/** Signed codes of `bits`, as many below zero as above; 7 bits go from -64 to 64 as in ONNX Runtime. */
export const weightCodes = (bits: 8 | 7) =>
  bits === 8 ? { min: -127, max: 127 } : { min: -64, max: 64 }

/** A bias must fit into 32 bits of steps of (input scale × weight scale), with this to spare. */
const biasMargin = 1.0001

/**
 * The scale of each channel. Where the bias of a channel is too large for 32 bits at that scale, the scale grows.
 * @param inputScale of the activations that the weights are multiplied with, where there is a bias
 */
export function weightScales(
  weights: Weights,
  bits: 8 | 7,
  bias?: { readonly values: Float32Array; readonly inputScale: number },
): Float32Array {
  const scales = magnitudesOf(weights).map(
    (max) => parametersFor({ min: -max, max }, weightCodes(bits), true).scale,
  )
  if (bias === undefined) return scales
  const steps = 2 ** 32 - 2
  for (let i = 0; i < bias.values.length; i++) {
    const at = scales.length === 1 ? 0 : i
    const least = (biasMargin * 2 * Math.abs(bias.values[i]!)) / steps
    const scale = bias.inputScale * scales[at]!
    if (scale > 0 && scale < least) scales[at] = scales[at]! * (least / scale)
  }
  return scales
}

/** The code of each weight. */
export function weightCodesOf(weights: Weights, scales: Float32Array, bits: 8 | 7): Int8Array {
  const { channels, inner } = channelsOf(weights)
  const { min, max } = weightCodes(bits)
  const { values } = weights
  const codes = new Int8Array(values.length)
  for (let i = 0; i < values.length; i++) {
    const scale = scales[Math.floor(i / inner) % channels]!
    codes[i] = Math.min(max, Math.max(min, roundHalfEven(Math.fround(values[i]! / scale))))
  }
  return codes
}

/** A bias in steps of (input scale × weight scale); clipped where it does not fit. */
export function biasCodesOf(
  bias: Float32Array,
  inputScale: number,
  scales: Float32Array,
): { codes: Int32Array; scales: Float32Array } {
  const steps = scales.map((scale) => inputScale * scale)
  const codes = Int32Array.from(bias, (one, i) => {
    const code = roundHalfEven(one / steps[steps.length === 1 ? 0 : i]!)
    return Math.min(2 ** 31 - 1, Math.max(-(2 ** 31), code))
  })
  return { codes, scales: steps }
}

/** Codes of any constant that is added to or multiplied with activations. */
export function constantCodesOf(
  values: Float32Array,
  type: CodeType,
  { scale, zero }: { readonly scale: number; readonly zero: number },
): Uint8Array | Int8Array | Uint16Array | Int16Array {
  const { min, max } = codeTypes[type]
  const codes = new codeArrays[type](values.length)
  for (let i = 0; i < values.length; i++) {
    const code = roundHalfEven(Math.fround(values[i]! / scale)) + zero
    codes[i] = Math.min(max, Math.max(min, code))
  }
  return codes
}

const codeArrays = {
  uint8: Uint8Array,
  int8: Int8Array,
  uint16: Uint16Array,
  int16: Int16Array,
} as const
