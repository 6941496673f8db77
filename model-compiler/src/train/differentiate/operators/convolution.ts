/**
 * Conv and ConvTranspose. A transposed convolution is the gradient of a convolution to its input, so both are made
 * of the same three pieces, each written the way that `chooseConvolution` names.
 */
import { OnnxError } from '../../../onnx/read.ts'
import type { NodeProto } from '../../../onnx/schema.ts'
import type { Sym } from '../../tape/sym.ts'
import type { Tape } from '../../tape/tape.ts'
import type { LoweringContext, LoweringTable } from '../lowering.ts'
import { chooseConvolution } from './choose-convolution.ts'
import {
  type ConvolutionShape,
  convolutionShapeOf,
  transposedShapeOf,
} from './convolution-shape.ts'
import * as dense from './dense.ts'
import * as planes from './planes.ts'
import * as pointwise from './pointwise.ts'
import * as toeplitz from './toeplitz.ts'

/** The result of a convolution, [outputs, batch, rows, columns]. Records no gradient. */
export function convolved(
  tape: Tape,
  x: Sym,
  w: Sym,
  bias: Sym | undefined,
  shape: ConvolutionShape,
): Sym {
  switch (chooseConvolution(shape).forward) {
    case 'product':
      return pointwise.forward(tape, x, w, bias, shape)
    case 'toeplitz':
      return toeplitz.forward(tape, x, w, bias, shape)
    case 'planes':
      return planes.forward(tape, x, w, bias, shape)
    case 'volume':
      return dense.volume(tape, x, w, bias, shape)
  }
}

/** What goes back to the input of a convolution, [channels, batch, rows, columns]. */
export function inputGradientOf(
  tape: Tape,
  dy: Sym,
  w: Sym,
  shape: ConvolutionShape,
  bias?: Sym,
): Sym {
  const added = (x: Sym) =>
    bias ? tape.emit('Add', [x, tape.reshape(bias, [shape.channels, 1, 1, 1])]) : x
  switch (chooseConvolution(shape).inputGradient) {
    case 'product':
      return added(pointwise.inputGradient(tape, dy, w, shape))
    case 'toeplitz':
      return toeplitz.inputGradient(tape, dy, w, bias, shape)
    case 'planes-flipped':
      return added(planes.flipped(tape, dy, w, shape))
    case 'planes-transposed':
      return planes.transposed(tape, dy, w, bias, shape)
    case 'flipped':
      return added(dense.flipped(tape, dy, w, shape))
    case 'scattered':
      return added(dense.scattered(tape, dy, w, shape))
    case 'transposed':
      return dense.transposed(tape, dy, w, bias, shape)
  }
}

/** What goes back to the weights of a convolution, in their shape. */
export function weightGradientOf(tape: Tape, x: Sym, dy: Sym, shape: ConvolutionShape): Sym {
  switch (chooseConvolution(shape).weightGradient) {
    case 'product':
      return pointwise.weightGradient(tape, x, dy, shape)
    case 'toeplitz':
      return toeplitz.weightGradient(tape, x, dy, shape)
    case 'rows':
      return toeplitz.weightGradientByRows(tape, x, dy, shape)
    case 'exchanged':
      return dense.exchanged(tape, x, dy, shape)
    case 'columns':
      return dense.columns(tape, x, dy, shape)
  }
}

const biasGradientOf = (tape: Tape, dy: Sym): Sym =>
  tape.emit('ReduceSum', [dy, tape.ints([1, 2, 3])], { keepdims: { int: 0 } })

/** A convolution with its gradients, each made only where somebody asks for it. @returns [outputs, batch, rows, columns] */
export function convolution(
  tape: Tape,
  x: Sym,
  w: Sym,
  bias: Sym | undefined,
  shape: ConvolutionShape,
): Sym {
  const y = convolved(tape, ...still(tape, x, w, bias), shape)
  return tape.record(bias ? [x, w, bias] : [x, w], y, (dy) => [
    x.needsGradient ? inputGradientOf(tape, dy, tape.stopGradient(w), shape) : undefined,
    w.needsGradient ? weightGradientOf(tape, tape.stopGradient(x), dy, shape) : undefined,
    ...(bias?.needsGradient ? [biasGradientOf(tape, dy)] : []),
  ])
}

/**
 * A transposed convolution with its gradients.
 * @param shape of the convolution of which it is the gradient to the input
 * @returns [channels of that convolution, batch, rows, columns]
 */
export function transposedConvolution(
  tape: Tape,
  x: Sym,
  w: Sym,
  bias: Sym | undefined,
  shape: ConvolutionShape,
): Sym {
  const [stillX, stillW, stillBias] = still(tape, x, w, bias)
  const y = inputGradientOf(tape, stillX, stillW, shape, stillBias)
  return tape.record(bias ? [x, w, bias] : [x, w], y, (dy) => [
    x.needsGradient ? convolved(tape, dy, tape.stopGradient(w), undefined, shape) : undefined,
    w.needsGradient ? weightGradientOf(tape, dy, tape.stopGradient(x), shape) : undefined,
    ...(bias?.needsGradient ? [biasGradientOf(tape, dy)] : []),
  ])
}

/** As values whose way back is ours to record. */
const still = (
  tape: Tape,
  x: Sym,
  w: Sym,
  bias: Sym | undefined,
): [x: Sym, w: Sym, bias: Sym | undefined] => [
  tape.stopGradient(x),
  tape.stopGradient(w),
  bias && tape.stopGradient(bias),
]

function operandsOf(node: NodeProto, context: LoweringContext) {
  const x = context.read(node.input[0], 'CN')
  const w = context.read(node.input[1])
  if (x.shape.length !== 4) {
    throw new OnnxError(`it slides over ${x.shape.length - 2} axes; only two can be trained`)
  }
  return { x, w, bias: context.has(node, 2) ? context.read(node.input[2]) : undefined }
}

export const convolutions: LoweringTable = {
  Conv: (node, context) => {
    const { x, w, bias } = operandsOf(node, context)
    const shape = convolutionShapeOf(node, x.shape, w.shape)
    context.write(node.output[0], convolution(context.tape, x, w, bias, shape), 'CN')
  },
  ConvTranspose: (node, context) => {
    const { x, w, bias } = operandsOf(node, context)
    const shape = transposedShapeOf(node, x.shape, w.shape)
    context.write(node.output[0], transposedConvolution(context.tape, x, w, bias, shape), 'CN')
  },
}
