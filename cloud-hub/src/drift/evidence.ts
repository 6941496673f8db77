/**
 * Evidence that a stream is no longer as usual, gathered sketch by sketch: logarithms of e-values, which on a quiet
 * stream are 1 in the mean. Gathered as below, evidence of ln x comes by chance once in x sketches or more seldom,
 * whatever the figure's distribution is like in between; the cumulated sums of watch.ts know no such bound. Pure.
 */
import { type Bins, sharesOf, totalOf } from './histogram-distance.ts'

/**
 * Evidence that raises an alarm: by chance once in 60,000 sketches, a thousand hours. Four kinds are gathered, so that
 * all of them together take less than half of one false alarm in a hundred hours.
 */
export const evidenceMin = 11
/** What one sketch counts for at most, so that it takes three. */
const stepMax = evidenceMin / 2.5

/** What is looked for: this share of the usual traffic, and scores that are this much lower or higher. */
export const soughtShares = { fewer: 0.2, more: 3 } as const
const soughtScores = 0.12

export const evidenceNames = ['fewer', 'more', 'lower', 'higher'] as const
/** `fewer` and `more` objects, `lower` and `higher` scores. */
export type EvidenceName = (typeof evidenceNames)[number]
export type Gathered = Partial<Record<EvidenceName, number>>

/** Takes in what a sketch says, and begins anew where it speaks against. */
export const gathered = (before: number | undefined, step: number): number =>
  Math.max(0, (before ?? 0) + Math.min(stepMax, step))

/** A figure as it usually is: between which values its mean lies at this hour, and how sketches differ from it. */
export type UsualRange = { readonly low: number; readonly high: number; readonly variance: number }

/**
 * What a sketch says for a share of the usual traffic and against the usual one. Counts vary more than those of
 * independent arrivals: because an object is seen in many frames, or because the rate itself goes up and down. The
 * first are scaled Poisson counts, the second gamma rates, and a negative binomial lies between: of both the evidence
 * is taken, and the lesser counts.
 * @param seen mean number of objects in a frame @param usual of its root
 */
export function trafficStep(seen: number, usual: UsualRange, share: number): number {
  const { mean, worth } = arrivalsOf(usual, share)
  if (worth === 0) return 0
  const arrivals = (seen / mean) * worth
  const byArrivals = arrivals * Math.log(share) - worth * (share - 1)
  const byRate = -worth * Math.log(share) - arrivals * (1 / share - 1)
  return Math.min(byArrivals, byRate)
}

/** Objects in a frame of a usual sketch, and how many independent arrivals they are worth: mean² over variance. */
function arrivalsOf({ low, high, variance }: UsualRange, share: number) {
  const root = Math.max(0, share < 1 ? low : high)
  // Of a square, by those of its root.
  const mean = root * root + variance
  const spread = 4 * root * root * variance + 2 * variance * variance
  return { mean, worth: spread > 0 ? (mean * mean) / spread : 0 }
}

/**
 * What the mean score of a sketch says for lower or higher scores: against the usual histogram, tilted to the usual mean
 * of the hour, stands the same tilted further.
 * @param detections of the sketch @param usually of a usual one
 */
export function scoreStep(
  mean: number,
  detections: number,
  usual: UsualRange,
  { bins, usually, name }: { bins: Bins; usually: number; name: 'lower' | 'higher' },
): number {
  const from = name === 'lower' ? usual.low : usual.high
  const to = name === 'lower' ? from - soughtScores : from + soughtScores
  if (to < 0.02 || to > 0.98 || totalOf(bins) === 0) return 0
  const [before, after] = [tiltedTo(bins, from), tiltedTo(bins, to)]
  // Detections of one object are alike: so many of them are worth one.
  const dispersion = Math.max(1, (usual.variance * usually) / before.variance)
  const by = (after.tilt - before.tilt) * mean - (after.log - before.log)
  return (detections / dispersion) * by
}

type Tilted = { readonly tilt: number; readonly log: number; readonly variance: number }

/** The histogram with weights exp(tilt · score), such that its mean is the one given. */
function tiltedTo(bins: Bins, mean: number): Tilted {
  const shares = sharesOf(bins, 0.5)
  let [low, high] = [-200, 200]
  let at = momentsAt(shares, 0)
  for (let step = 0; step < 60 && high - low > 1e-6; step++) {
    const tilt = (low + high) / 2
    at = momentsAt(shares, tilt)
    if (at.mean < mean) low = tilt
    else high = tilt
  }
  return at
}

function momentsAt(shares: readonly number[], tilt: number): Tilted & { mean: number } {
  const scoreOf = (bin: number): number => (bin + 0.5) / shares.length
  // Against the largest, so that nothing overflows.
  const most = Math.max(tilt, 0)
  let [sum, first, second] = [0, 0, 0]
  for (const [bin, share] of shares.entries()) {
    const score = scoreOf(bin)
    const weight = share * Math.exp(tilt * score - most)
    sum += weight
    first += weight * score
    second += weight * score * score
  }
  const mean = first / sum
  const variance = Math.max(1e-4, second / sum - mean * mean)
  return { tilt, mean, variance, log: Math.log(sum) + most }
}

/**
 * Sketches until traffic that falls to a share of the usual is told: what is needed over what each sketch brings. No test
 * with as few false alarms is much faster.
 */
export function sketchesToTell(usual: UsualRange, share: number): number {
  const sought = share < 1 ? soughtShares.fewer : soughtShares.more
  const step = trafficStep(share * arrivalsOf(usual, share).mean, usual, sought)
  return step <= 0 ? Number.POSITIVE_INFINITY : evidenceMin / Math.min(stepMax, step)
}
