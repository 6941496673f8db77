/**
 * Arithmetic per channel moved into the weights of the operator beside it: after a Conv, ConvTranspose or Gemm
 * into its output channels, before one into its input channels.
 */
import { floatOf, intOf, intsOf, setAttribute, stringOf } from '../graph/attributes.ts'
import type { Graph } from '../graph/graph.ts'
import { altered } from '../onnx/altered.ts'
import { type NodeProto, TensorProtoSchema } from '../onnx/schema.ts'
import { floatsOf, tensor } from '../onnx/tensor.ts'
import { tensorTypes } from '../onnx/types.ts'
import { type ChannelAffine, channelsOf } from './channel-affine.ts'
import { isOp, onlyUserOf } from './matching.ts'

/** A linear operator whose weights and bias are float32 constants. */
export type Linear = {
  readonly node: NodeProto
  /** Of what goes in and comes out. */
  readonly rank: number
  readonly inputs: number
  readonly outputs: number
  /** The part of the weights between one output and one input, in order: index of element (o, i, k). */
  readonly at: (output: number, input: number, k: number) => number
  /** Inputs of an output: with groups only some. */
  readonly inputOf: (output: number, slot: number) => number
  readonly slots: number
  /** Elements of a kernel. */
  readonly kernel: number
}

/** Reads a node as a linear operator; undefined where it is another one or its weights are not constants. */
export function linearOf(graph: Graph, node: NodeProto | undefined): Linear | undefined {
  if (!node || !isOp(node, 'Conv', 'ConvTranspose', 'Gemm')) return undefined
  const weights = graph.constantOf(node.input[1])
  if (weights?.dataType !== tensorTypes.float32 || weights.externalData.length > 0) return undefined
  const dims = weights.dims.map(Number)
  if (dims.length < 2 || dims.includes(0)) return undefined
  const linear = node.opType === 'Gemm' ? gemm(node, dims) : convolution(node, dims)
  if (linear === undefined) return undefined
  const bias = node.input[2] ?? ''
  return bias === '' || biasOf(graph, linear) ? linear : undefined
}

function gemm(node: NodeProto, dims: readonly number[]): Linear | undefined {
  if (intOf(node, 'transA', 0) !== 0 || dims.length !== 2) return undefined
  const transposed = intOf(node, 'transB', 0) !== 0
  const [inputs, outputs] = transposed ? [dims[1]!, dims[0]!] : [dims[0]!, dims[1]!]
  const at = (output: number, input: number): number =>
    transposed ? output * inputs + input : input * outputs + output
  return {
    node,
    rank: 2,
    inputs,
    outputs,
    at,
    inputOf: (_, slot) => slot,
    slots: inputs,
    kernel: 1,
  }
}

function convolution(node: NodeProto, dims: readonly number[]): Linear | undefined {
  const [first, second, ...window] = dims as [number, number, ...number[]]
  const group = intOf(node, 'group', 1)
  const kernel = window.reduce((product, dim) => product * dim, 1)
  const rank = dims.length
  const transposed = node.opType === 'ConvTranspose'
  const [inputs, outputs] = transposed ? [first, second * group] : [second * group, first]
  const [inGroup, outGroup] = [inputs / group, outputs / group]
  if (!Number.isInteger(inGroup) || !Number.isInteger(outGroup)) return undefined
  // Conv keeps [output, input of the group, …], ConvTranspose [input, output of the group, …].
  const at = (output: number, input: number, k: number): number =>
    transposed
      ? (input * outGroup + (output % outGroup)) * kernel + k
      : (output * inGroup + (input % inGroup)) * kernel + k
  const inputOf = (output: number, slot: number): number =>
    Math.floor(output / outGroup) * inGroup + slot
  return { node, rank, inputs, outputs, at, inputOf, slots: inGroup, kernel }
}

