/** A window of one element: channels are mixed at each place alone, so everything is one matrix product. */
import type { Sym } from '../../tape/sym.ts'
import type { Tape } from '../../tape/tape.ts'
import { area, type ConvolutionShape } from './convolution-shape.ts'

const placesOf = ({ batch, output }: ConvolutionShape): number => batch * area(output)
const isStrided = ({ strides }: ConvolutionShape): boolean => strides.some((one) => one > 1)

export function forward(
  tape: Tape,
  x: Sym,
  w: Sym,
  bias: Sym | undefined,
  shape: ConvolutionShape,
): Sym {
  const { outputs, channels, batch, output } = shape
  const weights = tape.reshape(w, [outputs, channels])
  const places = seen(tape, x, shape)
  const sum = bias && tape.reshape(bias, [outputs, 1])
  const product = tape.emit('Gemm', [weights, places, ...(sum ? [sum] : [])])
  return tape.reshape(product, [outputs, batch, ...output])
}

export function inputGradient(tape: Tape, dy: Sym, w: Sym, shape: ConvolutionShape): Sym {
  const { outputs, channels, batch, output } = shape
  const weights = tape.reshape(w, [outputs, channels])
  const arrived = tape.reshape(dy, [outputs, placesOf(shape)])
  const product = tape.emit('Gemm', [weights, arrived], { transA: { int: 1 } })
  const places = tape.reshape(product, [channels, batch, ...output])
  return isStrided(shape) ? spread(tape, places, shape) : places
}

export function weightGradient(tape: Tape, x: Sym, dy: Sym, shape: ConvolutionShape): Sym {
  const { outputs, channels } = shape
  const arrived = tape.reshape(dy, [outputs, placesOf(shape)])
  const product = tape.emit('Gemm', [arrived, seen(tape, x, shape)], { transB: { int: 1 } })
  return tape.reshape(product, [outputs, channels, 1, 1])
}

/** What the window falls on, as [channels, places]. */
function seen(tape: Tape, x: Sym, shape: ConvolutionShape): Sym {
  const { channels, strides, input } = shape
  const places = isStrided(shape)
    ? tape.slice(x, [
        { axis: 2, start: 0, end: input[0], step: strides[0] },
        { axis: 3, start: 0, end: input[1], step: strides[1] },
      ])
    : x
  return tape.reshape(places, [channels, placesOf(shape)])
}

/** Puts zeros between the elements, and behind them up to the size of the input. */
function spread(tape: Tape, x: Sym, shape: ConvolutionShape): Sym {
  const { channels, batch, input, output, strides } = shape
  const apart = tape.reshape(x, [channels * batch, output[0], 1, output[1], 1])
  const padded = tape.emit('Pad', [
    apart,
    tape.ints([0, 0, 0, 0, 0, 0, 0, strides[0] - 1, 0, strides[1] - 1]),
  ])
  const [rows, columns] = [output[0] * strides[0], output[1] * strides[1]]
  const wide = tape.reshape(padded, [channels, batch, rows, columns])
  if (rows === input[0] && columns === input[1]) return wide
  // Negative padding crops, where the last stride reaches beyond the map.
  const pads = [0, 0, 0, 0, 0, 0, input[0] - rows, input[1] - columns]
  return tape.emit('Pad', [wide, tape.ints(pads)])
}
