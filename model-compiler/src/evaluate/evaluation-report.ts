/**
 * What is found out about a model on labelled samples, as plain data: figures with intervals, each label, each stream and
 * site, the samples it did worst on, and what plots are drawn from. One shape for every task, so that pages, cards,
 * comparisons and the search read one thing. It survives JSON.
 */
import type { MapOverlap } from './accuracy.ts'
import type { Found, Truth } from './average-precision.ts'
import { intersectionOverUnion } from './average-precision.ts'
import { bootstrap, type Interval, intervalOfAll } from './bootstrap.ts'
import type { ReliabilityBin, ScoreWorth } from './calibration.ts'
import { type ClassificationMetrics, classificationMetrics } from './classification.ts'
import { type CurvePoint, thinned } from './curve.ts'
import { type DetectionMetrics, detectionMetrics, isInCrowd } from './detection.ts'
import { type FigureName, type Figures, figures as figureFacts, finite } from './figures.ts'
import { regressionMetrics } from './regression.ts'

/** What is needed to know of a sample besides what is in it. */
export type EvaluatedSample = {
  readonly digest: string
  readonly name: string
  readonly stream?: string
  readonly site?: string
}

/** A label's row in the report. Shares that are no number are left out. */
export type LabelRow = { readonly label: string; readonly truths: number } & Readonly<
  Partial<
    Record<
      'said' | 'precision' | 'recall' | 'f1' | 'rocAuc' | 'ap50' | 'ap75' | 'ap' | 'iou',
      number
    >
  >
>

export type LabelCurve = {
  readonly label: string
  readonly area: number
  readonly points: readonly CurvePoint[]
}

/** A stream or site: samples that resemble each other, and how the model does on them. */
export type GroupRow = {
  readonly by: 'stream' | 'site'
  readonly name: string
  readonly samples: number
  /** The report's metric. */
  readonly value: number
  readonly interval?: Interval
}

/** A sample the model did badly on. */
export type WorstSample = {
  readonly digest: string
  readonly name: string
  /** In words: what is there and what was said. */
  readonly says: string
  /** How bad, larger is worse; comparable only within one report. */
  readonly badness: number
}

export type EvaluationReport = {
  readonly task: 'classification' | 'detection' | 'segmentation' | 'regression'
  readonly samples: number
  /** The figure that decides. */
  readonly metric: FigureName
  readonly figures: Figures
  /** Where 95 % of the figure's values lie when samples are drawn again; only for figures that were drawn. */
  readonly intervals: Readonly<Partial<Record<FigureName, Interval>>>
  readonly labels: readonly LabelRow[]
  readonly groups: readonly GroupRow[]
  readonly worst: readonly WorstSample[]
  /** Rows are truths, columns what was said; `names` may end with one for nothing. */
  readonly confusion?: {
    readonly names: readonly string[]
    readonly counts: readonly (readonly number[])[]
  }
  readonly calibration?: {
    readonly bins: readonly ReliabilityBin[]
    readonly error: number
    readonly temperature: number
    readonly errorAfter: number
  }
  /** Detectors: how many of the boxes of a score are right. */
  readonly worth?: ScoreWorth
  /** Of at most ten labels, the worst first. */
  readonly roc?: readonly LabelCurve[]
  readonly precisionRecall?: readonly LabelCurve[]
  /** Detectors: the score from which on F1 is best; what `confusion` counts. */
  readonly scoreMin?: number
  /** Numbers: truth and what was said, thinned. */
  readonly scatter?: readonly (readonly [truth: number, said: number])[]
}

export type ReportOptions = {
  readonly seed?: number
  /** How often samples are drawn for the intervals: 0 for none (default 1000; detectors 200, as each costs more). */
  readonly rounds?: number
  /** How many of the worst samples are named (default 20). */
  readonly worst?: number
}

const worstDefault = 20
const curvesMax = 10
const roundsDefault = 1000
const roundsOfDetectors = 200
/** A group of fewer says nothing. */
const groupSamplesMin = 2
const scatterMax = 500

