/**
 * Curves of accuracy over labels, drawn several times, and what can be said of two of them: how many labels one needs to
 * come as far as the other, with an interval over the seeds.
 */
import { seededRandom } from '../../edge-agent/src/demo/random.ts'

/** A detector that was trained again with some labelled frames. */
export type Point = {
  readonly seed: number
  readonly how: 'ours' | 'random'
  /** Frames that it was allowed. */
  readonly budget: number
  /** Frames that it was given. */
  readonly labels: number
  readonly bytes: number
  readonly ap50: number
  /** Of the detector before. */
  readonly ap50Before: number
}

export type Interval = { readonly mean: number; readonly low: number; readonly high: number }

const resamples = 2_000

/** A figure of the seeds, and between what it lies in 95 % of bootstrap resamples of them. */
export function overSeeds(
  seeds: readonly number[],
  figure: (some: readonly number[]) => number,
): Interval {
  const random = seededRandom(1)
  const figures = Array.from({ length: resamples }, () =>
    figure(seeds.map(() => seeds[Math.floor(random() * seeds.length)]!)),
  ).sort((a, b) => a - b)
  return {
    mean: figure(seeds),
    low: figures[Math.floor(resamples * 0.025)]!,
    high: figures[Math.floor(resamples * 0.975)]!,
  }
}

export type Curve = readonly { readonly labels: number; readonly ap50: number }[]

/** The mean of some seeds, each as often as it is named; begins without labels. */
export function curveOf(
  points: readonly Point[],
  how: Point['how'],
  seeds: readonly number[],
): Curve {
  const budgets = [...new Set(points.map(({ budget }) => budget))].sort((a, b) => a - b)
  const of = (seed: number, budget: number) =>
    points.find((one) => one.seed === seed && one.how === how && one.budget === budget)
  const before = seeds.flatMap((seed) => points.find((one) => one.seed === seed) ?? [])
  const rest = budgets.map((budget) => {
    const some = seeds.flatMap((seed) => of(seed, budget) ?? [])
    return { labels: meanOf(some, 'labels'), ap50: meanOf(some, 'ap50') }
  })
  return [{ labels: 0, ap50: meanOf(before, 'ap50Before') }, ...rest]
}

/** Labels at which a curve reaches a figure, between two points as on a straight line; undefined where it does not. */
export function labelsFor(curve: Curve, wanted: number): number | undefined {
  for (const [at, { labels, ap50 }] of curve.entries()) {
    if (ap50 < wanted) continue
    const before = curve[at - 1]
    if (!before) return labels
    const share = (wanted - before.ap50) / (ap50 - before.ap50)
    return before.labels + (labels - before.labels) * share
  }
  return undefined
}

/**
 * Labels that we need, divided by those that chance needs, to come as far as chance does with a budget. Who does not get
 * there counts as twice the most that was tried: nothing better is known.
 */
export function labelsRatio(
  points: readonly Point[],
  seeds: readonly number[],
  budget = Number.POSITIVE_INFINITY,
): number {
  const ours = curveOf(points, 'ours', seeds)
  const random = curveOf(points, 'random', seeds).filter(({ labels }) => labels <= budget)
  const wanted = Math.max(...random.map(({ ap50 }) => ap50))
  const most = Math.max(...[...ours, ...random].map(({ labels }) => labels))
  return (labelsFor(ours, wanted) ?? 2 * most) / labelsFor(random, wanted)!
}

export const meanOf = <K extends string>(
  some: readonly Readonly<Record<K, number>>[],
  key: K,
): number => some.reduce((sum, one) => sum + one[key], 0) / some.length
