/** How right a classifier is, label by label. One label a sample. Pure. */
import {
  areProbabilities,
  expectedCalibrationError,
  fitTemperature,
  type ReliabilityBin,
  reliability,
  softmaxRows,
} from './calibration.ts'
import { type Curve, precisionRecallCurve, rocCurve } from './curve.ts'

/** One label against all others. Shares are NaN where there is nothing to divide by. */
export type LabelMetrics = {
  readonly label: string
  /** Samples that have it, and samples the model said it of. */
  readonly truths: number
  readonly said: number
  readonly precision: number
  readonly recall: number
  readonly f1: number
  readonly roc: Curve
  readonly precisionRecall: Curve
}

export type ClassificationMetrics = {
  readonly samples: number
  readonly accuracy: number
  /** Among the five best; of fewer than six labels it would always be 1 and is NaN. */
  readonly top5: number
  /** Means over the labels that occur in the truth, each counting the same. */
  readonly macro: {
    readonly precision: number
    readonly recall: number
    readonly f1: number
    readonly rocAuc: number
    readonly prAuc: number
  }
  /** Over all samples: with one label a sample precision, recall and F1 are all the accuracy. */
  readonly micro: { readonly precision: number; readonly recall: number; readonly f1: number }
  readonly logLoss: number
  readonly perLabel: readonly LabelMetrics[]
  /** `confusion[truth][said]`: counts. */
  readonly confusion: readonly (readonly number[])[]
  readonly calibration: {
    readonly bins: readonly ReliabilityBin[]
    readonly error: number
    /** What the logits would have to be divided by, fitted on these samples, and the error then. */
    readonly temperature: number
    readonly errorAfter: number
  }
  /** Best label, its probability, and whether it is right, by sample. */
  readonly said: Int32Array
  readonly confidence: Float64Array
}

/**
 * @param labels what the classes are called, in the order of the scores
 * @param truth class of each sample
 * @param scores `[N, labels]`: probabilities, where every row adds up to 1, else logits
 * @throws {RangeError} when sizes do not fit, a truth is no class, or a score is no number
 */
export function classificationMetrics(
  labels: readonly string[],
  truth: ArrayLike<number>,
  scores: ArrayLike<number>,
): ClassificationMetrics {
  const classes = labels.length
  const samples = truth.length
  check(labels, truth, scores)
  const logits = areProbabilities(scores, classes) ? logarithms(scores) : scores
  const probabilities = softmaxRows(logits, classes)
  const said = new Int32Array(samples)
  const confidence = new Float64Array(samples)
  const isRight = new Uint8Array(samples)
  const confusion = labels.map(() => new Array<number>(classes).fill(0))
  let amongFive = 0
  let logLoss = 0
  for (let at = 0; at < samples; at++) {
    const row = at * classes
    let best = 0
    for (let k = 1; k < classes; k++) if (scores[row + k]! > scores[row + best]!) best = k
    const wanted = truth[at]!
    said[at] = best
    confidence[at] = probabilities[row + best]!
    isRight[at] = best === wanted ? 1 : 0
    confusion[wanted]![best]!++
    if (rankOf(scores, row, classes, wanted) < 5) amongFive++
    logLoss -= Math.log(Math.max(probabilities[row + wanted]!, 1e-15))
  }
  const perLabel = labels.map((label, k) => labelMetrics(label, k, truth, probabilities, confusion))
  const occurring = perLabel.filter(({ truths }) => truths > 0)
  const right = isRight.reduce((sum, one) => sum + one, 0)
  const accuracy = right / samples
  const bins = reliability(confidence, isRight)
  const temperature = samples > 0 ? fitTemperature(logits, truth, classes) : Number.NaN
  return {
    samples,
    accuracy,
    top5: classes > 5 ? amongFive / samples : Number.NaN,
    macro: {
      // A label that is never said has no precision; here it counts as wrong, or saying less would pay.
      precision: mean(occurring.map(({ precision }) => precision || 0)),
      recall: mean(occurring.map(({ recall }) => recall)),
      f1: mean(occurring.map(({ f1 }) => f1)),
      rocAuc: mean(occurring.map(({ roc }) => roc.area)),
      prAuc: mean(occurring.map(({ precisionRecall }) => precisionRecall.area)),
    },
    micro: { precision: accuracy, recall: accuracy, f1: accuracy },
    logLoss: logLoss / samples,
    perLabel,
    confusion,
    said,
    confidence,
    calibration: {
      bins,
      error: expectedCalibrationError(bins),
      temperature,
      errorAfter: errorAt(logits, classes, isRight, temperature),
    },
  }
}

function check(
  labels: readonly string[],
  truth: ArrayLike<number>,
  scores: ArrayLike<number>,
): void {
  if (scores.length !== truth.length * labels.length) {
    throw new RangeError(
      `Cannot evaluate: ${scores.length} scores for ${truth.length} samples of ${labels.length} labels`,
    )
  }
  for (let at = 0; at < truth.length; at++) {
    const wanted = truth[at]!
    if (!Number.isInteger(wanted) || wanted < 0 || wanted >= labels.length) {
      throw new RangeError(
        `Cannot evaluate: sample ${at} has class ${wanted}, and there are ${labels.length} labels`,
      )
    }
  }
  for (let at = 0; at < scores.length; at++) {
    if (!Number.isFinite(scores[at])) {
      throw new RangeError(
        `Cannot evaluate: sample ${Math.floor(at / labels.length)} has the score ${scores[at]}`,
      )
    }
  }
}

/** How many classes come before this one; of equal scores the lower index comes first. */
function rankOf(scores: ArrayLike<number>, row: number, classes: number, wanted: number): number {
  const own = scores[row + wanted]!
  let before = 0
  for (let k = 0; k < classes; k++) {
    const score = scores[row + k]!
    if (score > own || (score === own && k < wanted)) before++
  }
  return before
}

function labelMetrics(
  label: string,
  k: number,
  truth: ArrayLike<number>,
  probabilities: Float64Array,
  confusion: readonly (readonly number[])[],
): LabelMetrics {
  const classes = confusion.length
  const isPositive = new Uint8Array(truth.length)
  const scores = new Float64Array(truth.length)
  for (let at = 0; at < truth.length; at++) {
    isPositive[at] = truth[at] === k ? 1 : 0
    scores[at] = probabilities[at * classes + k]!
  }
  const right = confusion[k]![k]!
  const truths = confusion[k]!.reduce((sum, count) => sum + count, 0)
  const said = confusion.reduce((sum, row) => sum + row[k]!, 0)
  return {
    label,
    truths,
    said,
    precision: right / said,
    recall: right / truths,
    f1: (2 * right) / (truths + said),
    roc: rocCurve(isPositive, scores),
    precisionRecall: precisionRecallCurve(isPositive, scores),
  }
}

function errorAt(
  logits: ArrayLike<number>,
  classes: number,
  isRight: Uint8Array,
  temperature: number,
): number {
  const probabilities = softmaxRows(logits, classes, temperature)
  const confidences = Float64Array.from(isRight, (_, at) => {
    const row = probabilities.subarray(at * classes, (at + 1) * classes)
    return row.reduce((best, one) => Math.max(best, one), 0)
  })
  return expectedCalibrationError(reliability(confidences, isRight))
}

const logarithms = (probabilities: ArrayLike<number>): Float64Array =>
  Float64Array.from(probabilities, (one) => Math.log(Math.max(one, 1e-12)))

/** Over what is a number. */
function mean(values: readonly number[]): number {
  const known = values.filter((value) => Number.isFinite(value))
  return known.reduce((sum, value) => sum + value, 0) / known.length
}
