/** How fast steps are, and where their time goes; told from the latest of them, because the first ones are slow. */

/** What one step took, in milliseconds. */
export type StepTime = { readonly all: number; readonly waited: number; readonly ran: number }

const latestMax = 50
/** Before so many steps nothing is foretold. */
const stepsBeforeEta = 5

export class PaceMeter {
  readonly #latest: StepTime[] = []
  readonly #whole = { all: 0, waited: 0, ran: 0, steps: 0 }

  add(time: StepTime): void {
    this.#latest.push(time)
    if (this.#latest.length > latestMax) this.#latest.shift()
    this.#whole.all += time.all
    this.#whole.waited += time.waited
    this.#whole.ran += time.ran
    this.#whole.steps += 1
  }

  /** @param images of one step */
  latest(images: number): {
    readonly imagesPerSecond: number
    readonly dataWaitShare: number
    readonly outsideShare: number
  } {
    const sum = this.#latest.reduce(
      (before, { all, waited, ran }) => ({
        all: before.all + all,
        waited: before.waited + waited,
        ran: before.ran + ran,
      }),
      { all: 0, waited: 0, ran: 0 },
    )
    return shares(sum, images * this.#latest.length)
  }

  whole(images: number): ReturnType<PaceMeter['latest']> {
    return shares(this.#whole, images * this.#whole.steps)
  }

  /** Of so many more steps; null until it can be told. */
  etaMs(steps: number): number | null {
    if (this.#whole.steps < Math.min(stepsBeforeEta, latestMax)) return null
    // The median: a step beside which something was written is no measure.
    const times = this.#latest.map(({ all }) => all).sort((a, b) => a - b)
    return Math.round(times[Math.floor(times.length / 2)]! * steps)
  }
}

function shares({ all, waited, ran }: StepTime, images: number) {
  if (all === 0) return { imagesPerSecond: 0, dataWaitShare: 0, outsideShare: 0 }
  return {
    imagesPerSecond: (images / all) * 1000,
    dataWaitShare: waited / all,
    outsideShare: Math.max(0, 1 - (waited + ran) / all),
  }
}
