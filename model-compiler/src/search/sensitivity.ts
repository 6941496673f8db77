/**
 * Mixed precision by measuring: of an int8 model the few values that do the most harm stay float. How much a set of them gives,
 * and how many milliseconds it costs, is measured on the whole model each time: what else stays float around a
 * value, and which fusions go with it, nobody can foretell.
 *
 * First ever more of the worst values: one alone often changes nothing, since the noise of the next one is as loud. Of these
 * sets the smallest that is enough is taken. Then one after the other is tried without, and what gives too little becomes codes again.
 */
import { comparePairs } from '../benchmark/compare-pairs.ts'
import type { Range } from '../calibrate/range.ts'
import type { SampleSource } from '../calibrate/samples.ts'
import { Graph } from '../graph/graph.ts'
import { OnnxError } from '../onnx/read.ts'
import type { ModelProto } from '../onnx/schema.ts'
import { writeModel } from '../onnx/write.ts'
import type { FrozenScales } from '../quantize/frozen-scales.ts'
import type { Parameters } from '../quantize/parameters.ts'
import { place } from '../quantize/placement.ts'
import { quantize } from '../quantize/quantize.ts'
import { medianSqnrDb } from '../quantize/sqnr.ts'
import type { TargetProfile } from '../targets/target.ts'
import { type ValueError, valueErrors } from './value-errors.ts'

export type SensitivityOptions = {
  readonly target: TargetProfile
  /** For all of it (default 60); half goes to the errors of single values. A measurement that has begun is ended. */
  readonly seconds?: number
  /** Whether a model is right enough, by whatever the caller holds it to (default: 30 dB of signal over noise). */
  readonly isEnough?: (model: ModelProto, sqnrDb: number) => boolean | Promise<boolean>
  /** The latency of `against` over the mixed model's that has to be left (default 1). */
  readonly latencyRatioMin?: number
  /** Scales that are kept where names match. */
  readonly frozen?: FrozenScales
  /** The model whose latency counts (default: the float model as it was given). */
  readonly against?: Uint8Array
  /** What is done to a quantized model before it is measured and given back: correcting its biases, for one. */
  readonly refine?: (quantized: ModelProto) => Promise<ModelProto>
  /** At most so many values stay float (default 32). */
  readonly keptMax?: number
  /** What a value has to give, in dB, or it becomes codes again (default 0.2). */
  readonly gainDbMin?: number
  /** Samples that the signal over noise is taken on (default 4). */
  readonly samplesMax?: number
  /** Time for each measurement of the latency (default 1). */
  readonly pairSeconds?: number
  readonly signal?: AbortSignal
  /** Told after each value and each set; `of` counts as if no set were left out. */
  readonly progress?: (step: { readonly done: number; readonly of: number }) => void
}

/** A set of values that stayed float, and the model it made. */
export type Trial = {
  readonly keepFloat: readonly string[]
  /** Of the outputs: median over outputs and samples. */
  readonly sqnrDb: number
  /** The latency of `against` over this one's. */
  readonly latencyRatio: number
}

/** A value of the set that was found, and what it is worth there. */
export type Kept = {
  readonly value: string
  /** What is lost without it. */
  readonly gainDb: number
  /** What it costs in each inference, in milliseconds; below 0 where it saves some. */
  readonly costMs: number
}

export type Sensitivity = {
  /** The quantized model with `keepFloat`. */
  readonly model: ModelProto
  readonly keepFloat: ReadonlySet<string>
  /** The values of `keepFloat` that were tried without; fewer where time was up. */
  readonly kept: readonly Kept[]
  /** Everything quantized. */
  readonly start: Trial
  readonly end: Trial
  /** Sets in the order in which they were tried. */
  readonly trials: readonly Trial[]
  /** Every value whose codes are its own, worst first. */
  readonly errors: readonly ValueError[]
}

const sizes = [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64] as const
/** Larger sets are slower; after so many in a row that are too slow none will do. */
const tooSlowMax = 2

/**
 * Finds the values of a model to keep float.
 * @param model float, as `quantize` takes it
 * @param ranges as `calibrate` gives them
 * @param samples the first few are run; ranking needs no more
 * @throws {OnnxError} without a sample, or when the target computes nothing with codes
 */
