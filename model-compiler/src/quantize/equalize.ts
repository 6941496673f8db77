/**
 * All channels of a tensor share one scale when it is quantized, so a channel that stays small has few codes.
 * Convolutions can trade scale for free: what made a channel smaller makes it larger, and whoever reads it has
 * smaller weights for it (cross-layer equalization, Nagel et al. 2019; by what activations are seen to be, rather than by
 * weights, which have scales of their own per channel here).
 */
import { channelFigures } from '../calibrate/observe.ts'
import type { SampleSource } from '../calibrate/samples.ts'
import { intOf } from '../graph/attributes.ts'
import { Graph } from '../graph/graph.ts'
import type { ModelProto, NodeProto } from '../onnx/schema.ts'
import { floatsOf, tensor } from '../onnx/tensor.ts'
import { type Channels, isScalable, traceChannels } from './channels.ts'

export type EqualizeOptions = {
  /** How far a channel is brought towards the largest one of its tensor: 0 not at all, 1 all the way (default 1). */
  readonly strength?: number
  /** No channel is made more than this many times larger (default 32). */
  readonly gainMax?: number
  readonly signal?: AbortSignal
}

/**
 * The same function with channels as large as their tensor's largest, as far as what reads them allows. Works
 * through concatenations, shuffles, pools, leaky Relus and residual sums; Clip (Relu6), sigmoids and outputs of the
 * model keep their channels as they are.
 * @returns the model and how many channels have changed; the model itself where shapes are not known
 * @throws the signal's reason when it is aborted
 */
export async function equalize(
  model: ModelProto,
  samples: SampleSource,
  options: EqualizeOptions = {},
): Promise<{ model: ModelProto; channels: number }> {
  const { strength = 1, gainMax = 32, signal } = options
  const channels = await traceChannels(model)
  if (channels === undefined) return { model, channels: 0 }
  const graph = new Graph(model)
  const quantized = seenValues(graph, channels)
  if (quantized.length === 0) return { model, channels: 0 }
  const magnitudes = await channelFigures(model, quantized, samples, 'largest', signal)
  const gains = gainsOf(channels, magnitudes, strength, gainMax)
  if (gains.size === 0) return { model, channels: 0 }
  const gainOf = (label: number) => gains.get(label) ?? 1
  for (const node of graph.nodes) {
    if (isScalable(graph, node)) scale(graph, node, channels, gainOf)
  }
  return { model: graph.toModel(), channels: gains.size }
}

/** Values that are likely to be quantized: what is left when a Relu is taken into its convolution. */
function seenValues(graph: Graph, channels: Channels): string[] {
  const isTakenIn = (value: string) => {
    const users = graph.usersOf(value)
    return users.length === 1 && users[0]!.opType === 'Relu'
  }
  return [...channels.values].filter((value) => !isTakenIn(value))
}

/** By label, how many times larger its channel may become: so that it fills no tensor more than the largest channel does. */
function gainsOf(
  channels: Channels,
  magnitudes: ReadonlyMap<string, Float64Array>,
  strength: number,
  gainMax: number,
): Map<number, number> {
  const filled = new Map<number, number>()
  for (const [value, seen] of magnitudes) {
    const largest = seen.reduce((a, b) => Math.max(a, b), 0)
    if (largest === 0) continue
    for (const [i, label] of channels.of(value)!.entries()) {
      filled.set(label, Math.max(filled.get(label) ?? 0, seen[i]! / largest))
    }
  }
  const gains = new Map<number, number>()
  for (const [label, share] of filled) {
    if (share === 0 || share >= 1 || channels.isFixed(label)) continue
    gains.set(label, Math.min(gainMax, (1 / share) ** strength))
  }
  return gains
}

/** Makes a convolution give its channels larger, and expect its input's larger. */
function scale(
  graph: Graph,
  node: NodeProto,
  channels: Channels,
  gainOf: (label: number) => number,
): void {
  const [input = '', weightName = '', biasName = ''] = node.input
  const inGains = channels.of(input)?.map(gainOf)
  const outGains = channels.of(node.output[0]!)?.map(gainOf)
  if (!inGains || !outGains) return
  const source = graph.constantOf(weightName)!
  const dims = source.dims.map(Number)
  const weights = floatsOf(source)
  const [outputs = 0, perGroup = 0] = dims
  const inner = dims.slice(2).reduce((product, dim) => product * dim, 1)
  const outputsPerGroup = outputs / intOf(node, 'group', 1)
  for (let i = 0; i < weights.length; i++) {
    const at = Math.floor(i / inner)
    const [output, within] = [Math.floor(at / perGroup), at % perGroup]
    const channel = Math.floor(output / outputsPerGroup) * perGroup + within
    weights[i]! *= outGains[output]! / inGains[channel]!
  }
  graph.setInput(node, 1, graph.addInitializer(tensor(weightName, dims, weights)))
  if (biasName === '') return
  const bias = floatsOf(graph.constantOf(biasName)!).map((one, i) => one * outGains[i]!)
  graph.setInput(node, 2, graph.addInitializer(tensor(biasName, [bias.length], bias)))
}
