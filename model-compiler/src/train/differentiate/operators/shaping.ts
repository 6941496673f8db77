/** What moves elements: reshaping, cutting, joining. */
import { intOf, intsOf } from '../../../graph/attributes.ts'
import { OnnxError } from '../../../onnx/read.ts'
import type { NodeProto } from '../../../onnx/schema.ts'
import { padBy } from '../../tape/shaping.ts'
import type { Sym } from '../../tape/sym.ts'
import {
  axisIn,
  type Layout,
  type Lowering,
  type LoweringContext,
  type LoweringTable,
} from '../lowering.ts'

/** The shape that the tape's inference gives this node: -1, 0 and all that are settled by it. */
const reshaped: Lowering = (node, context) => {
  const x = context.read(node.input[0])
  const shape = context.resultShapeOf(node)
  context.write(node.output[0], context.tape.reshape(x, shape))
}

const transposed: Lowering = (node, context) => {
  const [name] = node.input
  const rank = context.shapeOf(name).length
  const perm = intsOf(
    node,
    'perm',
    Array.from({ length: rank }, (_, at) => rank - 1 - at),
  )
  // From whichever way the value lies, in one step.
  const layout = context.layoutOf(name)
  const x = context.read(name, layout)
  const moved = perm.map((axis) => axisIn(layout, axis < 0 ? axis + rank : axis))
  context.write(node.output[0], context.tape.transpose(x, moved))
}

/** Most of the values' layout: joined parts are to lie the same way. */
function layoutOfAll(context: LoweringContext, names: readonly string[]): Layout {
  return names.some((name) => context.layoutOf(name) === 'CN') ? 'CN' : 'NC'
}

const axisOfNode = (node: NodeProto, context: LoweringContext, otherwise?: number): number => {
  const rank = context.shapeOf(node.input[0]).length
  const axis = intOf(node, 'axis', otherwise)
  if (axis === undefined) throw new OnnxError('it lacks its axis')
  return axis < 0 ? axis + rank : axis
}

const concat: Lowering = (node, context) => {
  const layout = layoutOfAll(context, node.input)
  const parts = node.input.map((name) => context.read(name, layout))
  const axis = axisIn(layout, axisOfNode(node, context))
  context.write(node.output[0], context.tape.concat(parts, axis), layout)
}

const split: Lowering = (node, context) => {
  const layout = context.layoutOf(node.input[0])
  const axis = axisOfNode(node, context, 0)
  const length = context.shapeOf(node.input[0])[axis]!
  const count = node.output.length
  const chunk = Math.ceil(length / count)
  const even = Array.from({ length: count }, (_, at) =>
    Math.min(chunk, Math.max(0, length - at * chunk)),
  )
  const lengths = context.listFrom(node, 'split', 1) ?? even
  const x = context.read(node.input[0], layout)
  const parts = context.tape.split(x, lengths, axisIn(layout, axis))
  for (const [at, name] of node.output.entries()) context.write(name, parts[at]!, layout)
}

const slice: Lowering = (node, context) => {
  const [name] = node.input
  const layout = context.layoutOf(name)
  const shape = context.shapeOf(name)
  const starts = context.listFrom(node, 'starts', 1) ?? []
  const ends = context.listFrom(node, 'ends', 2) ?? []
  const axes = context.listFrom(node, 'axes', 3) ?? [...starts.keys()]
  const steps = context.listFrom(node, 'steps', 4)
  const cuts = starts.map((start, at) => {
    const said = axes[at]!
    const axis = axisIn(layout, said < 0 ? said + shape.length : said)
    return { axis, start, end: ends[at]!, step: steps?.[at] ?? 1 }
  })
  context.write(node.output[0], context.tape.slice(context.read(name, layout), cuts), layout)
}

