/**
 * What the operators of a model become in the step graph. Each family has a file in `operators/`; this is what they are
 * given and what they give: values of the model by name, on a tape that writes down how gradients go back.
 *
 * Feature maps are kept with their first two axes exchanged, [C,N,H,W], from one convolution to the next: so a 1×1
 * convolution and both of its gradients are one matrix product each. Who does not care takes a value as it lies
 * (`layoutOf`); who asks for the other layout gets it, made once.
 */
import { floatOf, intOf, intsOf, stringOf } from '../../graph/attributes.ts'
import type { Graph } from '../../graph/graph.ts'
import { staticShape } from '../../graph/value-type.ts'
import { OnnxError } from '../../onnx/read.ts'
import type { NodeProto } from '../../onnx/schema.ts'
import { isOp } from '../../passes/matching.ts'
import type { Sym } from '../tape/sym.ts'
import type { Tape } from '../tape/tape.ts'

/** NC: axes as the model has them. CN: the first two exchanged, of values with three axes or more. */
export type Layout = 'NC' | 'CN'

/**
 * Writes a node's results (`context.write`) with their gradients.
 * @throws {OnnxError} why this form of the operator cannot be differentiated; the node is named by who called
 */
export type Lowering = (node: NodeProto, context: LoweringContext) => void
/** By operator of ONNX itself; those of `com.microsoft` as `com.microsoft.Name`. */
export type LoweringTable = Readonly<Record<string, Lowering>>

/** A figure of BatchNorm that runs along outside the graph. */
export type Statistic = {
  /** The initializer of the running figure. */
  readonly name: string
  /** The same figure of this batch. */
  readonly batch: Sym
  /** Share of the running figure that stays at each step (ONNX's `momentum`). */
  readonly momentum: number
}

/** What everybody who reads a value of the model reads instead of it: of the same shape, elementwise or of weights. */
export type Through = (tape: Tape, name: string, value: Sym) => Sym

export class LoweringContext {
  readonly tape: Tape
  /** `train` normalizes by the batch; `frozen` by the running figures. */
  readonly batchNorm: 'train' | 'frozen'
  readonly statistics: Statistic[] = []
  readonly #values = new Map<string, { readonly own: Layout; NC?: Sym; CN?: Sym }>()
  readonly #graph: Graph
  readonly #watched: ReadonlySet<string>
  readonly #through: Through

  /**
   * @param graph the model, prepared: shapes of all its values are numbers
   * @param watched values of which a gradient is asked for, whether or not something trained goes into them
   */
  constructor(
    tape: Tape,
    graph: Graph,
    batchNorm: 'train' | 'frozen',
    watched: ReadonlySet<string> = new Set(),
    through: Through = (_tape, _name, value) => value,
  ) {
    this.tape = tape
    this.#graph = graph
    this.batchNorm = batchNorm
    this.#watched = watched
    this.#through = through
  }

