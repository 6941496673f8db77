/** How commands fail: exit code 1 with an error and, where there is a way out, a hint line. */

/** A failure a user can do something about. */
export class Failure extends Error {
  readonly hint: string | undefined
  constructor(text: string, hint?: string, options?: ErrorOptions) {
    super(text, options)
    this.name = 'Failure'
    this.hint = hint
  }
}

/** Wrong usage: exit code 2. */
export class UsageFailure extends Failure {}

/** Prints any error the way the terminal speaks and gives the exit code. */
export function reportFailure(error: unknown): 1 | 2 {
  const { message } = error instanceof Error ? error : new Error(String(error))
  process.stderr.write(`error: ${message}\n`)
  const hint = (error as { hint?: unknown } | null)?.hint
  if (typeof hint === 'string') process.stderr.write(`hint: ${hint}\n`)
  if (process.env.EDGELOOP_DEBUG && error instanceof Error) process.stderr.write(`${error.stack}\n`)
  return error instanceof UsageFailure ? 2 : 1
}
