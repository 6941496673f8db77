/**
 * What quantizing one value alone does to the outputs. That, and not the noise in the value itself, tells which few of
 * hundreds ruin a network: some noise is drowned on its way, some is squared.
 *
 * Every value costs a model of its own and some runs, so the time is bounded, and those are asked first whose codes
 * are coarsest for what is in them; that costs one run for all.
 */
import { openRuns } from '../calibrate/observe.ts'
import type { Sample, SampleSource } from '../calibrate/samples.ts'
import { Graph } from '../graph/graph.ts'
import { node } from '../onnx/build.ts'
import type { ModelProto } from '../onnx/schema.ts'
import { type Numbers, tensor } from '../onnx/tensor.ts'
import { writeModel } from '../onnx/write.ts'
import { type CodeType, codeTypes, type Parameters } from '../quantize/parameters.ts'
import { median, sqnrDb } from '../quantize/sqnr.ts'
import { openSession } from '../runtime/session.ts'

export type ValueError = {
  readonly value: string
  /** Of the value itself: signal over the noise of its codes, in the first sample. */
  readonly ownDb: number
  /** Of the outputs when only this value is quantized: median over outputs and samples. Undefined where time was up. */
  readonly outputDb: number | undefined
}

export type ValueErrorOptions = {
  readonly codes: CodeType
  /** Time for the outputs' part; what is then not measured has no `outputDb` (default 40). */
  readonly seconds?: number
  /** So many of the samples are run for each value (default 2). */
  readonly samplesMax?: number
  readonly signal?: AbortSignal
  /** Told after each value. */
  readonly progress?: (step: { readonly done: number; readonly of: number }) => void
}

/** Values whose activations are held at a time. */
const valuesAtOnce = 24

/**
 * @param model float, opset 13 or above
 * @param parameters how each value would be quantized
 * @returns worst for the outputs first, then those that time did not allow, coarsest first
 */
export async function valueErrors(
  model: ModelProto,
  parameters: ReadonlyMap<string, Parameters>,
  samples: SampleSource,
  options: ValueErrorOptions,
): Promise<ValueError[]> {
  const { codes, seconds = 40, samplesMax = 2, signal } = options
  const taken = await firstOf(samples, samplesMax)
  const [first] = taken
  if (first === undefined) return []
  const own = await ownErrors(model, parameters, codes, first, signal)
  const coarsestFirst = [...own].toSorted(([, a], [, b]) => a - b)
  const end = performance.now() + seconds * 1000
  const expected = await outputsOf(writeModel(model), taken)
  const found: ValueError[] = []
  for (const [value, ownDb] of coarsestFirst) {
    signal?.throwIfAborted()
    let outputDb: number | undefined
    if (performance.now() < end) {
      const bytes = withCodes(model, value, parameters.get(value)!, codes)
      outputDb = agreementDb(expected, await outputsOf(bytes, taken))
    }
    found.push({ value, ownDb, outputDb })
    options.progress?.({ done: found.length, of: own.size })
  }
  const rank = ({ outputDb }: ValueError) => outputDb ?? Number.POSITIVE_INFINITY
  return found.toSorted((a, b) => {
    const [x, y] = [rank(a), rank(b)]
    return x === y ? a.ownDb - b.ownDb : x - y
  })
}

async function firstOf(samples: SampleSource, count: number): Promise<Sample[]> {
  const taken: Sample[] = []
  if (count < 1) return taken
  for await (const sample of samples.read()) {
    taken.push(sample)
    if (taken.length >= count) break
  }
  return taken
}

/** Signal over noise of each value's own codes, computed here from its activations. */
async function ownErrors(
  model: ModelProto,
  parameters: ReadonlyMap<string, Parameters>,
  codes: CodeType,
  sample: Sample,
  signal: AbortSignal | undefined,
): Promise<Map<string, number>> {
  const found = new Map<string, number>()
  const values = [...parameters.keys()]
  for (let at = 0; at < values.length; at += valuesAtOnce) {
    signal?.throwIfAborted()
    await using runs = await openRuns(model, values.slice(at, at + valuesAtOnce))
    for (const [value, data] of Object.entries(await runs.run(sample))) {
      found.set(value, sqnrDb(data, coded(data, parameters.get(value)!, codes)))
    }
  }
  return found
}

function coded(data: Float32Array, { scale, zero }: Parameters, codes: CodeType): Float32Array {
  const { min, max } = codeTypes[codes]
  return data.map(
    (one) => (Math.max(min, Math.min(max, Math.round(one / scale) + zero)) - zero) * scale,
  )
}

/** The bytes of the float model with one value going through its codes. */
function withCodes(
  model: ModelProto,
  value: string,
  { scale, zero }: Parameters,
  codes: CodeType,
): Uint8Array {
  const graph = new Graph(model)
  const zeroPoint = { uint8: Uint8Array, int8: Int8Array, uint16: Uint16Array, int16: Int16Array }
  const [scaleName, zeroName] = [
    graph.addInitializer(tensor('scale', [], Float32Array.of(scale))),
    graph.addInitializer(tensor('zero', [], zeroPoint[codes].of(zero))),
  ]
  const producer = graph.producerOf(value)
  const asCodes = graph.freshName('codes')
  let [before, after] = [value, graph.freshName('decoded')]
  if (graph.isOutput(value) && producer) {
    before = graph.freshName('before')
    after = value
    const renamed = before
    graph.edit(producer, () => {
      producer.output = producer.output.map((one) => (one === value ? renamed : one))
    })
  } else graph.redirect(value, after)
  graph.insert([
    node('QuantizeLinear', [before, scaleName, zeroName], [asCodes]),
    node('DequantizeLinear', [asCodes, scaleName, zeroName], [after]),
  ])
  graph.sort()
  return writeModel(graph.toModel())
}

type Outputs = readonly Readonly<Record<string, { readonly data: Numbers }>>[]

async function outputsOf(bytes: Uint8Array, samples: readonly Sample[]): Promise<Outputs> {
  await using session = await openSession(bytes)
  const outputs: Awaited<ReturnType<typeof session.run>>[] = []
  for (const sample of samples) outputs.push(await session.run(sample))
  return outputs
}

function agreementDb(expected: Outputs, found: Outputs): number {
  const ratios = expected.flatMap((outputs, at) =>
    Object.entries(outputs).flatMap(([name, { data }]) => {
      const other = found[at]![name]!.data
      // Labels and counts say nothing about noise.
      if (!(data instanceof Float32Array && other instanceof Float32Array)) return []
      return [sqnrDb(data, other)]
    }),
  )
  return ratios.length > 0 ? median(ratios) : 0
}
