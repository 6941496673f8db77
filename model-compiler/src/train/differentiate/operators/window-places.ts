/** Which element of the map each element of a window falls on, as matrices of zeros and ones. */
import type { Sym } from '../../tape/sym.ts'
import type { Tape } from '../../tape/tape.ts'
import { constantOnce } from './constants-once.ts'
import { area, type Pair, type Window } from './convolution-shape.ts'

type Axis = {
  readonly kernel: number
  readonly stride: number
  readonly dilation: number
  readonly before: number
  readonly input: number
  readonly output: number
}
type Mapped = Window & { readonly input: Pair; readonly output: Pair }

const axisOf = (shape: Mapped, at: 0 | 1): Axis => ({
  kernel: shape.kernel[at],
  stride: shape.strides[at],
  dilation: shape.dilations[at],
  before: shape.before[at],
  input: shape.input[at],
  output: shape.output[at],
})
const textOf = (axis: Axis): string =>
  `${axis.input}to${axis.output}k${axis.kernel}s${axis.stride}d${axis.dilation}p${axis.before}`

/** The place under an element of the window, or undefined in the padding. */
function placeOf(axis: Axis, step: number, element: number): number | undefined {
  const place = step * axis.stride + element * axis.dilation - axis.before
  return place >= 0 && place < axis.input ? place : undefined
}

/** The order of the axes: which element of the window, which place of the input, which window. */
export type PlacesOrder = 'element-input-output' | 'element-output-input' | 'output-element-input'

/** Of whole maps. */
export function mapPlaces(tape: Tape, shape: Mapped, order: PlacesOrder): Sym {
  const [rows, columns] = [axisOf(shape, 0), axisOf(shape, 1)]
  const lengths = {
    element: area(shape.kernel),
    input: area(shape.input),
    output: area(shape.output),
  }
  const axes = order.split('-') as (keyof typeof lengths)[]
  const strideOf = (axis: keyof typeof lengths) =>
    axes.slice(axes.indexOf(axis) + 1).reduce((product, one) => product * lengths[one], 1)
  const strides = {
    element: strideOf('element'),
    input: strideOf('input'),
    output: strideOf('output'),
  }
  const key = `places/${order}/${textOf(rows)}/${textOf(columns)}`
  const dims = axes.map((axis) => lengths[axis])
  return constantOnce(tape, key, dims, (values) => {
    for (let a = 0; a < rows.kernel; a++) {
      for (let b = 0; b < columns.kernel; b++) {
        const ofElement = (a * columns.kernel + b) * strides.element
        for (let y = 0; y < rows.output; y++) {
          const row = placeOf(rows, y, a)
          if (row === undefined) continue
          for (let x = 0; x < columns.output; x++) {
            const column = placeOf(columns, x, b)
            if (column === undefined) continue
            const ofInput = (row * columns.input + column) * strides.input
            values[ofElement + ofInput + (y * columns.output + x) * strides.output] = 1
          }
        }
      }
    }
  })
}

/** Of one row: [outputs · inputs, elements], to sum what belongs to an element of the window. */
export function rowPlaces(tape: Tape, shape: Mapped): Sym {
  const axis = axisOf(shape, 1)
  const { input, output, kernel } = axis
  return constantOnce(tape, `places/row/${textOf(axis)}`, [input * output, kernel], (values) => {
    for (let b = 0; b < kernel; b++) {
      for (let x = 0; x < output; x++) {
        const column = placeOf(axis, x, b)
        if (column !== undefined) values[(x * input + column) * kernel + b] = 1
      }
    }
  })
}

/** Turns the elements of a window round: times this, the last comes first. */
export function turnedRound(tape: Tape, elements: number): Sym {
  return constantOnce(tape, `turned/${elements}`, [elements, elements], (values) => {
    for (let at = 0; at < elements; at++) values[at * elements + elements - 1 - at] = 1
  })
}
