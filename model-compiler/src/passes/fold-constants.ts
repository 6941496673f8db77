/**
 * Computes once, here, what depends on constants alone. ONNX Runtime itself computes it, many nodes in one
 * session, so that the result is the one that it would have come to on the box.
 */
import { clone, create } from '@bufbuild/protobuf'
import { bodiesOf, type Graph, readsOf } from '../graph/graph.ts'
import { staticShape } from '../graph/value-type.ts'
import { altered } from '../onnx/altered.ts'
import { model } from '../onnx/build.ts'
import { OnnxError } from '../onnx/read.ts'
import {
  type NodeProto,
  NodeProtoSchema,
  type TensorProto,
  TensorProtoSchema,
  ValueInfoProtoSchema,
} from '../onnx/schema.ts'
import { tensor } from '../onnx/tensor.ts'
import { writeModel } from '../onnx/write.ts'
import { openSession } from '../runtime/session.ts'
import { isOp, isPlain, numbersOf } from './matching.ts'
import type { Pass } from './pass.ts'
import { isRandom } from './random.ts'

/**
 * Most elements of a result that is not smaller than what it is made of. What grows more stays as it is: the
 * runtime computes it when it loads the model, and the file stays small.
 */
export const growthElementsMax = 65_536
/** Most elements that one session is asked for. */
const batchElementsMax = 16 * 1024 * 1024
/** When a batch fails, this many nodes of it are tried one by one. */
const singlesMax = 64

export const foldConstants: Pass = {
  name: 'fold-constants',
  about: 'Replaces what depends on constants alone by its result.',
  async run(graph) {
    if (graph.irVersion < 4) return 0
    graph.sort()
    let changes = 0
    for (const batch of batchesOf(graph, foldable(graph))) {
      changes += await fold(graph, batch)
    }
    return changes
  },
}

/** Nodes that the runtime could not compute alone: they are not tried again. */
const refused = new WeakSet<NodeProto>()

/** Nodes that can be computed now, in order, with how many elements they make. */
function foldable(graph: Graph): Map<NodeProto, number> {
  const found = new Map<NodeProto, number>()
  const sizes = new Map<string, number>()
  for (const node of graph.nodes) {
    if (!isComputable(node)) continue
    const known = node.input.every(
      (value) => value === '' || sizes.has(value) || isReadable(graph.constantOf(value)),
    )
    if (!known) continue
    const sizeOf = (value: string): number => sizes.get(value) ?? elementsIn(graph, value)
    const made = elementsMade(graph, node, sizeOf)
    const given = node.input.reduce((sum, value) => sum + (value === '' ? 0 : sizeOf(value)), 0)
    if (made === undefined || made > Math.max(given, growthElementsMax)) continue
    found.set(node, made)
    for (const value of node.output) sizes.set(value, made)
  }
  return found
}

function isComputable(node: NodeProto): boolean {
  // A DequantizeLinear of weights is what keeps them small; only the runtime may fold it.
  if (isOp(node, 'Constant', 'DequantizeLinear') || !isPlain(node)) return false
  return !isRandom(node) && !refused.has(node) && bodiesOf(node).length === 0
}

const isReadable = (constant: TensorProto | undefined): boolean =>
  constant !== undefined && constant.externalData.length === 0

function elementsIn(graph: Graph, value: string): number {
  return graph.constantOf(value)?.dims.reduce((size, dim) => size * Number(dim), 1) ?? 0
}

/** Operators that make at most as many elements as their first input has. */
const shrinking = new Set([
  ...['Identity', 'Cast', 'Transpose', 'Reshape', 'Squeeze', 'Unsqueeze', 'Flatten', 'Slice'],
  ...['Neg', 'Abs', 'Sqrt', 'Exp', 'Log', 'Floor', 'Ceil', 'Round', 'Not', 'Sign', 'Reciprocal'],
  ...['Erf', 'Tanh', 'Sigmoid', 'Relu', 'Softmax', 'Clip', 'Split', 'QuantizeLinear'],
  ...['ReduceSum', 'ReduceMean', 'ReduceMax', 'ReduceMin', 'ReduceProd', 'ArgMax', 'ArgMin'],
])
const spreading = new Set([
  ...['Add', 'Sub', 'Mul', 'Div', 'Pow', 'Mod', 'Min', 'Max', 'Where', 'Equal', 'Less', 'Greater'],
  ...['And', 'Or', 'Xor', 'LessOrEqual', 'GreaterOrEqual', 'Gather'],
])

