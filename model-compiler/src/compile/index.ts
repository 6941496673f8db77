/**
 * Door to compiling: everything that runs models. Apart from the package's main door because that one never runs
 * anything.
 */
export { comparePairs } from '../benchmark/compare-pairs.ts'
export type { Sample, SampleSource } from '../calibrate/samples.ts'
export type { Evaluation, Metric } from '../evaluate/metric.ts'
export { openSession, type Value } from '../runtime/session.ts'
export {
  answerOrder,
  ChildError,
  type ChildLimits,
  childLimitsDefault,
  pauseSignal,
  runInChild,
} from './child.ts'
export {
  type CandidateName,
  candidateNames,
  type Precision,
  precisions,
} from './choose.ts'
export { type CompileOptions, compileModel } from './compile-model.ts'
export {
  type CandidateResult,
  type CompileReport,
  type CompileResult,
  resultOf,
  type TensorError,
} from './compile-report.ts'
export type { Manifest, StatedFile } from './manifest.ts'
export { openOutputFolder } from './output-folder.ts'
export { ownTarget } from './own-target.ts'
export type { Progress, Step } from './progress.ts'
