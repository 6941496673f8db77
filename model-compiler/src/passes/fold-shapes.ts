/** Shapes that are known are constants, and with them all arithmetic on shapes. */
import { intOf } from '../graph/attributes.ts'
import type { Graph } from '../graph/graph.ts'
import { staticShape } from '../graph/value-type.ts'
import type { NodeProto, TensorProto } from '../onnx/schema.ts'
import { tensor } from '../onnx/tensor.ts'
import { isOp } from './matching.ts'
import type { Pass } from './pass.ts'

export const foldShapes: Pass = {
  name: 'fold-shapes',
  about: 'Replaces Shape of a value whose shape is known by a constant.',
  run(graph) {
    if (graph.irVersion < 4) return 0
    let changes = 0
    for (const node of [...graph.nodes]) {
      const [name] = node.output
      if (!isOp(node, 'Shape') || !name || graph.isOutput(name)) continue
      const constant = shapeTensor(graph, node, name)
      if (constant === undefined) continue
      graph.remove(node)
      graph.setInitializer(constant)
      changes++
    }
    return changes
  },
}

function shapeTensor(graph: Graph, node: NodeProto, name: string): TensorProto | undefined {
  const shape = staticShape(graph.typeOf(node.input[0] ?? ''))
  if (shape === undefined) return undefined
  // As Array.slice does it: negative counts from the end, what lies outside is cut.
  const part = shape.slice(intOf(node, 'start', 0), intOf(node, 'end', shape.length))
  return tensor(name, [part.length], BigInt64Array.from(part, BigInt))
}
