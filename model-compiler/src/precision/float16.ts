/**
 * Arithmetic in half precision: for GPUs and accelerators, where it is twice as fast; the file is half as large. On a
 * CPU without such arithmetic ONNX Runtime casts around every operator, which only measuring can forgive.
 *
 * Inputs and outputs of the graph stay float32, with a Cast beside them. Every value keeps its name as float32; its half is
 * called `…_float16`, and the Cast from one to the other is there only where somebody reads the other.
 */
import type { Range } from '../calibrate/range.ts'
import { intOf, setAttribute } from '../graph/attributes.ts'
import { bodiesOf, Graph } from '../graph/graph.ts'
import { OnnxError } from '../onnx/read.ts'
import type { ModelProto, NodeProto, TensorProto } from '../onnx/schema.ts'
import { floatsOf, tensor } from '../onnx/tensor.ts'
import { tensorTypes } from '../onnx/types.ts'
import { inferTypes } from '../shapes/infer-types.ts'
import { cast } from './conversion-nodes.ts'

/** The largest number that half precision holds. */
export const float16Max = 65504

export type Float16Options = {
  /** Names of values; the operators that make them stay float32. */
  readonly keepFloat?: ReadonlySet<string>
  /** What was seen of the activations (see `calibrate`): an operator beside one out of range stays float32. */
  readonly ranges?: ReadonlyMap<string, Range>
}

/** What half precision cannot hold: a value by name, and the largest magnitude seen in it. */
export type OutOfRange = { readonly value: string; readonly largest: number }

/**
 * Operators that stay float32: those defined for it alone, those that make numbers from nothing (cast once, they cost
 * nothing), and those whose job is another precision.
 */
const staying: ReadonlySet<string> = new Set([
  ...['NonMaxSuppression', 'RoiAlign', 'QuantizeLinear', 'DequantizeLinear'],
  ...['DynamicQuantizeLinear', 'Constant', 'ConstantOfShape', 'EyeLike', 'Range'],
  ...['RandomNormal', 'RandomUniform', 'RandomNormalLike', 'RandomUniformLike'],
  ...['Multinomial', 'Bernoulli', 'CumSum', 'Det', 'DFT', 'STFT', 'MelWeightMatrix'],
])

/** Inputs that are float32 by definition, whatever the others are. */
const floatInputs: Readonly<Record<string, readonly number[]>> = { Resize: [1, 2], Upsample: [1] }

/**
 * The same model in half precision, but for what cannot be: operators of `staying`, those with bodies, those of
 * other domains, and those beside a value out of range (see `outOfFloat16`).
 * @throws {OnnxError} when no operator is left for half precision
 */
export function toFloat16(model: ModelProto, options: Float16Options = {}): ModelProto {
  const { keepFloat = new Set<string>(), ranges = new Map<string, Range>() } = options
  const graph = new Graph(model)
  inferTypes(graph)
  const tooLarge = new Set(outOfFloat16(graph, ranges).map(({ value }) => value))
  const isFloat = (value: string) => graph.typeOf(value)?.elementType === tensorTypes.float32
  const turns = (one: NodeProto): boolean =>
    canTurn(graph, one) &&
    [...one.input, ...one.output].some(isFloat) &&
    ![...halvedInputsOf(one).map((at) => one.input[at]!), ...one.output].some((value) =>
      tooLarge.has(value),
    ) &&
    !one.output.some((value) => keepFloat.has(value))

  const turning = graph.nodes.filter(turns)
  if (turning.length === 0) {
    throw new OnnxError('Cannot turn the model into float16: it has no operator that could')
  }
  const made = new Set(turning.flatMap(({ output }) => output.filter(isFloat)))
  const halves = new Halves(graph, made)
  for (const one of turning) turn(graph, one, halves, isFloat)
  halves.castBack()
  graph.sort()
  return graph.toModel()
}

/**
 * Weights and activations that half precision cannot hold.
 * @param ranges of activations, where they are known
 */
