/**
 * What is usual for a stream: for each figure its mean and deviation at each hour of the day, histograms of the model's
 * answers, and the background. Learnt from sketches, kept as JSON, asked for a time of day.
 */
import type { Background, Sketch } from '@edgeloop/protocol'
import { type BackgroundMeans, meansOf } from './camera-change.ts'
import type { UsualRange } from './evidence.ts'
import {
  type Bins,
  chiSquare,
  psi,
  psiByChance,
  sharesOf,
  totalOf,
  usedBins,
} from './histogram-distance.ts'
import {
  type FollowedFigure,
  figureScales,
  followedHistograms,
  lightFigures,
  type SketchFigures,
} from './sketch-figures.ts'

/** Count, mean, and sum of squared distances from it. */
export type Moments = { n: number; mean: number; squares: number }

export type FigureReference = {
  readonly all: Moments
  /** By hour of the day, local time. */
  readonly hours: (Moments | null)[]
  /** What it was like just now, and at which hour: all that is known at an hour that was never seen. */
  recent: { mean: number; hour: number }
  /** Sums of squares and of products of neighbours of what the hour does not explain: how alike minutes are. */
  rest: { before: number; squares: number; products: number; n: number }
}

export const comparedHistograms = [...followedHistograms, 'labels'] as const
export type ComparedHistogram = (typeof comparedHistograms)[number]

/** Lengths of the windows over which histograms are compared, in sketches. */
export const windowLengths = [5, 30, 120] as const
/** PSI from which a difference matters at all, by window: short ones only tell of much. */
const psiMatters = [0.5, 0.25, 0.2] as const

export type HistogramReference = {
  bins: number[]
  /** Counts that are worth one, summed over `n` sketches. */
  dispersion: { sum: number; n: number }
  /** PSI of the windows while nothing was wrong. */
  readonly psi: Moments[]
}

export type Reference = {
  /** Sketches that it was learnt from. */
  sketches: number
  /** Of those, with answers of the model that is there now. */
  answers: number
  readonly figures: Partial<Record<FollowedFigure, FigureReference>>
  histograms: Record<ComparedHistogram, HistogramReference>
  /** Mean detections and objects of a sketch that its figures rest on. */
  detections: number
  objects: number
  background: (BackgroundMeans & { n: number }) | null
  /** How alike backgrounds are to it, in place. */
  readonly likeness: Moments
  embedding: { n: number; mean: number[] } | null
}

export const noMoments = (): Moments => ({ n: 0, mean: 0, squares: 0 })

/** @param nMax from here on the oldest counts for less and less */
export function addTo(moments: Moments, value: number, nMax = Number.POSITIVE_INFINITY): void {
  if (moments.n >= nMax) {
    moments.squares *= (nMax - 1) / moments.n
    moments.n = nMax - 1
  }
  moments.n++
  const before = value - moments.mean
  moments.mean += before / moments.n
  moments.squares += before * (value - moments.mean)
}

export const deviationOf = ({ n, squares }: Moments): number =>
  n < 2 ? 0 : Math.sqrt(squares / (n - 1))

const newHistogram = (): HistogramReference => ({
  bins: [],
  dispersion: { sum: 0, n: 0 },
  psi: windowLengths.map(noMoments),
})

const newHistograms = (): Reference['histograms'] => ({
  scores: newHistogram(),
  sizes: newHistogram(),
  places: newHistogram(),
  labels: newHistogram(),
})

export const newReference = (): Reference => ({
  sketches: 0,
  answers: 0,
  figures: {},
  histograms: newHistograms(),
  detections: 0,
  objects: 0,
  background: null,
  likeness: noMoments(),
  embedding: null,
})

/** Forgets what the model's answers were like: another model answers now. */
export function forgetAnswers(reference: Reference): void {
  reference.answers = 0
  reference.histograms = newHistograms()
  reference.detections = 0
  reference.objects = 0
  reference.embedding = null
  for (const name of ['confidence', 'objects', 'size', 'embedding'] as const) {
    delete reference.figures[name]
  }
}

/** Sketches of one hour that say what is usual in it. */
const hourKnown = 15
/** Three days of an hour: from then on it no longer changes. */
const hourMax = 180
/** Neighbouring minutes are at most this much more alike than they look. */
const inflationMax = 2
/** Weight of a sketch in what it was like just now, and for how long that counts, in hours. */
const recentWeight = 0.1
const recentHours = 0.75
/** Of what an hour that was never seen may bring, what comes in the next minutes. */
const recentShare = 0.4
/** Hours between which light comes and goes by itself. */
const isDuskOrDawn = (hour: number): boolean => hour >= 15 || hour < 10

export type Usual = {
  readonly mean: number
  /** One deviation, the likeness of neighbouring minutes included. */
  readonly scale: number
}