/** @throws {RangeError} as `classificationMetrics` */
export function reportClassification(
  given: {
    readonly labels: readonly string[]
    readonly samples: readonly EvaluatedSample[]
    readonly truth: ArrayLike<number>
    /** `[samples, labels]`. */
    readonly scores: ArrayLike<number>
  },
  options: ReportOptions = {},
): EvaluationReport {
  const { labels, samples, truth, scores } = given
  const metrics = classificationMetrics(labels, truth, scores)
  const { macro, calibration } = metrics
  const isRight = Uint8Array.from(metrics.said, (said, at) => (said === truth[at] ? 1 : 0))
  const accuracy = (counts: ArrayLike<number>): number => weightedMean(isRight, counts)
  const drawn = drawing(samples, options, roundsDefault)
  const interval = drawn(accuracy) ?? exactly(metrics.accuracy, samples, options)
  const f1 = drawn((counts) => macroF1(metrics, truth, counts))
  const badness = badnessOfClasses(metrics, truth)
  return {
    task: 'classification',
    samples: samples.length,
    metric: 'accuracy',
    figures: finite({
      accuracy: metrics.accuracy,
      top5: metrics.top5,
      precision: macro.precision,
      recall: macro.recall,
      f1: macro.f1,
      microF1: metrics.micro.f1,
      rocAuc: macro.rocAuc,
      prAuc: macro.prAuc,
      logLoss: metrics.logLoss,
      calibrationError: calibration.error,
    }),
    intervals: { ...(interval && { accuracy: interval }), ...(f1 && { f1 }) },
    labels: metrics.perLabel.map((one) => ({
      label: one.label,
      truths: one.truths,
      ...known({
        said: one.said,
        precision: one.precision,
        recall: one.recall,
        f1: one.f1,
        rocAuc: one.roc.area,
        ap: one.precisionRecall.area,
      }),
    })),
    groups: groupsOf(samples, options, accuracy),
    worst: worstOf(samples, badness, options, (at) => {
      const sure = (metrics.confidence[at]! * 100).toFixed(0)
      return `${labels[truth[at]!]}, said ${labels[metrics.said[at]!]} with ${sure} %`
    }),
    confusion: { names: labels, counts: metrics.confusion },
    calibration,
    roc: curvesOf(
      metrics.perLabel.map(({ label, roc }) => ({ label, area: roc.area, points: roc.points })),
    ).map((curve) => ({
      ...curve,
      // Infinity does not survive JSON; the first threshold is above every score.
      points: curve.points.map((point) => ({ ...point, score: Math.min(point.score, 1) })),
    })),
    precisionRecall: curvesOf(
      metrics.perLabel.map(({ label, precisionRecall: { area, points } }) => ({
        label,
        area,
        points,
      })),
    ),
  }
}

/** Of a set without a mistake, or with nothing else; streams that are drawn whole count once. */
function exactly(
  accuracy: number,
  samples: readonly EvaluatedSample[],
  { rounds }: ReportOptions,
): Interval | undefined {
  if (rounds === 0 || samples.length === 0 || (accuracy !== 0 && accuracy !== 1)) return undefined
  return intervalOfAll(accuracy, clustersOf(samples)?.count ?? samples.length)
}

function macroF1(
  { said, perLabel }: ClassificationMetrics,
  truth: ArrayLike<number>,
  counts: ArrayLike<number>,
): number {
  const classes = perLabel.length
  const right = new Float64Array(classes)
  const wanted = new Float64Array(classes)
  const claimed = new Float64Array(classes)
  for (let at = 0; at < said.length; at++) {
    const count = counts[at]!
    if (count === 0) continue
    wanted[truth[at]!]! += count
    claimed[said[at]!]! += count
    if (said[at] === truth[at]) right[said[at]!]! += count
  }
  let sum = 0
  let occurring = 0
  for (let k = 0; k < classes; k++) {
    if (wanted[k] === 0) continue
    occurring++
    sum += (2 * right[k]!) / (wanted[k]! + claimed[k]!)
  }
  return sum / occurring
}

