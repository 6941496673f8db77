/**
 * ONNX Runtime's fast kernels for products of codes want whole blocks of channels: those of a convolution's input in
 * fours, those of a depthwise one in sixteens (MLAS, `MlasConvSymPackWSize`). Others take a path that is two to four
 * times as slow, so channels of zeros fill the last block: nobody reads them, as their weights are zero.
 */
import { intOf } from '../graph/attributes.ts'
import type { Graph } from '../graph/graph.ts'
import { staticShape } from '../graph/value-type.ts'
import { node as makeNode } from '../onnx/build.ts'
import type { NodeProto } from '../onnx/schema.ts'
import { floatsOf, tensor } from '../onnx/tensor.ts'
import { tensorTypes } from '../onnx/types.ts'
import { isOp, producerAs, scalarOf } from './matching.ts'
import type { Pass } from './pass.ts'

/** Channels are filled up to a multiple of these. */
export type ChannelBlocks = { readonly input: number; readonly depthwise: number }

/** Keep each channel to itself, and make something finite of zero. */
const ofEachChannel = [
  ...['Relu', 'LeakyRelu', 'Clip', 'Sigmoid', 'HardSigmoid', 'HardSwish', 'Tanh', 'Elu'],
  ...['MaxPool', 'AveragePool'],
]

/** A pass that fills up channels for a target with such blocks. */
export function alignChannels(blocks: ChannelBlocks): Pass {
  return {
    name: 'align-channels',
    about: 'Fills up channels with zeros to the blocks that int8 kernels want.',
    run(graph) {
      let changes = 0
      for (const node of [...graph.nodes]) {
        if (!isDense(graph, node)) continue
        if (widenPicture(graph, node, blocks)) changes++
        if (widenBetween(graph, node, blocks)) changes++
      }
      return changes
    },
  }
}

/** The first convolution of a model reads three colours: it gets a fourth of zeros. */
function widenPicture(graph: Graph, node: NodeProto, { input: block }: ChannelBlocks): boolean {
  const picture = node.input[0]!
  const shape = staticShape(graph.typeOf(picture))
  // More channels were made by somebody; what fills them is made there, or not at all.
  if (shape?.length !== 4 || shape[1]! >= block) return false
  const [batch = 1, channels = 0, height = 0, width = 0] = shape
  const more = filled(channels, block) - channels
  const dims = BigInt64Array.from([batch, more, height, width], BigInt)
  // Expanded by the runtime when it loads, so that the file stays small.
  const zero = graph.addInitializer(tensor(`${picture}_zero`, [1, 1, 1, 1], Float32Array.of(0)))
  const size = graph.addInitializer(tensor(`${picture}_zeros_shape`, [4], dims))
  const zeros = graph.freshName(`${picture}_zeros`)
  const wide = graph.freshName(`${picture}_filled`)
  graph.insert([
    makeNode('Expand', [zero, size], [zeros]),
    makeNode('Concat', [picture, zeros], [wide], { axis: { int: 1 } }),
  ])
  graph.setType(zeros, { elementType: tensorTypes.float32, shape: [batch, more, height, width] })
  graph.setType(wide, {
    elementType: tensorTypes.float32,
    shape: [batch, channels + more, height, width],
  })
  widenWeights(graph, node, { inputs: more })
  graph.setInput(node, 0, wide)
  return true
}

/**
 * Where a picture becomes codes after it was filled up, fills up its codes instead: bytes are copied faster than
 * numbers, and the runtime has nothing to compute there.
 * @returns how many pictures
 */
export function fillCodes(graph: Graph): number {
  let changes = 0
  for (const quantize of [...graph.nodes]) {
    if (!isOp(quantize, 'QuantizeLinear')) continue
    const [value = '', scale = '', zeroPoint = ''] = quantize.input
    const concat = producerAs(graph, value, 'Concat')
    const expand = producerAs(graph, concat?.input[1], 'Expand')
    const zero = graph.constantOf(zeroPoint)
    if (!concat || !expand || !zero || concat.input.length !== 2) continue
    if (!graph.isReadOnlyBy(value, quantize) || !graph.isReadOnlyBy(concat.input[1]!, concat))
      continue
    if (scalarOf(graph, expand.input[0]) !== 0) continue
    const codes = quantize.output[0]!
    const narrow = graph.freshName(`${concat.input[0]}_quantized`)
    const fill = graph.freshName(`${concat.input[1]}_quantized`)
    const shape = expand.input[1]!
    graph.remove(quantize, concat, expand)
    graph.insert([
      makeNode('QuantizeLinear', [concat.input[0]!, scale, zeroPoint], [narrow]),
      makeNode('Expand', [zeroPoint, shape], [fill]),
      makeNode('Concat', [narrow, fill], [codes], { axis: { int: intOf(concat, 'axis', 1) } }),
    ])
    changes++
  }
  return changes
}

