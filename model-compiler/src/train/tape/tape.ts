/**
 * The tape writes a step graph down: operators of ONNX, one after another, each with the static shape that the compiler's
 * own inference gives it. Beside what can be differentiated it notes how a gradient goes back, and `gradients` plays the notes
 * from the last to the first, which writes the backward half of the same graph.
 */
import { create } from '@bufbuild/protobuf'
import { staticShape } from '../../graph/value-type.ts'
import { altered } from '../../onnx/altered.ts'
import { type Attribute, node as makeNode, model, value } from '../../onnx/build.ts'
import { OnnxError } from '../../onnx/read.ts'
import {
  type ModelProto,
  type NodeProto,
  NodeProtoSchema,
  OperatorSetIdProtoSchema,
  type TensorProto,
  TensorProtoSchema,
} from '../../onnx/schema.ts'
import { type Numbers, type NumberTypeName, tensor } from '../../onnx/tensor.ts'
import { type TensorTypeName, tensorTypeName, tensorTypes } from '../../onnx/types.ts'
import { valuesOfTensor } from '../../shapes/constants.ts'
import { shapeText } from '../../shapes/dimensions.ts'
import { type Inferred, inferred, NodeFacts, valuesMax } from '../../shapes/node-facts.ts'
import { inferenceOf } from '../../shapes/operators/index.ts'
import * as activations from './activations.ts'
import * as arithmetic from './arithmetic.ts'
import * as matrices from './matrices.ts'
import * as reductions from './reductions.ts'
import * as shaping from './shaping.ts'
import { type Backward, type BackwardOfSeveral, type Operand, type Sym, sizeOf } from './sym.ts'

export type { Backward, BackwardOfSeveral, Operand, Sym } from './sym.ts'

export type Naming = {
  /** The value's name; made from the scope and the operator where it is left out, numbered where it is taken. */
  readonly name?: string
  /** Of the operator (default: ONNX's own). */
  readonly domain?: string
}

/** Operators of the step graph are those of this set. */
export const stepOpset = 21

type Note = {
  readonly inputs: readonly Sym[]
  readonly outputs: readonly Sym[]
  readonly backward: BackwardOfSeveral
}

export class Tape {
  readonly #nodes: NodeProto[] = []
  readonly #inputs: Sym[] = []
  readonly #constants = new Map<string, TensorProto>()
  /** Constants by content, so that each axis list and each number stands in the graph once. */
  readonly #shared = new Map<string, Sym>()
  readonly #known = new Map<string, Inferred>()
  readonly #syms = new Map<string, Sym>()
  readonly #names = new Set<string>()
  readonly #numbering = new Map<string, number>()
  readonly #notes: Note[] = []
  #scope = ''
  #recording = true

  /** What has to be fed, in order. */
  get inputs(): readonly Sym[] {
    return this.#inputs
  }
  get nodes(): readonly NodeProto[] {
    return this.#nodes
  }

  /**
   * A value that is fed at each step.
   * @throws {OnnxError} when the name is taken: feeds are addressed by it
   */
  input(
    name: string,
    type: TensorTypeName,
    shape: readonly number[],
    options: { readonly needsGradient?: boolean } = {},
  ): Sym {
    if (this.#names.has(name)) {
      throw new OnnxError(`Cannot add input "${name}" to the step graph: the name is taken`)
    }
    this.#names.add(name)
    const sym = this.#add(name, type, shape, options.needsGradient ?? false)
    this.#known.set(name, inferred(tensorTypes[type], shape))
    this.#inputs.push(sym)
    return sym
  }

