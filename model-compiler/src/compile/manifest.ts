/** What is stated about a compiled model, so that nobody has to open it to know what it is. */
import type { Metric } from '../evaluate/metric.ts'
import type { Port } from '../runtime/session.ts'
import type { CandidateName } from './choose.ts'
import type { KeptScales } from './keep-scales.ts'

/** A file of the result, named by what is in it. */
export type StatedFile = {
  readonly file: string
  readonly candidate: CandidateName
  /** SHA-256, hex. */
  readonly digest: string
  readonly sizeBytes: number
}

export type Manifest = {
  readonly format: 'edgeloop-model'
  readonly formatVersion: 1
  readonly name: string
  /** What is to be run. */
  readonly model: StatedFile
  /** Candidates that were kept beside it, for boxes that measure for themselves. */
  readonly kept: readonly StatedFile[]
  readonly source: { readonly name: string; readonly digest: string; readonly sizeBytes: number }
  readonly target: string
  /** Of ONNX's own operators. */
  readonly opset: number
  readonly inputs: readonly Port[]
  readonly outputs: readonly Port[]
  readonly evaluation: {
    readonly metric: Metric
    readonly original: number
    readonly value: number
    readonly maxDrop: number
  }
  /** Whether the scales are those of the model in the field, and of which epoch they are; where one was named. */
  readonly scales?: KeptScales & { readonly championDigest: string }
  /** The original's latency over the model's, on the machine that compiled it. */
  readonly latencyRatio: number
  /** What the agent has to know to feed and read it; as a description file says it. */
  readonly description?: unknown
}
