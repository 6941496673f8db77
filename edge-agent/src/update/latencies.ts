/** Durations as counts in steps of 4.4 %: small, can be added up, and keep their quantiles. */

/** Steps to twice as long. */
const stepsPerOctave = 16
/** Shorter ones count as this, ms. */
const shortestMs = 0.05
const stepsMax = 24 * stepsPerOctave

export class Latencies {
  readonly #counts = new Map<number, number>()
  #total = 0

  /** @param counts as `entries` gave them */
  constructor(counts: Iterable<readonly [number, number]> = []) {
    for (const [step, count] of counts) this.#put(step, count)
  }

  add(ms: number): void {
    const step = Math.round(Math.log2(Math.max(ms, shortestMs) / shortestMs) * stepsPerOctave)
    this.#put(Math.min(step, stepsMax), 1)
  }

  merge(other: Latencies): void {
    for (const [step, count] of other.#counts) this.#put(step, count)
  }

  get total(): number {
    return this.#total
  }

  get entries(): [number, number][] {
    return [...this.#counts]
  }

  /** The value that `share` of all do not exceed, ms; 0 where there are none. */
  quantile(share: number): number {
    let left = Math.ceil(this.#total * share)
    for (const [step, count] of [...this.#counts].sort(([a], [b]) => a - b)) {
      left -= count
      if (left <= 0) return shortestMs * 2 ** (step / stepsPerOctave)
    }
    return 0
  }

  #put(step: number, count: number): void {
    this.#counts.set(step, (this.#counts.get(step) ?? 0) + count)
    this.#total += count
  }
}
