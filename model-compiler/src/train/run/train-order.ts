/**
 * What the process that trains is asked, by the command line and by the hub's jobs; it tells `TrainProgress` and answers
 * with a `TrainResult`.
 */
import type { DatasetFormat } from '../../datasets/index.ts'
import type { Trainer } from '../external/external-run.ts'

export type DataFormat = DatasetFormat

export type DataOrder = {
  readonly folder: string
  readonly format?: DataFormat
  /** Labels in their order, where the folder does not say it. */
  readonly labels?: readonly string[]
}

/** How the data are divided: by a rule, or as a file says (JSON: digest of each sample → train, validation or test). */
export type SplitOrder =
  | {
      readonly kind: 'rule'
      /** Held out for the test: `last:N`, or a share; without it the recipe's share. */
      readonly holdout?: string
      /** Of what remains, for choosing among checkpoints. */
      readonly validation?: number
      readonly by?: 'sample' | 'stream' | 'time'
    }
  | { readonly kind: 'file'; readonly file: string }

export type TrainOrder = {
  readonly kind: 'train'
  readonly data: DataOrder
  /** An older data set that a share of each batch comes from. */
  readonly replay?: DataOrder
  readonly split: SplitOrder
  /** An ONNX file, or `new:NAME` with settings as in a query: `new:mobilenet-v2?width=0.5`. */
  readonly model: string
  /** An ONNX file that `compress.distill` follows (default: the model before it is compressed). */
  readonly teacher?: string
  /** How detectors are fed and read, as for detect; classifiers need none. */
  readonly layout?: string
  /** Told by the data where it is not given. */
  readonly task?: 'classification' | 'regression' | 'segmentation' | 'detection'
  /** Parts of a recipe, the later over the earlier; the task's defaults lie under them. */
  readonly recipe: readonly unknown[]
  readonly seed: number
  /** Of the epochs (0..1]: what a search gives a candidate that is not among the last. */
  readonly share?: number
  /** Who trains instead of us: docs/external-trainer.md. */
  readonly trainer?: Trainer
  /** The run's folder. One that holds a checkpoint of the same run is gone on with. */
  readonly folder: string
}
