/** A data set cannot be read, split or written; the message says which and why, the hint what to do about it. */
export class DatasetError extends Error {
  readonly hint: string | undefined
  constructor(text: string, hint?: string, options?: ErrorOptions) {
    super(text, options)
    this.name = 'DatasetError'
    this.hint = hint
  }
}
