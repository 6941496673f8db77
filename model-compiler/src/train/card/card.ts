/**
 * The model card: what somebody needs to know before running a model that others trained. Plain data; `cardText` makes a
 * page of Markdown of it. What it says of limits is derived from the figures, not written by whoever wants to ship it.
 */
import type { EvaluationReport } from '../../evaluate/evaluation-report.ts'
import { figures as figureFacts } from '../../evaluate/figures.ts'
import type { Figures } from '../run/progress.ts'
import type { Recipe } from '../run/recipe.ts'

export type ModelCard = {
  readonly schemaVersion: 1
  readonly name: string
  /** SHA-256 of the ONNX file. */
  readonly digest: string
  /** ISO, UTC. */
  readonly createdAt: string
  readonly task: EvaluationReport['task']
  readonly labels: readonly string[]
  readonly code: { readonly version: string; readonly commit?: string }
  readonly data: {
    readonly name: string
    readonly digest: string
    readonly samples: { readonly train: number; readonly validation: number; readonly test: number }
    /** How they were divided, in words: `last 10000`, `by stream, a fifth held out`. */
    readonly split: string
  }
  /** What it was fine-tuned from. */
  readonly parent?: { readonly name: string; readonly digest: string }
  readonly recipe: Recipe
  readonly seed: number
  readonly training: {
    readonly trainer: string
    readonly steps: number
    readonly bestStep: number
    readonly seconds: number
  }
  /** On samples that training never saw; undefined where none were held out. */
  readonly evaluation?: EvaluationReport
  /** Of the parent on the same samples. */
  readonly before?: Figures
  readonly limits: readonly string[]
}

/** Adds the limits to what is known of a model. */
export function cardOf(known: Omit<ModelCard, 'schemaVersion' | 'limits'>): ModelCard {
  return { schemaVersion: 1, ...known, limits: limitsOf(known) }
}

/** With fewer, an accuracy of 90 % is known to about ±6 points at best. */
const samplesMin = 100
const truthsMin = 20
const labelsNamed = 10
const calibrationErrorMax = 0.05
/** Above this share of the samples differing between two figures, a reader should hear of it. */
const gapShown = 0.1

/** At the ends of its range a temperature is no repair: the samples had no mistake, or nothing else. */
const repairText = ({
  temperature,
  errorAfter,
}: NonNullable<EvaluationReport['calibration']>): string =>
  temperature > 0.051 && temperature < 19.9
    ? `; dividing the logits by ${temperature.toFixed(2)} would leave ${(errorAfter * 100).toFixed(0)}`
    : ''

function limitsOf({
  evaluation,
  data,
  labels,
}: Omit<ModelCard, 'schemaVersion' | 'limits'>): string[] {
  if (!evaluation) {
    return [
      'No samples were held out: how good it is on anything it was not trained with is unknown.',
    ]
  }
  const limits: string[] = []
  const { samples, groups, metric, figures, calibration } = evaluation
  if (samples < samplesMin) {
    limits.push(
      `Its figures come from ${samples} samples only; read the intervals, not the figures.`,
    )
  }
  const streams = groups.filter(({ by }) => by === 'stream')
  const sites = groups.filter(({ by }) => by === 'site')
  if (streams.length === 0) {
    limits.push(
      'The samples do not say which camera they come from: how it differs from place to place is unknown.',
    )
  } else {
    limits.push(
      `Evaluated on ${streams.length} ${streams.length === 1 ? 'stream' : 'streams'}${sites.length > 0 ? ` of ${sites.length} ${sites.length === 1 ? 'site' : 'sites'}` : ''}; nothing is known about others.`,
    )
  }
  const { title, better, decimals } = figureFacts[metric]
  const whole = figures[metric] ?? Number.NaN
  const worse = groups.filter(({ value }) =>
    better === 'more' ? value < whole - gapShown : value > whole * (1 + gapShown),
  )
  for (const { by, name, value, samples: count } of worse.slice(0, labelsNamed)) {
    limits.push(
      `Worse at ${by} "${name}": ${title} ${value.toFixed(decimals)} on ${count} samples, ${whole.toFixed(decimals)} on all.`,
    )
  }
  if (evaluation.task !== 'regression' && evaluation.task !== 'segmentation') {
    const rare = evaluation.labels.filter(({ truths }) => truths < truthsMin)
    if (rare.length > 0) {
      const named = rare.slice(0, labelsNamed).map(({ label, truths }) => `"${label}" (${truths})`)
      const others = rare.length > labelsNamed ? ` and ${rare.length - labelsNamed} more` : ''
      limits.push(
        `Hardly tested, with fewer than ${truthsMin} examples: ${named.join(', ')}${others}.`,
      )
    }
  }
  if (calibration && calibration.error > calibrationErrorMax) {
    limits.push(
      `Its scores are no probabilities: off by ${(calibration.error * 100).toFixed(0)} points on average${repairText(calibration)}.`,
    )
  }
  if (labels.length === 1 && evaluation.task === 'classification') {
    limits.push('It knows one label only.')
  }
  if (data.samples.validation === 0) {
    limits.push('No validation samples chose among its checkpoints: the last one was kept.')
  }
  return limits
}
