/**
 * Models that show what happens inside: the same graph with further outputs, cut down to what these need.
 */
import { Graph, readsOf } from '../graph/graph.ts'
import { node } from '../onnx/build.ts'
import { OnnxError } from '../onnx/read.ts'
import type { ModelProto, NodeProto } from '../onnx/schema.ts'
import { tensor } from '../onnx/tensor.ts'
import { tensorTypes } from '../onnx/types.ts'
import { writeModel } from '../onnx/write.ts'
import { openSession } from '../runtime/session.ts'
import type { Sample, SampleSource } from './samples.ts'

/** Every value of a model that is a float32 activation: inputs first, then in the order of the nodes. */
export async function floatValuesOf(model: ModelProto): Promise<string[]> {
  const graph = new Graph(model)
  const inputs = graph.requiredInputs
    .map(({ name }) => name)
    .filter((name) => graph.typeOf(name)?.elementType === tensorTypes.float32)
  const varying = new Set(graph.requiredInputs.map(({ name }) => name))
  const made: string[] = []
  for (const one of graph.nodes) {
    if (!one.input.some((name) => varying.has(name))) continue
    for (const output of one.output) {
      if (output === '') continue
      varying.add(output)
      made.push(output)
    }
  }
  // The runtime knows the type of each: it infers them when it loads the graph.
  await using session = await openSession(showing(model, made), { level: 'disabled' })
  const types = new Map(session.outputs.map(({ name, type }) => [name, type]))
  return [...inputs, ...made.filter((name) => types.get(name) === 'float32')]
}

/** The bytes of a model with `values` as its only outputs, without the nodes that none of them needs. */
export function showing(model: ModelProto, values: readonly string[]): Uint8Array {
  const graph = new Graph(model)
  const wanted = values.filter((value) => !graph.isInput(value))
  for (const { name } of graph.outputs.filter(({ name }) => !wanted.includes(name))) {
    graph.removeOutput(name)
  }
  for (const value of wanted) if (!graph.isOutput(value)) graph.addOutput(value)
  removeUnneeded(graph)
  return writeModel(graph.toModel())
}

/** Outputs that tell of one value; named after it. */
export const extremaOf = (value: string) => ({
  min: `${value}/edgeloop/min`,
  max: `${value}/edgeloop/max`,
  /** Not finite as soon as one element is not (a minimum of NaN is not defined). */
  sum: `${value}/edgeloop/sum`,
  size: `${value}/edgeloop/size`,
})

/** The bytes of a model whose outputs are smallest and largest element, sum of magnitudes and size of each value. */
export function showingExtrema(model: ModelProto, values: readonly string[]): Uint8Array {
  const graph = new Graph(model)
  for (const { name } of [...graph.outputs]) graph.removeOutput(name)
  const added: NodeProto[] = []
  for (const value of values) {
    const { min, max, sum, size } = extremaOf(value)
    const scalar = { keepdims: { int: 0 } } as const
    added.push(
      node('ReduceMin', [value], [min], scalar),
      node('ReduceMax', [value], [max], scalar),
      node('ReduceL1', [value], [sum], scalar),
      node('Size', [value], [size]),
    )
    for (const name of [min, max, sum]) {
      graph.addOutput(name, { elementType: tensorTypes.float32, shape: [] })
    }
    graph.addOutput(size, { elementType: tensorTypes.int64, shape: [] })
  }
  graph.insert(added)
  removeUnneeded(graph)
  return writeModel(graph.toModel())
}

/** Runs that hand over float values from inside a model. */
export type Runs = AsyncDisposable & {
  /** The arrays must not be kept: holding on to them is what the caller's bound on memory is about. */
  run(sample: Sample): Promise<Readonly<Record<string, Float32Array>>>
}

