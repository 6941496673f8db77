/**
 * Whether a classifier is as right as it is sure: of the answers it gives with 80 %, about 80 % should be right. The
 * temperature that repairs it divides the logits and changes no answer. Pure.
 */

/** Answers whose confidence falls between two bounds. */
export type ReliabilityBin = {
  readonly from: number
  readonly to: number
  readonly count: number
  /** Means within the bin; 0 where it is empty. */
  readonly confidence: number
  readonly accuracy: number
}

const binsDefault = 15

/** Bins of equal width over 0..1; a confidence on a bound belongs to the lower bin. */
export function reliability(
  confidences: ArrayLike<number>,
  isRight: ArrayLike<number | boolean>,
  bins = binsDefault,
): ReliabilityBin[] {
  const sums = Array.from({ length: bins }, () => ({ count: 0, confidence: 0, right: 0 }))
  for (let at = 0; at < confidences.length; at++) {
    const place = Math.ceil(confidences[at]! * bins - 1e-9) - 1
    const bin = sums[Math.min(bins - 1, Math.max(0, place))]!
    bin.count++
    bin.confidence += confidences[at]!
    if (isRight[at]) bin.right++
  }
  return sums.map(({ count, confidence, right }, at) => ({
    from: at / bins,
    to: (at + 1) / bins,
    count,
    confidence: count > 0 ? confidence / count : 0,
    accuracy: count > 0 ? right / count : 0,
  }))
}

/** What the scores of a detector are worth: how many of its boxes are right, by score. */
export type ScoreWorth = {
  readonly bins: readonly ReliabilityBin[]
  /** Boxes of one image are right or wrong together: so many of them say as much as one, 1 and more. */
  readonly dispersion: number
}

const worthBins = 20

/** @param images of each box the image that it is in */
export function scoreWorth(
  scores: readonly number[],
  isRight: readonly boolean[],
  images: readonly string[],
): ScoreWorth {
  const bins = reliability(scores, isRight, worthBins)
  const ofImage = new Map<string, number>()
  let alone = 0
  for (const [at, score] of scores.entries()) {
    const bin = bins.find(({ to }) => score <= to + 1e-9) ?? bins[0]!
    const off = (isRight[at] ? 1 : 0) - bin.accuracy
    const image = images[at]!
    ofImage.set(image, (ofImage.get(image) ?? 0) + off)
    alone += off * off
  }
  let together = 0
  for (const sum of ofImage.values()) together += sum * sum
  return { bins, dispersion: alone > 0 ? Math.max(1, together / alone) : 1 }
}

/** Mean distance of confidence and accuracy over all answers (ECE), 0..1; NaN without any. */
export function expectedCalibrationError(bins: readonly ReliabilityBin[]): number {
  const total = bins.reduce((sum, { count }) => sum + count, 0)
  const apart = bins.reduce(
    (sum, { count, confidence, accuracy }) => sum + count * Math.abs(confidence - accuracy),
    0,
  )
  return apart / total
}

/** Where the search for a temperature ends: beyond, answers are either all alike or all certain. */
const temperatureMin = 0.05
const temperatureMax = 20
const newtonStepsMax = 50

/**
 * The temperature by which logits are divided so that the truth becomes most likely. The log loss is convex in 1/T, so
 * Newton's method, held within bounds, finds the one minimum.
 * @param logits `[N, classes]`; logarithms of probabilities serve as well
 * @param truth class of each, counted from 0
 * @returns within 0.05..20; a set without a single mistake has no minimum and gives the lower end
 */
export function fitTemperature(
  logits: ArrayLike<number>,
  truth: ArrayLike<number>,
  classes: number,
): number {
  let low = 1 / temperatureMax
  let high = 1 / temperatureMin
  const slopeAt = (at: number): number => lossAt(logits, truth, classes, at).slope
  // Equal logits say nothing at any temperature.
  if (lossAt(logits, truth, classes, 1).curvature === 0) return 1
  if (slopeAt(high) <= 0) return temperatureMin
  if (slopeAt(low) >= 0) return temperatureMax
  let inverse = 1
  for (let step = 0; step < newtonStepsMax; step++) {
    const { slope, curvature } = lossAt(logits, truth, classes, inverse)
    if (slope > 0) high = inverse
    else low = inverse
    const newton = inverse - slope / curvature
    // A step that leaves what is known to hold the minimum is replaced by halving it.
    const next = newton > low && newton < high ? newton : (low + high) / 2
    if (Math.abs(next - inverse) <= 1e-10 * inverse) break
    inverse = next
  }
  return 1 / inverse
}

/** First and second derivative of the log loss by 1/T: mean of E[z] − z(truth), and of the variance of z. */
function lossAt(
  logits: ArrayLike<number>,
  truth: ArrayLike<number>,
  classes: number,
  inverse: number,
): { slope: number; curvature: number } {
  let slope = 0
  let curvature = 0
  for (let at = 0; at < truth.length; at++) {
    const row = at * classes
    let largest = Number.NEGATIVE_INFINITY
    for (let k = 0; k < classes; k++) largest = Math.max(largest, logits[row + k]!)
    let sum = 0
    let mean = 0
    let square = 0
    for (let k = 0; k < classes; k++) {
      // Against the largest, so that nothing overflows and the variance keeps its digits.
      const z = logits[row + k]! - largest
      const weight = Math.exp(z * inverse)
      sum += weight
      mean += weight * z
      square += weight * z * z
    }
    mean /= sum
    slope += mean - (logits[row + truth[at]!]! - largest)
    curvature += square / sum - mean * mean
  }
  return { slope: slope / truth.length, curvature: curvature / truth.length }
}

/** Softmax of each row of `[N, classes]` at a temperature. */
export function softmaxRows(
  logits: ArrayLike<number>,
  classes: number,
  temperature = 1,
): Float64Array {
  const result = new Float64Array(logits.length)
  for (let row = 0; row < logits.length; row += classes) {
    let largest = Number.NEGATIVE_INFINITY
    for (let k = 0; k < classes; k++) largest = Math.max(largest, logits[row + k]!)
    let sum = 0
    for (let k = 0; k < classes; k++) {
      const weight = Math.exp((logits[row + k]! - largest) / temperature)
      result[row + k] = weight
      sum += weight
    }
    for (let k = 0; k < classes; k++) result[row + k]! /= sum
  }
  return result
}

/** Whether rows are probabilities already: none below 0, each adding up to 1. */
export function areProbabilities(scores: ArrayLike<number>, classes: number): boolean {
  for (let row = 0; row < scores.length; row += classes) {
    let sum = 0
    for (let k = 0; k < classes; k++) {
      const score = scores[row + k]!
      if (!(score >= 0 && score <= 1 + 1e-4)) return false
      sum += score
    }
    if (Math.abs(sum - 1) > 1e-3) return false
  }
  return true
}
