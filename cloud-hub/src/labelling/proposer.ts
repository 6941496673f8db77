/**
 * What proposes annotations, as the hub needs it: a program in a process of its own, because it decodes pictures of
 * strangers and executes models. Which program is the business of who starts the hub.
 */
import type { DescribedModel } from '../models/compiler.ts'

export type ProposeOrder = {
  /** Samples in the form `frozen`. */
  readonly folder: string
  /** Those that look at each sample; none where it is only asked what pictures look like. */
  readonly models: readonly DescribedModel[]
  /** Whether it is asked what pictures look like. */
  readonly looks: boolean
}

/** What a model found in one picture; no box where it is about all of it. */
export type ProposedThing = {
  readonly label: string
  readonly score: number
  readonly box?: readonly [left: number, top: number, width: number, height: number]
  readonly points?: readonly (readonly [x: number, y: number])[]
}

export type ProposedSample = {
  readonly digest: string
  /** In the order of the models. */
  readonly found: readonly (readonly ProposedThing[])[]
  /** In the numbers in which boxes say it. */
  readonly looks?: { readonly hash: string; readonly embedding: readonly number[] }
}

export type Proposer = {
  /**
   * A picture that cannot be read is left out of the answer.
   * @throws {Error} saying which model cannot be executed, and why
   */
  propose(
    order: ProposeOrder,
    told: (progress: { readonly done: number; readonly total: number }) => void,
    signal: AbortSignal,
  ): Promise<readonly ProposedSample[]>
}
