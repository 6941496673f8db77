/**
 * SiLU costs a sigmoid at every place, which integer arithmetic does not have; HardSwish is nearly the same curve of straight
 * lines and a square (Howard et al. 2019), and quantizes well. A net whose activations were replaced computes something a
 * little different: it has to be trained on, best with its former self as the teacher.
 */
import { Graph } from '../../graph/graph.ts'
import { node as makeNode } from '../../onnx/build.ts'
import { OnnxError } from '../../onnx/read.ts'
import type { ModelProto, NodeProto } from '../../onnx/schema.ts'
import { upgradeOpset } from '../../opset/upgrade.ts'
import { isOp, onlyUserOf, producerAs } from '../../passes/matching.ts'
import { removeDead } from '../../passes/remove-dead.ts'

/** HardSwish came with this operator set. */
const opsetWanted = 14

/**
 * The model with each x·sigmoid(x) as HardSwish(x).
 * @throws {OnnxError} when it has none
 */
export function siluToHardSwish(model: ModelProto): {
  readonly model: ModelProto
  readonly replaced: number
} {
  const graph = new Graph(model)
  if (graph.opset < opsetWanted) upgradeOpset(graph, opsetWanted)
  let replaced = 0
  for (const node of [...graph.nodes]) {
    const x = siluOf(graph, node)
    if (x === undefined) continue
    graph.replace(node, [makeNode('HardSwish', [x], [node.output[0]!])])
    replaced++
  }
  if (replaced === 0) {
    throw new OnnxError('Cannot replace SiLU by HardSwish: the model has no x·sigmoid(x)')
  }
  removeDead.run(graph)
  graph.sort()
  return { model: graph.toModel(), replaced }
}

/** The x of x·sigmoid(x), where nothing else reads the sigmoid. */
function siluOf(graph: Graph, node: NodeProto): string | undefined {
  if (node.domain === 'com.microsoft' && node.opType === 'QuickGelu') {
    const alpha = node.attribute.find(({ name }) => name === 'alpha')?.f ?? 1.702
    return alpha === 1 ? node.input[0] : undefined
  }
  if (!isOp(node, 'Mul')) return undefined
  for (const [at, value] of node.input.entries()) {
    const sigmoid = producerAs(graph, value, 'Sigmoid')
    const x = node.input[1 - at]
    if (sigmoid && sigmoid.input[0] === x && onlyUserOf(graph, value) === node) return x
  }
  return undefined
}
