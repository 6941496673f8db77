/** A run that cannot begin or go on, for a reason that a user can do something about. */
export class TrainError extends Error {
  readonly hint: string | undefined
  constructor(text: string, hint?: string, options?: ErrorOptions) {
    super(text, options)
    this.name = 'TrainError'
    this.hint = hint
  }
}