  /** A tensor that never changes. Small ones of equal content are one. */
  constant(
    shape: readonly number[],
    values: Numbers | readonly number[],
    options: { readonly type?: NumberTypeName; readonly name?: string } = {},
  ): Sym {
    const type = options.type ?? (Array.isArray(values) ? 'float32' : undefined)
    const numbers = Array.isArray(values)
      ? numbersOfType(type as NumberTypeName, values)
      : (values as Numbers)
    const made = tensor('', shape, numbers, type)
    const typeName = tensorTypeName(made.dataType) as TensorTypeName
    const few = numbers.length <= valuesMax
    const key = few ? `${typeName} ${shape.join('x')} ${keyOf(numbers)}` : undefined
    const shared = key === undefined ? undefined : this.#shared.get(key)
    if (shared) return shared
    const name = this.freshName(options.name ?? this.#named('constant'))
    made.name = name
    this.#constants.set(name, made)
    const known = few ? Array.from(numbers as ArrayLike<number | bigint>, Number) : undefined
    this.#known.set(name, inferred(made.dataType, shape, known))
    const sym = this.#add(name, typeName, shape, false)
    if (key !== undefined) this.#shared.set(key, sym)
    return sym
  }
  /** A tensor of a model, under its own name where that is free. */
  adopt(constant: TensorProto): Sym {
    const name = this.freshName(constant.name)
    const shape = constant.dims.map(Number)
    this.#constants.set(
      name,
      name === constant.name ? constant : altered(TensorProtoSchema, constant, { name }),
    )
    this.#known.set(name, { ...valuesOfTensor(constant) })
    return this.#add(name, tensorTypeName(constant.dataType) as TensorTypeName, shape, false)
  }
  /** What is known of a value by its name. */
  symOf(name: string): Sym | undefined {
    return this.#syms.get(name)
  }
  /** One float32. */
  scalar(number: number): Sym {
    return this.constant([], [number])
  }
  /** A list of int64, as axes, shapes and bounds are given to operators. */
  ints(values: readonly number[]): Sym {
    return this.constant([values.length], values, { type: 'int64' })
  }
  /** The elements of a value where they are few and known before anything runs. */
  valuesOf(sym: Sym): readonly number[] | undefined {
    const values = this.#known.get(sym.name)?.values
    return values?.every((one) => typeof one === 'number') ? (values as number[]) : undefined
  }