/**
 * What is usual of a figure at a time of day; undefined before anything is known of it.
 * @param hour 0..24, with its fraction
 */
export function usualOf(
  { figures }: Reference,
  name: FollowedFigure,
  hour: number,
): Usual | undefined {
  const figure = figures[name]
  if (!figure || figure.all.n < 5) return undefined
  const { least, unknownHour } = figureScales[name]
  const at = Math.floor(hour) % 24
  const here = knownHour(figure, at)
  const inflation = inflationOf(figure)
  const pooled = pooledVariance(figure)
  if (!here) {
    const isLight = lightFigures.some((each) => each === name)
    // Nobody knows how busy an hour is that was never seen.
    const byUse = name === 'objects' ? 0.7 * figure.all.mean : 0
    const unknown = Math.max(unknownHour * (isLight && isDuskOrDawn(hour) ? 3 : 1), byUse)
    // Nobody has looked for a while: then it may be anything.
    const away = Math.abs(hour - figure.recent.hour)
    const isRecent = Math.min(away, 24 - away) < recentHours
    const wide = isRecent && name !== 'objects' ? unknown * recentShare : unknown
    const scale = Math.hypot(least, inflation * Math.sqrt(pooled), wide)
    return { mean: isRecent ? figure.recent.mean : figure.all.mean, scale }
  }
  // Between the middles of two hours, what lies between them.
  const fraction = hour - Math.floor(hour)
  const next = fraction >= 0.5 ? at + 1 : at - 1
  const beside = knownHour(figure, (next + 24) % 24) ?? here
  const weight = Math.abs(fraction - 0.5)
  const mean = here.mean * (1 - weight) + beside.mean * weight
  // What changes from hour to hour may come a quarter of an hour early or late.
  const slope = Math.max(
    ...[at - 1, at + 1].map((near) => {
      const other = knownHour(figure, (near + 24) % 24)
      return other ? Math.abs(other.mean - here.mean) : 0
    }),
  )
  const variance = (here.squares + 10 * pooled) / (here.n + 10)
  const scale = Math.hypot(least, inflation * Math.sqrt(variance), slope / 4)
  return { mean, scale }
}

function knownHour({ hours }: FigureReference, hour: number): Moments | undefined {
  const moments = hours[hour]
  return moments && moments.n >= hourKnown ? moments : undefined
}

/**
 * Between what the mean of a figure may lie at this hour, and the variance of a sketch about it, the likeness of
 * neighbouring minutes included; undefined at an hour that was not seen.
 */
export function rangeOf(
  { figures }: Reference,
  name: FollowedFigure,
  hour: number,
): UsualRange | undefined {
  const figure = figures[name]
  const here = figure && knownHour(figure, Math.floor(hour) % 24)
  if (!figure || !here) return undefined
  const at = Math.floor(hour) % 24
  const next = (hour - Math.floor(hour) >= 0.5 ? at + 1 : at + 23) % 24
  const variance =
    (inflationOf(figure) ** 2 * (here.squares + 10 * pooledVariance(figure))) / (here.n + 10)
  const meanAt = hourMeans(figure, variance)
  const beside = knownHour(figure, next) ?? here
  const [one, other] = [meanAt(here), meanAt(beside)]
  return {
    low: Math.min(one.mean - 2 * one.error, other.mean - 2 * other.error),
    high: Math.max(one.mean + 2 * one.error, other.mean + 2 * other.error),
    variance,
  }
}

/** Fewer hours do not say how much hours differ. */
const hoursMin = 4

/**
 * What the mean of an hour is, and its standard error: as far from the mean of all hours as hours differ by more than chance
 * (the estimate of James and Stein). Where they do not, a whole day says what one hour is like.
 */
function hourMeans({ hours }: FigureReference, variance: number) {
  const known = hours.flatMap((hour) => (hour && hour.n >= hourKnown ? [hour] : []))
  const all = known.reduce((sum, { mean }) => sum + mean, 0) / known.length
  const apart = known.reduce((sum, { mean }) => sum + (mean - all) ** 2, 0) / (known.length - 1)
  const byChance = known.reduce((sum, { n }) => sum + variance / n, 0) / known.length
  const between = known.length < hoursMin ? undefined : Math.max(0, apart - byChance)
  return ({ mean, n }: Moments): { mean: number; error: number } => {
    const own = variance / n
    const weight = between === undefined ? 1 : between / (between + own)
    const error = Math.sqrt(weight * own + (1 - weight) * (byChance / known.length))
    return { mean: all + weight * (mean - all), error }
  }
}

/** Variance within hours. */
function pooledVariance({ hours, all }: FigureReference): number {
  let [squares, freedom] = [0, 0]
  for (const hour of hours) {
    if (!hour || hour.n < 2) continue
    squares += hour.squares
    freedom += hour.n - 1
  }
  return freedom > 0 ? squares / freedom : deviationOf(all) ** 2
}

