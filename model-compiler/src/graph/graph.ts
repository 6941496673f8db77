/**
 * A graph that can be changed, as thin as it goes: the nodes and tensors are those of the protobuf, so
 * names and whatever we do not know survive; beside them stand only the indexes that make changing cheap.
 *
 * Every change goes through the methods, which keep the indexes true. Tensors are never changed in place
 * (two graphs may share them): put another one under the name instead.
 */
import { clone, create } from '@bufbuild/protobuf'
import { altered } from '../onnx/altered.ts'
import { OnnxError } from '../onnx/read.ts'
import {
  GraphProtoSchema,
  type ModelProto,
  ModelProtoSchema,
  type NodeProto,
  NodeProtoSchema,
  OperatorSetIdProtoSchema,
  StringStringEntryProtoSchema,
  type TensorProto,
  TensorProtoSchema,
  type ValueInfoProto,
  ValueInfoProtoSchema,
} from '../onnx/schema.ts'
import { tensorOf } from './attributes.ts'
import { typeProtoOf, type ValueType, valueTypeOf } from './value-type.ts'

export class Graph {
  readonly #model: ModelProto
  #nodes: NodeProto[]
  readonly #producers = new Map<string, NodeProto>()
  readonly #users = new Map<string, Set<NodeProto>>()
  readonly #initializers = new Map<string, TensorProto>()
  readonly #types = new Map<string, ValueType>()
  #names: Set<string> | undefined

