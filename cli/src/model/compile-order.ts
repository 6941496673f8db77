/** What the compiler's process is asked, and what it answers. */
import type {
  CandidateName,
  CompileReport,
  Evaluation,
  Manifest,
  Precision,
  Progress,
} from '@edgeloop/model-compiler/compile'

export type CompileOrder = {
  readonly kind: 'compile'
  readonly file: string
  readonly layout?: string
  readonly labels?: string
  readonly description?: string
  /** Folders of images. */
  readonly calibrate: string
  readonly evaluate?: string
  readonly target: string
  readonly precision: Precision
  /** The int8 file that runs in the field. */
  readonly against?: string
  readonly deltaAware?: boolean
  /** Versions will follow that should keep its scales. */
  readonly successors?: boolean
  readonly maxDrop: number
  readonly keep: readonly CandidateName[]
  readonly seed: number
  /** For one measurement of a candidate against the original. */
  readonly measureSeconds: number
  /** Writes trace.txt too. */
  readonly trace?: boolean
  /** Where everything is written. */
  readonly folder: string
}

/** Looks into a model and opens it as a box would. */
export type InspectOrder = {
  readonly file: string
  readonly layout: string
  /** File of labels. */
  readonly labels?: string
  /** Description file. */
  readonly description?: string
}

export type Compiled = {
  readonly report: CompileReport
  readonly manifest: Manifest
  readonly calibrationImages: number
  readonly evaluationImages: number
  /** Of those given for evaluation, because they calibrate. */
  readonly leftOut: number
  /** Most memory that the process has held. */
  readonly peakMemoryBytes: number
}

export type CompareOrder = {
  readonly kind: 'compare'
  readonly files: readonly [string, string]
  readonly layout?: string
  readonly labels?: string
  readonly description?: string
  readonly images: string
  readonly seed: number
  /** For files that are needed on the way. */
  readonly folder: string
}

export type Compared = {
  readonly models: readonly {
    readonly file: string
    readonly sizeBytes: number
    readonly evaluation: Evaluation
    readonly latencyMs: number
  }[]
  /** The first one's latency over the second one's: above 1, the second is faster. */
  readonly latencyRatio: number
  /** Of each output of the first, over all images: how near the second one's is; null where it has no such output. */
  readonly outputs: readonly { readonly name: string; readonly cosine: number | null }[]
  readonly images: number
}

/** How far the process is; comparing has fewer steps of the same kind. */
export type OrderProgress = Progress
