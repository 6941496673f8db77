/**
 * Depthwise convolutions on larger maps: every channel of every picture is a plane with a window of its own, and Conv takes
 * all planes as the channels of one picture, a group each.
 */
import type { Sym } from '../../tape/sym.ts'
import type { Tape } from '../../tape/tape.ts'
import { flippedPads } from './choose-convolution.ts'
import { area, type ConvolutionShape } from './convolution-shape.ts'
import { transposedAttributes, windowAttributes } from './dense.ts'
import { turnedRound } from './window-places.ts'

export function forward(
  tape: Tape,
  x: Sym,
  w: Sym,
  bias: Sym | undefined,
  shape: ConvolutionShape,
): Sym {
  const { channels, batch, input, output } = shape
  const planes = channels * batch
  const y = tape.emit(
    'Conv',
    [
      tape.reshape(x, [1, planes, ...input]),
      windowOfEach(tape, w, shape),
      ...(bias ? [biasOfEach(tape, bias, shape)] : []),
    ],
    { ...windowAttributes(shape), group: { int: planes } },
  )
  return tape.reshape(y, [channels, batch, ...output])
}

export function flipped(tape: Tape, dy: Sym, w: Sym, shape: ConvolutionShape): Sym {
  const elements = area(shape.kernel)
  const turned = tape.emit('MatMul', [
    tape.reshape(w, [shape.channels, elements]),
    turnedRound(tape, elements),
  ])
  const back = { ...shape, ...flippedPads(shape), input: shape.output, output: shape.input }
  return forward(tape, dy, turned, undefined, back)
}

export function transposed(
  tape: Tape,
  dy: Sym,
  w: Sym,
  bias: Sym | undefined,
  shape: ConvolutionShape,
): Sym {
  const { channels, batch, input, output } = shape
  const planes = channels * batch
  const x = tape.emit(
    'ConvTranspose',
    [
      tape.reshape(dy, [1, planes, ...output]),
      windowOfEach(tape, w, shape),
      ...(bias ? [biasOfEach(tape, bias, shape)] : []),
    ],
    { ...transposedAttributes(shape), group: { int: planes } },
  )
  return tape.reshape(x, [channels, batch, ...input])
}

/** The channel's window for each of its planes. */
function windowOfEach(tape: Tape, w: Sym, { channels, batch, kernel }: ConvolutionShape): Sym {
  const elements = area(kernel)
  const repeated = tape.expand(tape.reshape(w, [channels, 1, elements]), [
    ...[channels, batch, elements],
  ])
  return tape.reshape(repeated, [channels * batch, 1, ...kernel])
}
const biasOfEach = (tape: Tape, bias: Sym, { channels, batch }: ConvolutionShape): Sym =>
  tape.reshape(tape.expand(tape.reshape(bias, [channels, 1]), [channels, batch]), [
    channels * batch,
  ])
