/** How each candidate is made from the original. To add one: a name in choose.ts, a recipe here. */
import type { SampleSource } from '../calibrate/samples.ts'
import { Graph } from '../graph/graph.ts'
import type { ModelProto } from '../onnx/schema.ts'
import { optimize, type PassReport } from '../passes/optimize.ts'
import type { CandidateName } from './choose.ts'

/** What recipes share; each part is made when the first of them needs it. */
export class Workshop {
  readonly original: ModelProto
  readonly samples: SampleSource
  readonly signal: AbortSignal | undefined
  /** What the optimizer did, once it has. */
  passes: readonly PassReport[] = []
  #float: Promise<ModelProto> | undefined

  constructor(options: {
    readonly original: ModelProto
    readonly samples: SampleSource
    readonly signal?: AbortSignal | undefined
  }) {
    this.original = options.original
    this.samples = options.samples
    this.signal = options.signal
  }

  /** The original, optimized. */
  float(): Promise<ModelProto> {
    this.#float ??= this.#optimized()
    return this.#float
  }

  async #optimized(): Promise<ModelProto> {
    const graph = new Graph(this.original)
    this.passes = await optimize(graph, { ...(this.signal && { signal: this.signal }) })
    return graph.toModel()
  }
}

export type Recipe = {
  /** One sentence for the report. */
  readonly about: string
  readonly make: (workshop: Workshop) => Promise<ModelProto>
}

/** The original is what was handed in, byte for byte, and has no recipe. */
export const recipes: Readonly<Partial<Record<CandidateName, Recipe>>> = {
  fp32: {
    about: 'the same arithmetic with fewer operators',
    make: (workshop) => workshop.float(),
  },
}
