/**
 * The best int8 model that these samples lead to, by trying: what helps one network harms the next (equalizing
 * as far as it goes ruins some weights, cutting ranges some activations), so each combination is made, measured against the
 * float model, and the nearest one wins.
 */
import { calibrateBy, type Range, type RangeOptions } from '../calibrate/calibrate.ts'
import type { SampleSource } from '../calibrate/samples.ts'
import { Graph } from '../graph/graph.ts'
import type { ModelProto } from '../onnx/schema.ts'
import { feedBytes } from '../passes/feed-bytes.ts'
import { rangesOfBytes } from '../passes/fold-preprocessing.ts'
import { optimize } from '../passes/optimize.ts'
import { removeDead } from '../passes/remove-dead.ts'
import { inferTypes } from '../shapes/infer-types.ts'
import { correctBias } from './correct-bias.ts'
import { equalize } from './equalize.ts'
import { type QuantizeOptions, quantize } from './quantize.ts'
import { medianSqnrDb } from './sqnr.ts'

export type ToInt8Options = QuantizeOptions & {
  readonly signal?: AbortSignal
  readonly progress?: (step: { readonly done: number; readonly of: number }) => void
  /** How far channels are equalized, one try each (default 0, 0.5 and 0.75). */
  readonly strengths?: readonly number[]
}

/** One combination, and how near its outputs came to the float model's on the samples. */
export type Trial = {
  readonly strength: number
  readonly method: string
  readonly sqnrDb: number
}

export type Int8 = {
  readonly model: ModelProto
  /** What `model` was quantized from: the float model, equalized. It computes the same. */
  readonly float: ModelProto
  /** Of the activations of `float`. */
  readonly ranges: ReadonlyMap<string, Range>
  readonly chosen: Trial
  readonly trials: readonly Trial[]
}

const methods: readonly RangeOptions[] = [{ method: 'minmax' }, { method: 'mse' }]

/** More do not change which combination is nearest, and each costs two runs per trial. */
const measuredMax = 10

/**
 * The model with activations and weights as codes: channels equalized, ranges chosen, biases corrected, each as far as
 * it helped.
 * @throws {OnnxError} as `calibrate` and `quantize` do
 */
export async function toInt8(
  model: ModelProto,
  samples: SampleSource,
  options: ToInt8Options,
): Promise<Int8> {
  const { signal, progress, strengths = [0, 0.5, 0.75] } = options
  const passing = { ...(signal && { signal }) }
  const measured = firstOf(samples, measuredMax)
  const of = strengths.length * methods.length
  const trials: Trial[] = []
  let best: Int8 | undefined
  let nothingToEqualize = false
  for (const strength of strengths) {
    if (nothingToEqualize) break
    const { model: float, channels } =
      strength === 0
        ? { model, channels: 1 }
        : await equalize(model, samples, { strength, ...passing })
    nothingToEqualize = channels === 0
    if (nothingToEqualize && trials.length > 0) break
    const found = await calibrateBy(methods, float, samples, passing)
    for (const [i, seen] of found.entries()) {
      signal?.throwIfAborted()
      const ranges = rangesWithBytes(float, seen)
      const plain = quantize(float, ranges, options)
      const corrected = await correctBias(float, plain, samples, { how: 'fast', ...passing })
      const sqnrDb = await medianSqnrDb(model, corrected, measured, signal)
      const trial = { strength, method: methods[i]!.method, sqnrDb }
      trials.push(trial)
      progress?.({ done: trials.length, of })
      if (best === undefined || sqnrDb > best.chosen.sqnrDb) {
        best = { model: corrected, float, ranges, chosen: trial, trials }
      }
    }
  }
  progress?.({ done: of, of })
  return { ...best!, model: await fedWithBytes(best!.model) }
}

/** Ranges of samples, but that a byte has 256 values, whichever the samples had. */
export function rangesWithBytes(
  float: ModelProto,
  seen: ReadonlyMap<string, Range>,
): ReadonlyMap<string, Range> {
  return new Map([...seen, ...rangesOfBytes(typed(float))])
}

function typed(model: ModelProto): Graph {
  const graph = new Graph(model)
  inferTypes(graph)
  return graph
}

/** The model, whose first operators read the bytes of its input as their codes, where it takes bytes. */
export async function fedWithBytes(model: ModelProto): Promise<ModelProto> {
  const graph = typed(model)
  const reports = await optimize(graph, { passes: [feedBytes, removeDead] })
  return reports.some(({ pass }) => pass === feedBytes.name) ? graph.toModel() : model
}

function firstOf(samples: SampleSource, most: number): SampleSource {
  return {
    count: Math.min(most, samples.count),
    async *read() {
      let left = most
      for await (const sample of samples.read()) {
        if (left-- <= 0) return
        yield sample
      }
    },
  }
}
