/**
 * A float model with ranges becomes one with QuantizeLinear and DequantizeLinear where the target wants them
 * (QDQ): still a float model by its face, so that any runtime runs it, and one that knows the pattern
 * computes with codes.
 */
import type { Range } from '../calibrate/range.ts'
import { intOf } from '../graph/attributes.ts'
import { Graph } from '../graph/graph.ts'
import { node as makeNode } from '../onnx/build.ts'
import { OnnxError } from '../onnx/read.ts'
import type { ModelProto, NodeProto } from '../onnx/schema.ts'
import { floatsOf, tensor } from '../onnx/tensor.ts'
import { tensorTypes } from '../onnx/types.ts'
import { fillCodes } from '../passes/align-channels.ts'
import type { TargetProfile } from '../targets/target.ts'
import { type FrozenScales, reluctant } from './frozen-scales.ts'
import { codeTypes, type Parameters, parametersFor } from './parameters.ts'
import { type Placement, place } from './placement.ts'
import { biasCodesOf, constantCodesOf, weightCodesOf, weightScales, weightsOf } from './weights.ts'

export type QuantizeOptions = {
  readonly target: TargetProfile
  /** Names of values that stay float; operators that need them as codes stay float with them. */
  readonly keepFloat?: ReadonlySet<string>
  /** Bits of weights, where the target's are not wanted. */
  readonly weightBits?: 8 | 7
  /** Scales that are kept where names match: those of a model in the field. */
  readonly frozen?: FrozenScales
}

/** Per-channel DequantizeLinear came with opset 13. */
export const opsetMin = 13

/**
 * The model with activations and weights as codes.
 * @param ranges as `calibrate` gives them; a value without one stays float
 * @throws {OnnxError} below opset 13, with NaN in weights, or when the target computes nothing with codes
 */
export function quantize(
  model: ModelProto,
  ranges: ReadonlyMap<string, Range>,
  options: QuantizeOptions,
): ModelProto {
  const { target, keepFloat = new Set<string>() } = options
  if (Object.keys(target.operators).length === 0) {
    throw new OnnxError(
      `Cannot quantize for "${target.name}": it computes nothing with codes; take fp16 or int8-weights`,
    )
  }
  const graph = new Graph(model)
  if (graph.opset < opsetMin) {
    throw new OnnxError(
      `Cannot quantize a model of opset ${graph.opset}: scales per channel came with ${opsetMin}; bring it there first (upgradeOpset)`,
    )
  }
  graph.sort()
  const placement = withFrozen(place(graph, ranges, target, keepFloat), options.frozen)
  for (const clip of placement.folded) takeIn(graph, clip)
  const constants = new ConstantCodes(graph, target, options.frozen)
  for (const [node, treatment] of placement.nodes) {
    if (treatment === 'weights') {
      const bits = options.weightBits ?? target.weights.bits
      constants.ofWeights(node, placement.values.get(node.input[0]!)!, bits)
    } else if (treatment !== 'same') {
      constants.ofInputs(node)
    }
  }
  insertPairs(graph, placement, target)
  fillCodes(graph)
  removeUnread(graph)
  graph.sort()
  return graph.toModel()
}

/** What is quantized is decided by the ranges; with which parameters, by the model in the field. */
function withFrozen(placement: Placement, frozen: FrozenScales | undefined): Placement {
  if (frozen === undefined) return placement
  const values = [...placement.values].map(
    ([value, parameters]) => [value, frozen.activations.get(value) ?? parameters] as const,
  )
  return { ...placement, values: new Map(values) }
}

/** The operator before a Relu or Clip makes its value from now on. */
function takeIn(graph: Graph, clip: NodeProto): void {
  const [input, output] = [clip.input[0]!, clip.output[0]!]
  const producer = graph.producerOf(input)!
  graph.remove(clip)
  graph.edit(producer, () => {
    producer.output = producer.output.map((one) => (one === input ? output : one))
  })
}

