/**
 * Whether a model makes sense: everything that is wrong with it, not the first thing. It looks at what is written, then
 * at what inference makes of it; it never runs the model.
 */
import { nearestName } from '@edgeloop/protocol/nearest'
import {
  knownDomains,
  knownOperators,
  type OperatorFacts,
  operatorFacts,
} from '../onnx/operators.ts'
import { OnnxError } from '../onnx/read.ts'
import type {
  AttributeProto,
  GraphProto,
  ModelProto,
  NodeProto,
  TensorProto,
  TypeProto,
} from '../onnx/schema.ts'
import { numberTypeOf, valuesOf } from '../onnx/tensor.ts'
import { attributeTypes, bitsOf, tensorTypeName, tensorTypes } from '../onnx/types.ts'
import { inferTypes } from '../shapes/infer-types.ts'
import { bodiesOf, Graph } from './graph.ts'
import { staticShape } from './value-type.ts'

/** The operator sets of ONNX that the compiler reads. */
export const opsetMin = 7
export const opsetMax = 21
/** More faults are counted, not listed. */
export const faultsMax = 50
/** A value with more elements is beyond every machine that a model is compiled for. */
export const elementsMax = 2 ** 32
/** Bodies within bodies; no exporter comes near. */
const depthMax = 16

export type VerifyOptions = {
  /** Shown in errors. */
  readonly name?: string
  /** Operator sets that are taken (default 7…21). */
  readonly opsets?: readonly [min: number, max: number]
}

/**
 * Checks a model or a graph.
 * @throws {OnnxError} with the list of all faults (at most `faultsMax`, then a count)
 */
export function verify(subject: Graph | ModelProto, options: VerifyOptions = {}): void {
  const { faults, count } = findFaults(subject, options)
  if (count === 0) return
  const name = options.name === undefined ? 'the model' : `"${options.name}"`
  const rest = count > faults.length ? [`and ${count - faults.length} more`] : []
  throw new OnnxError(
    count === 1
      ? `Cannot use ${name}: ${faults[0]}`
      : `Cannot use ${name}, it has ${count} faults:\n${[...faults, ...rest].map((one) => `  ${one}`).join('\n')}`,
  )
}

/** The same without throwing: the first faults, and how many there are. */
export function findFaults(
  subject: Graph | ModelProto,
  options: VerifyOptions = {},
): { readonly faults: readonly string[]; readonly count: number } {
  const model = subject instanceof Graph ? subject.toModel() : subject
  const check = new Check(model, options)
  check.run()
  return { faults: check.faults, count: check.count }
}

/** A name from the file as it may stand in a sentence. */
function quoted(name: string): string {
  return JSON.stringify(name.length > 80 ? `${name.slice(0, 79)}…` : name)
}
const titleOf = (node: NodeProto): string =>
  `${quoted(node.name || (node.output[0] ?? ''))} (${quoted(node.opType).slice(1, -1)})`

class Check {
  readonly faults: string[] = []
  count = 0
  readonly #model: ModelProto
  readonly #options: VerifyOptions
  readonly #versions: ReadonlyMap<string, number>
  readonly #functions: ReadonlySet<string>
  readonly #unknownDomains = new Set<string>()
  readonly #unknownOperators = new Set<string>()
  #inferable = true