/** What one convolution makes only for another, through operators that keep channels apart. */
function widenBetween(graph: Graph, first: NodeProto, blocks: ChannelBlocks): boolean {
  const between: NodeProto[] = []
  let at = first
  for (;;) {
    const value = at.output[0]!
    const [next, ...others] = graph.usersOf(value)
    if (next === undefined || others.length > 0 || graph.isOutput(value)) return false
    if (next.input.filter((one) => one === value).length !== 1 || next.input[0] !== value)
      return false
    if (at.output.filter((one) => one !== '').length > 1) return false
    if (isDense(graph, next)) {
      at = next
      break
    }
    if (!isDepthwise(graph, next) && !isOp(next, ...ofEachChannel)) return false
    between.push(next)
    at = next
  }
  const depthwise = between.filter((node) => isOp(node, 'Conv'))
  const channels = Number(graph.constantOf(first.input[1])!.dims[0])
  const more = filled(channels, depthwise.length > 0 ? blocks.depthwise : blocks.input) - channels
  // A net of a few channels would mostly compute zeros.
  if (more === 0 || more > channels) return false
  widenWeights(graph, first, { outputs: more })
  for (const node of depthwise) {
    widenWeights(graph, node, { outputs: more })
    graph.edit(node, () => {
      const group = node.attribute.find(({ name }) => name === 'group')!
      group.i = BigInt(channels + more)
    })
  }
  widenWeights(graph, at, { inputs: more })
  for (const node of [first, ...between]) rename(graph, node, more)
  return true
}

/** What it makes has other channels now, and so another name. */
function rename(graph: Graph, node: NodeProto, more: number): void {
  const old = node.output[0]!
  const type = graph.typeOf(old)
  const name = graph.freshName(`${old}_filled`)
  graph.redirect(old, name)
  graph.edit(node, () => {
    node.output = node.output.map((one) => (one === old ? name : one))
  })
  const shape = staticShape(type)
  if (type && shape) {
    const wide = shape.map((size, axis) => (axis === 1 ? size + more : size))
    graph.setType(name, { ...type, shape: wide })
  }
}

/** Zeros behind a convolution's weights: for inputs that mean nothing, or outputs that nobody reads. */
function widenWeights(
  graph: Graph,
  node: NodeProto,
  { inputs = 0, outputs = 0 }: { readonly inputs?: number; readonly outputs?: number },
): void {
  const [, weightName = '', biasName = ''] = node.input
  const source = graph.constantOf(weightName)!
  const [outer = 0, inner = 0, ...kernel] = source.dims.map(Number)
  const area = kernel.reduce((product, size) => product * size, 1)
  const from = floatsOf(source)
  const row = (inner + inputs) * area
  const wide = new Float32Array((outer + outputs) * row)
  for (let output = 0; output < outer; output++) {
    wide.set(from.subarray(output * inner * area, (output + 1) * inner * area), output * row)
  }
  const dims = [outer + outputs, inner + inputs, ...kernel]
  graph.setInput(node, 1, graph.addInitializer(tensor(`${weightName}_filled`, dims, wide)))
  if (biasName === '' || outputs === 0) return
  const bias = new Float32Array(outer + outputs)
  bias.set(floatsOf(graph.constantOf(biasName)!))
  graph.setInput(node, 2, graph.addInitializer(tensor(`${biasName}_filled`, [bias.length], bias)))
}

/** A convolution of all channels with all channels, with constant weights. */
const isDense = (graph: Graph, node: NodeProto): boolean =>
  isConstantConv(graph, node) && intOf(node, 'group', 1) === 1

/** A convolution of each channel by itself. */
const isDepthwise = (graph: Graph, node: NodeProto): boolean => {
  if (!isConstantConv(graph, node)) return false
  const [outer, inner] = graph.constantOf(node.input[1])!.dims.map(Number)
  return inner === 1 && intOf(node, 'group', 1) === outer && outer! > 1
}

const isConstantConv = (graph: Graph, node: NodeProto): boolean =>
  isOp(node, 'Conv') &&
  node.input
    .slice(1)
    .every((name) => name === '' || graph.constantOf(name)?.dataType === tensorTypes.float32)

const filled = (channels: number, block: number): number => Math.ceil(channels / block) * block