  /**
   * Adds an operator with one output, through which no gradient flows.
   * @param inputs undefined leaves an optional one out
   * @throws {OnnxError} when the shape of the result is not known, or the inputs do not fit each other
   */
  emit(
    opType: string,
    inputs: readonly (Sym | undefined)[],
    attributes: Readonly<Record<string, Attribute>> = {},
    naming: Naming = {},
  ): Sym {
    return this.emitSeveral(opType, inputs, 1, attributes, naming)[0]!
  }
  /** Adds an operator with several outputs. */
  emitSeveral(
    opType: string,
    inputs: readonly (Sym | undefined)[],
    count: number,
    attributes: Readonly<Record<string, Attribute>> = {},
    naming: Naming & { readonly names?: readonly (string | undefined)[] } = {},
  ): readonly Sym[] {
    const base = naming.name ?? this.#named(opType.toLowerCase())
    const outputs = Array.from({ length: count }, (_, at) =>
      this.freshName(naming.names?.[at] ?? base),
    )
    const names = inputs.map((one) => one?.name ?? '')
    while (names.at(-1) === '') names.pop()
    const node = makeNode(opType, names, outputs, attributes)
    node.domain = naming.domain ?? ''
    return this.#append(node)
  }
  /**
   * Adds a node as it stands in a model, under its own names where they are free; no gradient flows through it.
   * @param inputs instead of those that the node names
   */
  copy(node: NodeProto, inputs: readonly (Sym | undefined)[]): readonly (Sym | undefined)[] {
    const outputs = node.output.map((name) => (name === '' ? '' : this.freshName(name)))
    const made = makeNode(
      node.opType,
      inputs.map((one) => one?.name ?? ''),
      outputs,
    )
    made.domain = node.domain
    made.attribute = node.attribute
    const syms = new Map(this.#append(made).map((sym) => [sym.name, sym]))
    return outputs.map((name) => syms.get(name))
  }

  /**
   * Says how the gradient of `output` goes back to `inputs`. `backward` is called at most once, after all gradients of
   * the output are summed, and should not make what no input needs.
   * @returns the output as what has a gradient; as it was, where none of the inputs has one
   */
  record(inputs: readonly Sym[], output: Sym, backward: Backward): Sym {
    return this.recordSeveral(inputs, [output], ([gradient]) => backward(gradient!))[0]!
  }
  recordSeveral(
    inputs: readonly Sym[],
    outputs: readonly Sym[],
    backward: BackwardOfSeveral,
  ): readonly Sym[] {
    if (!this.#recording || !inputs.some((one) => one.needsGradient)) return outputs
    const tracked = outputs.map((one) => ({ ...one, needsGradient: true }))
    for (const sym of tracked) this.#syms.set(sym.name, sym)
    this.#notes.push({ inputs, outputs: tracked, backward })
    return tracked
  }
  /** The same value, as what no gradient flows into: a target made of predictions. */
  stopGradient(sym: Sym): Sym {
    return { ...sym, needsGradient: false }
  }
  /** The same value, as what a gradient is asked of although nothing trained went into it. */
  watch(sym: Sym): Sym {
    if (sym.needsGradient) return sym
    const watched = { ...sym, needsGradient: true }
    this.#syms.set(sym.name, watched)
    return watched
  }

  /**
   * Writes down the gradients of one number with respect to `to`.
   * @returns in order; undefined where nothing flows back
   * @throws {OnnxError} when `of` is not one float32
   */
  gradients(of: Sym, to: readonly Sym[]): readonly (Sym | undefined)[] {
    if (sizeOf(of.shape) !== 1 || of.type !== 'float32') {
      throw new OnnxError(
        `Cannot differentiate "${of.name}": it is ${of.type} ${shapeText(of.shape)}, not one float32`,
      )
    }
    const found = new Map<string, Sym>()
    const kept = new Set(to.map(({ name }) => name))
    if (of.needsGradient) found.set(of.name, this.constant(of.shape, [1]))
    this.#recording = false
    for (const { inputs, outputs, backward } of this.#notes.toReversed()) {
      const arrived = outputs.map(({ name }) => found.get(name))
      if (arrived.every((one) => one === undefined)) continue
      const back = this.within(`grad/${outputs[0]!.name}`, () => backward(arrived))
      for (const { name } of outputs) if (!kept.has(name)) found.delete(name)
      for (const [at, input] of inputs.entries()) {
        const gradient = back[at]
        if (gradient === undefined || !input.needsGradient) continue
        this.#checkGradient(input, gradient, outputs[0]!)
        const before = found.get(input.name)
        found.set(
          input.name,
          before
            ? this.emit('Add', [before, gradient], {}, { name: `grad/${input.name}` })
            : gradient,
        )
      }
    }
    this.#recording = true
    return to.map(({ name }) => found.get(name))
  }

  /** Values made by `write` are named below `scope`. */
  within<T>(scope: string, write: () => T): T {
    const before = this.#scope
    this.#scope = scope
    try {
      return write()
    } finally {
      this.#scope = before
    }
  }
  /** `base`, or `base` with the first number that is free; it is taken from then on. */
  freshName(base: string): string {
    let name = base
    for (let n = this.#numbering.get(base) ?? 1; this.#names.has(name); n++) {
      name = `${base}_${n}`
      this.#numbering.set(base, n + 1)
    }
    this.#names.add(name)
    return name
  }

  /**
   * The graph as a model, without what no output depends on. All inputs stay.
   * @param outputs values, each under the name that it gets outside
   */
  toModel(name: string, outputs: Readonly<Record<string, Sym>>): ModelProto {
    const wanted = new Set(Object.values(outputs).map((one) => one.name))
    const alive = this.#nodes
      .toReversed()
      .filter((node) => {
        if (!node.output.some((one) => wanted.has(one))) return false
        for (const one of node.input) wanted.add(one)
        return true
      })
      .toReversed()
    // A value that a node makes takes the outside name itself, so that nothing is copied.
    const made = new Set(alive.flatMap(({ output }) => output))
    const outside = new Map<string, string>()
    const copies: NodeProto[] = []
    for (const [as, sym] of Object.entries(outputs)) {
      if (made.has(sym.name) && !outside.has(sym.name)) outside.set(sym.name, as)
      else copies.push(makeNode('Identity', [sym.name], [as]))
    }
    const renamed = (one: string) => outside.get(one) ?? one
    const nodes = [...alive, ...copies].map((node) =>
      altered(NodeProtoSchema, node, {
        input: node.input.map(renamed),
        output: node.output.map(renamed),
      }),
    )
    const result = model({
      name,
      nodes,
      opset: stepOpset,
      inputs: this.#inputs.map((one) => value(one.name, one.type, one.shape)),
      outputs: Object.entries(outputs).map(([as, { type, shape }]) => value(as, type, shape)),
      initializers: [...this.#constants].filter(([one]) => wanted.has(one)).map(([, one]) => one),
    })
    result.irVersion = 10n
    const domains = new Set(alive.map(({ domain }) => domain).filter((domain) => domain !== ''))
    for (const domain of domains) {
      result.opsetImport.push(create(OperatorSetIdProtoSchema, { domain, version: 1n }))
    }
    return result
  }

  // Differentiable arithmetic; operands stretch to each other as in ONNX. Each is written out in the file of its family.
  add = (a: Operand, b: Operand): Sym => arithmetic.add(this, a, b)
  sub = (a: Operand, b: Operand): Sym => arithmetic.sub(this, a, b)
  mul = (a: Operand, b: Operand): Sym => arithmetic.mul(this, a, b)
  div = (a: Operand, b: Operand): Sym => arithmetic.div(this, a, b)
  /** The larger of the two at each place; where both are equal, the gradient goes to `a`. */
  max = (a: Operand, b: Operand): Sym => arithmetic.max(this, a, b)
  min = (a: Operand, b: Operand): Sym => arithmetic.min(this, a, b)
  neg = (x: Sym): Sym => arithmetic.neg(this, x)
  abs = (x: Sym): Sym => arithmetic.abs(this, x)
  exp = (x: Sym): Sym => arithmetic.exp(this, x)
  log = (x: Sym): Sym => arithmetic.log(this, x)
  sqrt = (x: Sym): Sym => arithmetic.sqrt(this, x)
  reciprocal = (x: Sym): Sym => arithmetic.reciprocal(this, x)
  pow = (x: Sym, exponent: Operand): Sym => arithmetic.pow(this, x, exponent)
  erf = (x: Sym): Sym => arithmetic.erf(this, x)
  atan = (x: Sym): Sym => arithmetic.atan(this, x)
  /** `yes` where `condition` (bool) holds, else `no`. */
  where = (condition: Sym, yes: Operand, no: Operand): Sym =>
    arithmetic.where(this, condition, yes, no)
  /** Between numbers of different types; a gradient flows only from float32 to float32. */
  cast = (x: Sym, to: TensorTypeName): Sym => arithmetic.cast(this, x, to)

  relu = (x: Sym): Sym => activations.relu(this, x)
  /** Bounds that are left out do not bind. */
  clip = (x: Sym, least?: number, most?: number): Sym => activations.clip(this, x, least, most)
  leakyRelu = (x: Sym, alpha = 0.01): Sym => activations.leakyRelu(this, x, alpha)
  prelu = (x: Sym, slope: Sym): Sym => activations.prelu(this, x, slope)
  sigmoid = (x: Sym): Sym => activations.sigmoid(this, x)
  softplus = (x: Sym): Sym => activations.softplus(this, x)
  tanh = (x: Sym): Sym => activations.tanh(this, x)
  silu = (x: Sym): Sym => activations.silu(this, x)
  hardSigmoid = (x: Sym, alpha = 0.2, beta = 0.5): Sym =>
    activations.hardSigmoid(this, x, alpha, beta)
  hardSwish = (x: Sym): Sym => activations.hardSwish(this, x)
  gelu = (x: Sym, approximate: 'none' | 'tanh' = 'none'): Sym =>
    activations.gelu(this, x, approximate)
  softmax = (x: Sym, axis = -1): Sym => activations.softmax(this, x, axis)
  logSoftmax = (x: Sym, axis = -1): Sym => activations.logSoftmax(this, x, axis)

  /** Without axes over all of them. `keep` leaves axes of length 1 in their place. */
  reduceSum = (x: Sym, axes?: readonly number[], keep = false): Sym =>
    reductions.reduceSum(this, x, axes, keep)
  reduceMean = (x: Sym, axes?: readonly number[], keep = false): Sym =>
    reductions.reduceMean(this, x, axes, keep)
  /** Where several are largest, they share the gradient. */
  reduceMax = (x: Sym, axes?: readonly number[], keep = false): Sym =>
    reductions.reduceMax(this, x, axes, keep)
  reduceMin = (x: Sym, axes?: readonly number[], keep = false): Sym =>
    reductions.reduceMin(this, x, axes, keep)
  /** Sums over what broadcasting repeats, until the shape is that of what was broadcast. */
  sumTo = (x: Sym, shape: readonly number[]): Sym => reductions.sumTo(this, x, shape)

  /** As numpy's: the last two axes are matrices, those before stretch to each other. */
  matMul = (a: Sym, b: Sym): Sym => matrices.matMul(this, a, b)
  /** alpha·A·B + beta·C of two matrices; C stretches to the product. */
  gemm = (a: Sym, b: Sym, c?: Sym, options: matrices.GemmOptions = {}): Sym =>
    matrices.gemm(this, a, b, c, options)

  /** One length may be -1: what is left. */
  reshape = (x: Sym, shape: readonly number[]): Sym => shaping.reshape(this, x, shape)
  transpose = (x: Sym, perm: readonly number[]): Sym => shaping.transpose(this, x, perm)
  expand = (x: Sym, shape: readonly number[]): Sym => shaping.expand(this, x, shape)
  concat = (parts: readonly Sym[], axis: number): Sym => shaping.concat(this, parts, axis)
  split = (x: Sym, lengths: readonly number[], axis: number): readonly Sym[] =>
    shaping.split(this, x, lengths, axis)
  /** From `start` to before `end` (negative ones count from the end) along each of the axes. */
  slice = (x: Sym, cuts: readonly shaping.Cut[]): Sym => shaping.slice(this, x, cuts)
  /** Zeros (or `fill`) around; negative numbers crop. `pads` as in ONNX: all begins, then all ends. */
  pad = (x: Sym, pads: readonly number[], fill = 0): Sym => shaping.pad(this, x, pads, fill)
  /** Whole slices of `axis` by their index (int64). */
  gather = (x: Sym, indices: Sym, axis = 0): Sym => shaping.gather(this, x, indices, axis)
  /** One element along `axis` for each index; `indices` (int64) has the shape of the result. */
  gatherElements = (x: Sym, indices: Sym, axis: number): Sym =>
    shaping.gatherElements(this, x, indices, axis)
  zeros = (shape: readonly number[]): Sym => shaping.zeros(this, shape)

  #append(node: NodeProto): readonly Sym[] {
    const facts = new NodeFacts(
      node,
      node.domain === '' ? stepOpset : 1,
      node.input.map((name) => this.#known.get(name)),
      () => [],
    )
    const results = this.#inferred(node, facts)
    this.#nodes.push(node)
    return node.output.flatMap((name, at) => {
      if (name === '') return []
      const result = results[at]
      const shape = staticShape(result)
      if (!result || !shape) {
        throw new OnnxError(
          `Cannot add ${node.opType} "${name}" to the step graph: its shape ${shapeText(result?.shape)} is not all numbers`,
        )
      }
      this.#known.set(name, result)
      return [this.#add(name, tensorTypeName(result.elementType) as TensorTypeName, shape, false)]
    })
  }
  #inferred(node: NodeProto, facts: NodeFacts): readonly (Inferred | undefined)[] {
    try {
      return inferenceOf(node.domain, node.opType)?.(facts) ?? []
    } catch (error) {
      if (!(error instanceof OnnxError)) throw error
      const given = node.input.map((name) => shapeText(this.#known.get(name)?.shape)).join(', ')
      throw new OnnxError(
        `Cannot add ${node.opType} "${node.output[0]}" of ${given} to the step graph: ${error.message}`,
        { cause: error },
      )
    }
  }
  #add(name: string, type: TensorTypeName, shape: readonly number[], needsGradient: boolean): Sym {
    const sym = { name, type, shape, needsGradient }
    this.#syms.set(name, sym)
    return sym
  }
  #named(what: string): string {
    return this.#scope === '' ? what : `${this.#scope}/${what}`
  }
  #checkGradient(input: Sym, gradient: Sym, of: Sym): void {
    if (gradient.shape.join() === input.shape.join() && gradient.type === input.type) return
    throw new OnnxError(
      `Cannot differentiate through "${of.name}": the gradient of "${input.name}" came back as ${gradient.type} ${shapeText(gradient.shape)} for ${input.type} ${shapeText(input.shape)}`,
    )
  }
}

/** Numbers as an array of their type. */
function numbersOfType(type: NumberTypeName, values: readonly number[]): Numbers {
  switch (type) {
    case 'int64':
      return BigInt64Array.from(values, BigInt)
    case 'int32':
      return Int32Array.from(values)
    case 'uint8':
    case 'bool':
      return Uint8Array.from(values)
    case 'float32':
      return Float32Array.from(values)
    default:
      throw new OnnxError(`Cannot make a constant of ${type} from a list: give its array`)
  }
}

const keyOf = (numbers: Numbers): string =>
  Array.from(numbers as ArrayLike<number | bigint>, (one) =>
    Object.is(one, -0) ? '-0' : String(one),
  ).join()
