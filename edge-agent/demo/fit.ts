/**
 * Fits the demo detector without a single step of descent. Three layers, each in closed form on what the
 * one before gives: fixed filters; "which piece of which part is here", ridge regression on 5×5 cells of
 * them; and box, presence and label, ridge regression on the pieces and filters around a cell.
 */
import { demoLabels } from '../src/demo/parts.ts'
import { type Random, seededRandom } from '../src/demo/random.ts'
import { fixedFilters } from './filters.ts'
import {
  type Convolution,
  convolve,
  halve,
  type Maps,
  patch,
  plus,
  rectify,
  stack,
  type Window,
} from './maps.ts'
import { Ridge, type Solution } from './ridge.ts'
import { type Target, type TrainingFrame, trainingFrames } from './training-frames.ts'

/** Pixels of the canvas for each cell of the output. */
export const stride = 8
const pieceStride = 4
/** A part's box is cut into 3×3 pieces. */
const piecesAcross = 3

const pieceWindow: Window = { kernel: 5, dilation: 1 }
const closeWindow: Window = { kernel: 3, dilation: 1 }
const wideWindow: Window = { kernel: 3, dilation: 2 }

const pieceRidge = 1e-4
const headRidge = 3e-4

export const labelCount = demoLabels.length
const boxPieces = labelCount * piecesAcross ** 2

/** Labels whose boxes change with how the part lies; for these "upright, square or flat" is a piece too. */
const turning: readonly number[] = (['bolt', 'bracket', 'defect'] as const).map((label) =>
  demoLabels.indexOf(label),
)
/** Upright below the first logarithm of width by height, flat above the second. */
const aspectLimits = [-0.35, 0.35] as const
const aspects = aspectLimits.length + 1
const pieceCount = boxPieces + turning.length * aspects

/** Four for the box, one for presence, one for each label; before any sigmoid. */
export const headOutputs = 5 + labelCount

export type Detector = {
  readonly filters: Convolution
  readonly pieces: Convolution
  /** The head is the sum of two: pieces and filters close by, pieces farther around. */
  readonly close: Convolution
  readonly wide: Convolution
}

export type FitOptions = {
  readonly seeds: readonly number[]
  readonly framesPerSeed: number
  /** Told what was done. */
  readonly log: (text: string) => void
}

/** Fits a detector on these seeds; the same options give the same numbers on every machine. */
export function fitDetector({ seeds, framesPerSeed, log }: FitOptions): Detector {
  const filters = fixedFilters()
  const seen: Seen[] = []
  for (const seed of seeds) {
    for (const frame of trainingFrames(seed, framesPerSeed)) seen.push(see(filters, frame))
  }
  log(`drew ${seen.length} frames of ${seeds.length} seeds`)
  const pieces = fitPieces(seen, filters.outputs)
  log(`fitted ${pieceCount} pieces to ${filters.outputs} filters`)
  const head = fitHead(seen, pieces)
  log('fitted box, presence and label')
  return { filters, pieces, ...head }
}

/** Outputs of the head before any sigmoid, `headOutputs` × rows × columns. */
export function runDetector({ filters, pieces, close, wide }: Detector, canvas: Maps): Maps {
  const view = secondLayer(pieces, firstLayer(filters, canvas))
  return plus(convolve(view.all, close), convolve(view.pieces, wide))
}

/** A frame after the fixed layer. */
type Seen = { readonly near: Maps; readonly targets: readonly Target[] }

function see(filters: Convolution, { canvas, targets }: TrainingFrame): Seen {
  return { near: firstLayer(filters, canvas), targets }
}

function firstLayer(filters: Convolution, canvas: Maps): Maps {
  return halve(rectify(convolve(canvas, filters)))
}

type View = { readonly pieces: Maps; readonly all: Maps }

function secondLayer(convolution: Convolution, near: Maps): View {
  const pieces = halve(rectify(convolve(near, convolution)))
  return { pieces, all: stack(pieces, halve(near)) }
}

/** Of the cells on a part and of empty ones, how many are looked at; they count for the others. */
const shares = { part: 0.5, empty: 0.06 } as const

function fitPieces(seen: readonly Seen[], inputs: number): Convolution {
  const features = inputs * pieceWindow.kernel ** 2
  const ridge = new Ridge(features, pieceCount)
  const row = new Float64Array(features)
  const wanted = new Float64Array(pieceCount)
  const random = seededRandom(1)
  for (const { near, targets } of seen) {
    for (const { x, y, centreX, centreY } of cells(near, pieceStride)) {
      const target = nearest(targets, (one) => reach(one, centreX, centreY))
      const inside = target !== undefined && reach(target, centreX, centreY) <= 0.5
      if (inside && target.ignored) continue
      const share = inside ? shares.part : shares.empty
      if (random() >= share) continue
      wanted.fill(0)
      for (const piece of inside ? piecesOf(target, centreX, centreY) : []) wanted[piece] = 1
      patch(near, x, y, pieceWindow, row)
      ridge.add(row, wanted, 1 / share)
    }
  }
  return toConvolution(ridge.solve(pieceRidge), 0, inputs, pieceWindow)
}

