/**
 * From Q and DQ around float operators to operators that take codes (QOperator): what the runtime would make of them while it
 * loads, written down. The file is a few percent smaller, loads faster, and leaves the runtime no choice; but only ONNX
 * Runtime reads it, since most of these operators are its own. Numbers and speed are the same.
 */
import { intOf, stringOf } from '../graph/attributes.ts'
import { Graph } from '../graph/graph.ts'
import { node as makeNode } from '../onnx/build.ts'
import type { AttributeProto, ModelProto, NodeProto } from '../onnx/schema.ts'
import { valuesOf } from '../onnx/tensor.ts'
import { tensorTypes } from '../onnx/types.ts'

const microsoft = 'com.microsoft'

/** A quantized value: its codes, and the names of their scale and zero point. */
type Codes = { readonly codes: string; readonly scale: string; readonly zero: string }

type Replacement = {
  readonly opType: string
  readonly domain: string
  readonly inputs: readonly string[]
  /** Attributes that the new operator does not have. */
  readonly without?: readonly string[]
}

/** How an operator is said with codes; undefined where it cannot be. `inputs` has undefined for what is no codes. */
type Form = (
  graph: Graph,
  node: NodeProto,
  inputs: readonly (Codes | undefined)[],
  output: Codes,
) => Replacement | undefined

const all = ({ codes, scale, zero }: Codes): string[] => [codes, scale, zero]
const end = ({ scale, zero }: Codes): string[] => [scale, zero]

/** One or two inputs, each with its parameters, then those of the output. */
const plain =
  (opType: string, count: number): Form =>
  (_graph, _node, inputs, output) => {
    const known = inputs.slice(0, count).filter((one) => one !== undefined)
    if (known.length < count) return undefined
    return { opType, domain: microsoft, inputs: [...known.flatMap(all), ...end(output)] }
  }

const forms: Readonly<Record<string, Form>> = {
  Conv: (graph, node, [x, w, b], y) => {
    if (!x || !w || !channelsAre(graph, node, 1, 0)) return undefined
    if ((node.input[2] ?? '') !== '' && !isInt32(graph, b)) return undefined
    const inputs = [...all(x), ...all(w), ...end(y), ...(b ? [b.codes] : [])]
    return { opType: 'QLinearConv', domain: '', inputs }
  },
  MatMul: (graph, node, [a, b], y) => {
    if (!a || !b || !channelsAre(graph, node, 1, 'last')) return undefined
    return { opType: 'QLinearMatMul', domain: '', inputs: [...all(a), ...all(b), ...end(y)] }
  },
  Gemm: (graph, node, [a, b, c], y) => {
    const axis = intOf(node, 'transB', 0) === 1 ? 0 : 1
    if (!a || !b || !channelsAre(graph, node, 1, axis)) return undefined
    if ((node.input[2] ?? '') !== '' && !isInt32(graph, c)) return undefined
    const inputs = [...all(a), ...all(b), c?.codes ?? '', ...end(y)]
    return { opType: 'QGemm', domain: microsoft, inputs, without: ['beta'] }
  },
  Add: plain('QLinearAdd', 2),
  Mul: plain('QLinearMul', 2),
  Sigmoid: plain('QLinearSigmoid', 1),
  LeakyRelu: plain('QLinearLeakyRelu', 1),
  AveragePool: plain('QLinearAveragePool', 1),
  GlobalAveragePool: plain('QLinearGlobalAveragePool', 1),
  Concat: (_graph, _node, inputs, y) => {
    if (inputs.includes(undefined)) return undefined
    const parts = inputs.flatMap((one) => all(one!))
    return { opType: 'QLinearConcat', domain: microsoft, inputs: [...end(y), ...parts] }
  },
}

/** Operators that move elements: with the same parameters on both sides they move codes just as well. */
const moving: ReadonlySet<string> = new Set([
  ...['Reshape', 'Transpose', 'Slice', 'Split', 'Squeeze', 'Unsqueeze', 'Flatten', 'Gather'],
  ...['MaxPool', 'Resize'],
])

/**
 * The same model with operators on codes wherever its Q and DQ allow it; all others keep theirs.
 * @param model as `quantize` makes it
 */
export function toQOperator(model: ModelProto): ModelProto {
  const graph = new Graph(model)
  graph.sort()
  for (const node of [...graph.nodes]) {
    if (node.domain !== '' && node.domain !== 'ai.onnx') continue
    if (moving.has(node.opType)) move(graph, node)
    else replace(graph, node)
  }
  removeUnread(graph)
  if (graph.nodes.some(({ domain }) => domain === microsoft)) graph.setOpset(microsoft, 1)
  graph.sort()
  return graph.toModel()
}

