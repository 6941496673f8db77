/**
 * MaxPool, AveragePool and the global pools. They look at each channel of each picture alone, so that the layout does not
 * matter to them but for the names of the first two axes.
 */
import { intOf, intsOf } from '../../../graph/attributes.ts'
import { OnnxError } from '../../../onnx/read.ts'
import type { NodeProto } from '../../../onnx/schema.ts'
import type { Sym } from '../../tape/sym.ts'
import type { Tape } from '../../tape/tape.ts'
import type { LoweringContext, LoweringTable } from '../lowering.ts'
import { constantOnce } from './constants-once.ts'
import { area, type Pair, type Window, windowOf } from './convolution-shape.ts'
import { windowAttributes } from './dense.ts'

export type PoolingShape = Window & { readonly input: Pair; readonly output: Pair }

/**
 * - `enlarged`: windows beside each other without a gap; the maxima are enlarged over their windows and compared
 * - `indexed`: the runtime says where each maximum was, and the gradients are scattered there
 */
export type MaxPoolGradient = 'enlarged' | 'indexed'

/** How the gradient of a MaxPool is written down. */
export function chooseMaxPool(shape: PoolingShape): MaxPoolGradient {
  const { kernel, strides, dilations, before, after, input, output } = shape
  const tiles = ([0, 1] as const).every(
    (at) =>
      kernel[at] === strides[at] &&
      (dilations[at] === 1 || kernel[at] === 1) &&
      before[at] === 0 &&
      after[at] === 0 &&
      output[at] * kernel[at] === input[at],
  )
  return tiles ? 'enlarged' : 'indexed'
}

/** @returns the maxima, with their gradient */
export function maxPool(tape: Tape, x: Sym, shape: PoolingShape, ceil: boolean): Sym {
  const attributes = { ...windowAttributes(shape), ceil_mode: { int: ceil ? 1 : 0 } }
  const result = [...x.shape.slice(0, 2), ...shape.output]
  if (chooseMaxPool(shape) === 'enlarged' || !x.needsGradient) {
    const y = tape.reshape(tape.emit('MaxPool', [planesOf(tape, x)], attributes), result)
    return tape.record([x], y, (dy) => [enlargedGradient(tape, x, y, dy, shape)])
  }
  const [y, places] = tape.emitSeveral('MaxPool', [planesOf(tape, x)], 2, attributes)
  return tape.record([x], tape.reshape(y!, result), (dy) => [
    scatteredGradient(tape, x, places!, dy, shape),
  ])
}

/**
 * Every map as a picture of one channel: from many channels the runtime would make blocks for each pool, and afterwards
 * unmake them.
 */
const planesOf = (tape: Tape, x: Sym): Sym => {
  const [first, second, rows, columns] = x.shape
  return tape.reshape(tape.stopGradient(x), [first! * second!, 1, rows!, columns!])
}

/**
 * The gradient goes to whatever equals the maximum of its window. Where several do, which is usual when values are rounded
 * to codes, they share it.
 */
function enlargedGradient(tape: Tape, x: Sym, y: Sym, dy: Sym, shape: PoolingShape): Sym {
  const chosen = tape.emit('Equal', [x, enlarged(tape, y, shape.kernel)])
  const mask = tape.emit('Cast', [chosen], { to: { int: 1 } })
  const each = tape.emit('Div', [dy, windowSums(tape, mask, shape)])
  return tape.emit('Mul', [mask, enlarged(tape, each, shape.kernel)])
}

/** Sums of windows that tile the map: the rows of a window lie behind each other, so one product sums over both axes. */
function windowSums(tape: Tape, x: Sym, { kernel, input, output }: PoolingShape): Sym {
  const [first, second] = x.shape
  const [columns, windows] = [kernel[0] * input[1], output[1]]
  const key = `windows/${kernel.join('x')}/${input[1]}`
  const members = constantOnce(tape, key, [columns, windows], (values) => {
    for (let at = 0; at < columns; at++) {
      values[at * windows + Math.floor((at % input[1]) / kernel[1])] = 1
    }
  })
  const rows = tape.reshape(x, [first! * second! * output[0], columns])
  return tape.reshape(tape.emit('MatMul', [rows, members]), [first!, second!, ...output])
}

/** Each element over a whole window. */
export function enlarged(tape: Tape, x: Sym, by: Pair): Sym {
  if (area(by) === 1) return x
  const scales = tape.constant([4], [1, 1, by[0], by[1]])
  const made = tape.emit('Resize', [planesOf(tape, x), undefined, scales], {
    mode: { string: 'nearest' },
    coordinate_transformation_mode: { string: 'asymmetric' },
    nearest_mode: { string: 'floor' },
  })
  const [first, second, rows, columns] = x.shape
  return tape.reshape(made, [first!, second!, rows! * by[0], columns! * by[1]])
}

function scatteredGradient(
  tape: Tape,
  x: Sym,
  places: Sym,
  dy: Sym,
  { kernel, strides, dilations }: PoolingShape,
): Sym {
  const size = x.shape.reduce((product, one) => product * one, 1)
  const count = dy.shape.reduce((product, one) => product * one, 1)
  const overlap = ([0, 1] as const).some((at) => (kernel[at] - 1) * dilations[at] + 1 > strides[at])
  const flat = tape.emit(
    'ScatterElements',
    [
      tape.emit('Expand', [tape.scalar(0), tape.ints([size])]),
      tape.reshape(places, [count]),
      tape.reshape(dy, [count]),
    ],
    { axis: { int: 0 }, ...(overlap && { reduction: { string: 'add' } }) },
  )
  return tape.reshape(flat, x.shape)
}

