/** All tensors of a model, wherever they stand: constants, attributes, bodies, functions. */
import { altered } from './altered.ts'
import { OnnxError } from './read.ts'
import {
  type AttributeProto,
  AttributeProtoSchema,
  FunctionProtoSchema,
  type GraphProto,
  GraphProtoSchema,
  type ModelProto,
  ModelProtoSchema,
  type NodeProto,
  NodeProtoSchema,
  type SparseTensorProto,
  SparseTensorProtoSchema,
  type TensorProto,
} from './schema.ts'

/** Bodies within bodies; no exporter comes near. */
const depthMax = 64

/** @throws {OnnxError} where bodies lie too deep */
export function* tensorsIn(model: ModelProto): Generator<TensorProto> {
  if (model.graph) yield* ofGraph(model.graph, 0)
  for (const { node } of model.functions) yield* ofNodes(node, 0)
}

function* ofGraph(graph: GraphProto, depth: number): Generator<TensorProto> {
  if (depth > depthMax) {
    throw new OnnxError(`Cannot read the tensors: bodies lie more than ${depthMax} deep`)
  }
  yield* graph.initializer
  for (const { values, indices } of graph.sparseInitializer) {
    if (values) yield values
    if (indices) yield indices
  }
  yield* ofNodes(graph.node, depth)
}

function* ofNodes(nodes: readonly NodeProto[], depth: number): Generator<TensorProto> {
  for (const { attribute } of nodes) {
    for (const { t, tensors, g, graphs } of attribute) {
      if (t) yield t
      yield* tensors
      for (const body of g ? [g, ...graphs] : graphs) yield* ofGraph(body, depth + 1)
    }
  }
}

/** A copy of a model with some tensors replaced; everything else is shared. */
export function withTensors(
  model: ModelProto,
  replacements: ReadonlyMap<TensorProto, TensorProto>,
): ModelProto {
  if (replacements.size === 0 || !model.graph) return model
  const swap = (tensor: TensorProto) => replacements.get(tensor) ?? tensor
  const inGraph = (graph: GraphProto): GraphProto =>
    altered(GraphProtoSchema, graph, {
      initializer: graph.initializer.map(swap),
      sparseInitializer: graph.sparseInitializer.map(inSparse),
      node: graph.node.map(inNode),
    })
  const inSparse = (sparse: SparseTensorProto): SparseTensorProto =>
    altered(SparseTensorProtoSchema, sparse, {
      ...(sparse.values && { values: swap(sparse.values) }),
      ...(sparse.indices && { indices: swap(sparse.indices) }),
    })
  const inNode = (node: NodeProto): NodeProto =>
    node.attribute.some(({ t, tensors, g, graphs }) => t ?? g ?? tensors[0] ?? graphs[0])
      ? altered(NodeProtoSchema, node, { attribute: node.attribute.map(inAttribute) })
      : node
  const inAttribute = (attribute: AttributeProto): AttributeProto =>
    altered(AttributeProtoSchema, attribute, {
      ...(attribute.t && { t: swap(attribute.t) }),
      ...(attribute.g && { g: inGraph(attribute.g) }),
      tensors: attribute.tensors.map(swap),
      graphs: attribute.graphs.map(inGraph),
    })
  return altered(ModelProtoSchema, model, {
    graph: inGraph(model.graph),
    functions: model.functions.map((one) =>
      altered(FunctionProtoSchema, one, { node: one.node.map(inNode) }),
    ),
  })
}