/** Wrong answers before right ones, the surest first; of right ones those that were nearly wrong. */
function badnessOfClasses(metrics: ClassificationMetrics, truth: ArrayLike<number>): Float64Array {
  return Float64Array.from(metrics.confidence, (confidence, at) =>
    metrics.said[at] === truth[at] ? -confidence : confidence,
  )
}

/** Images are called by the digest of their sample. */
export function reportDetection(
  given: {
    readonly labels: readonly string[]
    readonly samples: readonly EvaluatedSample[]
    readonly truths: readonly Truth[]
    readonly found: readonly Found[]
  },
  options: ReportOptions & { readonly scoreMin?: number } = {},
): EvaluationReport {
  const { labels, samples, truths, found } = given
  const images = samples.map(({ digest }) => digest)
  const metrics = detectionMetrics(labels, images, truths, found, options)
  const ap50 = (counts: ArrayLike<number>) => metrics.figure('ap50', counts)
  const drawn = drawing(samples, options, roundsOfDetectors)
  const interval = drawn(ap50)
  const whole = drawn((counts) => metrics.figure('ap', counts))
  const misses = missesOf(images, truths, found, metrics)
  return {
    task: 'detection',
    samples: samples.length,
    metric: 'ap50',
    figures: finite({ ap50: metrics.ap50, ap75: metrics.ap75, ap: metrics.ap }),
    intervals: { ...(interval && { ap50: interval }), ...(whole && { ap: whole }) },
    labels: metrics.perLabel.map((one) => ({
      label: one.label,
      truths: one.truths,
      ...known({
        said: one.found,
        ap50: one.ap50,
        ap75: one.ap75,
        ap: one.ap,
        ...(one.best && {
          precision: one.best.precision,
          recall: one.best.recall,
          f1: one.best.f1,
        }),
      }),
    })),
    groups: groupsOf(samples, options, ap50),
    worst: worstOf(
      samples,
      misses.map(({ missed, extra }) => missed + extra),
      options,
      (at) => `${misses[at]!.missed} not found, ${misses[at]!.extra} found where nothing is`,
    ),
    confusion: { names: [...labels, 'nothing'], counts: metrics.confusion },
    scoreMin: metrics.scoreMin,
    worth: metrics.worth,
    precisionRecall: curvesOf(
      metrics.perLabel.map(({ label, ap50: area, precisionRecall: points }) => ({
        label,
        area,
        points,
      })),
    ),
  }
}

/** Per image what was not found, and what was found and is not there, by label and at the threshold. */
function missesOf(
  images: readonly string[],
  truths: readonly Truth[],
  found: readonly Found[],
  { scoreMin }: DetectionMetrics,
): { missed: number; extra: number }[] {
  const truthsOf = Map.groupBy(truths, ({ image }) => image)
  const foundOf = Map.groupBy(found, ({ image }) => image)
  return images.map((image) => {
    const free = (truthsOf.get(image) ?? []).filter(({ crowd }) => !crowd)
    const crowds = (truthsOf.get(image) ?? []).filter(({ crowd }) => crowd)
    let extra = 0
    const sure = (foundOf.get(image) ?? [])
      .filter(({ score }) => score >= scoreMin)
      .sort((a, b) => b.score - a.score)
    for (const box of sure) {
      const hits = (one: Truth) =>
        one.label === box.label && intersectionOverUnion(one.box, box.box) >= 0.5
      const at = free.findIndex(hits)
      if (at >= 0) free.splice(at, 1)
      else if (!isInCrowd(box, crowds)) extra++
    }
    return { missed: free.length, extra }
  })
}

