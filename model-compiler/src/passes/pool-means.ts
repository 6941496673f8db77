/** The mean over a whole picture is a GlobalAveragePool, for which there are blocked and quantized kernels. */
import { intOf, intsOf } from '../graph/attributes.ts'
import type { Graph } from '../graph/graph.ts'
import { node as makeNode } from '../onnx/build.ts'
import type { NodeProto } from '../onnx/schema.ts'
import { isFloat32, isOp, numbersOf } from './matching.ts'
import type { Pass } from './pass.ts'

export const poolMeans: Pass = {
  name: 'pool-means',
  about: 'Makes GlobalAveragePool of a mean over height and width, which can be quantized.',
  run(graph) {
    let changes = 0
    for (const node of [...graph.nodes]) {
      if (!isPicturesMean(graph, node)) continue
      const made = makeNode('GlobalAveragePool', [node.input[0]!], [node.output[0]!])
      made.name = node.name
      graph.replace(node, [made])
      changes++
    }
    return changes
  },
}

function isPicturesMean(graph: Graph, node: NodeProto): boolean {
  if (!isOp(node, 'ReduceMean') || intOf(node, 'keepdims', 1) !== 1) return false
  const rank = graph.typeOf(node.input[0] ?? '')?.shape?.length
  if (rank === undefined || rank < 3 || !isFloat32(graph, node.input[0])) return false
  // Axes are an input from opset 18.
  const axes = node.input[1] ? numbersOf(graph, node.input[1]) : intsOf(node, 'axes', undefined)
  const over = axes?.map((axis) => (axis < 0 ? axis + rank : axis)).sort((a, b) => a - b)
  return over?.length === rank - 2 && over.every((axis, at) => axis === at + 2)
}