/** Minutes that are alike bring less news: by how much their deviation counts for more. */
function inflationOf({ rest }: FigureReference): number {
  if (rest.n < 30 || rest.squares === 0) return 1
  const alike = Math.max(0, Math.min(0.9, rest.products / rest.squares))
  return Math.min(inflationMax, Math.sqrt((1 + alike) / (1 - alike)))
}

/** Whether what is usual at this hour was seen. */
export function isHourKnown({ figures }: Reference, hour: number): boolean {
  const figure = figures.objects ?? figures.brightness
  return figure !== undefined && knownHour(figure, Math.floor(hour) % 24) !== undefined
}

/** Takes a figure in, at its hour. */
export function learnFigure(
  reference: Reference,
  name: FollowedFigure,
  value: number,
  hour: number,
): void {
  reference.figures[name] ??= {
    all: noMoments(),
    hours: new Array(24).fill(null),
    recent: { mean: value, hour },
    rest: { before: 0, squares: 0, products: 0, n: 0 },
  }
  const figure = reference.figures[name]
  figure.recent = {
    mean: figure.recent.mean + recentWeight * (value - figure.recent.mean),
    hour,
  }
  const at = Math.floor(hour) % 24
  figure.hours[at] ??= noMoments()
  const moments = figure.hours[at]
  if (moments.n >= hourMax) return
  if (moments.n >= 5) {
    const { rest } = figure
    const off = value - moments.mean
    rest.squares += off * off
    rest.products += off * rest.before
    rest.before = off
    rest.n++
  }
  addTo(moments, value)
  addTo(figure.all, value)
}

/** Takes in what the model's answers were like. */
export function learnAnswers(
  reference: Reference,
  sketch: SketchFigures,
  labels: Bins,
  windows: Readonly<Record<ComparedHistogram, readonly Bins[]>>,
): void {
  reference.answers++
  const weight = 1 / Math.min(reference.answers, 1000)
  reference.detections += (sketch.detections - reference.detections) * weight
  reference.objects += (sketch.objects - reference.objects) * weight
  for (const name of comparedHistograms) {
    const bins = name === 'labels' ? labels : sketch.histograms[name]
    const histogram = reference.histograms[name]
    const total = totalOf(bins)
    const known = totalOf(histogram.bins)
    if (total >= 5 && known >= 10 * usedBins(bins)) {
      const shares = sharesOf(histogram.bins, 0.5)
      const { dispersion } = histogram
      dispersion.sum += chiSquare(bins, shares) / Math.max(1, usedBins(shares) - 1)
      dispersion.n++
      for (const [i, window] of windows[name].entries()) {
        // Before the window is full it is a shorter one.
        if (reference.answers >= windowLengths[i]!) {
          addTo(histogram.psi[i]!, psi(window, histogram.bins), 2000)
        }
      }
    }
    histogram.bins = bins.map((count, i) => (histogram.bins[i] ?? 0) + count)
  }
}

/** The PSI above which a window differs from the reference, where there is enough to say so. */
export function psiLimit(
  histogram: HistogramReference,
  window: Bins,
  length: number,
): number | undefined {
  const counts = totalOf(window)
  const known = totalOf(histogram.bins)
  if (counts < 20 || known < 100 || histogram.dispersion.n < 20) return undefined
  const dispersion = Math.max(1, histogram.dispersion.sum / histogram.dispersion.n)
  const usual = histogram.psi[length]!
  return Math.max(
    psiMatters[length]!,
    psiByChance(usedBins(sharesOf(histogram.bins)), counts, known, dispersion),
    usual.n >= 10 ? usual.mean + 6 * deviationOf(usual) : 1,
  )
}

/** Takes a background in: the mean of those of the last days. */
export function learnBackground(reference: Reference, background: Background): void {
  const now = meansOf(background)
  const known = reference.background
  if (!known) {
    reference.background = { ...now, n: 1 }
    return
  }
  const n = Math.min(known.n + 1, 240)
  const mean = (a: readonly number[], b: readonly number[]): number[] =>
    a.map((value, i) => Math.round((value + (b[i]! - value) / n) * 1000) / 1000)
  reference.background = {
    levels: mean(known.levels, now.levels),
    textures: mean(known.textures, now.textures),
    columns: mean(known.columns, now.columns),
    rows: mean(known.rows, now.rows),
    n,
  }
}

/** Takes in where the embeddings of a sketch lie. */
export function learnEmbedding(
  reference: Reference,
  { mean }: NonNullable<Sketch['embedding']>,
): void {
  const known = reference.embedding
  if (!known) {
    reference.embedding = { n: 1, mean: [...mean] }
    return
  }
  known.n = Math.min(known.n + 1, 1000)
  known.mean = known.mean.map((value, i) => value + (mean[i]! - value) / known.n)
}
