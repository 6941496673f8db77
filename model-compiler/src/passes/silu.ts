/** SiLU, x / (1 + e⁻ˣ), in the form that ONNX Runtime fuses into one operator: x · Sigmoid(x). */
import { floatOf } from '../graph/attributes.ts'
import type { Graph } from '../graph/graph.ts'
import { node as makeNode } from '../onnx/build.ts'
import type { NodeProto } from '../onnx/schema.ts'
import { isFloat32, isOp, isScalar, onlyUserOf, producerAs, splitConstant } from './matching.ts'
import type { Pass } from './pass.ts'

export const silu: Pass = {
  name: 'silu',
  about: 'Makes x · Sigmoid(x) of the other forms of SiLU, which the runtime fuses.',
  run(graph) {
    let changes = 0
    for (const node of [...graph.nodes]) {
      const x = swishOf(node) ?? quotientOf(graph, node)
      if (x === undefined) continue
      const [y = ''] = node.output
      const gate = graph.freshName(`${y}_gate`)
      graph.replace(node, [makeNode('Sigmoid', [x], [gate]), makeNode('Mul', [x, gate], [y])])
      changes++
    }
    return changes
  },
}

/** Swish (opset 24) with its default factor. */
const swishOf = (node: NodeProto): string | undefined =>
  isOp(node, 'Swish') && floatOf(node, 'alpha', 1) === 1 ? node.input[0] : undefined

/** x / (1 + exp(−x)). */
function quotientOf(graph: Graph, node: NodeProto): string | undefined {
  const [x, below] = node.input
  if (!isOp(node, 'Div') || !x || !isFloat32(graph, x)) return undefined
  const add = producerAs(graph, below, 'Add')
  const split = add && splitConstant(graph, add)
  if (!split || !isScalar(graph, split.constant, 1)) return undefined
  if (graph.constantOf(split.constant)!.dims.length > 1 || onlyUserOf(graph, below) !== node) {
    return undefined
  }
  const exp = producerAs(graph, split.other, 'Exp')
  const negated = producerAs(graph, exp?.input[0], 'Neg')
  return negated?.input[0] === x ? x : undefined
}