  constructor(model: ModelProto, options: VerifyOptions) {
    this.#model = model
    this.#options = options
    this.#versions = new Map(
      model.opsetImport.map(({ domain, version }) => [plainDomain(domain), Number(version)]),
    )
    this.#functions = new Set(
      model.functions.map(({ domain, name }) => `${plainDomain(domain)}:${name}`),
    )
  }

  run(): void {
    const { graph } = this.#model
    if (!graph) {
      this.#fault('it has no graph')
      return
    }
    this.#opset()
    this.#graph(graph, new Set(), 0)
    if (this.#inferable) this.#inference()
  }

  #fault(text: string): void {
    this.count += 1
    if (this.faults.length < faultsMax) this.faults.push(text)
  }

  /** `; did you mean …?`, within bounds: names in a hostile file are long and many. */
  #near(name: string, known: Iterable<string>): string {
    if (this.faults.length >= faultsMax || name.length > 64) return ''
    const candidates = Iterator.from(known).filter((one) => one !== '' && one.length <= 64)
    const near = nearestName(name, candidates.take(500))
    return near === undefined ? '' : `; did you mean ${quoted(near)}?`
  }

  #opset(): void {
    const [min, max] = this.#options.opsets ?? [opsetMin, opsetMax]
    const version = this.#versions.get('')
    if (version !== undefined && (version < min || version > max)) {
      this.#fault(
        `its operator set is ${version}, and ${min} to ${max} are read; export it again with one of these`,
      )
    }
    const domains = this.#model.opsetImport.map(({ domain }) => plainDomain(domain))
    for (const domain of new Set(domains.filter((one, at) => domains.indexOf(one) !== at))) {
      this.#fault(`it states the version of domain ${quoted(domain)} twice`)
    }
  }

  #graph(graph: GraphProto, outer: ReadonlySet<string>, depth: number): void {
    if (depth > depthMax) {
      this.#inferable = false
      this.#fault(`its bodies lie more than ${depthMax} deep`)
      return
    }
    const made = new Map<string, string>()
    const make = (value: string, by: string) => {
      const other = made.get(value)
      if (other === undefined) made.set(value, by)
      else {
        this.#inferable = false
        this.#fault(`value ${quoted(value)} is made twice, by ${other} and by ${by}`)
      }
    }
    for (const { name, type } of graph.input) {
      make(name, 'the inputs')
      this.#type(`input ${quoted(name)}`, type)
    }
    const tensors = new Set<string>()
    for (const tensor of graph.initializer) {
      if (tensors.has(tensor.name)) this.#fault(`tensor ${quoted(tensor.name)} is there twice`)
      tensors.add(tensor.name)
      // A tensor may stand beside an input of its name: it is the input's default.
      if (!made.has(tensor.name)) made.set(tensor.name, 'the tensors')
      this.#tensor(`tensor ${quoted(tensor.name)}`, tensor)
    }
    for (const { values } of graph.sparseInitializer) {
      if (values) made.set(values.name, 'the sparse tensors')
    }
    for (const node of graph.node) {
      for (const value of node.output) if (value !== '') make(value, titleOf(node))
    }
    for (const { name, type } of graph.output) {
      if (!made.has(name) && !outer.has(name)) {
        this.#fault(`output ${quoted(name)} is made by nothing`)
      }
      this.#type(`output ${quoted(name)}`, type)
    }
    const visible = outer.size === 0 ? new Set(made.keys()) : new Set([...outer, ...made.keys()])
    for (const node of graph.node) this.#node(node, visible, depth)
    this.#cycle(graph)
  }

  #node(node: NodeProto, visible: ReadonlySet<string>, depth: number): void {
    const title = titleOf(node)
    for (const value of new Set(node.input)) {
      if (value !== '' && !visible.has(value)) {
        const near = this.#near(value, visible)
        this.#fault(`${title} reads ${quoted(value)}, which nothing makes${near}`)
      }
    }
    const facts = this.#operator(node, title)
    const names = new Set<string>()
    for (const attribute of node.attribute) {
      if (names.has(attribute.name)) {
        this.#fault(`${title} has attribute ${quoted(attribute.name)} twice`)
      }
      names.add(attribute.name)
      if (facts?.attributes) this.#attribute(title, attribute, facts.attributes)
      // Operators on trees separate their sets with NaN.
      if (attribute.t && plainDomain(node.domain) === '')
        this.#tensor(`${title}, attribute ${quoted(attribute.name)}`, attribute.t)
    }
    if (facts) this.#counts(node, title, facts)
    for (const body of bodiesOf(node)) this.#graph(body, visible, depth + 1)
  }

  #operator(node: NodeProto, title: string): OperatorFacts | undefined {
    const domain = plainDomain(node.domain)
    const { opType } = node
    if (this.#functions.has(`${domain}:${opType}`)) return undefined
    const version = this.#versions.get(domain)
    if (!knownDomains().includes(domain)) {
      if (!this.#unknownDomains.has(domain)) {
        this.#unknownDomains.add(domain)
        const near = this.#near(domain, knownDomains().filter(Boolean))
        this.#fault(`${title} is of domain ${quoted(domain)}, which is not known${near}`)
      }
      return undefined
    }
    if (version === undefined && (domain !== '' || this.#model.opsetImport.length > 0)) {
      if (!this.#unknownDomains.has(domain)) {
        this.#unknownDomains.add(domain)
        this.#fault(
          `${title} is of domain ${quoted(domain)}, whose version the model does not state`,
        )
      }
    }
    const facts = operatorFacts(domain, opType)
    if (!facts) {
      if (!this.#unknownOperators.has(opType)) {
        this.#unknownOperators.add(opType)
        const near = this.#near(opType, knownOperators(domain))
        this.#fault(
          `operator ${quoted(opType)} of ${quoted(node.name || (node.output[0] ?? ''))} is not known${near}`,
        )
      }
      return undefined
    }
    if (version === undefined) return facts
    const first = facts.since[0] ?? facts.until ?? 1
    if (version < first) {
      this.#fault(`${title} is there since operator set ${first}, and the model states ${version}`)
    } else if (isGone(facts, version)) {
      this.#fault(
        `${title} is gone since operator set ${facts.until}, and the model states ${version}`,
      )
    }
    return facts
  }

  #counts(node: NodeProto, title: string, facts: OperatorFacts): void {
    const given = lastGiven(node.input)
    const [min, max] = facts.inputs
    const required = node.input.slice(0, min)
    if (given > max) this.#fault(`${title} has ${given} inputs, at most ${max} are read`)
    else if (given < min) this.#fault(`${title} has ${given} inputs, at least ${min} are needed`)
    else if (required.includes('')) {
      this.#fault(`${title} lacks its input ${required.indexOf('') + 1}`)
    }
    const [fewest, most] = facts.outputs
    const outputs = lastGiven(node.output)
    if (outputs > most) this.#fault(`${title} has ${outputs} outputs, at most ${most} are made`)
    else if (outputs < fewest) {
      this.#fault(`${title} has ${outputs} outputs, at least ${fewest} are needed`)
    }
  }

  #attribute(
    title: string,
    attribute: AttributeProto,
    known: ReadonlyMap<string, readonly string[]>,
  ): void {
    const { name, type } = attribute
    const types = known.get(name)
    if (!types) {
      const near = this.#near(name, known.keys())
      this.#fault(
        `${title} has an attribute ${quoted(name)}, which the operator does not know${near}`,
      )
      return
    }
    // Files before IR 2 do not state the type; a reference in a function takes it from there.
    if (type === 0 || attribute.refAttrName !== '') return
    if (!types.some((one) => attributeTypes[one as keyof typeof attributeTypes] === type)) {
      const own = Object.entries(attributeTypes).find(([, number]) => number === type)?.[0]
      this.#fault(
        `${title} has attribute ${quoted(name)} as ${own ?? `type ${type}`}, it has to be ${types.join(' or ')}`,
      )
    }
  }

  #type(where: string, type: TypeProto | undefined): void {
    if (type?.value.case !== 'tensorType') return
    const { elemType, shape } = type.value.value
    if (elemType !== 0 && tensorTypeName(elemType).startsWith('type ')) {
      this.#fault(`${where} has elements of ${elemType}, which is no type`)
    }
    for (const { value } of shape?.dim ?? []) {
      if (value.case === 'dimValue' && (value.value < -1n || value.value > BigInt(elementsMax))) {
        this.#fault(`${where} has a dimension of ${value.value}`)
      }
    }
  }

  #tensor(where: string, tensor: TensorProto): void {
    const { dataType, dims } = tensor
    const size = dims.reduce((product, dim) => product * Number(dim), 1)
    if (dims.some((dim) => dim < 0n) || !(size <= elementsMax)) {
      this.#inferable = false
      this.#fault(`${where} has the dimensions ${dims.slice(0, 16).join('×')}`)
      return
    }
    const bits = bitsOf(dataType)
    if (dataType === tensorTypes.string) return
    if (bits === undefined) {
      this.#fault(`${where} has elements of type ${dataType}`)
      return
    }
    if (tensor.externalData.length > 0) return
    if (numberTypeOf(dataType) === undefined) {
      const bytes = Math.ceil((size * bits) / 8)
      if (tensor.rawData.length > 0 && tensor.rawData.length !== bytes) {
        this.#fault(
          `${where} holds ${bytes} bytes by its dimensions, ${tensor.rawData.length} are there`,
        )
      }
      return
    }
    this.#values(where, tensor)
  }

  #values(where: string, tensor: TensorProto): void {
    let values: ReturnType<typeof valuesOf>
    try {
      values = valuesOf(tensor)
    } catch (error) {
      if (!(error instanceof OnnxError)) throw error
      this.#inferable = false
      this.#fault(`${where}: ${error.message.replace(/^.*?: /, '')}`)
      return
    }
    if (
      !(
        values instanceof Float32Array ||
        values instanceof Float64Array ||
        values instanceof Float16Array
      )
    )
      return
    let nan = 0
    let infinite = 0
    for (const value of values as Float32Array) {
      if (Number.isFinite(value)) continue
      if (Number.isNaN(value)) nan += 1
      else infinite += 1
    }
    if (nan > 0) this.#fault(`${where} holds NaN ${nan} times among ${values.length} values`)
    // A single infinity bounds a Clip, and a mask is made of them where it is minus infinity.
    const weight = infinite > 0 && this.#isWeight(tensor.name)
    if (weight)
      this.#fault(`${where} holds infinity ${infinite} times among ${values.length} weights`)
  }

  #isWeight(name: string): boolean {
    return this.#model.graph?.node.some((node) => weightsOf(node).includes(name)) ?? false
  }

  #cycle(graph: GraphProto): void {
    const producers = new Map<string, NodeProto>()
    for (const node of graph.node) for (const value of node.output) producers.set(value, node)
    const state = new Map<NodeProto, 'open' | 'done'>()
    for (const first of graph.node) {
      const stack = [first]
      while (stack.length > 0) {
        const node = stack.at(-1)!
        if (state.has(node)) {
          state.set(node, 'done')
          stack.pop()
          continue
        }
        state.set(node, 'open')
        for (const value of node.input) {
          const before = value === '' ? undefined : producers.get(value)
          if (before && state.get(before) === 'open') {
            this.#inferable = false
            this.#fault(`${titleOf(before)} depends on itself, by ${quoted(value)}`)
            return
          }
          if (before && !state.has(before)) stack.push(before)
        }
      }
    }
  }

  #inference(): void {
    let graph: Graph
    try {
      graph = new Graph(this.#model)
      for (const fault of inferTypes(graph).faults) this.#fault(fault)
    } catch (error) {
      if (!(error instanceof OnnxError)) throw error
      this.#fault(error.message)
      return
    }
    for (const { output } of graph.nodes) {
      for (const value of output) {
        const shape = staticShape(graph.typeOf(value))
        if (shape && shape.reduce((product, dim) => product * dim, 1) > elementsMax) {
          this.#fault(`value ${quoted(value)} would have the shape ${shape.join('×')}`)
        }
      }
    }
  }
}

/** Since its last change at or before a version. */
function isGone({ since, until }: OperatorFacts, version: number): boolean {
  if (until === undefined || version < until) return false
  return !since.some((one) => one > until && one <= version)
}

/** Inputs that hold what was learned, by operator. */
const weighted: Readonly<Record<string, readonly number[]>> = {
  Conv: [1, 2],
  ConvTranspose: [1, 2],
  Gemm: [0, 1, 2],
  MatMul: [0, 1],
  BatchNormalization: [1, 2, 3, 4],
  InstanceNormalization: [1, 2],
  LayerNormalization: [1, 2],
  PRelu: [1],
  LSTM: [1, 2, 3],
  GRU: [1, 2, 3],
}

const weightsOf = (node: NodeProto): string[] =>
  (Object.hasOwn(weighted, node.opType) ? weighted[node.opType]! : []).flatMap(
    (at) => node.input[at] ?? [],
  )

const plainDomain = (domain: string): string => (domain === 'ai.onnx' ? '' : domain)

/** Position of the last name that is not left out. */
const lastGiven = (names: readonly string[]): number =>
  names.findLastIndex((name) => name !== '') + 1
