/**
 * How far two histograms are apart, and how far two of the same source would be by chance alone: the distance of few
 * counts is large by itself, and frames of one camera are much alike, so that ten of them are worth one.
 */

export type Bins = readonly number[]

export const totalOf = (bins: Bins): number => bins.reduce((sum, count) => sum + count, 0)

/** Shares of the bins; of a histogram without counts, equal ones. */
export function sharesOf(bins: Bins, smoothing = 0): number[] {
  const total = totalOf(bins) + smoothing * bins.length
  return bins.map((count) => (total > 0 ? (count + smoothing) / total : 1 / bins.length))
}

/** Counts added to every bin before logarithms are taken of their shares. */
const smoothing = 0.5

/** Population stability index: 0 alike, from about 0.1 on a change, from 0.25 on a large one. */
export function psi(a: Bins, b: Bins): number {
  const [p, q] = [sharesOf(a, smoothing), sharesOf(b, smoothing)]
  return p.reduce((sum, share, i) => sum + (share - q[i]!) * Math.log(share / q[i]!), 0)
}

/** Pearson's statistic of counts against shares. */
export function chiSquare(counts: Bins, shares: Bins): number {
  const total = totalOf(counts)
  return counts.reduce((sum, count, i) => {
    const expected = total * shares[i]!
    return expected > 0 ? sum + (count - expected) ** 2 / expected : sum
  }, 0)
}

/** Bins that matter: where a reference has at least a hundredth of everything. */
export const usedBins = (shares: Bins): number => shares.filter((share) => share >= 0.01).length

/**
 * The PSI that two histograms of one source exceed once in a few thousand times: it goes like χ² over the
 * number of counts, and `dispersion` counts are worth one.
 */
export function psiByChance(
  bins: number,
  counts: number,
  reference: number,
  dispersion: number,
): number {
  const freedom = Math.max(1, bins - 1)
  return chiSquareQuantile(freedom) * dispersion * (1 / counts + 1 / reference)
}

/** What χ² of this many degrees of freedom exceeds once in 3,000 times, by Wilson and Hilferty. */
function chiSquareQuantile(freedom: number): number {
  const z = 3.4
  const part = 2 / (9 * freedom)
  return freedom * (1 - part + z * Math.sqrt(part)) ** 3
}
