/**
 * Types and shapes of all values, from those of the inputs: node by node in order, each by the function of
 * its operator (`operators/`). What a file says of its inner values is used only where inference knows less.
 */
import type { Graph } from '../graph/graph.ts'
import { type Dimension, type ValueType, valueTypeOf } from '../graph/value-type.ts'
import { OnnxError } from '../onnx/read.ts'
import type { GraphProto, NodeProto, TensorProto } from '../onnx/schema.ts'
import { valuesOfTensor } from './constants.ts'
import { mergeDimension, type Shape, shapeText } from './dimensions.ts'
import { type Inferred, inferred, NodeFacts } from './node-facts.ts'
import { inferenceOf } from './operators/index.ts'

/** More faults are counted, not listed. */
export const faultsMax = 100
/** Bodies within bodies; deeper ones are not looked into. */
const depthMax = 16

export type TypeInference = {
  /** What cannot be: the node, and why; at most `faultsMax`. */
  readonly faults: readonly string[]
  /** Values of which the type, or even the rank, is not known. */
  readonly unknown: readonly string[]
  /** Elements of values that are known before the graph runs, in row-major order, where they are few. */
  readonly values: ReadonlyMap<string, readonly Dimension[]>
}

/**
 * Infers the type of every value and sets it in the graph (`typeOf`). Sorts the nodes. Never throws for what
 * is wrong in a model but a cycle: faults are listed, and what they touch is unknown.
 * @throws {OnnxError} on a cycle
 */
export function inferTypes(graph: Graph): TypeInference {
  graph.sort()
  const walk = new Walk(graph)
  const scope: Scope = new Map()
  for (const [name, tensor] of graph.initializers) {
    scope.set(name, walk.constant(tensor, graph.constantOf(name) !== undefined))
  }
  for (const { name, type } of graph.inputs) {
    if (!scope.has(name)) scope.set(name, valueTypeOf(type))
  }
  walk.nodes(graph.nodes, scope, (name) => graph.typeOf(name))
  const unknown: string[] = []
  const values = new Map<string, readonly Dimension[]>()
  for (const [name, type] of scope) {
    if (type?.shape === undefined || type.elementType === 0) unknown.push(name)
    if (type?.values) values.set(name, type.values)
    if (type && !graph.initializers.has(name)) {
      graph.setType(name, { elementType: type.elementType, shape: type.shape })
    }
  }
  return { faults: walk.faults, unknown, values }
}

type Scope = Map<string, Inferred | undefined>

class Walk {
  readonly faults: string[] = []
  readonly #graph: Graph
  #depth = 0

  constructor(graph: Graph) {
    this.#graph = graph
  }

  constant(tensor: TensorProto, fixed: boolean): Inferred {
    try {
      if (fixed) return valuesOfTensor(tensor)
    } catch (error) {
      this.#fault(`tensor "${tensor.name}"`, error)
    }
    return inferred(tensor.dataType, tensor.dims.map(Number))
  }

  /** @param declared what the file says of a value, if anything */
  nodes(
    nodes: readonly NodeProto[],
    scope: Scope,
    declared: (name: string) => ValueType | undefined,
  ): void {
    for (const node of nodes) {
      const results = this.#results(node, scope)
      for (const [at, name] of node.output.entries()) {
        if (name === '') continue
        scope.set(name, this.#merged(node, name, results[at], declared(name)))
      }
    }
  }

  #results(node: NodeProto, scope: Scope): readonly (Inferred | undefined)[] {
    const domain = node.domain === 'ai.onnx' ? '' : node.domain
    const infer = inferenceOf(domain, node.opType)
    if (!infer) return []
    const inputs = node.input.map((name) => scope.get(name))
    const inferBody: NodeFacts['inferBody'] = (body, given) => this.#body(body, scope, given)
    try {
      return infer(new NodeFacts(node, this.#graph.opsetOf(domain), inputs, inferBody)).map(sane)
    } catch (error) {
      this.#fault(`"${node.name || node.output[0]}" (${node.opType})`, error)
      return []
    }
  }

  #body(
    body: GraphProto,
    outer: Scope,
    given: readonly (Inferred | undefined)[] = [],
  ): readonly (Inferred | undefined)[] {
    if (this.#depth >= depthMax) return []
    const scope: Scope = new Map(outer)
    for (const tensor of body.initializer) scope.set(tensor.name, this.constant(tensor, true))
    for (const [at, { name, type }] of body.input.entries()) {
      scope.set(name, given[at] ?? valueTypeOf(type))
    }
    const declared = new Map(body.valueInfo.map(({ name, type }) => [name, valueTypeOf(type)]))
    this.#depth += 1
    this.nodes(body.node, scope, (name) => declared.get(name))
    this.#depth -= 1
    return body.output.map(({ name, type }) => scope.get(name) ?? valueTypeOf(type))
  }

  #merged(
    node: NodeProto,
    name: string,
    own: Inferred | undefined,
    said: ValueType | undefined,
  ): Inferred | undefined {
    if (!own || !said) return own ?? said
    const elementType = own.elementType || said.elementType
    if (!own.shape || !said.shape) return { ...own, elementType, shape: own.shape ?? said.shape }
    try {
      return { ...own, elementType, shape: mergedShape(own.shape, said.shape) }
    } catch {
      this.#fault(
        `"${name}", made by "${node.name || name}" (${node.opType})`,
        new OnnxError(
          `the file says ${shapeText(said.shape)}, it comes out as ${shapeText(own.shape)}`,
        ),
      )
      return { ...own, elementType }
    }
  }

  #fault(where: string, error: unknown): void {
    if (!(error instanceof OnnxError)) throw error
    if (this.faults.length < faultsMax) this.faults.push(`${where}: ${error.message}`)
  }
}

function mergedShape(own: Shape, said: Shape): Shape {
  if (own.length !== said.length) throw new OnnxError('ranks differ')
  return own.map((dimension, axis) => mergeDimension(dimension, said[axis]))
}

/** A length below zero or beyond every machine comes from nonsense in the model. */
function sane(result: Inferred | undefined): Inferred | undefined {
  for (const dimension of result?.shape ?? []) {
    if (typeof dimension === 'number' && !(Number.isSafeInteger(dimension) && dimension >= 0)) {
      throw new OnnxError(`its result would have the shape ${shapeText(result?.shape)}`)
    }
  }
  return result
}
