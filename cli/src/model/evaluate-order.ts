/** What the process that evaluates a model on a data set is asked, and what it answers. */
import type { EvaluationReport } from '@edgeloop/model-compiler'
import type { DataOrder } from '@edgeloop/model-compiler/train'

export type EvaluateOrder = {
  readonly file: string
  readonly layout?: string
  readonly labels?: string
  readonly description?: string
  readonly data: DataOrder
  /** Which of its samples; without it all. */
  readonly part?:
    | { readonly kind: 'held-out'; readonly holdout: string; readonly seed: number }
    | { readonly kind: 'file'; readonly file: string; readonly part: string }
  readonly seed: number
  /** How often samples are drawn for the intervals. */
  readonly rounds?: number
  readonly worst: number
  /** For files that are needed on the way. */
  readonly folder: string
}

export type EvaluateProgress = { readonly done: number; readonly total: number }

export type Evaluated = {
  readonly model: { readonly file: string; readonly digest: string; readonly layout: string }
  readonly data: { readonly name: string; readonly digest: string }
  /** In words, what was left out and why. */
  readonly notes: readonly string[]
  readonly report: EvaluationReport
}