/** Each sample's own counts are kept apart, so that sets can be drawn from them. */
export function reportSegmentation(
  given: {
    readonly labels: readonly string[]
    readonly samples: readonly EvaluatedSample[]
    readonly overlaps: readonly MapOverlap[]
    /** An empty one to add up in. */
    readonly empty: () => MapOverlap
  },
  options: ReportOptions = {},
): EvaluationReport {
  const { labels, samples, overlaps, empty } = given
  const together = (counts: ArrayLike<number>): MapOverlap => {
    const sum = empty()
    for (const [at, one] of overlaps.entries()) if (counts[at]! > 0) sum.merge(one, counts[at]!)
    return sum
  }
  const all = together(new Uint8Array(samples.length).fill(1))
  const miou = (counts: ArrayLike<number>) => together(counts).meanIntersectionOverUnion()
  const interval = drawing(samples, options, roundsDefault)(miou)
  const each = new Map(all.perClass().map((one) => [one.index, one]))
  return {
    task: 'segmentation',
    samples: samples.length,
    metric: 'miou',
    figures: finite({ miou: all.meanIntersectionOverUnion(), pixelAccuracy: all.pixelAccuracy() }),
    intervals: { ...(interval && { miou: interval }) },
    labels: labels.flatMap((label, index) => {
      const one = each.get(index)
      return one ? { label, truths: one.either, iou: one.both / one.either } : []
    }),
    groups: groupsOf(samples, options, miou),
    worst: worstOf(
      samples,
      overlaps.map((one) => 1 - one.meanIntersectionOverUnion()),
      options,
      (at) => `mIoU ${overlaps[at]!.meanIntersectionOverUnion().toFixed(3)}`,
    ),
  }
}

/** @param given.names what the numbers of a sample are called; `truth` and `said` hold them sample by sample */
export function reportRegression(
  given: {
    readonly names: readonly string[]
    readonly samples: readonly EvaluatedSample[]
    readonly truth: ArrayLike<number>
    readonly said: ArrayLike<number>
  },
  options: ReportOptions = {},
): EvaluationReport {
  const { names, samples, truth, said } = given
  const each = names.length
  const spread = (counts: ArrayLike<number>) =>
    Uint32Array.from({ length: truth.length }, (_, at) => counts[Math.floor(at / each)]!)
  const { mse, rmse, mae, r2 } = regressionMetrics(truth, said)
  const rmseOf = (counts: ArrayLike<number>) => regressionMetrics(truth, said, spread(counts)).rmse
  const interval = drawing(samples, options, roundsDefault)(rmseOf)
  const errorAt = (at: number): number => {
    let worst = 0
    for (let k = 0; k < each; k++) {
      worst = Math.max(worst, Math.abs(said[at * each + k]! - truth[at * each + k]!))
    }
    return worst
  }
  const pairs = Array.from(
    { length: truth.length },
    (_, at) => [truth[at]!, said[at]!] as readonly [number, number],
  )
  return {
    task: 'regression',
    samples: samples.length,
    metric: 'rmse',
    figures: finite({ rmse, mse, mae, r2 }),
    intervals: { ...(interval && { rmse: interval }) },
    labels: [],
    groups: groupsOf(samples, options, rmseOf),
    worst: worstOf(
      samples,
      samples.map((_, at) => errorAt(at)),
      options,
      (at) =>
        names
          .map((name, k) => {
            const place = at * each + k
            return `${name} ${short(truth[place]!)}, said ${short(said[place]!)}`
          })
          .join('; '),
    ),
    scatter: thinned(pairs, scatterMax),
  }
}

const short = (value: number): string => String(Number(value.toPrecision(4)))

/** Draws whole streams where there are several: their frames resemble each other. */
function drawing(
  samples: readonly EvaluatedSample[],
  { seed = 1, rounds }: ReportOptions,
  roundsOfTask: number,
): (statistic: (counts: ArrayLike<number>) => number) => Interval | undefined {
  const count = rounds ?? roundsOfTask
  const clusterOf = clustersOf(samples)?.of
  return (statistic) =>
    bootstrap(statistic, samples.length, {
      seed,
      rounds: count,
      ...(clusterOf && { clusterOf }),
    })
}

