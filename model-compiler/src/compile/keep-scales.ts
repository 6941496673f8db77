/**
 * int8 for a model whose predecessor is in the field. Its scales are kept as long as that costs next to nothing, because then the difference between
 * the two files is small; where it does, new scales are taken, a new epoch begins, and the manifest says why (decision 41).
 */
import { calibrate } from '../calibrate/calibrate.ts'
import type { SampleSource } from '../calibrate/samples.ts'
import { Graph } from '../graph/graph.ts'
import { OnnxError } from '../onnx/read.ts'
import type { ModelProto } from '../onnx/schema.ts'
import { correctBias } from '../quantize/correct-bias.ts'
import { clippedShare, type FrozenScales, frozenScalesOf } from '../quantize/frozen-scales.ts'
import { keepBiases } from '../quantize/keep-biases.ts'
import { quantize } from '../quantize/quantize.ts'
import { medianSqnrDb } from '../quantize/sqnr.ts'
import { fedWithBytes, type Int8, rangesWithBytes } from '../quantize/to-int8.ts'
import type { TargetProfile } from '../targets/target.ts'

/** What became of a champion's scales. */
export type KeptScales = {
  /** Models of one epoch share their scales. */
  readonly epoch: number
  readonly kept: boolean
  readonly why: string
  /** Share of the weights beyond the champion's codes, from 0 to 1. */
  readonly clipped: number
  /** How far beyond half a step a weight had to be for its code to change, in steps. */
  readonly hysteresis: number
}

/** The model in the field, whose scales are wanted. */
export type Champion = {
  readonly model: ModelProto
  /** Codes change only where a weight is so clearly elsewhere that the metric notices. */
  readonly deltaAware: boolean
  /** The metric of a candidate, and of the original. */
  readonly valueOf: (model: ModelProto) => Promise<number>
  readonly original: () => number
}

/** More clipped weights than this, or a larger loss of the metric, ask for new scales. */
export const clippedMax = 0.001
export const dropMax = 0.005
/** What a delta-aware model may lose to one that is not. */
const awareDropMax = 0.003
/** Largest first; what is left over is half a step, as everybody rounds. */
const hystereses = [1, 0.5, 0.25] as const

/** Where the epoch stands among a model's text pairs. */
export const epochKey = 'edgeloop.scaleEpoch'

export type KeepOptions = {
  /** The float model in the form that becomes codes. */
  readonly float: ModelProto
  /** What signal and noise are measured against. */
  readonly reference: ModelProto
  readonly samples: SampleSource
  readonly target: TargetProfile
  /** int8 with scales of its own. */
  readonly own: () => Promise<Int8>
  readonly signal?: AbortSignal | undefined
}

/**
 * @returns the int8 model, what became of the scales, and the scales where they were kept
 * @throws {OnnxError} when the champion has no codes at all
 */
export async function int8Keeping(
  champion: Champion,
  options: KeepOptions,
): Promise<{ readonly int8: Int8; readonly scales: KeptScales; readonly frozen?: FrozenScales }> {
  const { float } = options
  const frozen = frozenScalesOf(champion.model)
  const graph = new Graph(float)
  if (frozen.weights.size === 0) {
    throw new OnnxError(
      'Cannot keep the scales of the champion: it has no codes; name the int8 model.onnx that runs now',
    )
  }
  const isKnown = [...frozen.weights.keys()].some((name) => graph.constantOf(name) !== undefined)
  const epoch = epochOf(champion.model)
  const clipped = isKnown ? clippedShare(float, frozen) : 0
  const anew = async (why: string) => ({
    int8: marked(await options.own(), epoch + 1),
    scales: { epoch: epoch + 1, kept: false, why, clipped, hysteresis: 0 },
  })
  if (!isKnown) {
    return await anew(
      'none of its weights have codes in the champion, which is equalized or another net',
    )
  }
  if (clipped > clippedMax) {
    return await anew(
      `${percent(clipped)} of the weights are beyond the champion's codes, at most ${percent(clippedMax)} may be`,
    )
  }
  const made = await quantizedWith(frozen, champion.model, options)
  const value = await champion.valueOf(made.model)
  const drop = champion.original() - value
  if (drop > dropMax) {
    const other = await anew(
      `with the champion's scales ${percent(drop)} of the metric are lost, at most ${percent(dropMax)} may be`,
    )
    // What is lost with any scales is no reason to change them.
    if ((await champion.valueOf(other.int8.model)) > value) return other
  }
  const aware = champion.deltaAware
    ? await withHysteresis(frozen, value, champion, options)
    : undefined
  const scales = { epoch, kept: true, clipped, hysteresis: aware?.hysteresis ?? 0 }
  const why = aware
    ? `the champion's scales fit; codes changed where a weight is ${0.5 + aware.hysteresis} steps away`
    : "the champion's scales fit"
  return {
    int8: marked(aware?.made ?? made, epoch),
    scales: { ...scales, why },
    frozen: aware ? { ...frozen, hysteresis: aware.hysteresis } : frozen,
  }
}

/** The most reluctant model that is no worse than it may be; undefined where none is. */
async function withHysteresis(
  frozen: FrozenScales,
  value: number,
  champion: Champion,
  options: KeepOptions,
) {
  for (const hysteresis of hystereses) {
    const made = await quantizedWith({ ...frozen, hysteresis }, champion.model, options)
    if (value - (await champion.valueOf(made.model)) <= awareDropMax) return { made, hysteresis }
  }
  return undefined
}

async function quantizedWith(
  frozen: FrozenScales,
  champion: ModelProto,
  options: KeepOptions,
): Promise<Int8> {
  const { float, reference, samples, target, signal } = options
  const passing = { ...(signal && { signal }) }
  const seen = await calibrate(float, samples, { method: 'minmax', ...passing })
  const ranges = rangesWithBytes(float, seen)
  const plain = quantize(float, ranges, { target, frozen })
  const shifted = await correctBias(float, plain, samples, { how: 'fast', ...passing })
  const corrected = keepBiases(shifted, champion)
  const sqnrDb = await medianSqnrDb(reference, corrected, samples, signal)
  const chosen = { strength: 0, method: 'kept', sqnrDb }
  return { model: await fedWithBytes(corrected), float, ranges, chosen, trials: [chosen] }
}

/** The epoch that a model says it is of; 0 where it says none. */
export function epochOf(model: ModelProto): number {
  const said = Number(new Graph(model).metadata(epochKey) ?? 0)
  return Number.isSafeInteger(said) && said >= 0 ? said : 0
}

/** The model with its epoch; the first is not worth a word. */
export function ofEpoch(model: ModelProto, epoch: number): ModelProto {
  if (epoch === 0) return model
  const graph = new Graph(model)
  graph.setMetadata(epochKey, String(epoch))
  return graph.toModel()
}

const marked = (int8: Int8, epoch: number): Int8 => ({
  ...int8,
  model: ofEpoch(int8.model, epoch),
})

const percent = (share: number): string => `${Number((100 * share).toFixed(2))} %`