export function outOfFloat16(
  graph: Graph,
  ranges: ReadonlyMap<string, Range> = new Map(),
): OutOfRange[] {
  const found: OutOfRange[] = []
  for (const [value, initializer] of graph.initializers) {
    if (initializer.dataType !== tensorTypes.float32 || isLimitOnly(graph, value)) continue
    const largest = floatsOf(initializer).reduce((most, one) => Math.max(most, Math.abs(one)), 0)
    if (!(largest <= float16Max)) found.push({ value, largest })
  }
  for (const [value, { min, max }] of ranges) {
    const largest = Math.max(Math.abs(min), Math.abs(max))
    if (!(largest <= float16Max)) found.push({ value, largest })
  }
  return found
}

/** The end of a Clip may become infinite: then it clips nothing, as it did before. */
const isLimitOnly = (graph: Graph, value: string): boolean =>
  graph.usersOf(value).every(({ opType, input }) => opType === 'Clip' && input[0] !== value)

function canTurn(graph: Graph, one: NodeProto): boolean {
  if (one.domain !== '' && one.domain !== 'ai.onnx') return false
  if (staying.has(one.opType) || bodiesOf(one).length > 0) return false
  // To whole numbers half precision is too coarse: above 2048 it skips some.
  if (one.opType === 'Cast' && intOf(one, 'to', 0) !== tensorTypes.float32) return false
  return one.output.every((value) => value === '' || graph.typeOf(value) !== undefined)
}

/** Which inputs of a node are half precision when the node is. */
function halvedInputsOf({ opType, input }: NodeProto): number[] {
  const staying = floatInputs[opType] ?? []
  return input.flatMap((value, at) => (value === '' || staying.includes(at) ? [] : [at]))
}

function turn(
  graph: Graph,
  one: NodeProto,
  halves: Halves,
  isFloat: (value: string) => boolean,
): void {
  const inputs = new Map(
    halvedInputsOf(one)
      .filter((at) => isFloat(one.input[at]!))
      .map((at) => [at, halves.of(one.input[at]!)]),
  )
  graph.edit(one, () => {
    one.input = one.input.map((value, at) => inputs.get(at) ?? value)
    one.output = one.output.map((value) => (isFloat(value) ? halves.of(value) : value))
    if (one.opType === 'Cast') setAttribute(one, 'to', { int: tensorTypes.float16 })
  })
}

/** The half of each value: what a node makes, a constant of its own, or a Cast. */
class Halves {
  readonly #graph: Graph
  readonly #made: ReadonlySet<string>
  readonly #names = new Map<string, string>()

  constructor(graph: Graph, made: ReadonlySet<string>) {
    this.#graph = graph
    this.#made = made
  }

  of(value: string): string {
    const known = this.#names.get(value)
    if (known !== undefined) return known
    const constant = this.#graph.constantOf(value)
    const name = constant
      ? this.#graph.addInitializer(halved(constant, `${value}_float16`))
      : this.#graph.freshName(`${value}_float16`)
    this.#names.set(value, name)
    if (!constant && !this.#made.has(value)) {
      this.#graph.insert([cast(value, name, 'float16')])
    }
    return name
  }

  /** Gives those who still read float32 what is made in half precision, and takes away constants nobody reads. */
  castBack(): void {
    for (const [value, name] of this.#names) {
      const isRead = this.#graph.usersOf(value).length > 0 || this.#graph.isOutput(value)
      if (this.#made.has(value) && isRead) {
        this.#graph.insert([cast(name, value, 'float32')])
      }
      if (isRead || this.#graph.isInput(value)) continue
      this.#graph.removeInitializer(value)
      const producer = this.#graph.producerOf(value)
      if (producer?.opType === 'Constant') this.#graph.remove(producer)
    }
  }
}

const halved = (constant: TensorProto, name: string): TensorProto =>
  tensor(name, constant.dims.map(Number), Float16Array.from(floatsOf(constant)))