/** Streams by sample, where there are enough of them to be drawn whole; a sample without one stands for itself. */
function clustersOf(
  samples: readonly EvaluatedSample[],
): { readonly of: readonly number[]; readonly count: number } | undefined {
  const streams = new Map<string, number>()
  const of = samples.map(({ stream, digest }) => {
    const key = stream === undefined ? `sample ${digest}` : `stream ${stream}`
    if (!streams.has(key)) streams.set(key, streams.size)
    return streams.get(key)!
  })
  const isClustered = streams.size >= clustersMin && streams.size < samples.length
  return isClustered ? { of, count: streams.size } : undefined
}

/** With fewer streams than this, drawing them whole is chance of another kind; samples are drawn then. */
const clustersMin = 8

function groupsOf(
  samples: readonly EvaluatedSample[],
  { seed = 1, rounds }: ReportOptions,
  statistic: (counts: ArrayLike<number>) => number,
): GroupRow[] {
  return (['stream', 'site'] as const).flatMap((by) => {
    const members = Map.groupBy(samples.keys(), (at) => samples[at]![by])
    return [...members]
      .flatMap(([name, places]) => {
        if (name === undefined || places.length < groupSamplesMin) return []
        const counts = new Uint32Array(samples.length)
        for (const at of places) counts[at] = 1
        const value = statistic(counts)
        if (!Number.isFinite(value)) return []
        // A tenth of the rounds: there may be many groups, and these bounds are read at a glance.
        const interval = bootstrap(
          (inner) => {
            counts.fill(0)
            for (const [place, at] of places.entries()) counts[at] = inner[place]!
            return statistic(counts)
          },
          places.length,
          { seed, rounds: Math.ceil((rounds ?? 1000) / 10) },
        )
        return { by, name, samples: places.length, value, ...(interval && { interval }) }
      })
      .sort((a, b) => (a.name < b.name ? -1 : 1))
  })
}

function worstOf(
  samples: readonly EvaluatedSample[],
  badness: ArrayLike<number>,
  { worst = worstDefault }: ReportOptions,
  says: (at: number) => string,
): WorstSample[] {
  return [...samples.keys()]
    .filter((at) => Number.isFinite(badness[at]))
    .sort((a, b) => badness[b]! - badness[a]!)
    .slice(0, worst)
    .map((at) => {
      const { digest, name } = samples[at]!
      return { digest, name, says: says(at), badness: badness[at]! }
    })
}

/** The labels that do worst, without those that have no curve. */
function curvesOf(all: readonly LabelCurve[]): LabelCurve[] {
  return all
    .filter(({ area, points }) => Number.isFinite(area) && points.length > 0)
    .toSorted((a, b) => a.area - b.area)
    .slice(0, curvesMax)
    .map((curve) => ({ ...curve, points: thinned(curve.points) }))
}

function weightedMean(values: ArrayLike<number>, counts: ArrayLike<number>): number {
  let sum = 0
  let total = 0
  for (let at = 0; at < values.length; at++) {
    sum += values[at]! * counts[at]!
    total += counts[at]!
  }
  return sum / total
}

function known<Key extends string>(
  values: Readonly<Partial<Record<Key, number>>>,
): Partial<Record<Key, number>> {
  return Object.fromEntries(
    Object.entries(values).filter(([, value]) => Number.isFinite(value)),
  ) as Partial<Record<Key, number>>
}

/** The figures of a report in words: `accuracy 0.9912 (0.9893–0.9930)`. */
export function figuresText({ figures, intervals }: EvaluationReport): string[] {
  return (Object.entries(figures) as [FigureName, number][]).map(([name, value]) => {
    const { title, decimals } = figureFacts[name]
    const interval = intervals[name]
    const bounds = interval
      ? ` (${interval.map((bound) => bound.toFixed(decimals)).join('–')})`
      : ''
    return `${title} ${value.toFixed(decimals)}${bounds}`
  })
}
