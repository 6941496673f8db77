/** What is said of how right a model is, so that candidates can be compared. */

/** The figures that exist, each 0..1 and better when larger, and how people call them. */
export const metrics = {
  ap50: 'AP50',
  ap50to95: 'AP50:95',
  top1: 'top-1',
  top5: 'top-5',
  miou: 'mIoU',
  cosine: 'cosine',
  f1: 'F1 against the original',
  agreement: 'top-1 agreement with the original',
} as const
export type Metric = keyof typeof metrics

/** One evaluation: what candidates are compared by, and what else was measured on the way. */
export type Evaluation = {
  readonly metric: Metric
  readonly value: number
  readonly others?: Readonly<Partial<Record<Metric, number>>>
}

/** All figures of an evaluation by their names. */
export const figuresOf = ({
  metric,
  value,
  others,
}: Evaluation): Readonly<Partial<Record<Metric, number>>> => ({ [metric]: value, ...others })