function replace(graph: Graph, node: NodeProto): void {
  const form = forms[node.opType]
  const output = quantizedResult(graph, node.output[0])
  if (form === undefined || output === undefined || node.output.length !== 1) return
  const inputs = node.input.map((value) => dequantized(graph, value))
  const made = form(graph, node, inputs, output)
  if (made === undefined) return
  const by = makeNode(made.opType, made.inputs, [output.codes])
  by.name = node.name
  by.domain = made.domain
  by.attribute = node.attribute.filter(
    ({ name }) => !made.without?.includes(name),
  ) as AttributeProto[]
  graph.remove(graph.producerOf(output.codes)!)
  graph.replace(node, [by])
}

function move(graph: Graph, node: NodeProto): void {
  // Between elements there is no code: the runtime computes them in float, and on codes it would cut off what is behind the point.
  if (node.opType === 'Resize' && stringOf(node, 'mode', 'nearest') !== 'nearest') return
  const input = dequantized(graph, node.input[0])
  const outputs = node.output.map((value) => quantizedResult(graph, value))
  if (input === undefined || outputs.some((one) => !one || !isSame(graph, input, one))) return
  for (const one of outputs) graph.remove(graph.producerOf(one!.codes)!)
  graph.edit(node, () => {
    node.input[0] = input.codes
    node.output = outputs.map((one) => one!.codes)
  })
}

/** What a value is made from, if it comes out of a DequantizeLinear. */
function dequantized(graph: Graph, value: string | undefined): Codes | undefined {
  const producer = value === undefined ? undefined : graph.producerOf(value)
  if (producer?.opType !== 'DequantizeLinear') return undefined
  return codesOf(graph, producer.input[0]!, producer)
}

/** The codes that the only reader of a result makes of it. */
function quantizedResult(graph: Graph, value: string | undefined): Codes | undefined {
  if (value === undefined || graph.isOutput(value)) return undefined
  const [user, ...more] = graph.usersOf(value)
  if (user?.opType !== 'QuantizeLinear' || more.length > 0 || user.input[0] !== value)
    return undefined
  return codesOf(graph, user.output[0]!, user)
}

function codesOf(graph: Graph, codes: string, { input }: NodeProto): Codes | undefined {
  const [, scale = '', zero = ''] = input
  // Without a zero point the type of the codes is not said; nobody here writes that.
  if (zero === '' || graph.constantOf(scale) === undefined) return undefined
  return { codes, scale, zero }
}

/** Whether weights have one scale, or one for each channel of this dimension. */
function channelsAre(graph: Graph, node: NodeProto, at: number, axis: number | 'last'): boolean {
  const dequantize = graph.producerOf(node.input[at]!)!
  const weights = graph.constantOf(dequantize.input[0])
  const scales = graph.constantOf(dequantize.input[1])
  if (scales === undefined) return false
  if (scales.dims.length === 0) return true
  const rank = weights?.dims.length
  if (scales.dims.length !== 1 || rank === undefined) return false
  const along = intOf(dequantize, 'axis', 1)
  return (along < 0 ? along + rank : along) === (axis === 'last' ? rank - 1 : axis)
}

const isInt32 = (graph: Graph, bias: Codes | undefined): boolean =>
  bias !== undefined && graph.constantOf(bias.codes)?.dataType === tensorTypes.int32

function isSame(graph: Graph, a: Codes, b: Codes): boolean {
  const equal = (x: string, y: string) => {
    if (x === y) return true
    const [one, other] = [graph.constantOf(x), graph.constantOf(y)]
    if (one === undefined || other === undefined || one.dataType !== other.dataType) return false
    return String(valuesOf(one)) === String(valuesOf(other))
  }
  return equal(a.scale, b.scale) && equal(a.zero, b.zero)
}

/** Takes away DQ that nobody reads any more, and constants that only they read. */
function removeUnread(graph: Graph): void {
  for (const node of graph.nodes.toReversed()) {
    if (node.opType !== 'DequantizeLinear') continue
    if (graph.usersOf(node.output[0]!).length > 0 || graph.isOutput(node.output[0]!)) continue
    graph.remove(node)
    for (const value of node.input) {
      if (graph.usersOf(value).length === 0 && !graph.isInput(value)) graph.removeInitializer(value)
    }
  }
}
