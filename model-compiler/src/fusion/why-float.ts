/**
 * Why ONNX Runtime did not fuse an operator with the Q and DQ around it: its rules (1.30, qdq_selectors.cc; each seen
 * in what it makes) asked one after the other, the first that is broken is the answer.
 */
import { floatOf } from '../graph/attributes.ts'
import type { Graph } from '../graph/graph.ts'
import type { NodeProto, TensorProto } from '../onnx/schema.ts'
import { valuesOf } from '../onnx/tensor.ts'
import { tensorTypes } from '../onnx/types.ts'

/** Operators whose time is in products: those that have to be computed with codes, or quantizing gains nothing. */
export const products: ReadonlySet<string> = new Set(['Conv', 'ConvTranspose', 'MatMul', 'Gemm'])

export type Reason = { readonly why: string; readonly onPurpose: boolean }

/** Asked of the graph as it was given to the runtime. `keptFloat` holds names of values. */
export function whyFloat(graph: Graph, node: NodeProto, keptFloat: ReadonlySet<string>): Reason {
  const fault = (why: string): Reason => ({ why, onPurpose: false })
  const because = (why: string, values: readonly string[]): Reason => {
    const kept = keptAround(graph, values, keptFloat)
    if (kept === undefined) return fault(why)
    return { why: `${why}; "${kept}" was kept float`, onPurpose: true }
  }
  const [input = '', weights = '', bias = ''] = node.input
  const inputDq = dequantizerOf(graph, input)
  const weightsDq = dequantizerOf(graph, weights)
  if (inputDq === undefined) {
    return because(`its input "${input}" is float, ${originOf(graph, input)}`, [input])
  }
  if (weightsDq === undefined) {
    const output = outputOf(graph, node)
    return because(`its weights "${weights}" are float`, [output])
  }
  const [inputType, weightsType] = [typeOf(graph, inputDq), typeOf(graph, weightsDq)]
  if (weightsType !== tensorTypes.int8 && weightsType !== tensorTypes.uint8) {
    return fault(`its weights "${weights}" are codes of type ${weightsType}, not of 8 bits`)
  }
  if (bias !== '' && dequantizerOf(graph, bias) === undefined) {
    return fault(`its bias "${bias}" is float; as int32 with scale input × weight it fuses`)
  }
  if (node.opType === 'ConvTranspose') return fault('the runtime has no ConvTranspose on codes')
  if (node.opType === 'Gemm' && floatOf(node, 'beta', 1) !== 1) {
    return fault('its beta is not 1')
  }
  const end = whyNoEnd(graph, node, inputType, because)
  if (end) return end
  // Elsewhere than on ARM the runtime turns signed codes into unsigned ones, but not where a value is read twice.
  if (inputType === tensorTypes.int8) {
    return fault('its activations are int8, and on x86-64 those that are read twice do not fuse')
  }
  return fault('no rule that is known here speaks against it')
}

/** What is wrong behind the operator: its result has to go to QuantizeLinear and nowhere else. */
function whyNoEnd(
  graph: Graph,
  node: NodeProto,
  inputType: number | undefined,
  because: (why: string, values: readonly string[]) => Reason,
): Reason | undefined {
  // These have a form with a float result.
  if (node.opType === 'MatMul' || node.opType === 'Gemm') return undefined
  const output = node.output[0] ?? ''
  const users = graph.usersOf(output)
  const fault = (why: string): Reason => ({ why, onPurpose: false })
  if (graph.isOutput(output)) return because(`its result "${output}" leaves the graph`, [output])
  const quantizers = users.filter(({ opType }) => opType === 'QuantizeLinear')
  const others = users.filter(({ opType }) => opType !== 'QuantizeLinear')
  if (quantizers.length > 0 && others.length > 0) {
    return fault(
      `its result "${output}" is read by ${named(others)} besides the QuantizeLinear; every reader has to read what comes out of the DequantizeLinear`,
    )
  }
  if (quantizers.length > 1) {
    return fault(`its result "${output}" is quantized ${quantizers.length} times`)
  }
  const [only] = others
  if (others.length === 1 && (only!.opType === 'Relu' || only!.opType === 'Clip')) {
    return whyNotThrough(graph, only!) ?? because(endOf(graph, only!), [only!.output[0] ?? ''])
  }
  if (quantizers.length === 0) {
    return because(`its result "${output}" goes to ${named(others)} in float`, [output])
  }
  const outputType = graph.constantOf(quantizers[0]!.input[2])?.dataType ?? tensorTypes.uint8
  if (outputType !== inputType) {
    return fault('its result is quantized to another type of codes than its input')
  }
  return undefined
}

