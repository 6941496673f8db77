/**
 * The `Runtime` contract: something that executes a model file. `run()` may block its thread for the
 * whole inference (onnxruntime-node does), so sessions live in a worker.
 */
import type { TensorInfo, Tensors } from '@edgeloop/protocol/oip'

export type { Tensor, TensorInfo, Tensors, TensorType } from '@edgeloop/protocol/oip'
export { elementBytes, elementsOf } from '@edgeloop/protocol/oip'

export type SessionOptions = {
  /** Threads inside one operator; 1 unless measured otherwise. */
  readonly threads: number
  /** Ends every wait of the session, while it opens and afterwards; then it is of no more use. */
  readonly signal?: AbortSignal
}

/** A model, loaded and ready. */
export interface RuntimeSession extends AsyncDisposable {
  /** Such as `ort:cpu`. */
  readonly runtime: string
  /** SHA-256 of the file; what a server runs under a name of its own choice nobody can check. */
  readonly digest: string
  readonly inputs: readonly TensorInfo[]
  readonly outputs: readonly TensorInfo[]
  /** How many of its operators ran where they were meant to; known after the first run, where at all. */
  readonly placement?: { readonly operators: number; readonly onProvider: number } | undefined
  /**
   * One run at a time; what it gives back is valid until the next one.
   * @throws {Error} when a tensor is missing or does not fit
   * @throws {ModelError} when the runtime fails; a later run may work again
   */
  run(inputs: Tensors): Promise<Tensors>
}

export interface Runtime {
  readonly name: string
  /** @throws {ModelError} when the bytes are no model this runtime can execute */
  open(file: string, options: SessionOptions): Promise<RuntimeSession>
}

/** A model cannot be used; the message says which file, why, and what was expected. */
export class ModelError extends Error {
  constructor(text: string, options?: ErrorOptions) {
    super(text, options)
    this.name = 'ModelError'
  }
}
