/** What a run comes to. */

import type { Figures } from './progress.ts'
import type { Recipe } from './recipe.ts'

export type TrainResult =
  /** It was told to stop; the same folder goes on from here. */
  | { readonly kind: 'paused'; readonly step: number; readonly steps: number }
  | {
      readonly kind: 'ended'
      readonly why: 'all steps done' | 'no gain any more'
      /** `model.onnx` in the run's folder: float32, its batch free, BatchNorm kept. */
      readonly modelFile: string
      /** SHA-256 of that file. */
      readonly digest: string
      readonly step: number
      readonly steps: number
      /** The step whose weights were kept, chosen on the validation samples where there are any. */
      readonly bestStep: number
      /** Of the kept weights, run plainly from the written file; undefined where the split has no such samples. */
      readonly validation?: Figures
      readonly test?: Figures
      /** Of the model as it was before the first step, on the test samples, where it can be told. */
      readonly before?: Figures
      /** Of steps alone, evaluations and start not counted. */
      readonly imagesPerSecond: number
      readonly dataWaitShare: number
      readonly outsideShare: number
      /** Of everything in this and all earlier processes of the run. */
      readonly seconds: number
      readonly peakMemoryBytes: number
      readonly recipe: Recipe
    }
