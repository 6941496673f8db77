/** Constant nodes become initializers: one place where constants are, and names that readers understand. */
import { tensorOf } from '../graph/attributes.ts'
import type { Graph } from '../graph/graph.ts'
import { altered } from '../onnx/altered.ts'
import { type NodeProto, type TensorProto, TensorProtoSchema } from '../onnx/schema.ts'
import { tensor } from '../onnx/tensor.ts'
import { attributeTypes } from '../onnx/types.ts'
import { isOp } from './matching.ts'
import type { Pass } from './pass.ts'

export const listConstants: Pass = {
  name: 'list-constants',
  about: 'Turns Constant nodes into initializers, so that constants are in one place.',
  run(graph) {
    let changes = 0
    // Before IR 4 an initializer has to be an input as well.
    if (graph.irVersion < 4) return 0
    for (const node of [...graph.nodes]) {
      if (isOp(node, 'Constant') && settle(graph, node)) changes++
    }
    return changes
  },
}

function settle(graph: Graph, node: NodeProto): boolean {
  const [name] = node.output
  // An output of the graph that is an initializer is legal, but not every runtime takes it.
  if (name === undefined || graph.isOutput(name)) return false
  const constant = constantIn(node)
  if (constant === undefined) return false
  graph.remove(node)
  graph.setInitializer(altered(TensorProtoSchema, constant, { name }))
  return true
}

/** The tensor behind a Constant; undefined for text and sparse tensors, which stay nodes. */
function constantIn(node: NodeProto): TensorProto | undefined {
  const [attribute] = node.attribute
  switch (attribute?.name) {
    case 'value':
      return attribute.type === attributeTypes.tensor ? tensorOf(node, 'value') : undefined
    case 'value_float':
      return tensor('', [], Float32Array.of(attribute.f))
    case 'value_floats':
      return tensor('', [attribute.floats.length], Float32Array.from(attribute.floats))
    case 'value_int':
      return tensor('', [], BigInt64Array.of(attribute.i))
    case 'value_ints':
      return tensor('', [attribute.ints.length], BigInt64Array.from(attribute.ints))
    default:
      return undefined
  }
}
