/**
 * Weights as small integers and a scale for each channel. Nothing else decides how much a weight loses here than the
 * scale, so it is searched: the largest value is not always worth a code of its own.
 */
import { OnnxError } from '../onnx/read.ts'

export type WeightCodes = {
  /** `round(weight / scale)` within ±`codeMax`, in the order of the weights. */
  readonly codes: Int8Array
  /** One for each channel, above zero. */
  readonly scales: Float32Array
  /** Sum of the squares of what is lost, and of the weights: their ratio is the noise. */
  readonly lostPower: number
  readonly power: number
}

/** Shares of the largest value that are tried as the end of the range: beyond half nothing was ever gained. */
const clippings = [1, 0.95, 0.9, 0.85, 0.8, 0.7, 0.6, 0.5] as const
const refinements = 3

/**
 * Finds for each channel the scale that loses least (sum of squared differences).
 * @param dims of the weights; `axis` is the one with the channels
 * @param codeMax 127 for eight bits, 7 for four; the code below `-codeMax` is not used
 * @throws {OnnxError} when a weight is infinite or not a number
 */
export function weightCodes(
  name: string,
  weights: Float32Array,
  dims: readonly number[],
  axis: number,
  codeMax = 127,
): WeightCodes {
  const channels = dims[axis] ?? 1
  const inner = dims.slice(axis + 1).reduce((product, dim) => product * dim, 1)
  const outer = channels * inner === 0 ? 0 : weights.length / (channels * inner)
  const codes = new Int8Array(weights.length)
  const scales = new Float32Array(channels)
  const channel = new Float32Array(outer * inner)
  let lostPower = 0
  let power = 0
  for (let c = 0; c < channels; c++) {
    for (let o = 0; o < outer; o++) {
      const from = (o * channels + c) * inner
      channel.set(weights.subarray(from, from + inner), o * inner)
    }
    const { scale, lost } = bestScale(channel, codeMax)
    if (!Number.isFinite(lost)) {
      throw new OnnxError(
        `Cannot quantize tensor "${name}": channel ${c} holds a value that is infinite or not a number`,
      )
    }
    scales[c] = scale
    lostPower += lost
    for (let o = 0; o < outer; o++) {
      const from = (o * channels + c) * inner
      for (let i = 0; i < inner; i++) {
        const value = channel[o * inner + i]!
        codes[from + i] = codeOf(value, scale, codeMax)
        power += value * value
      }
    }
  }
  return { codes, scales, lostPower, power }
}

const codeOf = (value: number, scale: number, codeMax: number): number =>
  Math.max(-codeMax, Math.min(codeMax, Math.round(value / scale)))

function bestScale(values: Float32Array, codeMax: number): { scale: number; lost: number } {
  let largest = 0
  for (const value of values) largest = Math.max(largest, Math.abs(value)) // NaN stays NaN
  if (largest === 0) return { scale: 1, lost: 0 }
  let best = { scale: 1, lost: Number.POSITIVE_INFINITY }
  for (const share of clippings) {
    let scale = Math.fround((largest * share) / codeMax)
    if (!(scale > 0)) break // Denormal weights: the largest itself is below the smallest scale.
    for (let round = 0; round <= refinements; round++) {
      const { lost, fitted } = lossOf(values, scale, codeMax)
      if (lost < best.lost) best = { scale, lost }
      // With these codes another scale may lie closer (least squares), and with that scale other codes.
      const next = Math.fround(fitted)
      if (next === scale || !(next > 0)) break
      scale = next
    }
  }
  return Number.isFinite(largest) && best.lost === Number.POSITIVE_INFINITY
    ? { scale: 1, lost: 0 }
    : best
}

function lossOf(values: Float32Array, scale: number, codeMax: number) {
  let lost = 0
  let valueCode = 0
  let codeCode = 0
  for (const value of values) {
    const code = codeOf(value, scale, codeMax)
    const difference = value - code * scale
    lost += difference * difference
    valueCode += value * code
    codeCode += code * code
  }
  return { lost, fitted: codeCode > 0 ? valueCode / codeCode : 0 }
}
