/**
 * The door of training. A run is a recipe, a seed, a frozen data set with its split and a model; the same four end
 * with the same weights, bit for bit on one machine, also when the run is killed and resumed on the way.
 */

export {
  type BuildSettings,
  builders,
  buildNet,
  type Wanted,
  wantedNet,
} from '../builders/index.ts'
export {
  type Explainer,
  type Explanation,
  type HeatMap,
  openExplainer,
} from '../explain/explain.ts'
export { heatPicture } from '../explain/heat-picture.ts'
export { Augmentation, augmentationOf, noAugmentation } from './batches/augmentation.ts'
export { type Batch, type Batches, type BatchesOptions, openBatches } from './batches/batches.ts'
export { type CanvasFit, type CanvasSpec, canvasFits } from './batches/canvas.ts'
export { type PreviewOptions, type PreviewPicture, previewAugmentation } from './batches/preview.ts'
export { cardOf, type ModelCard } from './card/card.ts'
export { cardText } from './card/card-text.ts'
export { curvePlots, runPage } from './card/run-page.ts'
export { type CompressOptions, compressedTask } from './compress/compressed-task.ts'
export { Compression, compresses, compressionDefault } from './compress/compression.ts'
export { type Pruned, pruneChannels, pruneWeights } from './compress/prune.ts'
export { siluToHardSwish } from './compress/replace-activations.ts'
export { type Head, recognizeHead } from './detectors/head.ts'
export {
  type DifferentiateOptions,
  differentiate,
  type Loss,
  type Step,
} from './differentiate/differentiate.ts'
export { freezeDepth, freezePrefix, trainableParameters } from './differentiate/freezing.ts'
export { type ExternalLimits, externalLimitsDefault } from './external/contract.ts'
export { type ExternalRunOptions, runExternally, type Trainer } from './external/external-run.ts'
export { type JobOptions, jobManifest } from './external/job-manifest.ts'
export { jobWishOf } from './external/order-a-job.ts'
export { prepareOrder } from './external/prepare-order.ts'
export { type Parts, partsOf } from './run/plan-run.ts'
export type { Figures, TrainProgress } from './run/progress.ts'
export {
  ParameterGroup,
  partOfSetting,
  Recipe,
  type RecipePart,
  recipeDefault,
  recipeOf,
} from './run/recipe.ts'
export { askedOf, digestOf } from './run/run-folder.ts'
export { type TrainOptions, train } from './run/train.ts'
export { TrainError } from './run/train-error.ts'
export type { DataFormat, DataOrder, SplitOrder, TrainOrder } from './run/train-order.ts'
export type { TrainResult } from './run/train-result.ts'
export { type Operand, type Sym, Tape } from './tape/tape.ts'
export { type ClassificationOptions, classificationTask } from './tasks/classification.ts'
export { type Detect, type DetectionOptions, detectionTask } from './tasks/detection.ts'
export { type RegressionOptions, regressionTask } from './tasks/regression.ts'
export { type SegmentationOptions, segmentationTask } from './tasks/segmentation.ts'
export type { EvaluateOptions, LossSettings, Task } from './tasks/task.ts'
export { type EndedTrial, type Trial, trialCount } from './trials/plan-trials.ts'
export {
  runTrials,
  type SearchOptions,
  type SearchProgress,
  type SearchResult,
  type TrialOutcome,
} from './trials/run-trials.ts'
export { partOf, searchOf } from './trials/search.ts'
export { type TrialPlanner, type TriedTrial, trialPlanner } from './trials/trial-planner.ts'
export { parallelCoordinates, trialsPage, trialsSection } from './trials/trials-page.ts'
