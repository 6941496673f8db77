/**
 * From a range of real numbers to a scale and a zero point, and from numbers to codes: real = (code - zero) * scale.
 *
 * The arithmetic is that of ONNX Runtime's own quantizer to the bit (32-bit ends, 64-bit division, a 32-bit
 * scale, halves to even), so that parameters can be compared with its output one by one.
 */
import type { Range } from '../calibrate/range.ts'
import { OnnxError } from '../onnx/read.ts'

/** Whole numbers that stand for real ones. */
export const codeTypes = {
  uint8: { min: 0, max: 255 },
  int8: { min: -128, max: 127 },
  uint16: { min: 0, max: 65535 },
  int16: { min: -32768, max: 32767 },
} as const
export type CodeType = keyof typeof codeTypes

export type Parameters = { readonly scale: number; readonly zero: number }

/** The nearest whole number; from the middle, the even one (as the runtime rounds). */
export function roundHalfEven(x: number): number {
  const floor = Math.floor(x)
  const rest = x - floor
  if (rest < 0.5) return floor
  return rest > 0.5 || floor % 2 !== 0 ? floor + 1 : floor
}

const smallestNormal = 2 ** -126

/**
 * Scale and zero point of a range. Zero always becomes part of it, since padding has to be exact.
 * @param symmetric as much below zero as above it
 * @throws {OnnxError} for a range that is none: NaN, infinite, or upside down
 */
export function parametersFor(
  range: Range,
  codes: { readonly min: number; readonly max: number },
  symmetric = false,
): Parameters {
  if (!(Number.isFinite(range.min) && Number.isFinite(range.max) && range.min <= range.max)) {
    throw new OnnxError(
      `Cannot quantize the range ${range.min} to ${range.max}: it is no range of finite numbers`,
    )
  }
  let min = Math.fround(Math.min(range.min, 0))
  let max = Math.fround(Math.max(range.max, 0))
  if (symmetric) {
    max = Math.max(-min, max)
    min = -max
  }
  const scale = Math.fround(max - min) / (codes.max - codes.min)
  if (scale < smallestNormal) return { scale: 1, zero: 0 }
  const zero = symmetric
    ? roundHalfEven((codes.min + codes.max) / 2)
    : roundHalfEven(codes.min - min / scale)
  return { scale: Math.fround(scale), zero }
}

/** The real numbers at both ends of the codes: what is beyond them is clipped. */
export function rangeOf(
  { scale, zero }: Parameters,
  codes: { readonly min: number; readonly max: number },
): Range {
  return { min: (codes.min - zero) * scale, max: (codes.max - zero) * scale }
}
