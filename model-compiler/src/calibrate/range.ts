/**
 * Which part of what a value was seen to be its codes shall cover. The whole of it wastes codes on what
 * occurs once in a million; each method here cuts differently.
 */
import { centreOf, type Histogram } from './histogram.ts'

/** Both ends are reached. */
export type Range = { readonly min: number; readonly max: number }

export type Method = 'minmax' | 'percentile' | 'entropy' | 'mse'

export type RangeOptions = {
  readonly method: Method
  /** Percentile: how much of the values stays inside (default 99.999), in per cent. */
  readonly percentile?: number
  /** Number of codes the range is meant for (default 256). */
  readonly codes?: number
}

/** The range that the method chooses; never wider than what was seen and zero. */
export function chooseRange(histogram: Histogram, options: RangeOptions): Range {
  const { method, percentile = 99.999, codes = 256 } = options
  // Of a constant there is nothing to choose.
  if (method === 'minmax' || histogram.max <= histogram.min) return whole(histogram)
  if (method === 'percentile') return byPercentile(histogram, percentile)
  return method === 'mse' ? byError(histogram, codes) : byEntropy(histogram, codes)
}

const whole = ({ min, max }: Range): Range => ({ min, max })

/** Cuts half of what may be outside at each end. */
function byPercentile(histogram: Histogram, percentile: number): Range {
  const { counts, zeros, min, max } = histogram
  const total = zeros + counts.reduce((sum, n) => sum + n, 0)
  const outsideMax = (total * (100 - percentile)) / 200
  const width = (max - min) / counts.length
  // Those that are exactly zero belong to whatever is left, as zero is always in the range.
  const cut = (at: (i: number) => number): number => {
    let sum = 0
    for (let i = 0; i < counts.length; i++) {
      sum += counts[at(i)]!
      if (sum > outsideMax) return i
    }
    return 0
  }
  const low = min + cut((i) => i) * width
  const high = max - cut((i) => counts.length - 1 - i) * width
  return zeros > 0 ? { min: Math.min(low, 0), max: Math.max(high, 0) } : { min: low, max: high }
}

/** Steps by which an end is moved inwards in the search. */
const steps = 64

/** The range with the least squared error: rounding inside, clipping outside. */
function byError(histogram: Histogram, codes: number): Range {
  const { counts, min, max } = histogram
  // Prefix sums of count, value and square make the error of any cut a few subtractions.
  const n = new Float64Array(counts.length + 1)
  const sum = new Float64Array(counts.length + 1)
  const squares = new Float64Array(counts.length + 1)
  for (let i = 0; i < counts.length; i++) {
    const x = centreOf(histogram, i)
    n[i + 1] = n[i]! + counts[i]!
    sum[i + 1] = sum[i]! + counts[i]! * x
    squares[i + 1] = squares[i]! + counts[i]! * x * x
  }
  const perBin = counts.length / (max - min)
  const binOf = (x: number) => Math.min(counts.length, Math.max(0, Math.round((x - min) * perBin)))
  const clipped = (from: number, to: number, at: number) =>
    squares[to]! - squares[from]! - 2 * at * (sum[to]! - sum[from]!) + at * at * (n[to]! - n[from]!)
  const errorOf = (low: number, high: number): number => {
    const step = (high - low) / (codes - 1)
    const from = binOf(low)
    const to = binOf(high)
    const inside = ((n[to]! - n[from]!) * step * step) / 12
    return inside + clipped(0, from, low) + clipped(to, counts.length, high)
  }
  const lows = min < 0 ? ends(min) : [0]
  const highs = max > 0 ? ends(max) : [0]
  let best = { min: Math.min(min, 0), max: Math.max(max, 0) }
  let least = errorOf(best.min, best.max)
  for (const low of lows) {
    for (const high of highs) {
      const error = high > low ? errorOf(low, high) : Infinity
      if (error < least) {
        least = error
        best = { min: low, max: high }
      }
    }
  }
  return best
}

const ends = (end: number): number[] =>
  Array.from({ length: steps }, (_, i) => (end * (steps - i)) / steps)

/**
 * The range whose codes keep the most of the distribution: least Kullback-Leibler divergence of what the
 * codes can say from what was seen (Migacz, GTC 2017), first for the upper end, then for the lower.
 */
function byEntropy(histogram: Histogram, codes: number): Range {
  const { min, max, counts } = histogram
  const perBin = counts.length / (max - min)
  const divergence = (low: number, high: number): number => {
    const from = Math.max(0, Math.floor((low - min) * perBin))
    const to = Math.min(counts.length, Math.ceil((high - min) * perBin))
    return to - from < codes ? Infinity : divergenceOf(counts, from, to, codes)
  }
  const least = (candidates: readonly number[], divergenceAt: (end: number) => number): number => {
    const all = candidates.map(divergenceAt)
    return candidates[all.indexOf(Math.min(...all))]!
  }
  const high = max > 0 ? least(ends(max), (end) => divergence(min, end)) : max
  const low = min < 0 ? least(ends(min), (end) => divergence(end, high)) : min
  return { min: low, max: high }
}

function divergenceOf(counts: Float64Array, from: number, to: number, codes: number): number {
  const seen = counts.slice(from, to)
  const inside = seen.slice()
  const total = counts.reduce((sum, n) => sum + n, 0)
  for (let i = 0; i < from; i++) seen[0]! += counts[i]!
  for (let i = to; i < counts.length; i++) seen[seen.length - 1]! += counts[i]!
  const insideTotal = inside.reduce((sum, n) => sum + n, 0)
  if (insideTotal === 0) return Infinity
  let divergence = 0
  for (let code = 0; code < codes; code++) {
    const start = Math.floor((code * inside.length) / codes)
    const end = Math.floor(((code + 1) * inside.length) / codes)
    let sum = 0
    let filled = 0
    for (let i = start; i < end; i++) {
      sum += inside[i]!
      if (seen[i]! > 0) filled++
    }
    for (let i = start; i < end; i++) {
      if (seen[i]! === 0) continue
      const p = seen[i]! / total
      // A stretch that only clipped values fell into is as good as never said.
      const q = Math.max(sum / filled / insideTotal, 1e-12)
      divergence += p * Math.log(p / q)
    }
  }
  return divergence
}
