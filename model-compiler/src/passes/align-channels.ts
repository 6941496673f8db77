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
import { isDense, stretchFrom } from './channel-stretch.ts'
import { isOp, producerAs, scalarOf } from './matching.ts'
import type { Pass } from './pass.ts'

/** Channels are filled up to a multiple of these. */
export type ChannelBlocks = { readonly input: number; readonly depthwise: number }

/** How a value that was filled up is called. */
export const filledName = /_filled(_\d+)?$/

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
function widenBetween(graph: Graph, node: NodeProto, blocks: ChannelBlocks): boolean {
  const stretch = stretchFrom(graph, node)
  if (stretch === undefined) return false
  const { first, between, last, channels } = stretch
  // It is folded before; one that is left over is not worth the work.
  if (between.some((one) => isOp(one, 'BatchNormalization'))) return false
  const depthwise = between.filter((one) => isOp(one, 'Conv'))
  const more = filled(channels, depthwise.length > 0 ? blocks.depthwise : blocks.input) - channels
  // A net of a few channels would mostly compute zeros.
  if (more === 0 || more > channels) return false
  widenWeights(graph, first, { outputs: more })
  for (const one of depthwise) {
    widenWeights(graph, one, { outputs: more })
    graph.edit(one, () => {
      one.attribute.find(({ name }) => name === 'group')!.i = BigInt(channels + more)
    })
  }
  widenWeights(graph, last, { inputs: more })
  for (const one of [first, ...between]) rename(graph, one, more)
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

const filled = (channels: number, block: number): number => Math.ceil(channels / block) * block
