/**
 * Which range each activation of a model takes on samples. A first pass asks the runtime for the extrema only
 * (three numbers per value and sample). Methods that look at the distribution then pass once more per chunk of
 * values, where a chunk is what fits into the memory that is allowed: histograms are small, activations are not.
 */
import { OnnxError } from '../onnx/read.ts'
import type { ModelProto } from '../onnx/schema.ts'
import { openSession } from '../runtime/session.ts'
import { count, emptyHistogram, type Histogram } from './histogram.ts'
import { extremaOf, floatValuesOf, forEachRun, showingExtrema } from './observe.ts'
import { chooseRange, type Method, type Range, type RangeOptions } from './range.ts'
import type { SampleSource } from './samples.ts'

export type { Method, Range, RangeOptions } from './range.ts'

export type ObserveOptions = {
  /** Names of values to look at (default: every float32 activation). */
  readonly values?: ReadonlySet<string>
  /**
   * Activations held at once for one sample (default 256 MiB). A value that is larger on its own is looked at
   * alone; the runtime's own memory for a run comes on top.
   */
  readonly memoryBytesMax?: number
  readonly signal?: AbortSignal
  /** Told after each run of the model; `of` grows once, when the number of passes is known. */
  readonly progress?: (step: { readonly done: number; readonly of: number }) => void
}

export type CalibrateOptions = ObserveOptions & {
  readonly method: Method
  /** Percentile only: how much of the values stays inside (default 99.999), in per cent. */
  readonly percentile?: number
}

type Extrema = Range & { readonly bytes: number }

/**
 * Ranges of a model's float activations by name.
 * @throws {OnnxError} when there is no sample, when one does not fit, or when an activation is NaN or infinite (named)
 */
export async function calibrate(
  model: ModelProto,
  samples: SampleSource,
  options: CalibrateOptions,
): Promise<Map<string, Range>> {
  const [ranges] = await calibrateBy([options], model, samples, options)
  return ranges!
}

/** What each of several methods makes of the same passes over the samples, in their order. */
export async function calibrateBy(
  methods: readonly RangeOptions[],
  model: ModelProto,
  samples: SampleSource,
  options: ObserveOptions = {},
): Promise<Map<string, Range>[]> {
  const { memoryBytesMax = 256 * 1024 * 1024 } = options
  if (samples.count < 1) {
    throw new OnnxError(
      'Cannot calibrate: there is no sample; give at least one, better 20 or more',
    )
  }
  for (const { percentile = 100 } of methods) {
    if (percentile > 50 && percentile <= 100) continue
    throw new OnnxError(
      `Cannot calibrate to percentile ${percentile}: it has to be above 50, at most 100`,
    )
  }
  const values = (await floatValuesOf(model)).filter((one) => options.values?.has(one) ?? true)
  const tell = teller(options.progress, samples.count)
  const extrema = await observeExtrema(model, values, samples, options.signal, tell)
  const found = methods.map(() => new Map<string, Range>())
  for (const [i, { method }] of methods.entries()) {
    if (method !== 'minmax') continue
    for (const [value, { min, max }] of extrema) found[i]!.set(value, { min, max })
  }
  if (methods.every(({ method }) => method === 'minmax')) return found
  const chunks = chunksOf(extrema, memoryBytesMax)
  tell.expect(chunks.length * samples.count)
  for (const chunk of chunks) {
    const histograms = await observeChunk(model, chunk, extrema, samples, options.signal, tell)
    for (const [i, method] of methods.entries()) {
      if (method.method === 'minmax') continue
      for (const [value, histogram] of histograms)
        found[i]!.set(value, chooseRange(histogram, method))
    }
  }
  return found
}

type Teller = { expect(more: number): void; ran(): void }

function teller(progress: CalibrateOptions['progress'], first: number): Teller {
  let done = 0
  let of = first
  return {
    expect: (more) => {
      of += more
    },
    ran: () => progress?.({ done: ++done, of }),
  }
}

async function observeExtrema(
  model: ModelProto,
  values: readonly string[],
  samples: SampleSource,
  signal: AbortSignal | undefined,
  tell: Teller,
): Promise<Map<string, Extrema>> {
  const found = new Map<string, Extrema>()
  await using session = await openSession(showingExtrema(model, values))
  let index = 0
  for await (const sample of samples.read()) {
    signal?.throwIfAborted()
    const results = await session.run(sample)
    for (const value of values) {
      const names = extremaOf(value)
      const [min, max, sum, size] = [names.min, names.max, names.sum, names.size].map((name) =>
        Number(results[name]!.data[0]),
      ) as [number, number, number, number]
      if (!Number.isFinite(sum)) {
        throw new OnnxError(
          `Cannot calibrate: "${value}" holds ${Number.isNaN(sum) ? 'NaN' : 'infinite values'} in sample ${index}; look at the weights before it, or leave the sample out`,
        )
      }
      const before = found.get(value)
      found.set(value, {
        min: Math.min(before?.min ?? min, min),
        max: Math.max(before?.max ?? max, max),
        bytes: Math.max(before?.bytes ?? 0, size * Float32Array.BYTES_PER_ELEMENT),
      })
    }
    index++
    tell.ran()
  }
  if (index === 0) throw new OnnxError('Cannot calibrate: the source of samples gave none')
  return found
}

/** Values in groups that fit into `bytesMax` together, in their order; a larger one stands alone. */
export function chunksOf(
  extrema: ReadonlyMap<string, { readonly bytes: number }>,
  bytesMax: number,
): string[][] {
  const chunks: string[][] = []
  let left = 0
  for (const [value, { bytes }] of extrema) {
    if (chunks.length === 0 || bytes > left) {
      chunks.push([])
      left = bytesMax
    }
    chunks.at(-1)!.push(value)
    left -= bytes
  }
  return chunks
}

async function observeChunk(
  model: ModelProto,
  chunk: readonly string[],
  extrema: ReadonlyMap<string, Extrema>,
  samples: SampleSource,
  signal: AbortSignal | undefined,
  tell: Teller,
): Promise<Map<string, Histogram>> {
  const histograms = new Map(chunk.map((value) => [value, emptyHistogram(extrema.get(value)!)]))
  await forEachRun(model, chunk, samples, signal, (results) => {
    for (const [value, histogram] of histograms) count(histogram, results[value]!)
    tell.ran()
  })
  return histograms
}
