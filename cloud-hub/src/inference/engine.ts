/**
 * What executes models for others, as the hub needs it: a program that holds one model open in a process of its own,
 * because models come from anywhere and pictures from strangers. Which program is the business of who starts the hub.
 */
import type { PictureReading } from '@edgeloop/protocol'
import type { ModelSignature, Tensors } from '@edgeloop/protocol/oip'
import type { DescribedModel } from '../models/compiler.ts'

/** A model that is open. It does one thing at a time: whoever asks waits for the answer before asking again. */
export type ModelProcess = AsyncDisposable & {
  readonly signature: ModelSignature
  /** @throws {ModelFault} */
  infer(inputs: Tensors, timeoutMs: number): Promise<Tensors>
  /** Looks at a picture as a box would. @throws {ModelFault} */
  look(picture: Uint8Array, reading: LookOptions, timeoutMs: number): Promise<PictureReading>
  /** When it is gone, for whatever reason. */
  readonly ended: Promise<void>
}

export type LookOptions = {
  readonly scoreMin: number
  readonly nmsIou: number
  readonly maxDetections: number
}

export type InferenceEngine = {
  /** @throws {ModelFault} where it cannot be opened; the process is gone then */
  open(model: DescribedModel, timeoutMs: number): Promise<ModelProcess>
}

/** A model did not answer; `gone` where its process is not there any more. */
export class ModelFault extends Error {
  readonly gone: boolean

  constructor(text: string, gone: boolean, options?: ErrorOptions) {
    super(text, options)
    this.name = 'ModelFault'
    this.gone = gone
  }
}