/** @throws {OnnxError} when a value is not in the model; `run` when one is not float32 */
export async function openRuns(model: ModelProto, values: readonly string[]): Promise<Runs> {
  const inputs = values.filter((value) => model.graph!.input.some(({ name }) => name === value))
  const inside = values.filter((value) => !inputs.includes(value))
  // Where only inputs are asked for there is nothing to run.
  const session = inside.length > 0 ? await openSession(showing(model, inside)) : undefined
  return {
    run: async (sample) => {
      const results = session ? await session.run(sample) : {}
      return Object.fromEntries(
        values.map((value) => {
          const data = (results[value] ?? sample[value])?.data
          if (data instanceof Float32Array) return [value, data]
          throw new OnnxError(`Cannot look at "${value}": it is not float32`)
        }),
      )
    },
    [Symbol.asyncDispose]: async () => session?.[Symbol.asyncDispose](),
  }
}

/** The values of each sample in turn. @param look may take its time; the next run waits for it */
export async function forEachRun(
  model: ModelProto,
  values: readonly string[],
  samples: SampleSource,
  signal: AbortSignal | undefined,
  look: (values: Readonly<Record<string, Float32Array>>, sample: Sample) => void | Promise<void>,
): Promise<void> {
  await using runs = await openRuns(model, values)
  for await (const sample of samples.read()) {
    signal?.throwIfAborted()
    await look(await runs.run(sample), sample)
  }
}

/**
 * One number per channel (dimension 1) of values of rank 4, over all samples: the largest magnitude, or the mean.
 * @throws the signal's reason when it is aborted
 */
export async function channelFigures(
  model: ModelProto,
  values: readonly string[],
  samples: SampleSource,
  figure: 'largest' | 'mean',
  signal?: AbortSignal,
): Promise<Map<string, Float64Array>> {
  const graph = new Graph(model)
  for (const { name } of [...graph.outputs]) graph.removeOutput(name)
  const nameOf = (value: string) => `${value}/edgeloop/${figure}`
  const axes = tensor('edgeloop/axes', [3], BigInt64Array.of(0n, 2n, 3n))
  // Since opset 18 axes are an input.
  const asInput = graph.opset >= 18 ? [graph.addInitializer(axes)] : []
  const reduced = { keepdims: { int: 0 }, ...(graph.opset < 18 && { axes: { ints: [0, 2, 3] } }) }
  for (const value of values) {
    const [name, magnitude] = [nameOf(value), `${nameOf(value)}/magnitude`]
    if (figure === 'mean') graph.insert([node('ReduceMean', [value, ...asInput], [name], reduced)])
    else {
      const largest = node('ReduceMax', [magnitude, ...asInput], [name], reduced)
      graph.insert([node('Abs', [value], [magnitude]), largest])
    }
    graph.addOutput(name)
  }
  removeUnneeded(graph)
  const found = new Map<string, Float64Array>()
  await using session = await openSession(writeModel(graph.toModel()))
  let count = 0
  for await (const sample of samples.read()) {
    signal?.throwIfAborted()
    const results = await session.run(sample)
    for (const value of values) {
      const seen = Float64Array.from(results[nameOf(value)]!.data as Float32Array)
      const before = found.get(value)
      found.set(value, before ? seen.map((one, i) => joined(before[i]!, one)) : seen)
    }
    count++
  }
  function joined(before: number, one: number): number {
    return figure === 'mean' ? (before * count + one) / (count + 1) : Math.max(before, one)
  }
  return found
}

/** Takes away nodes and initializers that no output needs. */
function removeUnneeded(graph: Graph): void {
  const needed = new Set<NodeProto>()
  const open = graph.outputs.map(({ name }) => name)
  const read = new Set<string>()
  for (let value = open.pop(); value !== undefined; value = open.pop()) {
    read.add(value)
    const producer = graph.producerOf(value)
    if (producer === undefined || needed.has(producer)) continue
    needed.add(producer)
    open.push(...readsOf(producer))
  }
  graph.remove(...graph.nodes.filter((one) => !needed.has(one)))
  for (const name of [...graph.initializers.keys()]) {
    if (!read.has(name) && !graph.isInput(name)) graph.removeInitializer(name)
  }
}