/** Q and DQ behind each quantized value; whoever read the value reads what comes out of the DQ. */
function insertPairs(graph: Graph, { values }: Placement, target: TargetProfile): void {
  const named = new Map<string, readonly [scale: string, zero: string]>()
  const parametersOf = (value: string, { scale, zero }: Parameters) => {
    const key = `${scale} ${zero}`
    const known = named.get(key)
    if (known) return known
    const made = [
      graph.addInitializer(tensor(`${value}_scale`, [], Float32Array.of(scale))),
      graph.addInitializer(zeroPoint(`${value}_zero_point`, target, zero)),
    ] as const
    named.set(key, made)
    return made
  }
  for (const [value, parameters] of values) {
    const [scale, zero] = parametersOf(value, parameters)
    const codes = graph.freshName(`${value}_quantized`)
    const producer = graph.producerOf(value)
    let before = value
    let after = graph.freshName(`${value}_dequantized`)
    if (graph.isOutput(value) && producer) {
      // The graph's output keeps its name, so what the operator makes takes another.
      before = graph.freshName(`${value}_float`)
      after = value
      graph.edit(producer, () => {
        producer.output = producer.output.map((one) => (one === value ? before : one))
      })
    } else {
      graph.redirect(value, after)
    }
    graph.insert([
      makeNode('QuantizeLinear', [before, scale, zero], [codes]),
      makeNode('DequantizeLinear', [codes, scale, zero], [after]),
    ])
  }
}

function zeroPoint(name: string, target: TargetProfile, zero: number) {
  const codes = constantCodesOf(Float32Array.of(0), target.activations.codes, { scale: 1, zero })
  return tensor(name, [], codes)
}

/** Puts codes in the place of constants; the same codes once, however many operators read them. */
class ConstantCodes {
  readonly #graph: Graph
  readonly #target: TargetProfile
  readonly #frozen: FrozenScales | undefined
  readonly #made = new Map<string, string>()
  readonly #zeros = new Map<string, string>()

  constructor(graph: Graph, target: TargetProfile, frozen?: FrozenScales) {
    this.#graph = graph
    this.#target = target
    this.#frozen = frozen
  }

