/** BatchNormalization goes into the weights of the convolution or matrix product before or after it. */
import type { Graph } from '../graph/graph.ts'
import type { NodeProto } from '../onnx/schema.ts'
import { batchNormOf, type ChannelAffine } from './channel-affine.ts'
import { foldAfter, foldBefore, linearOf } from './linear-weights.ts'
import { isOp, onlyUserOf } from './matching.ts'
import type { Pass } from './pass.ts'

export const foldBatchNorm: Pass = {
  name: 'fold-batch-norm',
  about: 'Folds BatchNormalization into the weights beside it.',
  run: (graph) =>
    foldBeside(graph, (node, channels) =>
      isOp(node, 'BatchNormalization') ? batchNormOf(graph, node, channels) : undefined,
    ),
}

/** What a node does per channel, for a value of so many channels and axes. */
type Reading = (node: NodeProto, channels: number, rank: number) => ChannelAffine | undefined

/** Folds each node that `read` understands into the linear operator before it, else into the one after it. */
export function foldBeside(graph: Graph, read: Reading): number {
  let changes = 0
  for (const node of [...graph.nodes]) {
    if (foldIntoEarlier(graph, node, read) || foldIntoLater(graph, node, read)) changes++
  }
  return changes
}

function foldIntoEarlier(graph: Graph, node: NodeProto, read: Reading): boolean {
  for (const value of node.input) {
    const linear = linearOf(graph, graph.producerOf(value))
    if (linear === undefined || onlyUserOf(graph, value) !== node) continue
    const affine = read(node, linear.outputs, linear.rank)
    if (affine?.input !== value) continue
    foldAfter(graph, linear, affine)
    graph.remove(node)
    graph.edit(linear.node, ({ output }) => {
      output[0] = node.output[0]!
    })
    return true
  }
  return false
}

function foldIntoLater(graph: Graph, node: NodeProto, read: Reading): boolean {
  const value = node.output[0] ?? ''
  const later = onlyUserOf(graph, value)
  const linear = linearOf(graph, later)
  // Read as anything but the first input, the value is no picture but weights.
  if (!later || !linear || later.input.indexOf(value) !== 0) return false
  if (later.input.lastIndexOf(value) !== 0) return false
  const affine = read(node, linear.inputs, linear.rank)
  if (affine === undefined || !keepsChannels(graph, affine.input, linear.inputs)) return false
  if (!foldBefore(graph, linear, affine)) return false
  graph.remove(node)
  graph.setInput(later, 0, affine.input)
  return true
}

/** Whether the value itself has the channels, and does not get them by broadcasting. */
function keepsChannels(graph: Graph, value: string, channels: number): boolean {
  return graph.typeOf(value)?.shape?.[1] === channels
}
