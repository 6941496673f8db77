/**
 * Every figure that says how good a model is on labelled samples, with what people call it and which way is better.
 * A report, the search and the tables of the command line read them from here.
 */

export type FigureFacts = {
  readonly title: string
  readonly better: 'more' | 'less'
  /** How many decimals are worth reading. */
  readonly decimals: number
}

const share = { better: 'more', decimals: 4 } as const
const error = { better: 'less', decimals: 4 } as const

export const figures = {
  accuracy: { title: 'accuracy', ...share },
  top5: { title: 'top-5 accuracy', ...share },
  precision: { title: 'precision, mean over labels', ...share },
  recall: { title: 'recall, mean over labels', ...share },
  f1: { title: 'F1, mean over labels', ...share },
  microF1: { title: 'F1, over all samples', ...share },
  rocAuc: { title: 'area under ROC, mean over labels', ...share },
  prAuc: { title: 'average precision, mean over labels', ...share },
  logLoss: { title: 'log loss', ...error },
  calibrationError: { title: 'calibration error', ...error },
  ap50: { title: 'AP50', ...share },
  ap75: { title: 'AP75', ...share },
  ap: { title: 'AP50:95', ...share },
  miou: { title: 'mIoU', ...share },
  pixelAccuracy: { title: 'pixel accuracy', ...share },
  mse: { title: 'mean squared error', ...error },
  rmse: { title: 'root mean squared error', ...error },
  mae: { title: 'mean absolute error', ...error },
  r2: { title: 'R²', ...share },
} as const satisfies Readonly<Record<string, FigureFacts>>

export type FigureName = keyof typeof figures

/** Figures of one evaluation; those that are no number (nothing to divide by) are left out. */
export type Figures = Readonly<Partial<Record<FigureName, number>>>

/** Only what is a number. */
export function finite(values: Readonly<Partial<Record<FigureName, number>>>): Figures {
  return Object.fromEntries(
    Object.entries(values).filter(([, value]) => Number.isFinite(value)),
  ) as Figures
}

/** Whether `a` is better than `b`; what is no number is never better. */
export function isBetter(name: FigureName, a: number, b: number): boolean {
  if (!Number.isFinite(a)) return false
  if (!Number.isFinite(b)) return true
  return figures[name].better === 'more' ? a > b : a < b
}