const gather: Lowering = (node, context) => {
  const [name, picked] = node.input
  const shape = context.shapeOf(name)
  const axis = axisOfNode(node, context, 0)
  const indices = context.read(picked)
  const known = context.numbersOf(picked)
  // A list of indices leaves as many axes as there were, so that the value may lie as it does.
  const layout = indices.shape.length === 1 ? context.layoutOf(name) : 'NC'
  const x = context.read(name, layout)
  const at = axisIn(layout, axis)
  // One index is a cut with a cheaper way back.
  if (known?.length === 1) {
    const start = known[0]! < 0 ? known[0]! + shape[axis]! : known[0]!
    const cut = context.tape.slice(x, [{ axis: at, start, end: start + 1 }])
    const one = indices.shape.length === 1 ? cut : reshapedTo(context, cut, node)
    return context.write(node.output[0], one, layout)
  }
  context.write(node.output[0], context.tape.gather(x, indices, at), layout)
}

const reshapedTo = (context: LoweringContext, x: Sym, node: NodeProto): Sym =>
  context.tape.reshape(x, context.resultShapeOf(node))

const pad: Lowering = (node, context) => {
  const [name] = node.input
  const mode = context.string(node, 'mode', 'constant')
  const layout = context.layoutOf(name)
  const rank = context.shapeOf(name).length
  const pads = context.listFrom(node, 'pads', 1) ?? []
  const axes = context.listFrom(node, 'axes', 3) ?? [...Array(rank).keys()]
  const all = new Array(2 * rank).fill(0)
  for (const [at, said] of axes.entries()) {
    const axis = axisIn(layout, said < 0 ? said + rank : said)
    all[axis] = pads[at]!
    all[axis + rank] = pads[at + axes.length]!
  }
  const x = context.read(name, layout)
  if (mode === 'edge' || mode === 'reflect' || mode === 'wrap') {
    return context.write(node.output[0], padBy(context.tape, x, all, mode), layout)
  }
  const fill = context.has(node, 2) ? context.numbersOf(node.input[2])?.[0] : 0
  if (fill === undefined) throw new OnnxError('what it fills with is computed')
  context.write(node.output[0], context.tape.pad(x, all, fill), layout)
}

/** Blocks of channels to space and back are an axis taken apart, turned and put together. */
const depthToSpace: Lowering = (node, context) => {
  const x = context.read(node.input[0])
  const [n, c, h, w] = x.shape as [number, number, number, number]
  const block = context.int(node, 'blocksize', 1)
  const rest = c / block ** 2
  const blocksFirst = context.string(node, 'mode', 'DCR') === 'DCR'
  const apart = blocksFirst ? [n, block, block, rest, h, w] : [n, rest, block, block, h, w]
  const turned = context.tape.transpose(
    context.tape.reshape(x, apart),
    blocksFirst ? [0, 3, 4, 1, 5, 2] : [0, 1, 4, 2, 5, 3],
  )
  context.write(node.output[0], reshapedTo(context, turned, node))
}
const spaceToDepth: Lowering = (node, context) => {
  const x = context.read(node.input[0])
  const [n, c, h, w] = x.shape as [number, number, number, number]
  const block = context.int(node, 'blocksize', 1)
  const apart = context.tape.reshape(x, [n, c, h / block, block, w / block, block])
  const turned = context.tape.transpose(apart, [0, 3, 5, 1, 2, 4])
  context.write(node.output[0], reshapedTo(context, turned, node))
}

const expand: Lowering = (node, context) => {
  const x = context.read(node.input[0])
  context.write(node.output[0], context.tape.expand(x, context.resultShapeOf(node)))
}

export const shaping: LoweringTable = {
  Reshape: reshaped,
  Flatten: reshaped,
  Squeeze: reshaped,
  Unsqueeze: reshaped,
  Transpose: transposed,
  Concat: concat,
  Split: split,
  Slice: slice,
  Gather: gather,
  Pad: pad,
  DepthToSpace: depthToSpace,
  SpaceToDepth: spaceToDepth,
  Expand: expand,
}
