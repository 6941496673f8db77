/** New nodes for a graph, written down one after another; `insert` puts them in. */
import type { Graph } from '../graph/graph.ts'
import { type Attribute, node as makeNode } from '../onnx/build.ts'
import type { NodeProto } from '../onnx/schema.ts'
import { tensor } from '../onnx/tensor.ts'

export class Sketch {
  readonly #nodes: NodeProto[] = []
  readonly #graph: Graph
  readonly #base: string

  /** @param base what new values are named after */
  constructor(graph: Graph, base: string) {
    this.#graph = graph
    this.#base = base
  }

  /** Adds an operator with one output. @returns the value that it makes */
  op(
    opType: string,
    inputs: readonly string[],
    attributes: Readonly<Record<string, Attribute>> = {},
  ): string {
    return this.several(opType, inputs, 1, attributes)[0]!
  }
  /** Adds an operator with several outputs. */
  several(
    opType: string,
    inputs: readonly string[],
    count: number,
    attributes: Readonly<Record<string, Attribute>> = {},
  ): readonly string[] {
    const name = `${this.#base}_${opType.toLowerCase()}`
    const outputs = Array.from({ length: count }, () => this.#graph.freshName(name))
    this.#nodes.push(makeNode(opType, inputs, outputs, attributes))
    return outputs
  }
  floats(what: string, dims: readonly number[], values: readonly number[]): string {
    const name = `${this.#base}_${what}`
    return this.#graph.addInitializer(tensor(name, dims, Float32Array.from(values)))
  }
  ints(what: string, values: readonly number[]): string {
    const name = `${this.#base}_${what}`
    const constant = tensor(name, [values.length], BigInt64Array.from(values, BigInt))
    return this.#graph.addInitializer(constant)
  }
  /** Elements `from` to before `to` along an axis (opset 10 and later). */
  slice(value: string, axis: number, from: number, to: number): string {
    const bounds = [this.ints('from', [from]), this.ints('to', [to]), this.ints('axis', [axis])]
    return this.op('Slice', [value, ...bounds])
  }

  /** Gives what the last operator makes this name, and puts all into the graph. */
  insert(result: string, before?: NodeProto): void {
    this.#nodes.at(-1)!.output[0] = result
    this.#graph.insert(this.#nodes, before)
  }
}
