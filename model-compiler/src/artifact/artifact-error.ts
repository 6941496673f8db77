/**
 * - `wrong-base`: it needs another file than the one that is there
 * - `damaged`: not the bytes that were made, or none of this format at all
 * - `unsupported`: a newer format than this program knows
 * - `too-large`: above a stated bound
 * - `model-refused`: whole, and nothing that may be loaded
 */
export type ArtifactErrorCode =
  | 'wrong-base'
  | 'damaged'
  | 'unsupported'
  | 'too-large'
  | 'model-refused'

/** Bytes that may not be used. The message says why and quotes the value. */
export class ArtifactError extends Error {
  readonly code: ArtifactErrorCode

  constructor(code: ArtifactErrorCode, text: string, options?: ErrorOptions) {
    super(text, options)
    this.name = 'ArtifactError'
    this.code = code
  }
}
