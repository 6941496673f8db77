/**
 * Pruning. `structured` takes whole channels out, so that the model becomes smaller and faster everywhere: those between two
 * convolutions that nobody else reads, the weakest first (Li et al. 2017, by the sum of magnitudes). `magnitude` sets single
 * weights to zero (Han et al. 2015): the file compresses better and deltas become smaller, the arithmetic stays.
 */
import { Graph } from '../../graph/graph.ts'
import { OnnxError } from '../../onnx/read.ts'
import type { ModelProto, NodeProto } from '../../onnx/schema.ts'
import { floatsOf, tensor } from '../../onnx/tensor.ts'
import { tensorTypes } from '../../onnx/types.ts'
import { type ChannelStretch, stretchFrom } from '../../passes/channel-stretch.ts'
import { isOp } from '../../passes/matching.ts'
import { removeDead } from '../../passes/remove-dead.ts'

export type Pruned = {
  readonly model: ModelProto
  /** Channels (or weights) that are gone, and how many there were to choose from. */
  readonly removed: number
  readonly of: number
}

/**
 * Takes the weakest channels out of a float model.
 * @param options.share of the channels of each stretch between two convolutions, 0 to 0.95
 * @param options.multiple channels that stay are a multiple of this (default 8, what kernels like)
 * @throws {OnnxError} when the share is out of bounds, or the model has nothing that can be taken out
 */
export function pruneChannels(
  model: ModelProto,
  { share, multiple = 8 }: { readonly share: number; readonly multiple?: number },
): Pruned {
  checkShare(share)
  const graph = new Graph(model)
  graph.sort()
  const stretches = graph.nodes.flatMap((node) => stretchFrom(graph, node) ?? [])
  const of = stretches.reduce((sum, { channels }) => sum + channels, 0)
  if (of === 0) {
    throw new OnnxError(
      'Cannot prune channels: no value lies between two convolutions alone; prune single weights instead (magnitude)',
    )
  }
  let removed = 0
  for (const stretch of stretches) {
    const { channels } = stretch
    const wanted = Math.ceil((channels * (1 - share)) / multiple) * multiple
    const left = Math.min(channels, Math.max(multiple, wanted))
    if (left === channels) continue
    const kept = strongest(graph, stretch, left)
    narrow(graph, stretch, kept)
    removed += channels - left
  }
  removeDead.run(graph)
  // What was known of the shapes of inner values is no longer so.
  const pruned = graph.toModel()
  pruned.graph!.valueInfo = []
  return { model: pruned, removed, of }
}

/**
 * Sets the smallest weights of convolutions and products to zero.
 * @param options.share of all of them, 0 to 0.95
 * @returns also which weights stay, by name: what is trained on keeps the others at zero
 */
export function pruneWeights(
  model: ModelProto,
  { share }: { readonly share: number },
): Pruned & { readonly masks: ReadonlyMap<string, Uint8Array> } {
  checkShare(share)
  const graph = new Graph(model)
  const names = new Set(
    graph.nodes
      .filter((node) => isOp(node, 'Conv', 'ConvTranspose', 'Gemm', 'MatMul'))
      .map(({ input }) => input[1] ?? '')
      .filter((name) => graph.initializers.get(name)?.dataType === tensorTypes.float32),
  )
  const all = [...names].map((name) => ({ name, values: floatsOf(graph.initializers.get(name)!) }))
  const sizes = Float32Array.from(all.flatMap(({ values }) => Array.from(values, Math.abs)))
  if (sizes.length === 0) throw new OnnxError('Cannot prune weights: the model has none')
  const limit = sizes.toSorted()[Math.floor(share * sizes.length)]!
  const masks = new Map<string, Uint8Array>()
  let removed = 0
  for (const { name, values } of all) {
    const mask = Uint8Array.from(values, (one) => (Math.abs(one) < limit ? 0 : 1))
    const dims = graph.initializers.get(name)!.dims.map(Number)
    graph.setInitializer(
      tensor(
        name,
        dims,
        values.map((one, at) => (mask[at] ? one : 0)),
      ),
    )
    removed += mask.reduce((sum, one) => sum + 1 - one, 0)
    masks.set(name, mask)
  }
  return { model: graph.toModel(), removed, of: sizes.length, masks }
}

