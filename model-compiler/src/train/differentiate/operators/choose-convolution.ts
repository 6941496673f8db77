/**
 * Which way a convolution is written down, from its shape alone: the forward direction and the two gradients are chosen
 * apart, because what is fast differs by an order of magnitude between them (decision 31). Pure, so that the choice
 * can be read, printed and tested; the ways themselves are in the files that their names point to.
 */
import { area, type ConvolutionShape, type Pair, reachOf } from './convolution-shape.ts'

/**
 * - `product`: one matrix product, where the window is one element (pointwise.ts)
 * - `toeplitz`: one product for each channel with the matrix of its whole map (toeplitz.ts)
 * - `rows`: the same with the matrix of one row, for maps of any size (toeplitz.ts)
 * - `planes`: Conv over maps, each channel of each picture a group of its own (planes.ts)
 * - `volume`: Conv in three dimensions, the batch being the depth (dense.ts)
 * - `columns`: all windows side by side, then a product (dense.ts)
 * - `exchanged`: Conv in which channels and batch change places (dense.ts)
 * - `flipped`: the forward direction with turned weights (dense.ts, planes.ts)
 * - `scattered`: a product, then each window's part added in its place by a matrix (dense.ts)
 * - `transposed`: ConvTranspose (dense.ts, planes.ts)
 */
export type Forward = 'product' | 'toeplitz' | 'planes' | 'volume'
export type InputGradient =
  | 'product'
  | 'toeplitz'
  | 'planes-flipped'
  | 'planes-transposed'
  | 'flipped'
  | 'scattered'
  | 'transposed'
export type WeightGradient = 'product' | 'toeplitz' | 'rows' | 'exchanged' | 'columns'

export type Formulations = {
  readonly forward: Forward
  readonly inputGradient: InputGradient
  readonly weightGradient: WeightGradient
}

/** Up to so many elements of a map, a matrix from map to map is smaller than what it saves. */
export const toeplitzMax = 64
/** With so few channels the columns are long and the product thin. */
const fewChannels = 4

/** How a convolution and its gradients are written down. */
export function chooseConvolution(shape: ConvolutionShape): Formulations {
  if (isPointwise(shape)) {
    return { forward: 'product', inputGradient: 'product', weightGradient: 'product' }
  }
  if (isDepthwise(shape)) {
    if (area(shape.input) <= toeplitzMax && area(shape.output) <= toeplitzMax) {
      return { forward: 'toeplitz', inputGradient: 'toeplitz', weightGradient: 'toeplitz' }
    }
    const inputGradient = canFlip(shape) ? 'planes-flipped' : 'planes-transposed'
    return { forward: 'planes', inputGradient, weightGradient: 'rows' }
  }
  return {
    forward: 'volume',
    inputGradient: denseInputGradient(shape),
    weightGradient: shape.group === 1 && shape.channels <= fewChannels ? 'exchanged' : 'columns',
  }
}

function denseInputGradient(shape: ConvolutionShape): InputGradient {
  const { group, input, output } = shape
  const small = area(output) <= toeplitzMax && area(input) <= toeplitzMax
  const scatters = group === 1 && small
  if (!canFlip(shape)) return scatters ? 'scattered' : 'transposed'
  return scatters && scatteringCost(shape) < turningCost(shape) ? 'scattered' : 'flipped'
}

/**
 * What comes to the product itself, in nanoseconds on one thread: turning moves every weight; scattering moves what each window
 * gives to each of its elements, and multiplies it by a matrix as wide as the map. Only their relation matters, and it does
 * not change much from one processor to the next: elements moved at odds with the cache against elements multiplied.
 */
const turningCost = ({ outputs, channels, kernel }: ConvolutionShape): number =>
  2.5 * outputs * channels * area(kernel)
const scatteringCost = ({ channels, batch, kernel, output, input }: ConvolutionShape): number =>
  channels * batch * area(kernel) * area(output) * (1.2 + area(input) / 45)

/** One element of the map for each window, and no padding; a stride leaves elements out. */
export const isPointwise = ({ kernel, before, after, group }: ConvolutionShape): boolean =>
  group === 1 && area(kernel) === 1 && [...before, ...after].every((pad) => pad === 0)

/** Each channel for itself. */
export const isDepthwise = ({ group, channels, outputs }: ConvolutionShape): boolean =>
  group > 1 && group === channels && outputs === channels

/** Whether the gradient to the input is a convolution with padding of its own: what is left of the window is padding. */
export const canFlip = (shape: ConvolutionShape): boolean => {
  const pads = flippedPads(shape)
  return (
    shape.strides.every((stride) => stride === 1) &&
    [...pads.before, ...pads.after].every((pad) => pad >= 0)
  )
}

export function flippedPads(shape: ConvolutionShape): { before: Pair; after: Pair } {
  const [rows, columns] = reachOf(shape)
  const { before, after } = shape
  return {
    before: [rows - 1 - before[0], columns - 1 - before[1]],
    after: [rows - 1 - after[0], columns - 1 - after[1]],
  }
}
