/**
 * The end of a classifier: which value holds its logits, and another last layer where the data have other classes.
 * Everything before stays, which is what makes a few pictures enough.
 */
import { normal, seededRandom } from '../../builders/random.ts'
import { intOf } from '../../graph/attributes.ts'
import { Graph } from '../../graph/graph.ts'
import { verify } from '../../graph/verify.ts'
import { OnnxError } from '../../onnx/read.ts'
import type { ModelProto, NodeProto } from '../../onnx/schema.ts'
import { tensor } from '../../onnx/tensor.ts'
import { isOp, numbersOf } from '../../passes/matching.ts'
import { inferTypes } from '../../shapes/infer-types.ts'
import { dropInitializerInputs } from '../../shapes/input-shapes.ts'

export type ClassHead = {
  /** The value before a final softmax, or the output itself. */
  readonly logits: string
  readonly classes: number
}

/** Operators that say the same in other words, or in another shape. */
const through = new Set(['Softmax', 'LogSoftmax', 'Identity', 'Flatten', 'Reshape', 'Squeeze'])

/**
 * @throws {OnnxError} when the model does not end with one number for each class
 */
export function classHeadOf(model: ModelProto): ClassHead {
  const graph = opened(model)
  const [output] = graph.outputs
  const shape = output && graph.typeOf(output.name)?.shape
  const classes = shape?.[1]
  const isFlat = shape?.length === 2 || (shape?.length === 4 && shape[2] === 1 && shape[3] === 1)
  if (!output || graph.outputs.length !== 1 || !isFlat || typeof classes !== 'number') {
    const seen = graph.outputs.map(({ name }) => `"${name}" [${graph.typeOf(name)?.shape ?? '?'}]`)
    throw new OnnxError(
      `Cannot train the model as a classifier: expected one output [N, classes], it has ${seen.join(', ')}`,
    )
  }
  const last = graph.producerOf(output.name)
  const logits = isOp(last, 'Softmax', 'LogSoftmax') ? last!.input[0]! : output.name
  return { logits, classes }
}

/**
 * The model with another number of classes: its last layer is made anew, with small random weights.
 * @throws {OnnxError} when its last layer is none that is known
 */
export function withClasses(model: ModelProto, classes: number, seed: number): ModelProto {
  const graph = opened(model)
  const before = classHeadOf(model).classes
  const random = seededRandom(seed)
  const output = graph.outputs[0]!.name
  let node = graph.producerOf(output)
  while (node && isOp(node, ...through)) {
    retarget(graph, node, before, classes)
    node = graph.producerOf(node.input[0]!)
  }
  if (isOp(node, 'Add')) node = renewBias(graph, node!, classes)
  const isLayer = isOp(node, 'Gemm', 'MatMul', 'Conv')
  const weights = isLayer ? graph.initializers.get(node!.input[1] ?? '') : undefined
  if (!node || !weights) {
    const found = node ? `${node.opType} "${node.name}"` : 'an input'
    throw new OnnxError(
      `Cannot give the model ${classes} classes: expected a Gemm, MatMul or Conv with constant weights at its end, found ${found}`,
    )
  }
  const dims = weights.dims.map(Number)
  const axis = isOp(node, 'Conv') || intOf(node, 'transB', 0) === 1 ? 0 : dims.length - 1
  const size = dims.reduce((product, one) => product * one, 1)
  const fanIn = size / dims[axis]!
  dims[axis] = classes
  const values = normal(random, fanIn * classes, Math.sqrt(0.5 / fanIn))
  replaceConstant(graph, node, 1, dims, values)
  if (graph.constantOf(node.input[2])) {
    replaceConstant(graph, node, 2, [classes], new Float32Array(classes))
  }
  const type = graph.typeOf(output)!
  const shape = type.shape!.map((length, at) => (at === 1 ? classes : length))
  graph.forgetShapes()
  graph.setInterface(output, { ...type, shape })
  const changed = graph.toModel()
  verify(changed)
  return changed
}

function opened(model: ModelProto): Graph {
  const graph = new Graph(model)
  dropInitializerInputs(graph)
  inferTypes(graph)
  return graph
}

/** A reshape that counts classes counts the new ones. */
function retarget(graph: Graph, node: NodeProto, before: number, classes: number): void {
  if (!isOp(node, 'Reshape')) return
  const target = numbersOf(graph, node.input[1])
  const at = target?.lastIndexOf(before) ?? -1
  if (!target || at < 1) return
  const wanted = BigInt64Array.from(target.with(at, classes), BigInt)
  const name = graph.addInitializer(tensor(`${node.input[1]}_classes`, [wanted.length], wanted))
  graph.setInput(node, 1, name)
}

/** A bias that is added apart. @returns the layer before it */
function renewBias(graph: Graph, node: NodeProto, classes: number): NodeProto | undefined {
  const at = graph.constantOf(node.input[1]) ? 1 : 0
  const bias = graph.constantOf(node.input[at])
  if (!bias) return node
  const dims = bias.dims.map(Number)
  // The channels are the longest axis.
  dims[dims.indexOf(Math.max(...dims))] = classes
  replaceConstant(graph, node, at, dims, new Float32Array(classes))
  return graph.producerOf(node.input[1 - at]!)
}

/** Under the same name where nobody else reads it. */
function replaceConstant(
  graph: Graph,
  node: NodeProto,
  at: number,
  dims: readonly number[],
  values: Float32Array,
): void {
  const name = node.input[at]!
  const isAlone = graph.initializers.has(name) && graph.usersOf(name).length === 1
  const made = tensor(name, dims, values)
  graph.setInput(node, at, isAlone ? graph.setInitializer(made) : graph.addInitializer(made))
}
