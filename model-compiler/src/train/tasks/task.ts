/**
 * What differs between kinds of models: how pictures are fed, what a loss is, how good a model is. A run asks these
 * questions and knows nothing else of the task. To add one: a file that makes a `Task`, and a row where runs are made.
 */
import type { EvaluationReport, ReportOptions } from '../../evaluate/evaluation-report.ts'
import type { ModelProto } from '../../onnx/schema.ts'
import type { Value } from '../../runtime/session.ts'
import type { Batch } from '../batches/batches.ts'
import type { CanvasSpec } from '../batches/canvas.ts'
import type { Loss } from '../differentiate/differentiate.ts'
import type { Through } from '../differentiate/lowering.ts'
import type { RecipePart } from '../run/recipe.ts'
import type { Sym, Tape } from '../tape/tape.ts'

export type EvaluateOptions = ReportOptions & {
  /** Of the runtime. */
  readonly threads: number
  readonly onSample?: (done: number, total: number) => void
  readonly signal?: AbortSignal
}

/** What the loss may choose by. */
export type LossSettings = {
  readonly batch: number
  readonly labelSmoothing: number
  readonly classWeights: 'none' | 'balanced'
  readonly focalGamma: number
}

export type Task = {
  readonly name: EvaluationReport['task']
  /** What is trained: it has the outputs that the labels of the data want. */
  readonly model: ModelProto
  /** In the order of the model's classes. */
  readonly labels: readonly string[]
  readonly canvas: CanvasSpec
  /** Classes of masks that are wanted beside the pictures. */
  readonly maskLabels?: readonly string[]
  /** Values where the loss is put on (default: the outputs); what only later nodes need is not trained. */
  readonly cut?: readonly string[]
  /** Shapes of the model's inputs, batch included, where the file leaves them free. */
  inputShapes?(batch: number): Readonly<Record<string, readonly number[]>>
  /** What a recipe has by default for this model and these data. */
  readonly defaults: RecipePart
  /** What is read instead of a value of the model while it is trained. */
  readonly through?: Through
  /** Writes the loss onto the tape; what it needs of a batch it asks for with `tape.input`. */
  loss(tape: Tape, outputs: Readonly<Record<string, Sym>>, settings: LossSettings): Loss
  /** The model's inputs and what the loss asked for, of one batch. */
  feeds(
    batch: Batch,
    settings: LossSettings,
  ): Readonly<Record<string, Value>> | Promise<Readonly<Record<string, Value>>>
  /**
   * How good a model is on some samples, run plainly as it is.
   * @param model `model` with other weights
   */
  evaluate(
    model: ModelProto,
    digests: readonly string[],
    options: EvaluateOptions,
  ): Promise<EvaluationReport>
  /** The same of what the model was made from, in the words of these data, where it can be told. */
  before?(digests: readonly string[], options: EvaluateOptions): Promise<EvaluationReport>
  /** The form in which it is kept (default: as it is). */
  finish?(model: ModelProto): ModelProto
}

/** The model as it was given is measured on the same samples. */
export const withBefore = (task: Task): Task => ({
  ...task,
  before: (digests, options) => task.evaluate(task.model, digests, options),
})
