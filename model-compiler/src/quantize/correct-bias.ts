/**
 * Rounding weights and clipping activations shifts the mean of what a convolution computes, channel by
 * channel, and shifts add up from layer to layer. The bias can take them back: it is corrected by the mean
 * difference to the float model on samples (Nagel et al. 2019, "empirical bias correction").
 *
 * `sequential` goes from the input to the outputs, each layer measured with all before it corrected: exact, and
 * as many passes as the network is deep. `fast` feeds each layer the float model's activations, so that all of them
 * are measured at once, and what comes from the activations before it stays uncorrected.
 */
import { channelFigures } from '../calibrate/observe.ts'
import type { SampleSource } from '../calibrate/samples.ts'
import { Graph } from '../graph/graph.ts'
import type { ModelProto, NodeProto, TensorProto } from '../onnx/schema.ts'
import { floatsOf, tensor, valuesOf } from '../onnx/tensor.ts'
import { tensorTypes } from '../onnx/types.ts'

export type CorrectBiasOptions = {
  /** Default `sequential`. */
  readonly how?: 'fast' | 'sequential'
  readonly signal?: AbortSignal
  readonly progress?: (step: { readonly done: number; readonly of: number }) => void
}

/**
 * The quantized model with the biases of its convolutions corrected.
 * @param float what it was made from: same names, before `quantize`
 * @throws the signal's reason when it is aborted
 */
export async function correctBias(
  float: ModelProto,
  quantized: ModelProto,
  samples: SampleSource,
  options: CorrectBiasOptions = {},
): Promise<ModelProto> {
  const { how = 'sequential', signal, progress } = options
  const graph = new Graph(quantized)
  graph.sort()
  const pairs = correspondingConvolutions(new Graph(float), graph)
  if (pairs.length === 0) return quantized
  const values = pairs.map(({ value }) => value)
  const wanted = await channelFigures(float, values, samples, 'mean', signal)
  const levels = how === 'fast' ? [pairs] : levelsOf(graph, pairs)
  for (const [done, level] of levels.entries()) {
    const model = how === 'fast' ? onFloatActivations(float, graph, level) : graph.toModel()
    const made = level.map(({ node }) => node.output[0]!)
    const means = await channelFigures(model, made, samples, 'mean', signal)
    for (const { value, node } of level) {
      const mean = means.get(node.output[0]!)!
      shift(
        graph,
        node,
        wanted.get(value)!.map((one, i) => one - mean[i]!),
      )
    }
    progress?.({ done: done + 1, of: levels.length })
  }
  graph.sort()
  return graph.toModel()
}

/** A convolution of the quantized graph, and what its result is called in the float one. */
type Pair = { readonly value: string; readonly node: NodeProto }

function correspondingConvolutions(float: Graph, quantized: Graph): Pair[] {
  return float.nodes.flatMap((node): Pair[] => {
    if (node.opType !== 'Conv') return []
    const value = node.output[0]!
    // Where a Relu or Clip was taken in, the convolution makes what that made.
    const [user, ...others] = float.usersOf(value)
    const after = others.length === 0 && user ? user.output[0]! : value
    const found = [value, `${value}_float`, after, `${after}_float`]
      .map((name) => quantized.producerOf(name))
      .find((one) => one?.opType === 'Conv')
    return found && isQuantized(quantized, found) ? [{ value, node: found }] : []
  })
}

const isQuantized = (graph: Graph, node: NodeProto): boolean =>
  graph.producerOf(node.input[1] ?? '')?.opType === 'DequantizeLinear'

/** Convolutions in groups of which none reads from another in the same group. */
function levelsOf(graph: Graph, pairs: readonly Pair[]): Pair[][] {
  const depths = new Map<string, number>()
  const pairOf = new Map(pairs.map((pair) => [pair.node, pair]))
  const levels: Pair[][] = []
  for (const node of graph.nodes) {
    let depth = node.input.reduce((most, value) => Math.max(most, depths.get(value) ?? 0), 0)
    const pair = pairOf.get(node)
    if (pair) {
      levels[depth] = [...(levels[depth] ?? []), pair]
      depth++
    }
    for (const value of node.output) depths.set(value, depth)
  }
  return levels
}

/** The float model with the convolutions of `pairs` beside its own, reading what those read. */
function onFloatActivations(
  float: ModelProto,
  quantized: Graph,
  pairs: readonly Pair[],
): ModelProto {
  const graph = new Graph(float)
  for (const { value, node } of pairs) {
    const constants = node.input.slice(1).map((name) => {
      const made = quantized.producerOf(name)
      const nodes = made ? [made] : []
      for (const one of nodes) {
        if (graph.producerOf(one.output[0]!)) continue
        for (const input of one.input) graph.setInitializer(quantized.initializers.get(input)!)
        graph.insert([{ ...one, input: [...one.input], output: [...one.output] }])
      }
      const tensor = quantized.initializers.get(name)
      if (tensor && name !== '') graph.setInitializer(tensor)
      return name
    })
    const input = graph.producerOf(value)!.input[0]!
    // Where the convolution kept its name, the float one steps aside.
    const made = node.output[0]!
    if (graph.producerOf(made)) {
      const aside = graph.freshName(`${made}_aside`)
      const other = graph.producerOf(made)!
      graph.edit(other, () => {
        other.output = other.output.map((one) => (one === made ? aside : one))
      })
      graph.redirect(made, aside)
    }
    graph.insert([{ ...node, name: '', input: [input, ...constants], output: [made] }])
  }
  graph.sort()
  return graph.toModel()
}

/** Adds to the bias of a convolution, in the codes that it has; one that has none gets one. */
function shift(graph: Graph, node: NodeProto, by: Float64Array): void {
  const bias = node.input[2] ?? ''
  const dequantize = graph.producerOf(bias)
  if (bias !== '' && dequantize === undefined) {
    const floats = floatsOf(graph.constantOf(bias)!)
    const shifted = floats.map((one, i) => one + by[i]!)
    graph.setInput(node, 2, graph.addInitializer(tensor(bias, [shifted.length], shifted)))
    return
  }
  if (dequantize === undefined) {
    // As a float: the runtime makes codes of it where it fuses.
    const name = graph.addInitializer(
      tensor(`${node.output[0]}_bias`, [by.length], Float32Array.from(by)),
    )
    graph.setInput(node, 2, name)
    return
  }
  const [codesName = '', scaleName = ''] = dequantize.input
  const codes = valuesOf(graph.initializers.get(codesName)!) as Int32Array
  const scales = scalesOf(graph.initializers.get(scaleName)!)
  const shifted = codes.map((code, i) => {
    const more = code + Math.round(by[i]! / scales[scales.length === 1 ? 0 : i]!)
    return Math.min(2 ** 31 - 1, Math.max(-(2 ** 31), more))
  })
  const made = graph.addInitializer(tensor(codesName, [shifted.length], shifted))
  const output = graph.freshName(bias)
  graph.insert([{ ...dequantize, input: [made, ...dequantize.input.slice(1)], output: [output] }])
  graph.setInput(node, 2, output)
  if (graph.usersOf(bias).length > 0) return
  graph.remove(dequantize)
  if (graph.usersOf(codesName).length === 0) graph.removeInitializer(codesName)
}

const scalesOf = (scale: TensorProto): Float32Array =>
  scale.dataType === tensorTypes.float32 ? floatsOf(scale) : Float32Array.of(1)