/** A Relu or Clip that stays in the way although what it makes is quantized. */
function whyNotThrough(graph: Graph, clip: NodeProto): Reason | undefined {
  const [reader, ...more] = graph.usersOf(clip.output[0] ?? '')
  if (reader?.opType !== 'QuantizeLinear' || more.length > 0) return undefined
  const scale = firstOf(graph.constantOf(reader.input[1]))
  const zero = graph.constantOf(reader.input[2])
  if (scale === undefined) return undefined
  const lowest = zero?.dataType === tensorTypes.int8 ? -128 : 0
  const from = (lowest - (firstOf(zero) ?? 0)) * scale
  return {
    why: `${clip.opType} "${clip.output[0]}" behind it is not redundant: the codes there begin at ${from.toPrecision(3)}`,
    onPurpose: false,
  }
}

const endOf = (graph: Graph, clip: NodeProto): string => {
  const output = clip.output[0] ?? ''
  const users = graph.usersOf(output)
  const reads = users.length > 0 ? `goes to ${named(users)} in float` : 'leaves the graph'
  return `what ${clip.opType} makes of its result, "${output}", ${reads}`
}

/** Values looked at when asking whether one that was kept float is the cause. */
const reachMax = 200

/** A value that was kept float, if one is reached from `values` without passing through codes. */
function keptAround(
  graph: Graph,
  values: readonly string[],
  keptFloat: ReadonlySet<string>,
): string | undefined {
  const seen = new Set(values)
  for (const value of seen) {
    if (keptFloat.has(value)) return value
    if (seen.size > reachMax) return undefined
    const producer = graph.producerOf(value)
    const around = [...graph.usersOf(value), ...(producer ? [producer] : [])]
    for (const node of around) {
      const isBorder = /^(De)?[qQ]uantizeLinear$/.test(node.opType)
      const isProduct = products.has(node.opType)
      if (isBorder || (isProduct && node !== producer)) continue
      for (const near of isProduct ? node.output : [...node.input, ...node.output]) {
        if (near !== '' && graph.constantOf(near) === undefined) seen.add(near)
      }
    }
  }
  return undefined
}

function dequantizerOf(graph: Graph, value: string): NodeProto | undefined {
  const producer = graph.producerOf(value)
  return producer?.opType === 'DequantizeLinear' ? producer : undefined
}

/** The type of the codes that a DequantizeLinear reads. */
function typeOf(graph: Graph, dequantizer: NodeProto): number | undefined {
  const [codes = '', , zero] = dequantizer.input
  return graph.constantOf(zero)?.dataType ?? graph.typeOf(codes)?.elementType
}

/** The result of a product, or of the Relu or Clip that alone reads it. */
function outputOf(graph: Graph, node: NodeProto): string {
  const output = node.output[0] ?? ''
  const [only, ...more] = graph.usersOf(output)
  const isClip = only?.opType === 'Relu' || only?.opType === 'Clip'
  return isClip && more.length === 0 ? (only.output[0] ?? output) : output
}

function originOf(graph: Graph, value: string): string {
  const producer = graph.producerOf(value)
  if (producer) return `made by ${named([producer])}`
  return graph.isInput(value) ? 'as it comes in' : 'a constant'
}

const named = (nodes: readonly NodeProto[]): string =>
  nodes
    .slice(0, 3)
    .map(({ opType, output }) => `${opType} "${output[0] ?? ''}"`)
    .join(', ') + (nodes.length > 3 ? ` and ${nodes.length - 3} more` : '')

const firstOf = (tensor: TensorProto | undefined): number | undefined =>
  tensor && Number(valuesOf(tensor)[0])
