/**
 * Evidence that a stream is no longer as usual, gathered sketch by sketch: logarithms of e-values, whose mean on a quiet
 * stream is 1 at most. Evidence of ln x then comes by chance once in x sketches or more seldom, however the figure is
 * distributed; the cumulated sums of watch.ts know no such bound. Pure.
 */
import { type Bins, sharesOf, totalOf } from './histogram-distance.ts'

/**
 * Evidence that raises an alarm. Guaranteed is once in 3,000 sketches; on simulated quiet streams (objects alone, in groups,
 * at rates that go up and down or wander) each kind came once in 22,000 sketches or more seldom: decision 59.
 */
export const evidenceMin = 8
/** What one sketch counts for at most, so that it takes three. */
const stepMax = evidenceMin / 2.5

/** What is looked for: this share of the usual traffic, and scores that are lower or higher by so many logits. */
export const soughtShares = { fewer: 0.2, more: 3 } as const
const soughtLogits = 0.8

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
 * What the scores of a sketch say for a model that doubts more, or less: against the usual histogram, tilted to the usual
 * mean of the hour, stands the same with every score moved by some logits.
 * @param now detections by score
 */
export function scoreStep(
  now: Bins,
  usual: UsualRange,
  {
    bins,
    usually,
    dispersion,
    name,
  }: {
    /** Of the quiet past. */
    bins: Bins
    /** Detections of a usual sketch. */
    usually: number
    /** Counts of a bin that are worth one. */
    dispersion: number
    name: 'lower' | 'higher'
  },
): number {
  if (totalOf(bins) === 0) return 0
  const { shares, variance } = tiltedTo(bins, name === 'lower' ? usual.low : usual.high)
  // A box does not report what is below its least score.
  const least = bins.findIndex((count) => count > 0)
  const moved = movedBy(shares, name === 'lower' ? -soughtLogits : soughtLogits, least)
  const ratios = shares.map((share, bin) =>
    Math.max(-ratioMax, Math.min(ratioMax, Math.log((moved[bin]! + rare) / (share + rare)))),
  )
  // So that on a quiet stream its mean is 1, whatever was cut off.
  const whole = Math.log(
    shares.reduce((sum, share, bin) => sum + share * Math.exp(ratios[bin]!), 0),
  )
  // Detections of one object are alike: so many of them are worth one.
  const alike = Math.max(1, dispersion, (usual.variance * usually) / variance)
  return now.reduce((sum, count, bin) => sum + count * (ratios[bin]! - whole), 0) / alike
}

/** No single detection says more than this, and shares below this one are not known. */
const ratioMax = 2
const rare = 0.002
/** Parts of a bin that are moved one by one. */
const bitsOfBin = 8

/** A histogram of scores, each moved by some logits; what falls below the bin `least` is lost. */
function movedBy(shares: readonly number[], logits: number, least: number): number[] {
  const moved = new Array<number>(shares.length).fill(0)
  for (const [bin, share] of shares.entries()) {
    for (let bit = 0; bit < bitsOfBin; bit++) {
      const score = (bin + (bit + 0.5) / bitsOfBin) / shares.length
      const at = 1 / (1 + ((1 - score) / score) * Math.exp(-logits))
      const to = Math.min(shares.length - 1, Math.floor(at * shares.length))
      if (to >= least) moved[to]! += share / bitsOfBin
    }
  }
  const left = totalOf(moved)
  return left > 0 ? moved.map((share) => share / left) : moved
}

type Tilted = { readonly shares: readonly number[]; readonly variance: number }

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
  const weights: number[] = []
  let [sum, first, second] = [0, 0, 0]
  for (const [bin, share] of shares.entries()) {
    const score = scoreOf(bin)
    const weight = share * Math.exp(tilt * score - most)
    weights.push(weight)
    sum += weight
    first += weight * score
    second += weight * score * score
  }
  const mean = first / sum
  const variance = Math.max(1e-4, second / sum - mean * mean)
  return { shares: weights.map((weight) => weight / sum), mean, variance }
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
