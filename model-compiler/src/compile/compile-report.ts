/** What a compilation found out: what programs are told, and everything for the report. */
import type { OperatorTime } from '../benchmark/profile.ts'
import type { Metric } from '../evaluate/metric.ts'
import type { Unfused } from '../fusion/check-fusion.ts'
import type { PassReport } from '../passes/optimize.ts'
import type { Kept } from '../search/sensitivity.ts'
import type { CandidateName, Precision, Verdict } from './choose.ts'
import type { KeptScales } from './keep-scales.ts'

export type CandidateResult = {
  readonly name: CandidateName
  /** One sentence: how it is made. */
  readonly about: string
  /** Null where it could not be made: `why` says the reason. */
  readonly sizeBytes: number | null
  /** The original's latency at ONNX Runtime's level `all` over the candidate's: above 1 is faster. */
  readonly latencyRatio: number | null
  /** One inference on one thread, in milliseconds: the original's median over the ratio. */
  readonly latencyMs: number | null
  readonly ap50: number | null
  /** Signal to noise against the original on what calibrated: median over outputs and samples. */
  readonly sqnrDb: number | null
  readonly metrics: Readonly<Partial<Record<Metric, number>>>
  /** What the metric lost against the original; below 0 where it won. */
  readonly drop: number | null
  /** `passed`: it might have been shipped, and another is better. */
  readonly verdict: Verdict['verdict']
  readonly why: string
}

export type CompileResult = {
  readonly chosen: CandidateName
  readonly why: string
  readonly metric: Metric
  readonly maxDrop: number
  readonly precision: Precision
  readonly target: string
  readonly candidates: readonly CandidateResult[]
  /** Products of what was chosen that stayed float where codes were meant to do the work. */
  readonly unfused: readonly Unfused[]
}

/** Everything that was found out, for the report. */
export type CompileReport = CompileResult & {
  /** False for a float model, and for a target that this machine cannot stand for: then `unfused` says nothing. */
  readonly fusionChecked: boolean
  readonly source: { readonly name: string; readonly digest: string; readonly sizeBytes: number }
  readonly machine: { readonly cpu: string; readonly threads: 1 }
  readonly calibrationSamples: number
  readonly passes: readonly PassReport[]
  /** What became of the scales of the model in the field, where one was named and codes were chosen. */
  readonly scales?: KeptScales
  /** Values that stay float in `int8-search`, with what they give (dB) and cost (ms of an inference). */
  readonly kept: readonly Kept[]
  /** Activations of the optimized model with their ranges, in the order of the graph; none without int8. */
  readonly tensors: readonly TensorError[]
  /** Time of each kind of operator in the original and in what was chosen, as the runtime profiles it. */
  readonly operators: {
    readonly before: readonly OperatorTime[]
    readonly after: readonly OperatorTime[]
  }
}

/** An activation: what it reaches, and how much of it the int8 candidate leaves over. */
export type TensorError = {
  readonly name: string
  readonly min: number
  readonly max: number
  /** Median over a few samples; null where the candidate has no such value. */
  readonly sqnrDb: number | null
}

/** What a program that called the compiler wants to know of a report. */
export const resultOf = (report: CompileReport): CompileResult => {
  const { chosen, why, metric, maxDrop, precision, target, candidates, unfused } = report
  return { chosen, why, metric, maxDrop, precision, target, candidates, unfused }
}