  /**
   * A graph to change; `model` stays as it is, tensors are shared.
   * @throws {OnnxError} when two nodes make the same value
   */
  constructor(model: ModelProto) {
    const { graph } = model
    if (graph === undefined) throw new OnnxError('Cannot work on a model: it has no graph')
    this.#model = altered(ModelProtoSchema, model, {
      opsetImport: model.opsetImport.map((one) => clone(OperatorSetIdProtoSchema, one)),
      metadataProps: model.metadataProps.map((one) => clone(StringStringEntryProtoSchema, one)),
      graph: altered(GraphProtoSchema, graph, {
        node: [],
        initializer: [],
        input: graph.input.map((one) => clone(ValueInfoProtoSchema, one)),
        output: graph.output.map((one) => clone(ValueInfoProtoSchema, one)),
        valueInfo: graph.valueInfo.map((one) => clone(ValueInfoProtoSchema, one)),
      }),
    })
    for (const tensor of graph.initializer) this.#initializers.set(tensor.name, tensor)
    this.#nodes = graph.node.map((node) => clone(NodeProtoSchema, node))
    for (const node of this.#nodes) this.#index(node)
    for (const { name, type } of [...graph.valueInfo, ...graph.input, ...graph.output]) {
      const known = valueTypeOf(type)
      if (known) this.#types.set(name, known)
    }
  }

  /** Nodes in the order of the file; each comes after those it reads from, once `sort()` has run. */
  get nodes(): readonly NodeProto[] {
    return this.#nodes
  }
  get inputs(): readonly ValueInfoProto[] {
    return this.#model.graph!.input
  }
  /** Inputs that somebody has to give: those without an initializer (before IR 4 each had to be listed). */
  get requiredInputs(): readonly ValueInfoProto[] {
    return this.inputs.filter(({ name }) => !this.#initializers.has(name))
  }
  get outputs(): readonly ValueInfoProto[] {
    return this.#model.graph!.output
  }
  get initializers(): ReadonlyMap<string, TensorProto> {
    return this.#initializers
  }
  /** Of the operators of ONNX itself (domain "" or "ai.onnx"); 1 where none is stated. */
  get opset(): number {
    return this.opsetOf('')
  }
  opsetOf(domain: string): number {
    const said = this.#model.opsetImport.find((one) => plainDomain(one.domain) === domain)
    return Number(said?.version ?? 1n)
  }
  /** States the version of a domain's operators; 0 takes the domain away. */
  setOpset(domain: string, version: number): void {
    const list = this.#model.opsetImport
    const at = list.findIndex((one) => plainDomain(one.domain) === domain)
    if (at >= 0) list.splice(at, 1)
    if (version > 0) {
      const stated = create(OperatorSetIdProtoSchema, { domain, version: BigInt(version) })
      list.splice(at < 0 ? list.length : at, 0, stated)
    }
  }
  get irVersion(): number {
    return Number(this.#model.irVersion)
  }
  set irVersion(version: number) {
    this.#model.irVersion = BigInt(version)
  }

  isInput(value: string): boolean {
    return this.inputs.some(({ name }) => name === value)
  }
  isOutput(value: string): boolean {
    return this.outputs.some(({ name }) => name === value)
  }
  producerOf(value: string): NodeProto | undefined {
    return this.#producers.get(value)
  }
  /** Nodes that read a value, each once, also those that read it in a body (If, Loop, Scan). */
  usersOf(value: string): readonly NodeProto[] {
    return [...(this.#users.get(value) ?? [])]
  }
  /** Read by exactly this one node, and no output of the graph. */
  isReadOnlyBy(value: string, node: NodeProto): boolean {
    const users = this.#users.get(value)
    return users?.size === 1 && users.has(node) && !this.isOutput(value)
  }
  /** The tensor behind a value that no input can change: an initializer, or what a Constant node makes of a tensor. */
  constantOf(value: string | undefined): TensorProto | undefined {
    if (value === undefined || value === '') return undefined
    const tensor = this.#initializers.get(value)
    if (tensor) return this.isInput(value) && this.irVersion >= 4 ? undefined : tensor
    const producer = this.#producers.get(value)
    return producer?.opType === 'Constant' ? tensorOf(producer, 'value') : undefined
  }
  /** What is known: from the file, from an initializer, or from `setType` (shape inference). */
  typeOf(value: string): ValueType | undefined {
    const tensor = this.#initializers.get(value)
    if (tensor) return { elementType: tensor.dataType, shape: tensor.dims.map(Number) }
    return this.#types.get(value)
  }
  /** Inputs and outputs keep what the file says of them: use `setInterface` to change that. */
  setType(value: string, type: ValueType): void {
    this.#types.set(value, type)
  }
  /** Changes what the graph says of one of its inputs or outputs. */
  setInterface(value: string, type: ValueType): void {
    for (const info of [...this.inputs, ...this.outputs]) {
      if (info.name === value) info.type = typeProtoOf(type)
    }
    this.#types.set(value, type)
  }
  /** Forgets the shapes of all values but inputs and constants: they are to be inferred anew. */
  forgetShapes(): void {
    this.#model.graph!.valueInfo = []
    const given = new Set(this.inputs.map(({ name }) => name))
    for (const [value, type] of this.#types) {
      if (!given.has(value)) this.#types.set(value, { ...type, shape: undefined })
    }
  }
  /** Takes an input off the list; its initializer, if there is one, becomes a constant. */
  removeInput(value: string): void {
    const { graph } = this.#model
    graph!.input = graph!.input.filter(({ name }) => name !== value)
  }
  addInput(value: string, type: ValueType): void {
    this.#claim(value)
    this.#model.graph!.input.push(
      create(ValueInfoProtoSchema, { name: value, type: typeProtoOf(type) }),
    )
    this.#types.set(value, type)
  }
  addOutput(value: string, type = this.typeOf(value)): void {
    this.#model.graph!.output.push(
      create(ValueInfoProtoSchema, { name: value, ...(type && { type: typeProtoOf(type) }) }),
    )
  }
  /** The value itself stays, for whoever reads it. */
  removeOutput(value: string): void {
    const { graph } = this.#model
    graph!.output = graph!.output.filter(({ name }) => name !== value)
  }

  /** `base`, or `base` with the first number that nothing in this graph is called yet. */
  freshName(base: string): string {
    this.#names ??= this.#everyName()
    let name = base
    for (let n = 1; this.#names.has(name); n++) name = `${base}_${n}`
    this.#names.add(name)
    return name
  }

  /** Puts a constant under its name, in place of one of that name. */
  setInitializer(tensor: TensorProto): string {
    this.#claim(tensor.name)
    this.#initializers.set(tensor.name, tensor)
    return tensor.name
  }
  /** A constant under a name that nothing has yet. @returns the name */
  addInitializer(tensor: TensorProto): string {
    const name = this.freshName(tensor.name)
    return this.setInitializer(
      name === tensor.name ? tensor : altered(TensorProtoSchema, tensor, { name }),
    )
  }
  removeInitializer(name: string): void {
    this.#initializers.delete(name)
  }

  /** Adds nodes before another, or at the end. @throws {OnnxError} when one makes a value that exists */
  insert(nodes: readonly NodeProto[], before?: NodeProto): void {
    const at = before ? this.#nodes.indexOf(before) : this.#nodes.length
    if (at < 0)
      throw new OnnxError(`Cannot insert before "${before?.name}": it is not in the graph`)
    this.#nodes.splice(at, 0, ...nodes)
    for (const node of nodes) this.#index(node)
  }
  remove(...nodes: readonly NodeProto[]): void {
    const gone = new Set(nodes)
    this.#nodes = this.#nodes.filter((node) => !gone.has(node))
    for (const node of nodes) this.#unindex(node)
  }
  /** Puts nodes where one was; they may make the same values. */
  replace(node: NodeProto, by: readonly NodeProto[]): void {
    const at = this.#nodes.indexOf(node)
    if (at < 0) throw new OnnxError(`Cannot replace "${node.name}": it is not in the graph`)
    this.#unindex(node)
    this.#nodes.splice(at, 1, ...by)
    for (const one of by) this.#index(one)
  }
  /** Changes a node by hand (its inputs, outputs, operator) and keeps the indexes true. */
  edit(node: NodeProto, change: (node: NodeProto) => void): void {
    this.#unindex(node)
    change(node)
    this.#index(node)
  }
  setInput(node: NodeProto, at: number, value: string): void {
    this.edit(node, ({ input }) => {
      while (input.length < at) input.push('')
      input[at] = value
    })
  }
  /** Whoever reads `from` reads `to` instead, bodies included; outputs of the graph keep their value. */
  redirect(from: string, to: string): void {
    for (const node of this.usersOf(from)) {
      this.edit(node, () => renameReads(node, from, to))
    }
  }
  /**
   * Takes away a node whose output equals one of its inputs. An output of the graph keeps its name: then the
   * value before the node takes it.
   * @returns false, with nothing changed, where both names are the graph's own and the node has to stay
   */
  bypass(node: NodeProto, input = node.input[0] ?? '', output = node.output[0] ?? ''): boolean {
    if (!this.isOutput(output)) {
      this.remove(node)
      this.redirect(output, input)
      return true
    }
    const producer = this.#producers.get(input)
    if (producer === undefined || this.isOutput(input)) return false
    this.remove(node)
    this.edit(producer, () => {
      producer.output = producer.output.map((one) => (one === input ? output : one))
    })
    this.redirect(input, output)
    return true
  }

  /** Brings the nodes into an order in which each comes after those it reads from, else as they are. @throws {OnnxError} on a cycle, which it names */
  sort(): void {
    const sorted: NodeProto[] = []
    const state = new Map<NodeProto, 'open' | 'done'>()
    for (const first of this.#nodes) {
      // Deep chains are common, so no recursion.
      const stack = [first]
      while (stack.length > 0) {
        const node = stack.at(-1)!
        if (state.get(node) === 'done') {
          stack.pop()
          continue
        }
        const waiting =
          state.get(node) === 'open'
            ? []
            : readsOf(node)
                .map((value) => this.#producers.get(value))
                .filter((one) => one !== undefined && state.get(one) !== 'done')
        if (waiting.length === 0) {
          state.set(node, 'done')
          sorted.push(node)
          stack.pop()
          continue
        }
        state.set(node, 'open')
        const loop = waiting.find((one) => state.get(one!) === 'open')
        if (loop) {
          throw new OnnxError(
            `Cannot order the nodes: "${loop.name || loop.output[0]}" (${loop.opType}) depends on itself`,
          )
        }
        stack.push(...(waiting.toReversed() as NodeProto[]))
      }
    }
    this.#nodes = sorted
  }

  /** Sets free text that travels with the model; undefined takes it away. */
  setMetadata(key: string, value: string | undefined): void {
    const list = this.#model.metadataProps
    const at = list.findIndex((one) => one.key === key)
    if (at >= 0) list.splice(at, 1)
    if (value !== undefined) {
      list.push(create(ModelProtoSchema, { metadataProps: [{ key, value }] }).metadataProps[0]!)
    }
  }
  metadata(key: string): string | undefined {
    return this.#model.metadataProps.find((one) => one.key === key)?.value
  }

  /** The graph as a model. What later changes here does not show in it; value types of values that are gone are left out. */
  toModel(): ModelProto {
    const { graph } = this.#model
    const alive = new Set([...this.#producers.keys(), ...this.#initializers.keys()])
    for (const { name } of this.inputs) alive.add(name)
    return altered(ModelProtoSchema, this.#model, {
      opsetImport: this.#model.opsetImport.map((one) => clone(OperatorSetIdProtoSchema, one)),
      metadataProps: this.#model.metadataProps.map((one) =>
        clone(StringStringEntryProtoSchema, one),
      ),
      graph: altered(GraphProtoSchema, graph!, {
        node: this.#nodes.map((node) => clone(NodeProtoSchema, node)),
        initializer: [...this.#initializers.values()],
        input: this.inputs.map((one) => clone(ValueInfoProtoSchema, one)),
        output: this.outputs.map((one) => clone(ValueInfoProtoSchema, one)),
        valueInfo: graph!.valueInfo.filter(({ name }) => alive.has(name)),
      }),
    })
  }

  #index(node: NodeProto): void {
    for (const value of node.output) {
      if (value === '') continue
      const other = this.#producers.get(value)
      if (other && other !== node) {
        throw new OnnxError(
          `Cannot add node "${node.name}" (${node.opType}): "${other.name}" (${other.opType}) already makes "${value}"`,
        )
      }
      this.#producers.set(value, node)
      this.#claim(value)
    }
    for (const value of readsOf(node)) {
      const users = this.#users.get(value)
      if (users) users.add(node)
      else this.#users.set(value, new Set([node]))
    }
  }
  #unindex(node: NodeProto): void {
    for (const value of node.output) {
      if (this.#producers.get(value) === node) this.#producers.delete(value)
    }
    for (const value of readsOf(node)) this.#users.get(value)?.delete(node)
  }
  #claim(name: string): void {
    this.#names?.add(name)
  }
  #everyName(): Set<string> {
    const names = new Set([...this.#initializers.keys(), ...this.#users.keys()])
    for (const { name } of this.inputs) names.add(name)
    for (const node of this.#nodes) for (const name of namesIn(node)) names.add(name)
    return names
  }
}

const plainDomain = (domain: string): string => (domain === 'ai.onnx' ? '' : domain)

/** Graphs that a node carries (If, Loop, Scan). */
export const bodiesOf = (node: NodeProto) =>
  node.attribute.flatMap(({ g, graphs }) => (g ? [g, ...graphs] : graphs))

/** Values that a node reads from the graph it stands in, those that its bodies read included. */
export function readsOf(node: NodeProto): readonly string[] {
  const own = node.input.filter((value) => value !== '')
  const bodies = bodiesOf(node)
  if (bodies.length === 0) return own
  return [...own, ...bodies.flatMap(outerReadsOf)]
}

function outerReadsOf(body: ReturnType<typeof bodiesOf>[number]): string[] {
  const local = new Set([
    ...body.input.map(({ name }) => name),
    ...body.initializer.map(({ name }) => name),
    ...body.node.flatMap(({ output }) => output),
  ])
  const read = [...body.node.flatMap(readsOf), ...body.output.map(({ name }) => name)]
  return read.filter((value) => !local.has(value))
}

function renameReads(node: NodeProto, from: string, to: string): void {
  node.input = node.input.map((value) => (value === from ? to : value))
  for (const body of bodiesOf(node)) {
    if (!outerReadsOf(body).includes(from)) continue
    for (const inner of body.node) renameReads(inner, from, to)
    for (const output of body.output) if (output.name === from) output.name = to
  }
}

function namesIn(node: NodeProto): string[] {
  return [
    node.name,
    ...node.input,
    ...node.output,
    ...bodiesOf(node).flatMap((body) => [
      ...body.node.flatMap(namesIn),
      ...body.input.map(({ name }) => name),
      ...body.initializer.map(({ name }) => name),
    ]),
  ]
}