/** An upper bound of the elements that a node makes, or undefined when nothing is known. */
function elementsMade(
  graph: Graph,
  node: NodeProto,
  sizeOf: (value: string) => number,
): number | undefined {
  const shapes = node.output
    .filter((value) => value !== '')
    .map((value) => staticShape(graph.typeOf(value)))
  if (shapes.every((shape) => shape !== undefined)) {
    return shapes.flatMap((shape) => product(shape)).reduce((sum, size) => sum + size, 0)
  }
  const inputs = node.input.filter((value) => value !== '')
  if (shrinking.has(node.opType)) return sizeOf(inputs[0] ?? '')
  if (spreading.has(node.opType)) return product(inputs.map(sizeOf))
  switch (node.opType) {
    case 'Concat':
      return inputs.reduce((sum, value) => sum + sizeOf(value), 0)
    case 'ConstantOfShape': {
      const shape = numbersOf(graph, inputs[0])
      return shape && product(shape)
    }
    case 'Expand': {
      const shape = numbersOf(graph, inputs[1])
      return shape && product(shape) * sizeOf(inputs[0] ?? '')
    }
    case 'Range': {
      const [start, limit, delta] = inputs.map((value) => numbersOf(graph, value)?.[0])
      if (start === undefined || limit === undefined || !delta) return undefined
      return Math.max(0, Math.ceil((limit - start) / delta))
    }
    default:
      return undefined
  }
}

const product = (numbers: readonly number[]): number => numbers.reduce((all, one) => all * one, 1)

function* batchesOf(graph: Graph, nodes: Map<NodeProto, number>): Generator<NodeProto[]> {
  // What only outputs of the graph read stays: an output that no node makes is legal but rarely taken.
  const wanted = [...nodes].filter(([{ output }]) => !output.some((one) => graph.isOutput(one)))
  let batch: NodeProto[] = []
  let elements = 0
  for (const [node, made] of wanted) {
    if (elements + made > batchElementsMax && batch.length > 0) {
      yield batch
      batch = []
      elements = 0
    }
    batch.push(node)
    elements += made
  }
  if (batch.length > 0) yield batch
}

/** @returns how many nodes are gone */
async function fold(graph: Graph, nodes: readonly NodeProto[]): Promise<number> {
  try {
    const results = await compute(graph, nodes)
    graph.remove(...nodes)
    for (const result of results) graph.setInitializer(result)
    return nodes.length
  } catch (error) {
    if (!(error instanceof OnnxError)) throw error
    // Something in the batch is beyond the runtime: the rest of it is not.
    let folded = 0
    if (nodes.length === 1) for (const node of nodes) refused.add(node)
    else {
      for (const node of nodes.slice(0, singlesMax)) {
        const ready = node.input.every((value) => value === '' || graph.constantOf(value))
        if (ready) folded += await fold(graph, [node])
      }
    }
    return folded
  }
}

/** What the nodes make, as far as others read it. */
async function compute(graph: Graph, nodes: readonly NodeProto[]): Promise<TensorProto[]> {
  const inside = new Set(nodes)
  const made = nodes.flatMap(({ output }) => output.filter((value) => value !== ''))
  const outputs = made.filter((value) => graph.usersOf(value).some((user) => !inside.has(user)))
  if (outputs.length === 0) return []
  const reads = new Set(nodes.flatMap(readsOf))
  for (const value of made) reads.delete(value)
  const alone = model({
    name: 'constants',
    opset: graph.opset,
    inputs: [],
    outputs: outputs.map((name) => create(ValueInfoProtoSchema, { name })),
    initializers: [...reads].map((name) =>
      altered(TensorProtoSchema, graph.constantOf(name)!, { name }),
    ),
    nodes: nodes.map((node) => clone(NodeProtoSchema, node)),
  })
  alone.irVersion = BigInt(Math.max(8, graph.irVersion))
  await using session = await openSession(writeModel(alone), { level: 'disabled' })
  const results = await session.run({})
  return outputs.map((name) => {
    const { type, dims, data } = results[name]!
    return tensor(name, dims, data, type)
  })
}