/** Bias per output, zeros where there is none; undefined where it is not one number per output. */
function biasOf(graph: Graph, { node, outputs, rank }: Linear): Float64Array | undefined {
  const name = node.input[2] ?? ''
  if (name === '') return new Float64Array(outputs)
  const dims = graph.constantOf(name)?.dims.map(Number)
  if (dims === undefined || dims.slice(0, -1).some((dim) => dim !== 1) || dims.length > rank) {
    return undefined
  }
  const beta = node.opType === 'Gemm' ? floatOf(node, 'beta', 1) : 1
  return channelsOf(graph, name, outputs)?.map((value) => value * beta)
}

/** Makes `linear` do what `affine` did to its output. The caller takes away the node that did. */
export function foldAfter(graph: Graph, linear: Linear, { scale, shift }: ChannelAffine): void {
  const { node, outputs, slots, kernel, at, inputOf } = linear
  const weights = floatsOf(graph.constantOf(node.input[1])!)
  const bias = biasOf(graph, linear)!
  // Gemm multiplies by alpha before the bias, so the scale goes in beside it.
  for (let output = 0; output < outputs; output++) {
    for (let slot = 0; slot < slots; slot++) {
      for (let k = 0; k < kernel; k++) {
        const index = at(output, inputOf(output, slot), k)
        weights[index] = weights[index]! * scale[output]!
      }
    }
  }
  put(
    graph,
    linear,
    weights,
    bias.map((value, output) => value * scale[output]! + shift[output]!),
  )
}

/**
 * Makes `linear` do what `affine` did to its input.
 * @returns false, with nothing changed, where padding stands between: what is padded is 0, not the shift
 */
export function foldBefore(graph: Graph, linear: Linear, { scale, shift }: ChannelAffine): boolean {
  const { node, outputs, slots, kernel, at, inputOf } = linear
  const shifts = shift.some((value) => value !== 0)
  // A transposed convolution adds up fewer inputs at its edges.
  if (shifts && (isPadded(node) || node.opType === 'ConvTranspose')) return false
  const alpha = node.opType === 'Gemm' ? floatOf(node, 'alpha', 1) : 1
  const weights = floatsOf(graph.constantOf(node.input[1])!)
  const bias = biasOf(graph, linear)!
  for (let output = 0; output < outputs; output++) {
    for (let slot = 0; slot < slots; slot++) {
      const input = inputOf(output, slot)
      for (let k = 0; k < kernel; k++) {
        const index = at(output, input, k)
        bias[output] = bias[output]! + weights[index]! * shift[input]! * alpha
        weights[index] = weights[index]! * scale[input]!
      }
    }
  }
  put(graph, linear, weights, bias)
  return true
}

function isPadded(node: NodeProto): boolean {
  if (stringOf(node, 'auto_pad', 'NOTSET').startsWith('SAME')) return true
  return intsOf(node, 'pads', [] as number[]).some((pad) => pad !== 0)
}

function put(graph: Graph, { node, outputs }: Linear, weights: Float32Array, bias: Float64Array) {
  const old = graph.constantOf(node.input[1])!
  place(graph, node, 1, tensor(old.name || node.input[1]!, old.dims.map(Number), weights))
  const hasBias = (node.input[2] ?? '') !== ''
  if (!hasBias && bias.every((value) => value === 0)) return
  const name = hasBias ? node.input[2]! : `${node.input[1]}_bias`
  place(graph, node, 2, tensor(name, [outputs], Float32Array.from(bias)))
  if (node.opType === 'Gemm') setAttribute(node, 'beta', undefined)
}

/** Under the name it has where nobody else reads it, else under another. */
function place(
  graph: Graph,
  node: NodeProto,
  at: number,
  constant: ReturnType<typeof tensor>,
): void {
  const name = node.input[at]
  const twice = node.input.filter((one) => one === name).length > 1
  if (name && !twice && graph.initializers.has(name) && onlyUserOf(graph, name) === node) {
    graph.setInitializer(altered(TensorProtoSchema, constant, { name }))
  } else graph.setInput(node, at, graph.addInitializer(constant))
}
