/** One Reshape instead of several: only the last shape counts. */
import { intOf } from '../graph/attributes.ts'
import type { Graph } from '../graph/graph.ts'
import { staticShape } from '../graph/value-type.ts'
import { node as makeNode } from '../onnx/build.ts'
import type { NodeProto } from '../onnx/schema.ts'
import { tensor } from '../onnx/tensor.ts'
import { isOp, numbersOf, producerAs } from './matching.ts'
import type { Pass } from './pass.ts'

const reshaping = ['Reshape', 'Flatten', 'Squeeze', 'Unsqueeze'] as const

export const mergeReshapes: Pass = {
  name: 'merge-reshapes',
  about: 'Makes one Reshape of Reshape, Flatten, Squeeze and Unsqueeze in a row.',
  run(graph) {
    let changes = 0
    for (const node of [...graph.nodes]) {
      if (!isOp(node, ...reshaping)) continue
      const before = producerAs(graph, node.input[0], ...reshaping)
      const source = before?.input[0]
      if (!source) continue
      if (node.opType === 'Reshape' && statesWhole(graph, node)) graph.setInput(node, 0, source)
      else if (!becomeReshape(graph, node, source)) continue
      changes++
    }
    return changes
  },
}

/** Whether the shape of a Reshape says the same of any value of as many elements. */
function statesWhole(graph: Graph, node: NodeProto): boolean {
  const shape = numbersOf(graph, node.input[1])
  return Boolean(shape && (intOf(node, 'allowzero', 0) !== 0 || shape.every((size) => size !== 0)))
}

function becomeReshape(graph: Graph, node: NodeProto, source: string): boolean {
  const shape = staticShape(graph.typeOf(node.output[0] ?? ''))
  // A size of 0 would have to be told apart from "as before".
  if (graph.opset < 5 || shape === undefined || shape.includes(0)) return false
  const sizes = BigInt64Array.from(shape, BigInt)
  const name = graph.addInitializer(tensor(`${node.output[0]}_shape`, [shape.length], sizes))
  const made = makeNode('Reshape', [source, name], [node.output[0]!])
  made.name = node.name
  graph.replace(node, [made])
  return true
}
