/** Channels in another order go into the weights of the convolution that reads them. */
import { intOf } from '../graph/attributes.ts'
import type { Graph } from '../graph/graph.ts'
import type { NodeProto } from '../onnx/schema.ts'
import { floatsOf, tensor } from '../onnx/tensor.ts'
import { tensorTypes } from '../onnx/types.ts'
import { isOp, numbersOf } from './matching.ts'
import type { Pass } from './pass.ts'

export const foldChannelOrder: Pass = {
  name: 'fold-channel-order',
  about: 'Folds a reordering of channels into the weights of the convolutions behind it.',
  run(graph) {
    let changes = 0
    for (const node of [...graph.nodes]) {
      const order = orderOf(graph, node)
      const users = graph.usersOf(node.output[0] ?? '')
      if (!order || users.length === 0 || graph.isOutput(node.output[0]!)) continue
      if (!users.every((user) => takesOrder(graph, user, node, order.length))) continue
      for (const user of users) reorder(graph, user, order, node.input[0]!)
      graph.remove(node)
      changes++
    }
    return changes
  },
}

/** The order that a Gather brings all channels into: which one comes first, second … */
function orderOf(graph: Graph, node: NodeProto): number[] | undefined {
  if (!isOp(node, 'Gather') || intOf(node, 'axis', 0) !== 1) return undefined
  const channels = graph.typeOf(node.input[0] ?? '')?.shape?.[1]
  if (typeof channels !== 'number' || graph.constantOf(node.input[1])?.dims.length !== 1) {
    return undefined
  }
  const order = numbersOf(graph, node.input[1])?.map((at) => (at < 0 ? at + channels : at))
  const isWhole = order?.length === channels && new Set(order).size === channels
  return isWhole ? order : undefined
}

function takesOrder(graph: Graph, user: NodeProto, gather: NodeProto, channels: number): boolean {
  if (!isOp(user, 'Conv') || intOf(user, 'group', 1) !== 1) return false
  if (user.input[0] !== gather.output[0] || user.input.lastIndexOf(gather.output[0]!) !== 0) {
    return false
  }
  const weights = graph.constantOf(user.input[1])
  if (weights?.dataType !== tensorTypes.float32 || weights.externalData.length > 0) return false
  return Number(weights.dims[1]) === channels
}

function reorder(graph: Graph, conv: NodeProto, order: readonly number[], source: string): void {
  const old = graph.constantOf(conv.input[1])!
  const dims = old.dims.map(Number)
  const channels = order.length
  const kernel = dims.slice(2).reduce((all, one) => all * one, 1)
  const before = floatsOf(old)
  const after = new Float32Array(before.length)
  for (let output = 0; output < dims[0]!; output++) {
    for (const [to, from] of order.entries()) {
      const at = (output * channels + to) * kernel
      after.set(before.subarray(at, at + kernel), (output * channels + from) * kernel)
    }
  }
  graph.setInput(conv, 1, graph.addInitializer(tensor(old.name || conv.input[1]!, dims, after)))
  graph.setInput(conv, 0, source)
}
