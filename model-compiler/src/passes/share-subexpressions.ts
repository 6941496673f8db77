/** The same operator on the same values is computed once. */
import { toBinary } from '@bufbuild/protobuf'
import { bodiesOf, type Graph } from '../graph/graph.ts'
import { AttributeProtoSchema, type NodeProto } from '../onnx/schema.ts'
import type { Pass } from './pass.ts'
import { isRandom } from './random.ts'

export const shareSubexpressions: Pass = {
  name: 'share-subexpressions',
  about: 'Computes once what several nodes compute from the same values.',
  run(graph) {
    let changes = 0
    graph.sort()
    const first = new Map<string, NodeProto>()
    for (const node of [...graph.nodes]) {
      const key = keyOf(node)
      if (key === undefined) continue
      const same = first.get(key)
      if (same === undefined) first.set(key, node)
      else if (merge(graph, node, same)) changes++
    }
    return changes
  },
}

/**
 * What a node computes, from its own inputs; undefined for what is not the same twice. Q and DQ stay apart, as
 * the runtime fuses an operator only with Q and DQ of its own.
 */
function keyOf(node: NodeProto): string | undefined {
  if (isRandom(node) || bodiesOf(node).length > 0) return undefined
  if (node.opType === 'QuantizeLinear' || node.opType === 'DequantizeLinear') return undefined
  const attributes = node.attribute
    .map((one) => Buffer.from(toBinary(AttributeProtoSchema, one)).toString('base64'))
    .sort()
  const outputs = node.output.map((value) => (value === '' ? 0 : 1))
  return JSON.stringify([node.domain, node.opType, node.overload, node.input, attributes, outputs])
}

function merge(graph: Graph, node: NodeProto, same: NodeProto): boolean {
  // An output of the graph keeps its name, and so its node.
  if (node.output.some((value) => graph.isOutput(value))) return false
  graph.remove(node)
  for (const [at, value] of node.output.entries()) {
    if (value !== '') graph.redirect(value, same.output[at]!)
  }
  return true
}