  ofWeights(node: NodeProto, input: Parameters, bits: 8 | 7): void {
    const graph = this.#graph
    const { perChannel } = this.#target.weights
    const [, name = '', biasName = ''] = node.input
    const source = graph.constantOf(name)!
    const weights = weightsOf(
      { ...source, name },
      perChannel ? axisOf(node, source.dims.length) : undefined,
    )
    const bias = biasName === '' ? undefined : floatsOf(graph.constantOf(biasName)!)
    const asCodes = this.#target.bias === 'int32' ? bias : undefined
    const own = weightScales(weights, bits, asCodes && { values: asCodes, inputScale: input.scale })
    const kept = this.#frozen?.weights.get(name)
    const scales = kept?.length === own.length ? kept : own
    graph.setInput(
      node,
      1,
      this.#once(`${name} ${digestOf(scales)}`, () => {
        const own = weightCodesOf(weights, scales, bits)
        const frozen = scales === kept ? this.#frozen : undefined
        const values = frozen ? reluctant(own, weights, scales, name, frozen) : own
        const codes = tensor(`${name}_quantized`, weights.dims, values)
        return this.#dequantized(name, codes, scales, weights.axis)
      }),
    )
    if (asCodes === undefined) return
    const made = biasCodesOf(asCodes, input.scale, scales)
    graph.setInput(
      node,
      2,
      this.#once(`${biasName} ${digestOf(made.scales)}`, () => {
        const codes = tensor(`${biasName}_quantized`, [made.codes.length], made.codes)
        return this.#dequantized(
          biasName,
          codes,
          made.scales,
          made.scales.length > 1 ? 0 : undefined,
        )
      }),
    )
  }

  /** Constants that stand beside activations get codes of their kind. */
  ofInputs(node: NodeProto): void {
    const graph = this.#graph
    const { codes, symmetric } = this.#target.activations
    for (const [at, name] of node.input.entries()) {
      const source = name === '' ? undefined : graph.constantOf(name)
      if (source === undefined) continue
      const { values, dims } = weightsOf({ ...source, name }, undefined)
      let [min, max] = [0, 0]
      for (const one of values) {
        min = Math.min(min, one)
        max = Math.max(max, one)
      }
      const parameters = parametersFor({ min, max }, codeTypes[codes], symmetric)
      graph.setInput(
        node,
        at,
        this.#once(`${name} activation`, () => {
          const made = tensor(`${name}_quantized`, dims, constantCodesOf(values, codes, parameters))
          const scale = graph.addInitializer(
            tensor(`${name}_scale`, [], Float32Array.of(parameters.scale)),
          )
          const zero = graph.addInitializer(
            zeroPoint(`${name}_zero_point`, this.#target, parameters.zero),
          )
          return this.#insert(name, [graph.addInitializer(made), scale, zero], undefined)
        }),
      )
    }
  }

  #once(key: string, make: () => string): string {
    const known = this.#made.get(key)
    if (known !== undefined) return known
    const made = make()
    this.#made.set(key, made)
    return made
  }

  #dequantized(
    name: string,
    codes: ReturnType<typeof tensor>,
    scales: Float32Array,
    axis: number | undefined,
  ): string {
    const graph = this.#graph
    const dims = axis === undefined ? [] : [scales.length]
    const scale = graph.addInitializer(tensor(`${name}_scale`, dims, scales))
    const inputs = [graph.addInitializer(codes), scale, this.#zerosLike(codes, dims)]
    return this.#insert(name, inputs, axis)
  }

  #insert(name: string, inputs: readonly string[], axis: number | undefined): string {
    const made = this.#graph.freshName(`${name}_dequantized`)
    const attributes = axis === undefined ? {} : { axis: { int: axis } }
    this.#graph.insert([makeNode('DequantizeLinear', inputs, [made], attributes)])
    return made
  }

  /** Zero points of symmetric codes, shared by all tensors with as many channels. */
  #zerosLike({ dataType }: ReturnType<typeof tensor>, dims: readonly number[]): string {
    const key = `${dataType} ${dims.join()}`
    const known = this.#zeros.get(key)
    if (known !== undefined) return known
    const size = dims[0] ?? 1
    const zeros = dataType === tensorTypes.int32 ? new Int32Array(size) : new Int8Array(size)
    const kind = dataType === tensorTypes.int32 ? 'int32' : 'int8'
    const name = this.#graph.addInitializer(tensor(`zero_point_${kind}_${size}`, dims, zeros))
    this.#zeros.set(key, name)
    return name
  }
}

const digestOf = (scales: Float32Array) =>
  Buffer.from(scales.buffer, scales.byteOffset, scales.byteLength).toString('base64')

/** Where the output channels of an operator's weights lie. */
export function axisOf(node: NodeProto, rank: number): number | undefined {
  if (node.opType === 'Conv') return 0
  if (node.opType === 'ConvTranspose') return intOf(node, 'group', 1) === 1 ? 1 : undefined
  if (node.opType === 'Gemm') return intOf(node, 'transB', 0) === 1 ? 0 : 1
  return rank === 2 ? 1 : undefined
}

/** Float constants whose codes took their place. */
function removeUnread(graph: Graph): void {
  const dead = graph.nodes.filter(
    (node) =>
      node.opType === 'Constant' &&
      node.output.every((value) => graph.usersOf(value).length === 0 && !graph.isOutput(value)),
  )
  graph.remove(...dead)
  for (const name of [...graph.initializers.keys()]) {
    if (graph.usersOf(name).length === 0 && !graph.isOutput(name)) {
      graph.removeInitializer(name)
      if (graph.isInput(name)) graph.removeInput(name)
    }
  }
}
