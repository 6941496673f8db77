/**
 * Is what a model sees now still what was seen before? Pure. Frames that follow each other show the same, and hours differ
 * from each other, so counting frames as independent would find a drift every day. What is compared are means over
 * blocks of seconds. Blocks count for less the more each resembles the one before it (as for a first-order
 * autoregressive series: n(1−r)/(1+r), with r from von Neumann's ratio of successive differences). And how much hours
 * differ beyond that (a variance component, as in one-way analysis of variance) is part of the error of any mean.
 */

/** Means of blocks, summed up (Welford's algorithm); what a file keeps of an hour. */
export type Sums = {
  readonly n: number
  readonly mean: number
  /** Sum of squared differences from the mean. */
  readonly squares: number
  /** Sum of squared differences between a block and the one before, and how many there were. */
  readonly steps: number
  readonly pairs: number
}

export const noSums: Sums = { n: 0, mean: 0, squares: 0, steps: 0, pairs: 0 }

/** @param before the block before it, where that is of the same series */
export function withBlock(sums: Sums, value: number, before: number | undefined): Sums {
  const n = sums.n + 1
  const mean = sums.mean + (value - sums.mean) / n
  const squares = sums.squares + (value - sums.mean) * (value - mean)
  if (before === undefined) return { ...sums, n, mean, squares }
  const steps = sums.steps + (value - before) ** 2
  return { n, mean, squares, steps, pairs: sums.pairs + 1 }
}

/** Two parts of one series. */
export function joined(a: Sums, b: Sums): Sums {
  const n = a.n + b.n
  if (n === 0) return noSums
  const apart = b.mean - a.mean
  return {
    n,
    mean: a.mean + (apart * b.n) / n,
    squares: a.squares + b.squares + (apart ** 2 * a.n * b.n) / n,
    steps: a.steps + b.steps,
    pairs: a.pairs + b.pairs,
  }
}

/** Fewest blocks on either side of which anything is said. */
export const blocksMin = 8
/** A series that is quieter than this share of its mean is taken to be as loud. */
const noiseMin = 0.05
/**
 * Differences smaller than this share of the mean matter to nobody, however sure they are: a model that was trained anew is
 * a little surer or less sure, and finds a little more or less, on every device alike (docs/decisions/0047).
 */
const shareMin = 0.15
const likenessMax = 0.95

/**
 * How far `now` is from the hours before, in standard errors: a t value brought to the scale of the normal distribution, so
 * that one limit serves few blocks and many. 0 where there are too few of them.
 */
export function driftOf(hours: readonly Sums[], now: Sums): number {
  const before = hours.reduce(joined, noSums)
  if (before.n < blocksMin || now.n < blocksMin) return 0
  const full = hours.filter(({ n }) => n > 0)
  const within = full.reduce((sum, { squares }) => sum + squares, 0)
  const floor = (noiseMin * Math.max(Math.abs(before.mean), 0.1)) ** 2
  const raw = within / Math.max(1, before.n - full.length)
  const variance = Math.max(raw, floor)
  // What hardly moves at all is not alike but still.
  const likeness = raw > floor ? likenessOf(before, raw) : 0
  const effective = (n: number): number => Math.max(1, (n * (1 - likeness)) / (1 + likeness))
  const blocks = variance / effective(now.n) + variance / effective(before.n)
  const hourly = hourVariance(full, variance, effective) * (1 + 1 / full.length)
  const apart = now.mean - before.mean
  const counts = Math.max(0, Math.abs(apart) - shareMin * Math.abs(before.mean))
  const t = (Math.sign(apart) * counts) / Math.sqrt(blocks + hourly)
  // Satterthwaite's; a variance that is the difference of two estimates is known only half as well as either.
  const freedom =
    (blocks + hourly) ** 2 /
    (blocks ** 2 / Math.max(1, effective(now.n) + effective(before.n) - 2) +
      hourly ** 2 / Math.max(1, (full.length - 1) / 2))
  return (t * (1 - 1 / (4 * freedom))) / Math.sqrt(1 + t ** 2 / (2 * freedom))
}

/** The worst of several streams, less what the worst of so many would be by chance. */
export function worstOf(drifts: readonly number[]): number {
  const worst = drifts.reduce((a, b) => (Math.abs(b) > Math.abs(a) ? b : a), 0)
  const left = worst ** 2 - 2 * Math.log(Math.max(1, drifts.length))
  return Math.sign(worst) * Math.sqrt(Math.max(0, left))
}

/**
 * Correlation of a block with the one before it: what was found, corrected for what so short a series makes too small
 * (Kendall), and one standard error more, because too little of it finds drifts where there are none.
 */
function likenessOf({ steps, pairs }: Sums, variance: number): number {
  if (pairs === 0) return 0
  const found = Math.max(0, 1 - steps / (2 * pairs * variance))
  const corrected = found + (1 + 3 * found) / pairs + Math.sqrt((1 - found ** 2) / pairs)
  return Math.min(likenessMax, found > 0 ? corrected : 0)
}

/** How much hours differ beyond what blocks do. */
function hourVariance(
  hours: readonly Sums[],
  variance: number,
  effective: (n: number) => number,
): number {
  if (hours.length < 2) return 0
  const mean = hours.reduce((sum, hour) => sum + hour.mean, 0) / hours.length
  const between = hours.reduce((sum, hour) => sum + (hour.mean - mean) ** 2, 0) / (hours.length - 1)
  const expected = hours.reduce((sum, { n }) => sum + variance / effective(n), 0) / hours.length
  return Math.max(0, between - expected)
}
