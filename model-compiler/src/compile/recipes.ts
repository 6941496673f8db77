/** How each candidate is made from the original. To add one: a name in choose.ts, a recipe here. */
import type { Sample, SampleSource } from '../calibrate/samples.ts'
import { trainedRangesOf } from '../calibrate/trained-ranges.ts'
import { Graph } from '../graph/graph.ts'
import type { ModelProto } from '../onnx/schema.ts'
import { writeModel } from '../onnx/write.ts'
import { upgradeOpset } from '../opset/upgrade.ts'
import { floatPasses, int8Passes } from '../passes/index.ts'
import { optimize, type PassReport } from '../passes/optimize.ts'
import type { Pass } from '../passes/pass.ts'
import { toFloat16 } from '../precision/float16.ts'
import { toInt4Weights } from '../precision/int4-weights.ts'
import { toInt8Weights } from '../precision/int8-weights.ts'
import { toQOperator } from '../precision/q-operator.ts'
import { correctBias } from '../quantize/correct-bias.ts'
import type { FrozenScales } from '../quantize/frozen-scales.ts'
import { inBlocks, rangesInBlocks } from '../quantize/in-blocks.ts'
import { opsetMin as opsetWanted, quantize } from '../quantize/quantize.ts'
import { medianSqnrDb } from '../quantize/sqnr.ts'
import { type Int8, toInt8 } from '../quantize/to-int8.ts'
import { type Sensitivity, searchSensitivity } from '../search/sensitivity.ts'
import { inferTypes } from '../shapes/infer-types.ts'
import { dropInitializerInputs, setInputShapes } from '../shapes/input-shapes.ts'
import type { TargetProfile } from '../targets/index.ts'
import type { CandidateName } from './choose.ts'
import { type Champion, int8Keeping, type KeptScales, ofEpoch } from './keep-scales.ts'

/** The search takes as long as so many measurements, so that everything together stays within minutes. */
const searchMeasurements = 22

/** What recipes share; each part is made when the first of them needs it. */
export class Workshop {
  readonly original: ModelProto
  readonly samples: SampleSource
  readonly target: TargetProfile
  /** For one measurement of the latency. */
  readonly measureSeconds: number
  readonly signal: AbortSignal | undefined
  /** What the optimizer did, once it has. */
  passes: readonly PassReport[] = []
  /** The int8 model, what it was made from and its ranges, once it is there. */
  made: Int8 | undefined
  /** What was kept float of it, once that was searched for. */
  searched: Sensitivity | undefined
  /** What became of the champion's scales, where there is a champion. */
  scales: KeptScales | undefined
  readonly #champion: Champion | undefined
  readonly #successors: boolean
  #frozen: FrozenScales | undefined
  readonly #first: Sample
  readonly #isRight: ((model: ModelProto) => Promise<boolean>) | undefined
  readonly #trace: ((step: string, graph: Graph) => void) | undefined
  readonly #onSearch: (done: number, total: number) => void
  readonly #onCalibrate: (done: number, total: number) => void
  #float: Promise<ModelProto> | undefined
  #forCodes: Promise<ModelProto> | undefined

  constructor(options: {
    readonly original: ModelProto
    readonly samples: SampleSource
    /** One of them: its shapes become the model's. */
    readonly first: Sample
    readonly target: TargetProfile
    readonly measureSeconds: number
    readonly onCalibrate: (done: number, total: number) => void
    readonly onSearch: (done: number, total: number) => void
    readonly signal?: AbortSignal | undefined
    /** Whether a model loses no more than may be lost, by the task's own metric; without it the noise decides. */
    readonly isRight?: (model: ModelProto) => Promise<boolean>
    /** The model in the field, whose scales int8 keeps where it can. */
    readonly champion?: Champion
    /** Versions will follow: int8 takes scales that they can keep, where those are right enough. */
    readonly successors?: boolean
    /** Is shown the graph that becomes `float`, as it is and after each pass that has changed something. */
    readonly trace?: (step: string, graph: Graph) => void
  }) {
    this.original = options.original
    this.samples = options.samples
    this.target = options.target
    this.measureSeconds = options.measureSeconds
    this.signal = options.signal
    this.#first = options.first
    this.#onCalibrate = options.onCalibrate
    this.#onSearch = options.onSearch
    this.#isRight = options.isRight
    this.#champion = options.champion
    this.#successors = options.successors ?? false
    this.#trace = options.trace
  }

