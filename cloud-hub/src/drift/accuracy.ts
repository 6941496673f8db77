/**
 * How right a model probably is on a stream, without a label from the time that is asked about: its mean calibrated
 * confidence. What its scores were worth where people labelled, on samples of the field or on the test samples of its
 * version, weighed by the scores that it gives now. It holds as long as a score means what it meant there: an estimate,
 * and called one.
 */
import type { EvaluationReport } from '@edgeloop/model-compiler'
import type { AccuracyEstimate, SampleAnnotation, SampleDetection } from '@edgeloop/protocol'
import { type Bins, totalOf } from './histogram-distance.ts'

/** A frame as its box saw it and as people did. */
export type LabelledFrame = {
  readonly detections: readonly SampleDetection[]
  readonly annotations: readonly SampleAnnotation[]
  /** With which a frame like this one is kept: rarer ones stand for more. */
  readonly probability: number
}

/** A box that overlaps a true one of its label by this much is right. */
const iouMin = 0.5
/** Bins of scores that share what they are worth: twice as wide as those of sketches. */
const worthBins = 10
/** Fewer detections, all bins together, are no ground to stand on. */
const detectionsMin = 40
/** Share of what is seen now that may fall into bins where nothing was labelled. */
const unknownMax = 0.1
/** One frame stands for at most so many. */
const weightMax = 20

type Worth = { weight: number; right: number; squares: number }

/** What scores were worth on something that people labelled, in equal bins, and in words what that was. */
export type Fitted = { readonly bins: readonly Worth[]; readonly from: string }

const emptyBins = (): Worth[] =>
  Array.from({ length: worthBins }, () => ({ weight: 0, right: 0, squares: 0 }))

/** On frames of the field; null where they are too few. */
export function fittedOnFrames(frames: readonly LabelledFrame[]): Fitted | null {
  const bins = emptyBins()
  let detections = 0
  for (const { detections: found, annotations, probability } of frames) {
    const weight = Math.min(weightMax, 1 / probability)
    for (const { score, isRight } of matched(found, annotations)) {
      const bin = bins[Math.min(worthBins - 1, Math.floor(score * worthBins))]!
      bin.weight += weight
      bin.squares += weight * weight
      if (isRight) bin.right += weight
      detections++
    }
  }
  if (detections < detectionsMin) return null
  const from = `${detections} detections in ${frames.length} frames of this model that people labelled`
  return { bins, from }
}

/** On the test samples of a version, by the report of the run that trained it; null where that says too little. */
export function fittedOnTest(
  { samples, worth }: Pick<EvaluationReport, 'samples' | 'worth'>,
  version: string,
): Fitted | null {
  if (!worth) return null
  const bins = emptyBins()
  let detections = 0
  for (const { from, to, count, accuracy } of worth.bins) {
    const bin = bins[Math.min(worthBins - 1, Math.floor(((from + to) / 2) * worthBins))]!
    bin.weight += count
    bin.right += count * accuracy
    bin.squares += count * worth.dispersion
    detections += count
  }
  if (detections < detectionsMin) return null
  return { bins, from: `${detections} detections in the ${samples} test samples of ${version}` }
}

/**
 * @param scores detections by score, equal bins @param objects how many of them count: the best ones
 * @returns null where it would be a guess
 */
export function estimateAccuracy(
  { bins, from }: Fitted,
  scores: Bins,
  objects: number,
): AccuracyEstimate | null {
  if (objects <= 0) return null
  const lowest = lowestOf(scores, objects)
  const now = countingOf(scores, objects)
  const shares = now.map((count) => count / totalOf(now))
  const there = bins.map(({ weight }, i) => (i >= lowest ? weight : 0))
  const known = totalOf(there)
  if (known === 0) return null
  let [precision, variance, before, unknown] = [0, 0, 0, 0]
  for (const [i, { weight, right, squares }] of bins.entries()) {
    const share = shares[i]!
    if (weight === 0) {
      unknown += share
      continue
    }
    // Counts that are worth as much as the weights, and half a success and a failure that nobody saw.
    const counts = (weight * weight) / squares
    const worth = ((right / weight) * counts + 0.5) / (counts + 1)
    precision += share * worth
    variance += (share * share * worth * (1 - worth)) / (counts + 1)
    before += (there[i]! / known) * worth
  }
  if (unknown > unknownMax) return null
  // What nothing is known of may be all wrong or all right.
  precision /= 1 - unknown
  const off = 1.96 * Math.sqrt(variance)
  const bounded = (value: number): number => Math.max(0, Math.min(1, value))
  return {
    precision: bounded(precision),
    low: bounded((precision - off) * (1 - unknown)),
    high: bounded((precision + off) * (1 - unknown) + unknown),
    there: bounded(before),
    from,
  }
}

/** Detections with whether they are right, the surest first; each true box is found once. */
function matched(
  detections: readonly SampleDetection[],
  annotations: readonly SampleAnnotation[],
): { score: number; isRight: boolean }[] {
  const truths = annotations.flatMap((each) => (each.kind === 'box' ? [each] : []))
  const taken = new Set<number>()
  return [...detections]
    .sort((a, b) => b.score - a.score)
    .flatMap(({ label, score, box }) => {
      const fits = truths.flatMap((truth, i) => {
        if (truth.label !== label || taken.has(i)) return []
        const overlap = iouOf(box, truth.box)
        return overlap >= iouMin ? [{ i, overlap, isCrowd: truth.crowd === true }] : []
      })
      const best = fits.sort((a, b) => b.overlap - a.overlap)[0]
      // In a crowd nobody said which.
      if (best?.isCrowd) return []
      if (best) taken.add(best.i)
      return [{ score, isRight: best !== undefined }]
    })
}

function iouOf(a: readonly number[], b: readonly number[]): number {
  const [ax = 0, ay = 0, aw = 0, ah = 0] = a
  const [bx = 0, by = 0, bw = 0, bh = 0] = b
  const width = Math.min(ax + aw, bx + bw) - Math.max(ax, bx)
  const height = Math.min(ay + ah, by + bh) - Math.max(ay, by)
  if (width <= 0 || height <= 0) return 0
  return (width * height) / (aw * ah + bw * bh - width * height)
}

/** The best `objects` detections, by bins of what scores are worth. */
function countingOf(scores: Bins, objects: number): number[] {
  const counting = new Array<number>(worthBins).fill(0)
  let left = objects
  for (let bin = scores.length - 1; bin >= 0 && left > 0; bin--) {
    const count = Math.min(left, scores[bin]!)
    counting[Math.floor((bin * worthBins) / scores.length)]! += count
    left -= count
  }
  return counting
}

/** The lowest bin in which a detection still counts. */
const lowestOf = (scores: Bins, objects: number): number =>
  Math.max(
    0,
    countingOf(scores, objects).findIndex((count) => count > 0),
  )
