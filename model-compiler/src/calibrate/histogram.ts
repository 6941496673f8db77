/**
 * How often each stretch of a range of values occurs: what percentile, entropy and MSE choose from. The range
 * is known before the first value comes (a pass for the extrema goes before), so nothing is ever rebinned.
 */
import type { Range } from './range.ts'

/** Enough that a bin is 1/16 of a step of 8-bit codes over the whole range. */
export const histogramBins = 4096

export type Histogram = Range & {
  /** How many values lie in each stretch, those that are exactly zero left out: they have no error. */
  readonly counts: Float64Array
  zeros: number
}

export function emptyHistogram({ min, max }: Range): Histogram {
  return { min, max, counts: new Float64Array(histogramBins), zeros: 0 }
}

/** Counts finite values; those outside of the range count at its ends. */
export function count(histogram: Histogram, values: Float32Array): void {
  const { min, max, counts } = histogram
  const last = counts.length - 1
  const perBin = max > min ? counts.length / (max - min) : 0
  let zeros = 0
  for (let i = 0; i < values.length; i++) {
    const x = values[i]!
    if (x === 0) {
      zeros++
      continue
    }
    // Truncation is fast and does, since below the range there is nothing but rounding.
    const bin = ((x - min) * perBin) | 0
    counts[bin < 0 ? 0 : Math.min(bin, last)]!++
  }
  histogram.zeros += zeros
}

/** The middle of a stretch. */
export function centreOf({ min, max, counts }: Histogram, bin: number): number {
  return min + ((bin + 0.5) * (max - min)) / counts.length
}