  /** The original, optimized, for inputs of the samples' shapes. */
  float(): Promise<ModelProto> {
    this.#float ??= this.#optimized(floatPasses, this.#trace).then(({ model, passes }) => {
      this.passes = passes
      return model
    })
    return this.#float
  }

  /** The same in the form that quantizes best, and that is slower as long as it is float. */
  forCodes(): Promise<ModelProto> {
    this.#forCodes ??= this.#optimized(int8Passes).then(({ model }) => inBlocks(model, this.target))
    return this.#forCodes
  }

  /** `forCodes` as int8, with everything that helped it on the samples. */
  async int8(): Promise<Int8> {
    this.made ??= await (this.#champion ? this.#keeping(this.#champion) : this.#own())
    return this.made
  }

  async #own(): Promise<Int8> {
    return (await this.#asTrained()) ?? (await this.#calibrated())
  }

  async #keeping(champion: Champion): Promise<Int8> {
    const { int8, scales, frozen } = await int8Keeping(champion, {
      float: await this.forCodes(),
      reference: this.original,
      samples: this.samples,
      target: this.target,
      own: () => this.#own(),
      signal: this.signal,
    })
    this.scales = scales
    this.#frozen = frozen
    return int8
  }

  /** With the ranges that it was trained with; undefined where it was trained without, or they are of another model. */
  async #asTrained(): Promise<Int8 | undefined> {
    const trained = trainedRangesOf(this.original)
    if (trained === undefined) return undefined
    const float = await this.forCodes()
    const ranges = rangesInBlocks(trained, float)
    const known = new Set(float.graph!.node.flatMap(({ input }) => input))
    for (const { name } of float.graph!.output) known.add(name)
    if (![...trained.keys()].some((name) => known.has(name))) return undefined
    const model = quantize(float, ranges, { target: this.target })
    const sqnrDb = await medianSqnrDb(this.original, model, this.samples, this.signal)
    const chosen = { strength: 0, method: 'trained', sqnrDb }
    return { model, float, ranges, chosen, trials: [chosen] }
  }

  async #calibrated(): Promise<Int8> {
    if (this.#champion) return await this.#calibratedWith([0])
    if (this.#successors && this.#isRight) {
      const plain = await this.#calibratedWith([0])
      if (await this.#isRight(plain.model)) return plain
    }
    return await this.#calibratedWith()
  }

  /** @param strengths of equalizing. What is equalized has weights of its own: the version after it cannot keep its scales */
  async #calibratedWith(strengths?: readonly number[]): Promise<Int8> {
    return await toInt8(await this.forCodes(), this.samples, {
      target: this.target,
      progress: ({ done, of }) => this.#onCalibrate(done, of),
      ...(strengths && { strengths }),
      ...(this.signal && { signal: this.signal }),
    })
  }

  /** `int8` with the values kept float that harm it most, as long as it stays faster than the float model. */
  async search(): Promise<Sensitivity> {
    const { float, ranges } = await this.int8()
    this.searched ??= await searchSensitivity(float, ranges, this.samples, {
      target: this.target,
      ...(this.#frozen && { frozen: this.#frozen }),
      seconds: this.measureSeconds * searchMeasurements,
      pairSeconds: this.measureSeconds / 3,
      // What `float` was made for is codes; the one to beat is the form that is fast as it is.
      against: writeModel(await this.float()),
      ...(this.#isRight && { isEnough: this.#isRight }),
      refine: (quantized) =>
        correctBias(float, quantized, this.samples, {
          how: 'fast',
          ...(this.signal && { signal: this.signal }),
        }),
      progress: ({ done, of }) => this.#onSearch(done, of),
      ...(this.signal && { signal: this.signal }),
    })
    return this.searched
  }

  async #optimized(passes: readonly Pass[], trace?: (step: string, graph: Graph) => void) {
    const graph = new Graph(this.original)
    dropInitializerInputs(graph)
    const shapes = Object.entries(this.#first).map(([name, { dims }]) => [name, dims] as const)
    setInputShapes(graph, Object.fromEntries(shapes))
    if (graph.opset < opsetWanted) upgradeOpset(graph, opsetWanted)
    inferTypes(graph)
    trace?.('as it is in the file, with the shapes of its images', graph)
    const reports = await optimize(graph, {
      passes,
      ...(trace && {
        trace: ({ pass, round, changes }, changed) =>
          trace(`${pass}, round ${round}: ${changes} places`, changed),
      }),
      ...(this.signal && { signal: this.signal }),
    })
    return { model: graph.toModel(), passes: reports }
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
  fp16: {
    about: 'weights and arithmetic in float16, inputs and outputs in float32',
    make: async (workshop) => toFloat16(await workshop.float()),
  },
  'int8-weights': {
    about: 'weights as int8 codes that become float while loading',
    make: async (workshop) => toInt8Weights(await workshop.float()),
  },
  int8: {
    about: 'arithmetic with int8 codes: channels equalized, calibrated, biases corrected',
    make: async (workshop) => (await workshop.int8()).model,
  },
  'int8-qoperator': {
    about: 'int8 written as the operators that ONNX Runtime makes of it, which nothing else reads',
    make: async (workshop) => toQOperator((await workshop.int8()).model),
  },
  'int4-weights': {
    about: 'weights of matrix products as int4 codes, multiplied as they are; all others float',
    make: async (workshop) => toInt4Weights(await workshop.float()),
  },
  'int8-search': {
    about:
      'the same, with as few values float as it takes to be right enough, as long as it is no slower than float',
    // Where nothing is worth keeping float it is the int8 model once more, and says so by its figures.
    make: async (workshop) => ofEpoch((await workshop.search()).model, workshop.scales?.epoch ?? 0),
  },
}