/** Which pieces of the part are at this point: the ninth of its box, and how it lies. */
function piecesOf(target: Target, x: number, y: number): number[] {
  const bin = (offset: number, size: number): number =>
    Math.min(piecesAcross - 1, Math.max(0, Math.floor((offset / size + 0.5) * piecesAcross)))
  const column = bin(x - target.x, target.width)
  const row = bin(y - target.y, target.height)
  const ninth = (target.label * piecesAcross + row) * piecesAcross + column
  const turned = turning.indexOf(target.label)
  if (turned < 0) return [ninth]
  const ratio = Math.log(target.width / target.height)
  const aspect = aspectLimits.filter((limit) => ratio > limit).length
  return [ninth, boxPieces + turned * aspects + aspect]
}

/** Everything below is in pixels of the canvas from a part's centre. */
const presenceDeviation = 5
/** A cell this close says what the part is and where. */
const partDistanceMax = 9
const partDeviation = 6
/** Up to here every cell is looked at, beyond it a share of them. */
const closeDistance = 15
const farShare = 0.12
/** A cell this close to a part that can hardly be seen is left out. */
const ignoredDistance = 16

function fitHead(
  seen: readonly Seen[],
  pieces: Convolution,
): { close: Convolution; wide: Convolution } {
  const inputs = pieces.outputs + pieces.inputs
  const features = inputs * closeWindow.kernel ** 2 + pieces.outputs * wideWindow.kernel ** 2
  const presence = new Ridge(features, 1)
  const parts = new Ridge(features, 4 + labelCount)
  const row = new Float64Array(features)
  const wanted = new Float64Array(4 + labelCount)
  const random: Random = seededRandom(2)
  for (const { near, targets } of seen) {
    const view = secondLayer(pieces, near)
    for (const { x, y, centreX, centreY } of cells(view.all, stride)) {
      const away = (one: Target): number => Math.hypot(centreX - one.x, centreY - one.y)
      const target = nearest(targets, away)
      const distance = target ? away(target) : Number.POSITIVE_INFINITY
      if (target?.ignored && distance < ignoredDistance) continue
      const share = distance < closeDistance ? 1 : farShare
      if (random() >= share) continue
      patch(view.pieces, x, y, wideWindow, row, patch(view.all, x, y, closeWindow, row))
      presence.add(row, [bell(distance, presenceDeviation)], 1 / share)
      if (target === undefined || distance > partDistanceMax) continue
      wanted.fill(0)
      wanted[0] = target.x / stride - x
      wanted[1] = target.y / stride - y
      wanted[2] = Math.log(target.width / stride)
      wanted[3] = Math.log(target.height / stride)
      wanted[4 + target.label] = 1
      parts.add(row, wanted, bell(distance, partDeviation))
    }
  }
  const solution = merged(parts.solve(headRidge), presence.solve(headRidge))
  const close = toConvolution(solution, 0, inputs, closeWindow)
  const wide = toConvolution(
    solution,
    close.weights.length / headOutputs,
    pieces.outputs,
    wideWindow,
  )
  return { close, wide: { ...wide, biases: wide.biases.fill(0) } }
}

/** Box, presence, labels: the order of the layout. */
function merged(parts: Solution, presence: Solution): Solution {
  const order = <T>(part: ArrayLike<T>, one: ArrayLike<T>): T[] => [
    ...Array.from(part).slice(0, 4),
    ...Array.from(one),
    ...Array.from(part).slice(4),
  ]
  return {
    weights: order(parts.weights, presence.weights),
    biases: Float64Array.from(order(parts.biases, presence.biases)),
  }
}

function* cells(input: Maps, pixels: number) {
  for (let y = 0; y < input.height; y++) {
    for (let x = 0; x < input.width; x++) {
      yield { x, y, centreX: (x + 0.5) * pixels, centreY: (y + 0.5) * pixels }
    }
  }
}

/** How far from the centre, as a share of the part's size; the edge is at 0.5. */
function reach(target: Target, x: number, y: number): number {
  return Math.max(Math.abs(x - target.x) / target.width, Math.abs(y - target.y) / target.height)
}

function nearest(
  targets: readonly Target[],
  distanceOf: (target: Target) => number,
): Target | undefined {
  let best: Target | undefined
  let bestDistance = Number.POSITIVE_INFINITY
  for (const target of targets) {
    const distance = distanceOf(target)
    if (distance < bestDistance) {
      best = target
      bestDistance = distance
    }
  }
  return best
}

const bell = (distance: number, deviation: number): number =>
  Math.exp(-(distance * distance) / (2 * deviation * deviation))

/** The part of a solution that begins at feature `first`, as a convolution. */
function toConvolution(
  { weights, biases }: Solution,
  first: number,
  inputs: number,
  { kernel, dilation }: Window,
): Convolution {
  const length = inputs * kernel * kernel
  const data = new Float32Array(weights.length * length)
  for (const [output, row] of weights.entries()) {
    data.set(row.subarray(first, first + length), output * length)
  }
  return {
    outputs: weights.length,
    inputs,
    kernel,
    stride: 1,
    dilation,
    weights: data,
    biases: Float32Array.from(biases),
  }
}