  /** Whether an optional input is given. */
  has(node: NodeProto, at: number): boolean {
    return (node.input[at] ?? '') !== ''
  }
  /** The layout in which a value lies. */
  layoutOf(name: string | undefined): Layout {
    return this.#values.get(name ?? '')?.own ?? 'NC'
  }
  /**
   * A value of the model (input, weight, constant, or what a node has made).
   * @throws {OnnxError} for a value that is not there
   */
  read(name: string | undefined, layout: Layout = 'NC'): Sym {
    const value = this.#values.get(name ?? '')
    if (!value) throw new OnnxError(`its input "${name}" is not there`)
    const known = value[layout]
    if (known) return known
    const other = (value.NC ?? value.CN)!
    const made = this.tape.within(name!, () => this.tape.transpose(other, exchanged(other)))
    value[layout] = made
    return made
  }
  /** A value as it lies. */
  readOwn(name: string | undefined): Sym {
    return this.read(name, this.layoutOf(name))
  }
  /** The axes of a value in the model, in whichever layout it lies. */
  shapeOf(name: string | undefined): readonly number[] {
    const sym = this.readOwn(name)
    const [first, second, ...rest] = sym.shape
    return this.layoutOf(name) === 'NC' ? sym.shape : [second!, first!, ...rest]
  }
  /** An operand of fewer axes, or of the same number, so that it stretches to a value of `rank` axes in this layout. */
  readStretched(name: string | undefined, layout: Layout, rank: number): Sym {
    const shape = this.shapeOf(name)
    if (layout === 'NC' || shape.length > rank) return this.read(name, 'NC')
    if (shape.length === rank) return this.read(name, 'CN')
    if (shape.length <= rank - 2) return this.read(name, 'NC')
    // The channels stand first of what it has: the batch, of which it has none, comes behind them.
    const [channels, ...rest] = shape
    return this.tape.reshape(this.read(name, 'NC'), [channels!, 1, ...rest])
  }
  /** Says what a value of the model is. */
  write(name: string | undefined, sym: Sym, layout: Layout = 'NC'): void {
    if (name === undefined || name === '') return
    const own = sym.shape.length >= 3 ? layout : 'NC'
    const read = this.tape.within(name, () => this.#through(this.tape, name, sym))
    const seen = this.#watched.has(name) ? this.tape.watch(read) : read
    this.#values.set(name, { own, [own]: seen })
  }
  isKnown(name: string | undefined): boolean {
    return this.#values.has(name ?? '')
  }
  /** Whether a gradient has to go through a node. */
  isTracked(node: NodeProto): boolean {
    return node.input.some((name) => name !== '' && this.readOwn(name).needsGradient)
  }
  /** Writes a node as the model has it. @param tracked as if a gradient went through it, to see what lies behind */
  copy(node: NodeProto, tracked = false): void {
    const inputs = node.input.map((name) => (name === '' ? undefined : this.read(name)))
    for (const [at, sym] of this.tape.copy(node, inputs).entries()) {
      if (sym) this.write(node.output[at], tracked ? this.tape.watch(sym) : sym)
    }
  }
  /** The shape of a node's first result, as the compiler infers it of the model. */
  resultShapeOf({ output }: NodeProto): readonly number[] {
    const shape = staticShape(this.#graph.typeOf(output[0] ?? ''))
    if (!shape) throw new OnnxError('the shape of its result is not known')
    return shape
  }
  /** The x of a value that is Sigmoid(x). */
  sigmoidOf(name: string): string | undefined {
    const producer = this.#graph.producerOf(name)
    return isOp(producer, 'Sigmoid') ? producer?.input[0] : undefined
  }
  /** A value of a layout with its axes as the model has them. */
  asInModel(sym: Sym, layout: Layout): Sym {
    return layout === 'NC' ? sym : this.tape.transpose(sym, exchanged(sym))
  }
  /** The elements of a value that is small and known before anything runs (axes, shapes, pads), else undefined. */
  numbersOf(name: string | undefined): readonly number[] | undefined {
    return name === undefined || name === '' ? undefined : this.tape.valuesOf(this.readOwn(name))
  }
  /** What was an attribute in older sets and is an input now. @returns undefined where neither is given @throws {OnnxError} where it is computed */
  listFrom(node: NodeProto, attribute: string, at: number): readonly number[] | undefined {
    const said = intsOf(node, attribute, undefined)
    if (said) return said
    if (!this.has(node, at)) return undefined
    const numbers = this.numbersOf(node.input[at])
    if (!numbers)
      throw new OnnxError(`its ${attribute} "${node.input[at]}" are computed by the model`)
    return numbers
  }
  int(node: NodeProto, name: string, otherwise: number): number {
    return intOf(node, name, otherwise)
  }
  float(node: NodeProto, name: string, otherwise: number): number {
    return floatOf(node, name, otherwise)
  }
  string(node: NodeProto, name: string, otherwise: string): string {
    return stringOf(node, name, otherwise)
  }
}

/** The order of axes with the first two exchanged. */
const exchanged = ({ shape }: Sym): number[] => [1, 0, ...shape.keys().drop(2)]

/** The axis of a value with the first two exchanged that was `axis` before. */
export const axisIn = (layout: Layout, axis: number): number =>
  layout === 'CN' && axis < 2 ? 1 - axis : axis
