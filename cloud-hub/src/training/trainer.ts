/**
 * The trainer as the hub needs it: a program that runs in a process of its own, because it executes models and decodes
 * pictures of strangers, and because its runtime blocks. Which program is the business of who starts the hub.
 */
import type {
  Figures,
  TrainOrder,
  TrainProgress,
  TrainResult,
  TrialPlanner,
} from '@edgeloop/model-compiler/train'
import type { ComparedModel } from '@edgeloop/protocol'
import type { LaidOut } from '../datasets/versions.ts'
import type { DescribedModel } from '../models/compiler.ts'

/** Models on the same test samples, each run as a box would run it. */
export type CompareOrder = {
  readonly data: LaidOut
  readonly trained: DescribedModel
  readonly rivals: readonly DescribedModel[]
  /** For files that are needed on the way; may hold others. */
  readonly folder: string
}

/** How one model does. */
export type Judged = ComparedModel & { readonly figures: Figures }

export type Compared = {
  /** The figure that decides. */
  readonly metric: string
  readonly better: 'more' | 'less'
  readonly trained: Judged
  /** In the order of the rivals; why not, where one cannot be evaluated on these samples. */
  readonly rivals: readonly (Judged | { readonly problem: string })[]
}

export type Trainer = {
  /** Nets that it builds. */
  readonly builders: readonly string[]
  /** The recipe where nothing else is said. */
  readonly recipe: Readonly<Record<string, unknown>>
  /** Of the program, for the lineage of what it makes. */
  readonly codeVersion: string
  /** The external trainer that it was given, and runs may ask for. */
  readonly external: '' | 'command' | 'job'
  /**
   * @throws {Error} when the recipe has a key or a value that is none, or the net is not known, naming the nearest; when what is
   * asked for does not go together, or there is no external trainer
   */
  check(given: {
    readonly parent: string
    readonly recipe: unknown
    readonly teacher?: boolean
    readonly external?: boolean
    readonly replay?: boolean
  }): void
  /** Which trials a search has, and which of them is best. */
  readonly trials: TrialPlanner
  /**
   * Trains in `order.folder`, going on from a checkpoint that lies there.
   * @param options.external lets the external trainer take the steps; one that was paused goes on in the same folder
   * @param options.pause asks for a checkpoint and the end
   * @param options.signal ends it at once
   * @throws {Error} with what could not be done and why
   */
  train(
    order: TrainOrder,
    options: {
      readonly external: boolean
      readonly told: (progress: TrainProgress) => void
      readonly pause: AbortSignal
      readonly signal: AbortSignal
    },
  ): Promise<TrainResult>
  /** Writes beside the file of a model what must be known to feed and read it. */
  describe(model: DescribedModel): Promise<void>
  /** What a run wrote beside its model; undefined where it says nothing. */
  described(folder: string): Promise<{ layout: string; description: string } | undefined>
  /** @throws {Error} where the trained one cannot be evaluated on these samples */
  compare(order: CompareOrder, signal: AbortSignal): Promise<Compared>
}
