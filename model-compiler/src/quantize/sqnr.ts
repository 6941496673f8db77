/**
 * How much of a signal the codes leave over: the power of what a float model computes over the power of what
 * differs, in decibels (signal-to-quantization-noise ratio). 6 dB are one bit.
 */
import { forEachRun, openRuns } from '../calibrate/observe.ts'
import type { SampleSource } from '../calibrate/samples.ts'
import type { ModelProto } from '../onnx/schema.ts'

/** Where nothing differs at all; a JSON number, unlike Infinity. */
export const sqnrDbMax = 200

/** @returns dB, at most `sqnrDbMax`; of nothing at all (a signal of zeros) 0, or `sqnrDbMax` if both are */
export function sqnrDb(signal: ArrayLike<number>, noisy: ArrayLike<number>): number {
  let power = 0
  let noise = 0
  for (let i = 0; i < signal.length; i++) {
    const difference = signal[i]! - noisy[i]!
    power += signal[i]! * signal[i]!
    noise += difference * difference
  }
  return decibels(power, noise)
}

/**
 * The middle one of the ratios of every output in every sample, each output on its own, since one may be
 * a thousand times as large as another.
 * @throws {OnnxError} when an output of `reference` is not float32, or not there in `candidate`
 */
export async function medianSqnrDb(
  reference: ModelProto,
  candidate: ModelProto,
  samples: SampleSource,
  signal?: AbortSignal,
): Promise<number> {
  const outputs = reference.graph!.output.map(({ name }) => name)
  const ratios = (await sqnrByValue(reference, candidate, outputs, samples, signal)).values()
  return median([...ratios].flat())
}

/**
 * The ratios of single values, sample by sample, in the order of the samples.
 * @param values names; where the candidate's value is called otherwise, `[reference, candidate]`
 */
export async function sqnrByValue(
  reference: ModelProto,
  candidate: ModelProto,
  values: readonly (string | readonly [string, string])[],
  samples: SampleSource,
  signal?: AbortSignal,
): Promise<Map<string, number[]>> {
  const pairs = values.map(
    (value) => (typeof value === 'string' ? [value, value] : value) as [string, string],
  )
  const found = new Map(pairs.map(([name]): [string, number[]] => [name, []]))
  const ours = [...new Set(pairs.map(([, name]) => name))]
  // Sample by sample, so that no more than one sample's values are held.
  await using other = await openRuns(candidate, ours)
  await forEachRun(
    reference,
    pairs.map(([name]) => name),
    samples,
    signal,
    async (seen, sample) => {
      const noisy = await other.run(sample)
      for (const [name, theirs] of pairs) found.get(name)!.push(sqnrDb(seen[name]!, noisy[theirs]!))
    },
  )
  return found
}

/** @returns NaN of nothing */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}

function decibels(power: number, noise: number): number {
  if (noise === 0) return sqnrDbMax
  if (power === 0) return 0
  return Math.min(sqnrDbMax, 10 * Math.log10(power / noise))
}