function checkShare(share: number): void {
  if (share >= 0 && share <= 0.95) return
  throw new OnnxError(`Cannot prune a share of ${share}: it is from 0 to 0.95`)
}

/** The channels that stay, in their order: those whose weights going in and coming out are the largest together. */
function strongest(graph: Graph, { first, between, last, channels }: ChannelStretch, left: number) {
  const made = sumsBy(graph, first.input[1]!, 0)
  const read = sumsBy(graph, last.input[1]!, 1)
  // BatchNorm makes what the weights are worth: its scale is part of it.
  const norms = between.filter((node) => isOp(node, 'BatchNormalization'))
  const scales = norms.map((node) => floatsOf(graph.constantOf(node.input[1])!))
  const worth = Array.from({ length: channels }, (_, channel) =>
    scales.reduce(
      (product, scale) => product * Math.abs(scale[channel]!),
      scales.length > 0 ? read[channel]! : made[channel]! * read[channel]!,
    ),
  )
  return worth
    .map((value, channel) => ({ value, channel }))
    .toSorted((a, b) => b.value - a.value || a.channel - b.channel)
    .slice(0, left)
    .map(({ channel }) => channel)
    .toSorted((a, b) => a - b)
}

/** Sum of magnitudes for each index of an axis (0 or 1) of weights. */
function sumsBy(graph: Graph, name: string, axis: 0 | 1): Float64Array {
  const source = graph.constantOf(name)!
  const [outer = 0, inner = 0, ...kernel] = source.dims.map(Number)
  const area = kernel.reduce((product, size) => product * size, 1)
  const sums = new Float64Array(axis === 0 ? outer : inner)
  for (const [at, one] of floatsOf(source).entries()) {
    const [row, column] = [Math.floor(at / (inner * area)), Math.floor(at / area) % inner]
    sums[axis === 0 ? row : column]! += Math.abs(one)
  }
  return sums
}

function narrow(
  graph: Graph,
  { first, between, last }: ChannelStretch,
  kept: readonly number[],
): void {
  pick(graph, first, 1, 0, kept)
  pick(graph, first, 2, 0, kept)
  for (const node of between) {
    if (!isOp(node, 'Conv', 'BatchNormalization')) continue
    for (let input = 1; input < node.input.length; input++) pick(graph, node, input, 0, kept)
    if (isOp(node, 'Conv')) {
      graph.edit(node, () => {
        node.attribute.find(({ name }) => name === 'group')!.i = BigInt(kept.length)
      })
    }
  }
  pick(graph, last, 1, 1, kept)
}

/** Gives a node the picked indexes of an axis of one of its constants. */
function pick(
  graph: Graph,
  node: NodeProto,
  input: number,
  axis: 0 | 1,
  kept: readonly number[],
): void {
  const name = node.input[input] ?? ''
  if (name === '') return
  const source = graph.constantOf(name)!
  const dims = source.dims.map(Number)
  const values = floatsOf(source)
  const inner = dims.slice(axis + 1).reduce((product, size) => product * size, 1)
  const outer = axis === 0 ? 1 : dims[0]!
  const made = new Float32Array(outer * kept.length * inner)
  for (let row = 0; row < outer; row++) {
    for (const [to, from] of kept.entries()) {
      const start = (row * dims[axis]! + from) * inner
      made.set(values.subarray(start, start + inner), (row * kept.length + to) * inner)
    }
  }
  const shape = dims.with(axis, kept.length)
  // Weights that somebody else reads stay as they are, under their name.
  const shared = graph.usersOf(name).length > 1
  if (!shared && graph.initializers.has(name)) graph.setInitializer(tensor(name, shape, made))
  else graph.setInput(node, input, graph.addInitializer(tensor(`${name}_pruned`, shape, made)))
}