export async function searchSensitivity(
  model: ModelProto,
  ranges: ReadonlyMap<string, Range>,
  samples: SampleSource,
  options: SensitivityOptions,
): Promise<Sensitivity> {
  const { target, seconds = 60, samplesMax = 4, keptMax = 32, signal } = options
  const { isEnough = (_, sqnrDb) => sqnrDb >= 30, latencyRatioMin = 1, gainDbMin = 0.2 } = options
  if (samples.count < 1) {
    throw new OnnxError('Cannot search for values to keep float: there is no sample')
  }
  const end = performance.now() + seconds * 1000
  const hasTime = () => performance.now() < end
  const few = atMost(samples, samplesMax)
  const measure = await measuring(model, ranges, few, options)
  const start = await measure([])
  const trials: Measured[] = []
  let done = 0
  const tell = (of: number) => options.progress?.({ done: ++done, of })
  const values = valuesToTry(model, ranges, target)
  const steps = values.size + 2 * keptMax
  const errors = await valueErrors(model, values, samples, {
    codes: target.activations.codes,
    seconds: seconds / 2,
    ...(signal && { signal }),
    progress: () => tell(steps),
  })
  const worst = errors.filter(({ outputDb }) => outputDb !== undefined).map(({ value }) => value)

  let best = start
  let tooSlow = 0
  let enough = await isEnough(start.model, start.sqnrDb)
  const better: Measured[] = []
  for (const size of sizes) {
    if (enough || !hasTime() || tooSlow >= tooSlowMax) break
    if (size > Math.min(keptMax, worst.length)) break
    const found = await measure(worst.slice(0, size))
    trials.push(found)
    tell(steps)
    if (found.latencyRatio < latencyRatioMin) {
      tooSlow++
      continue
    }
    tooSlow = 0
    if (found.sqnrDb <= (better.at(-1) ?? start).sqnrDb) continue
    better.push(found)
  }
  if (!enough) {
    const first = await firstEnough(better, (one) => isEnough(one.model, one.sqnrDb), hasTime)
    enough = first !== undefined
    best = first ?? better.at(-1) ?? start
  }

  const kept: Kept[] = []
  for (const value of best.keepFloat.toReversed()) {
    if (!hasTime()) break
    const without = await measure(best.keepFloat.filter((one) => one !== value))
    trials.push(without)
    tell(steps)
    const gainDb = best.sqnrDb - without.sqnrDb
    const isWorthIt =
      gainDb >= gainDbMin || (enough && !(await isEnough(without.model, without.sqnrDb)))
    if (!isWorthIt && without.latencyRatio >= latencyRatioMin) best = without
    else kept.push({ value, gainDb, costMs: best.ms - without.ms })
  }
  return {
    model: best.model,
    keepFloat: new Set(best.keepFloat),
    kept,
    start: trialOf(start),
    end: trialOf(best),
    trials: trials.map(trialOf),
    errors,
  }
}

/**
 * The first of models that are ever less noisy that is right enough, by halving: asking may mean to evaluate a
 * model on a hundred pictures.
 * @returns undefined when not even the last one is
 */
async function firstEnough(
  models: readonly Measured[],
  isEnough: (one: Measured) => boolean | Promise<boolean>,
  hasTime: () => boolean,
): Promise<Measured | undefined> {
  const last = models.at(-1)
  if (last === undefined || !(await isEnough(last))) return undefined
  let [wrong, right] = [-1, models.length - 1]
  while (right - wrong > 1 && hasTime()) {
    const middle = Math.floor((wrong + right) / 2)
    if (await isEnough(models[middle]!)) right = middle
    else wrong = middle
  }
  return models[right]
}

/**
 * What is quantized, without what only moves codes along (a Reshape, a Slice): its result is in codes because its input is,
 * and float as soon as that is.
 */
function valuesToTry(
  model: ModelProto,
  ranges: ReadonlyMap<string, Range>,
  target: TargetProfile,
): Map<string, Parameters> {
  const graph = new Graph(model)
  graph.sort()
  const { nodes, values } = place(graph, ranges, target, new Set())
  const moved = new Set(
    [...nodes].flatMap(([node, treatment]) => (treatment === 'same' ? node.output : [])),
  )
  return new Map([...values].filter(([value]) => !moved.has(value)))
}

type Measured = Trial & { readonly model: ModelProto; readonly ms: number }

const trialOf = ({ keepFloat, sqnrDb, latencyRatio }: Measured): Trial => ({
  keepFloat,
  sqnrDb,
  latencyRatio,
})

/** How right and how fast the model is with some values float. */
async function measuring(
  model: ModelProto,
  ranges: ReadonlyMap<string, Range>,
  samples: SampleSource,
  { target, signal, pairSeconds = 1, against, refine, frozen }: SensitivityOptions,
): Promise<(keepFloat: readonly string[]) => Promise<Measured>> {
  const float = against ?? writeModel(model)
  const [feeds] = await Array.fromAsync(atMost(samples, 1).read())
  let floatMs: number | undefined
  return async (keepFloat) => {
    signal?.throwIfAborted()
    const placed = quantize(model, ranges, {
      target,
      keepFloat: new Set(keepFloat),
      ...(frozen && { frozen }),
    })
    const quantized = (await refine?.(placed)) ?? placed
    const sqnrDb = await medianSqnrDb(model, quantized, samples, signal)
    const { medianRatio, aMs } = await comparePairs(float, writeModel(quantized), feeds!, {
      seconds: pairSeconds,
      ...(signal && { signal }),
    })
    // The ratio is what can be compared between measurements; milliseconds are in terms of one measurement.
    floatMs ??= aMs
    return {
      keepFloat,
      model: quantized,
      sqnrDb,
      latencyRatio: medianRatio,
      ms: floatMs / medianRatio,
    }
  }
}

const atMost = (samples: SampleSource, countMax: number): SampleSource => ({
  count: Math.min(samples.count, countMax),
  async *read() {
    let given = 0
    for await (const sample of samples.read()) {
      if (given++ >= countMax) return
      yield sample
    }
  },
})