/** @returns the means, with their gradient: each window's share back to its elements, first by rows, then by columns */
export function averagePool(
  tape: Tape,
  x: Sym,
  shape: PoolingShape,
  options: { readonly ceil: boolean; readonly countPadding: boolean },
): Sym {
  const means = tape.emit('AveragePool', [planesOf(tape, x)], {
    ...windowAttributes(shape),
    ceil_mode: { int: options.ceil ? 1 : 0 },
    count_include_pad: { int: options.countPadding ? 1 : 0 },
  })
  const y = tape.reshape(means, [...x.shape.slice(0, 2), ...shape.output])
  return tape.record([x], y, (dy) => {
    const tiles = chooseMaxPool(shape) === 'enlarged'
    if (tiles) return [enlarged(tape, scaled(tape, dy, 1 / area(shape.kernel)), shape.kernel)]
    const [first, second] = x.shape
    const columns = shares(tape, shape, 1, options.countPadding, 'from-window')
    const byColumns = tape.emit('MatMul', [
      tape.reshape(dy, [first! * second! * shape.output[0], shape.output[1]]),
      columns,
    ])
    const rows = shares(tape, shape, 0, options.countPadding, 'to-element')
    const dx = tape.emit('MatMul', [
      rows,
      tape.reshape(byColumns, [first!, second!, shape.output[0], shape.input[1]]),
    ])
    return [dx]
  })
}

const scaled = (tape: Tape, x: Sym, by: number): Sym =>
  by === 1 ? x : tape.emit('Mul', [x, tape.scalar(by)])

/**
 * What each window takes of each element of an axis: [windows, elements], or turned round. The share of a window in
 * the plane is the product of both axes' shares, also where padding does not count.
 */
function shares(
  tape: Tape,
  shape: PoolingShape,
  at: 0 | 1,
  countPadding: boolean,
  order: 'from-window' | 'to-element',
): Sym {
  const [kernel, stride, dilation] = [shape.kernel[at], shape.strides[at], shape.dilations[at]]
  const [before, after] = [shape.before[at], shape.after[at]]
  const [input, output] = [shape.input[at], shape.output[at]]
  const fromWindow = order === 'from-window'
  const key = `shares/${order}/${input}to${output}k${kernel}s${stride}d${dilation}p${before}-${after}${countPadding}`
  return constantOnce(tape, key, fromWindow ? [output, input] : [input, output], (values) => {
    for (let step = 0; step < output; step++) {
      const under = Array.from(
        { length: kernel },
        (_, element) => step * stride + element * dilation - before,
      )
      const inside = under.filter((place) => place >= 0 && place < input)
      // A window that ceil_mode adds counts the padding it was given, not what lies beyond.
      const counted = countPadding ? under.filter((place) => place < input + after) : inside
      for (const place of inside) {
        values[fromWindow ? step * input + place : place * output + step] = 1 / counted.length
      }
    }
  })
}

/** Means of whole maps, [.., 1, 1]. */
export function globalAverage(tape: Tape, x: Sym): Sym {
  const size = area([x.shape[2]!, x.shape[3]!])
  const y = tape.emit('ReduceMean', [x, tape.ints([2, 3])], { keepdims: { int: 1 } })
  return tape.record([x], y, (dy) => [
    tape.emit('Expand', [scaled(tape, dy, 1 / size), tape.ints(x.shape)]),
  ])
}

/** A pool's input with the layout it lies in, and its window. */
function pooled(node: NodeProto, context: LoweringContext) {
  const layout = context.layoutOf(node.input[0])
  const x = context.read(node.input[0], layout)
  if (x.shape.length !== 4) {
    throw new OnnxError(`it slides over ${x.shape.length - 2} axes; only two can be trained`)
  }
  const input: Pair = [x.shape[2]!, x.shape[3]!]
  const window = windowOf(node, intsOf(node, 'kernel_shape', []), input)
  const ceil = intOf(node, 'ceil_mode', 0) !== 0
  // The runtime's own count of steps is that of the compiler's inference.
  const [, , rows, columns] = context.resultShapeOf(node)
  const shape: PoolingShape = { ...window, input, output: [rows!, columns!] }
  return { x, shape, layout, ceil }
}

export const pooling: LoweringTable = {
  MaxPool: (node, context) => {
    if ((node.output[1] ?? '') !== '') throw new OnnxError('its indices are read')
    const { x, shape, layout, ceil } = pooled(node, context)
    context.write(node.output[0], maxPool(context.tape, x, shape, ceil), layout)
  },
  AveragePool: (node, context) => {
    const { x, shape, layout, ceil } = pooled(node, context)
    const countPadding = context.int(node, 'count_include_pad', 0) !== 0
    const y = averagePool(context.tape, x, shape, { ceil, countPadding })
    context.write(node.output[0], y, layout)
  },
  GlobalAveragePool: (node, context) => {
    const layout = context.layoutOf(node.input[0])
    const x = context.read(node.input[0], layout)
    if (x.shape.length !== 4) throw new OnnxError('it pools other than two axes')
    context.write(node.output[0], globalAverage(context.tape, x), layout)
  },
}
