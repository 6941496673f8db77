/**
 * How sure a figure is: it is computed again on samples drawn from the same set with replacement, and the middle
 * 95 % of what comes out is the interval (the percentile bootstrap). Pure, seeded.
 */
import { seeded } from './seeded.ts'

export type Interval = readonly [low: number, high: number]

export type BootstrapOptions = {
  readonly seed?: number
  /** How often the set is drawn again (default 1000). */
  readonly rounds?: number
  /** The share that lies within (default 0.95). */
  readonly confidence?: number
  /**
   * Which cluster each unit belongs to, counted from 0. Clusters are then drawn whole: the frames of one stream resemble
   * each other, and drawn one by one they would promise too narrow an interval.
   */
  readonly clusterOf?: ArrayLike<number>
}

/**
 * @param statistic the figure, given how often each unit counts in this round
 * @param units how many there are
 * @returns undefined where no interval can be said: fewer than two units (or clusters), a statistic that is never a
 * number, or one that is always the same (of a set without a mistake no mistake can be drawn). Rounds in which it is none (a label that was not drawn) are left out.
 */
export function bootstrap(
  statistic: (counts: Uint32Array) => number,
  units: number,
  options: BootstrapOptions = {},
): Interval | undefined {
  const { seed = 1, rounds = 1000, confidence = 0.95, clusterOf } = options
  const members = clusterOf && clusters(clusterOf, units)
  const drawn = members?.length ?? units
  if (drawn < 2) return undefined
  const random = seeded(seed)
  const counts = new Uint32Array(units)
  const values: number[] = []
  for (let round = 0; round < rounds; round++) {
    counts.fill(0)
    for (let draw = 0; draw < drawn; draw++) {
      const one = Math.floor(random() * drawn)
      if (members) for (const unit of members[one]!) counts[unit]!++
      else counts[one]!++
    }
    const value = statistic(counts)
    if (Number.isFinite(value)) values.push(value)
  }
  if (values.length === 0) return undefined
  values.sort((a, b) => a - b)
  const tail = (1 - confidence) / 2
  const interval = [quantile(values, tail), quantile(values, 1 - tail)] as const
  return interval[0] < interval[1] ? interval : undefined
}

/**
 * The interval of a share that is all or nothing, which drawing cannot give: how many more could be otherwise, and none
 * be seen among so many (Clopper and Pearson, 1934, for 0 and n of n).
 * @param share 0 or 1
 */
export function intervalOfAll(share: 0 | 1, units: number, confidence = 0.95): Interval {
  const apart = 1 - ((1 - confidence) / 2) ** (1 / units)
  return share === 1 ? [1 - apart, 1] : [0, apart]
}

function clusters(clusterOf: ArrayLike<number>, units: number): number[][] {
  const members: number[][] = []
  for (let unit = 0; unit < units; unit++) {
    const cluster = clusterOf[unit]!
    members[cluster] ??= []
    members[cluster].push(unit)
  }
  return members.filter((one) => one !== undefined)
}

/** Linear between the two values that lie around it. */
function quantile(sorted: readonly number[], share: number): number {
  const at = share * (sorted.length - 1)
  const low = Math.floor(at)
  const high = Math.min(sorted.length - 1, low + 1)
  return sorted[low]! + (sorted[high]! - sorted[low]!) * (at - low)
}
