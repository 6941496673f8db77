/**
 * Depthwise convolutions as products: a window that slides over a map is a matrix from map to map, one for each channel, and
 * all pictures of the batch are its rows. On small maps that matrix is small; on larger ones the gradient of the window
 * is taken row by row of the map, with the matrix of one row.
 */
import type { Sym } from '../../tape/sym.ts'
import type { Tape } from '../../tape/tape.ts'
import { area, type ConvolutionShape } from './convolution-shape.ts'
import { mapPlaces, rowPlaces } from './window-places.ts'

export function forward(
  tape: Tape,
  x: Sym,
  w: Sym,
  bias: Sym | undefined,
  shape: ConvolutionShape,
): Sym {
  const { channels, batch, input, output } = shape
  const product = tape.emit('MatMul', [
    tape.reshape(x, [channels, batch, area(input)]),
    matrixOf(tape, w, shape, 'element-input-output'),
  ])
  const y = bias ? tape.emit('Add', [product, tape.reshape(bias, [channels, 1, 1])]) : product
  return tape.reshape(y, [channels, batch, ...output])
}

export function inputGradient(
  tape: Tape,
  dy: Sym,
  w: Sym,
  bias: Sym | undefined,
  shape: ConvolutionShape,
): Sym {
  const { channels, batch, input, output } = shape
  const product = tape.emit('MatMul', [
    tape.reshape(dy, [channels, batch, area(output)]),
    matrixOf(tape, w, shape, 'element-output-input'),
  ])
  const x = bias ? tape.emit('Add', [product, tape.reshape(bias, [channels, 1, 1])]) : product
  return tape.reshape(x, [channels, batch, ...input])
}

/** The windows of all channels as matrices of the whole map. */
function matrixOf(
  tape: Tape,
  w: Sym,
  shape: ConvolutionShape,
  order: 'element-input-output' | 'element-output-input',
): Sym {
  const elements = area(shape.kernel)
  const places = mapPlaces(tape, shape, order)
  const [, rows, columns] = places.shape
  const matrices = tape.emit('MatMul', [
    tape.reshape(w, [shape.channels, elements]),
    tape.reshape(places, [elements, rows! * columns!]),
  ])
  return tape.reshape(matrices, [shape.channels, rows!, columns!])
}

export function weightGradient(tape: Tape, x: Sym, dy: Sym, shape: ConvolutionShape): Sym {
  const { channels, batch, input, output, kernel } = shape
  const [inputs, outputs, elements] = [area(input), area(output), area(kernel)]
  // The longer side last: that is the one along which the runtime's product is fast.
  const matrices = tape.emit('MatMul', [
    tape.transpose(tape.reshape(dy, [channels, batch, outputs]), [0, 2, 1]),
    tape.reshape(x, [channels, batch, inputs]),
  ])
  const places = tape.reshape(mapPlaces(tape, shape, 'element-output-input'), [
    ...[elements, inputs * outputs],
  ])
  const windows = tape.emit(
    'Gemm',
    [tape.reshape(matrices, [channels, inputs * outputs]), places],
    { transB: { int: 1 } },
  )
  return tape.reshape(windows, [channels, 1, ...kernel])
}

/** For each row of the window, the rows of the map under it times the rows of the gradient. */
export function weightGradientByRows(tape: Tape, x: Sym, dy: Sym, shape: ConvolutionShape): Sym {
  const { channels, input, output, kernel } = shape
  const matrices = Array.from({ length: kernel[0] }, (_, a) => {
    const product = rowsTimes(tape, x, dy, shape, a)
    return tape.reshape(product, [channels, 1, input[1] * output[1]])
  })
  const stacked = tape.reshape(tape.concat(matrices, 1), [
    ...[channels * kernel[0], input[1] * output[1]],
  ])
  const windows = tape.emit('MatMul', [stacked, rowPlaces(tape, shape)])
  return tape.reshape(windows, [channels, 1, ...kernel])
}

/** [channels, columns of the gradient, columns of the map] for one row of the window. */
function rowsTimes(tape: Tape, x: Sym, dy: Sym, shape: ConvolutionShape, a: number): Sym {
  const { channels, batch, input, output, strides, dilations, before } = shape
  const shift = a * dilations[0] - before[0]
  // Rows of the gradient whose row of the map is no padding.
  const first = Math.max(0, Math.ceil(-shift / strides[0]))
  const last = Math.min(output[0] - 1, Math.floor((input[0] - 1 - shift) / strides[0]))
  const rows = last - first + 1
  if (rows <= 0) {
    const none = [channels, output[1], input[1]]
    return tape.constant(none, new Float32Array(none.reduce((product, one) => product * one, 1)))
  }
  const start = first * strides[0] + shift
  const under = tape.slice(x, [
    { axis: 2, start, end: start + (rows - 1) * strides[0] + 1, step: strides[0] },
  ])
  const arrived = tape.slice(dy, [{ axis: 2, start: first, end: last + 1 }])
  return tape.emit('MatMul', [
    tape.transpose(tape.reshape(arrived, [channels, batch * rows, output[1]]), [0, 2, 1]),
    tape.reshape(under, [channels, batch * rows, input[1]]),
  ])
}
