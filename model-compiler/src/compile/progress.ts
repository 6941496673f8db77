/** How far a compilation is: what it does right now, and the share of all its work that is behind it. */

export type Step = 'read' | 'make' | 'calibrate' | 'search' | 'evaluate' | 'measure' | 'write'

export type Progress = {
  readonly step: Step
  /** Candidate that it is about, where it is about one. */
  readonly candidate?: string
  /** Of this step, where it can be counted. */
  readonly done: number
  readonly total: number
  /** Of everything, 0..1; never goes back. */
  readonly share: number
}

/** A step with how much it weighs against the others, roughly in seconds. */
export type Planned = {
  readonly step: Step
  readonly candidate?: string
  readonly weight: number
}

/** Turns "the step I am in" into a share of the whole plan. */
export class ProgressTeller {
  readonly #plan: readonly Planned[]
  readonly #tell: (progress: Progress) => void
  #share = 0

  constructor(plan: readonly Planned[], tell: (progress: Progress) => void) {
    this.#plan = plan
    this.#tell = tell
  }

  /** A step that is not in the plan is told, and moves nothing. */
  at(step: Step, candidate?: string, done = 0, total = 1): void {
    const all = this.#plan.reduce((sum, { weight }) => sum + weight, 0)
    const index = this.#plan.findIndex((one) => one.step === step && one.candidate === candidate)
    if (index >= 0) {
      const before = this.#plan.slice(0, index).reduce((sum, { weight }) => sum + weight, 0)
      const here = this.#plan[index]!.weight * Math.min(1, done / Math.max(1, total))
      this.#share = Math.max(this.#share, (before + here) / all)
    }
    this.#tell({
      step,
      ...(candidate !== undefined && { candidate }),
      done,
      total,
      share: this.#share,
    })
  }
}
