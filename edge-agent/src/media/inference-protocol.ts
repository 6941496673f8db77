/** What the decoding thread of a media process and its inference worker say to each other. */
import type { ModelSignature } from '@edgeloop/protocol/oip'
import type { InputSpec } from '../models/canvas.ts'
import type { DetectOptions, ModelSource, Reading, Task } from '../models/model.ts'
import type { Tensors } from '../runtimes/runtime.ts'

/** A model as the worker opened it. */
export type OpenedModel = {
  readonly name: string
  readonly digest: string
  readonly layout: string
  readonly task: Task
  readonly labels: readonly string[]
  readonly runtime: string
  readonly signature: ModelSignature
  readonly input: InputSpec
  readonly inputBytes: number
}

export type ToInference =
  /** Open a model; answered by `opened` or `refused`. */
  | { readonly kind: 'open'; readonly source: ModelSource }
  | { readonly kind: 'close'; readonly model: string }
  /** A stream's way to a model: canvases come in through `memory`. */
  | {
      readonly kind: 'lane'
      readonly lane: number
      readonly model: string
      readonly memory: SharedArrayBuffer
      /** Length of a canvas in it; the model's input is its beginning. */
      readonly canvasBytes: number
      readonly options: DetectOptions
    }
  | { readonly kind: 'leave'; readonly lane: number }
  /** A canvas is in the lane's slot. */
  | { readonly kind: 'ring'; readonly lane: number }
  /** Run a model that is open on tensors; answered by `inferred` or `notInferred`. */
  | {
      readonly kind: 'infer'
      readonly request: number
      readonly model: string
      readonly inputs: Tensors
    }

export type FromInference =
  | { readonly kind: 'opened'; readonly model: OpenedModel }
  | { readonly kind: 'refused'; readonly name: string; readonly reason: string }
  | {
      readonly kind: 'detected'
      readonly lane: number
      readonly sequence: number
      readonly reading: Reading
      readonly inferenceMs: number
    }
  /** The model failed on this canvas. */
  | {
      readonly kind: 'failed'
      readonly lane: number
      readonly sequence: number
      readonly reason: string
    }
  | { readonly kind: 'inferred'; readonly request: number; readonly outputs: Tensors }
  | { readonly kind: 'notInferred'; readonly request: number; readonly reason: string }
