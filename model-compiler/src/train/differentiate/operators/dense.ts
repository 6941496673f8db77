/** Convolutions that mix channels, over windows of more than one element. */
import type { Sym } from '../../tape/sym.ts'
import type { Tape } from '../../tape/tape.ts'
import { flippedPads } from './choose-convolution.ts'
import {
  area,
  type ConvolutionShape,
  padsOf,
  pair,
  reachOf,
  type Window,
} from './convolution-shape.ts'
import { mapPlaces, turnedRound } from './window-places.ts'

/**
 * The batch lies behind the channels, so it is the depth of one picture in three dimensions: all of it becomes one
 * product, where Conv in two dimensions makes one for each picture, too small where maps are.
 */
export function volume(
  tape: Tape,
  x: Sym,
  w: Sym,
  bias: Sym | undefined,
  shape: ConvolutionShape,
): Sym {
  const { batch, channels, outputs, group, input, output, kernel } = shape
  const y = tape.emit(
    'Conv',
    [
      tape.reshape(x, [1, channels, batch, ...input]),
      tape.reshape(w, [outputs, channels / group, 1, ...kernel]),
      ...(bias ? [bias] : []),
    ],
    {
      kernel_shape: { ints: [1, ...kernel] },
      strides: { ints: [1, ...shape.strides] },
      dilations: { ints: [1, ...shape.dilations] },
      pads: { ints: [0, ...shape.before, 0, ...shape.after] },
      group: { int: group },
    },
  )
  return tape.reshape(y, [outputs, batch, ...output])
}

/** What a window gives to its places is what it took from them: a convolution with the window turned round. */
export function flipped(tape: Tape, dy: Sym, w: Sym, shape: ConvolutionShape): Sym {
  const { channels, outputs, group, kernel } = shape
  const elements = area(kernel)
  const turned = tape.emit('MatMul', [
    tape.reshape(w, [outputs * (channels / group), elements]),
    turnedRound(tape, elements),
  ])
  const byGroup = tape.reshape(turned, [group, outputs / group, channels / group, elements])
  const exchanged = tape.transpose(byGroup, [0, 2, 1, 3])
  const weights = tape.reshape(exchanged, [channels, outputs / group, ...kernel])
  return volume(tape, dy, weights, undefined, {
    ...shape,
    ...flippedPads(shape),
    channels: outputs,
    outputs: channels,
    input: shape.output,
    output: shape.input,
  })
}

/** What each window gives to each of its elements in one product, then summed by place. For small maps. */
export function scattered(tape: Tape, dy: Sym, w: Sym, shape: ConvolutionShape): Sym {
  const { batch, channels, outputs, input, output, kernel } = shape
  const [elements, windows] = [area(kernel), area(output)]
  // The weights are the larger matrix: they are read as they lie, and what is small is turned round.
  const given = tape.emit(
    'Gemm',
    [tape.reshape(dy, [outputs, batch * windows]), tape.reshape(w, [outputs, channels * elements])],
    { transA: { int: 1 } },
  )
  const byPicture = tape.transpose(
    tape.reshape(given, [batch, windows, channels, elements]),
    [2, 0, 1, 3],
  )
  const places = tape.reshape(mapPlaces(tape, shape, 'output-element-input'), [
    windows * elements,
    area(input),
  ])
  const sum = tape.emit('MatMul', [
    tape.reshape(byPicture, [channels * batch, windows * elements]),
    places,
  ])
  return tape.reshape(sum, [channels, batch, ...input])
}

/** Any stride, dilation, padding and group, picture by picture. */
export function transposed(
  tape: Tape,
  dy: Sym,
  w: Sym,
  bias: Sym | undefined,
  shape: ConvolutionShape,
): Sym {
  const made = tape.emit(
    'ConvTranspose',
    [tape.transpose(dy, [1, 0, 2, 3]), w, ...(bias ? [bias] : [])],
    { ...transposedAttributes(shape), group: { int: shape.group } },
  )
  return tape.transpose(made, [1, 0, 2, 3])
}

/** Attributes of the ConvTranspose that goes back from a convolution's result to its input. */
export function transposedAttributes(shape: ConvolutionShape) {
  return {
    ...windowAttributes(shape),
    output_padding: { ints: unread(shape) },
  }
}
export const windowAttributes = (window: Window) => ({
  kernel_shape: { ints: window.kernel },
  strides: { ints: window.strides },
  dilations: { ints: window.dilations },
  pads: { ints: padsOf(window) },
})

/** Rows and columns at the end that no window reaches. */
const unread = (shape: ConvolutionShape) => {
  const reach = reachOf(shape)
  return pair((at) => {
    const { input, output, before, after, strides } = shape
    return input[at] + before[at] + after[at] - reach[at] - (output[at] - 1) * strides[at]
  })
}

/** All windows side by side, [channels · elements, windows]; the gradient is one product with them. */
export function columns(tape: Tape, x: Sym, dy: Sym, shape: ConvolutionShape): Sym {
  const { batch, channels, outputs, group, output, kernel } = shape
  const [elements, windows] = [area(kernel), batch * area(output)]
  const seen = tape.reshape(windowsOf(tape, x, shape), [
    group,
    (channels / group) * elements,
    windows,
  ])
  const arrived = tape.reshape(dy, [group, outputs / group, windows])
  const product =
    group === 1
      ? tape.emit(
          'Gemm',
          [
            tape.reshape(arrived, [outputs, windows]),
            tape.reshape(seen, [channels * elements, windows]),
          ],
          { transB: { int: 1 } },
        )
      : tape.emit('MatMul', [arrived, tape.transpose(seen, [0, 2, 1])])
  return tape.reshape(product, [outputs, channels / group, ...kernel])
}

/** For each element of the window what it falls on: [channels, elements, batch, rows, columns]. */
function windowsOf(tape: Tape, x: Sym, shape: ConvolutionShape): Sym {
  const { batch, channels, output, kernel, strides, dilations, before, after } = shape
  const padded = tape.pad(x, [0, 0, ...before, 0, 0, ...after])
  const end = pair((at) => (output[at] - 1) * strides[at] + 1)
  const parts: Sym[] = []
  for (let a = 0; a < kernel[0]; a++) {
    for (let b = 0; b < kernel[1]; b++) {
      const [row, column] = [a * dilations[0], b * dilations[1]]
      const part = tape.slice(padded, [
        { axis: 2, start: row, end: row + end[0], step: strides[0] },
        { axis: 3, start: column, end: column + end[1], step: strides[1] },
      ])
      parts.push(tape.reshape(part, [channels, 1, batch * area(output)]))
    }
  }
  return tape.concat(parts, 1)
}

/** Channels as pictures and pictures as channels: the gradient slides over the input as a window. For few channels. */
export function exchanged(tape: Tape, x: Sym, dy: Sym, shape: ConvolutionShape): Sym {
  const made = tape.emit('Conv', [x, dy], {
    kernel_shape: { ints: shape.output },
    strides: { ints: shape.dilations },
    dilations: { ints: shape.strides },
    pads: { ints: padsOf(shape) },
  })
  // What is left at the end that no window reaches would be further elements of the window.
  const [rows, columns] = shape.kernel
  const window = tape.slice(made, [
    { axis: 2, start: 0, end: rows },
    { axis: 3, start: 0, end: columns },
  ])
  return tape.transpose(window, [1, 0, 2, 3])
}
