/**
 * How long to wait before the next attempt: twice as long each time up to a bound, with jitter so
 * that many that failed together do not come back together.
 */

export type BackoffOptions = {
  readonly firstMs: number
  readonly maxMs: number
  /** What lasted this long counts as having worked: the next failure starts from `firstMs`. */
  readonly resetAfterMs: number
}

export const backoffDefaults: BackoffOptions = {
  firstMs: 1_000,
  maxMs: 30_000,
  resetAfterMs: 10_000,
}

/** Counts failures in a row. */
export class Backoff {
  readonly #options: BackoffOptions
  readonly #random: () => number
  #failures = 0

  /** @param random uniform in 0..1 */
  constructor(options: BackoffOptions, random: () => number) {
    this.#options = options
    this.#random = random
  }

  /**
   * The wait after a failure, in ms: between half and all of the bound that doubles with each one.
   * @param lastedMs how long the attempt had worked before it failed
   */
  next(lastedMs: number): number {
    const { firstMs, maxMs, resetAfterMs } = this.#options
    if (lastedMs >= resetAfterMs) this.#failures = 0
    const boundMs = Math.min(maxMs, firstMs * 2 ** Math.min(this.#failures, 30))
    this.#failures++
    return Math.round(boundMs * (0.5 + this.#random() / 2))
  }
}
