/**
 * Puts a part of a picture onto a canvas. Shrinking averages over what a pixel covers and enlarging is linear: the
 * filter that libvips calls linear, so that what is learned from looks as what the agent shows a model. For pictures of a
 * few hundred pixels this is several times faster than handing each to libvips.
 */
import type { Picture } from '../../datasets/index.ts'
import type { Area } from './canvas.ts'
import type { Placement } from './placement.ts'

/** How the pixels of one axis of a canvas are made of those of a picture. */
type Taps = {
  /** First pixel of the canvas, and the one behind the last. */
  readonly start: number
  readonly end: number
  readonly width: number
  /** First pixel of the picture, by pixel of the canvas. */
  readonly first: Int32Array
  /** `width` weights for each. */
  readonly weights: Float32Array
}

type Axis = {
  /** Pixels of the picture. */
  readonly size: number
  /** Where the part that is shown begins, and how long it is, in pixels of the picture. */
  readonly from: number
  readonly length: number
  readonly to: number
  readonly toLength: number
  /** First pixel of the canvas that is drawn, and the one behind the last. */
  readonly pixels: readonly [number, number]
  readonly reversed: boolean
}

function tapsOf({ size, from, length, to, toLength, pixels, reversed }: Axis): Taps {
  const [start, end] = pixels
  const step = length / toLength
  const reach = Math.max(1, step)
  // No more pixels lie strictly within the reach of a centre.
  const width = Math.min(size, Math.ceil(2 * reach))
  const first = new Int32Array(end - start)
  const weights = new Float32Array((end - start) * width)
  for (let at = start; at < end; at++) {
    const along = (at + 0.5 - to) * step
    const centre = from + (reversed ? length - along : along) - 0.5
    const low = Math.min(size - width, Math.max(0, Math.floor(centre - reach) + 1))
    first[at - start] = low
    let sum = 0
    const base = (at - start) * width
    for (let tap = 0; tap < width; tap++) {
      const weight = Math.max(0, 1 - Math.abs(low + tap - centre) / reach)
      weights[base + tap] = weight
      sum += weight
    }
    // At the edge of the picture its last pixel stands for what would lie beyond.
    if (sum <= 0) weights[base + (centre < low ? 0 : width - 1)] = sum = 1
    for (let tap = 0; tap < width; tap++) weights[base + tap]! /= sum
  }
  return { start, end, width, first, weights }
}

function axesOf(
  { from, to, clip, mirrored, upsideDown }: Placement,
  picture: { readonly width: number; readonly height: number },
  canvas: { readonly width: number; readonly height: number },
): readonly [Axis, Axis] {
  return [
    {
      size: picture.width,
      from: from.x * picture.width,
      length: from.width * picture.width,
      to: to.x,
      toLength: to.width,
      reversed: mirrored,
      pixels: pixelSpan(to.x, to.width, clip.x, clip.width, canvas.width),
    },
    {
      size: picture.height,
      from: from.y * picture.height,
      length: from.height * picture.height,
      to: to.y,
      toLength: to.height,
      reversed: upsideDown,
      pixels: pixelSpan(to.y, to.height, clip.y, clip.height, canvas.height),
    },
  ]
}

/** The pixels of a canvas that a placement draws on; right and bottom are excluded. */
export function pixelsOf(
  { to, clip }: Placement,
  canvas: { readonly width: number; readonly height: number },
): {
  readonly left: number
  readonly top: number
  readonly right: number
  readonly bottom: number
} {
  const [left, right] = pixelSpan(to.x, to.width, clip.x, clip.width, canvas.width)
  const [top, bottom] = pixelSpan(to.y, to.height, clip.y, clip.height, canvas.height)
  return { left, top, right, bottom }
}

/** Pixels whose centre lies within. */
function pixelSpan(
  to: number,
  length: number,
  clip: number,
  clipLength: number,
  most: number,
): readonly [number, number] {
  const start = Math.max(0, Math.round(clip), Math.ceil(to - 0.5))
  const end = Math.min(most, Math.round(clip + clipLength), Math.ceil(to + length - 0.5))
  return [start, Math.max(start, end)]
}

/** Scratch of one thread: rows of the picture at the width they have on the canvas. */
let scratch = new Float32Array(0)
/** And one row of the canvas. */
let sums = new Float32Array(0)

/**
 * @param picture as many channels as the canvas
 * @param canvas row by row, `size.width` × `size.height` × channels; only what the placement covers is written
 */
export function drawPicture(
  picture: Picture,
  placement: Placement,
  canvas: Uint8Array,
  size: { readonly width: number; readonly height: number },
): void {
  const { channels, data } = picture
  if (copyWhole(picture, placement, canvas, size)) return
  const [across, down] = axesOf(placement, picture, size)
  const x = tapsOf(across)
  const y = tapsOf(down)
  const columns = x.end - x.start
  const rows = y.end - y.start
  if (columns <= 0 || rows <= 0) return
  let [top, bottom] = [picture.height, 0]
  for (const row of y.first) {
    top = Math.min(top, row)
    bottom = Math.max(bottom, row + y.width)
  }
  const stride = columns * channels
  if (scratch.length < (bottom - top) * stride) scratch = new Float32Array((bottom - top) * stride)
  if (sums.length < stride) sums = new Float32Array(stride)
  shrinkRows(data, picture.width, channels, x, top, bottom)
  const { weights, width } = y
  for (let row = 0; row < rows; row++) {
    const base = (y.first[row]! - top) * stride
    sums.fill(0.5, 0, stride)
    for (let tap = 0; tap < width; tap++) {
      const weight = weights[row * width + tap]!
      if (weight === 0) continue
      const from = base + tap * stride
      for (let at = 0; at < stride; at++) sums[at]! += weight * scratch[from + at]!
    }
    const to = ((y.start + row) * size.width + x.start) * channels
    for (let at = 0; at < stride; at++) canvas[to + at] = sums[at]!
  }
}

/** A picture that has the size it is shown at already; most of MNIST, and all that is evaluated. */
function copyWhole(
  { width, height, channels, data }: Picture,
  { from, to, clip, mirrored, upsideDown }: Placement,
  canvas: Uint8Array,
  size: { readonly width: number; readonly height: number },
): boolean {
  const whole = from.x === 0 && from.y === 0 && from.width === 1 && from.height === 1
  const fits = to.width === width && to.height === height
  const within =
    Number.isInteger(to.x) &&
    Number.isInteger(to.y) &&
    to.x >= Math.max(0, clip.x) &&
    to.y >= Math.max(0, clip.y) &&
    to.x + width <= Math.min(size.width, clip.x + clip.width) &&
    to.y + height <= Math.min(size.height, clip.y + clip.height)
  if (!whole || !fits || !within || mirrored || upsideDown) return false
  const rowBytes = width * channels
  for (let row = 0; row < height; row++) {
    const start = ((to.y + row) * size.width + to.x) * channels
    canvas.set(data.subarray(row * rowBytes, (row + 1) * rowBytes), start)
  }
  return true
}

function shrinkRows(
  data: Uint8Array,
  pictureWidth: number,
  channels: 1 | 3,
  { first, weights, width }: Taps,
  top: number,
  bottom: number,
): void {
  const columns = first.length
  let to = 0
  for (let row = top; row < bottom; row++) {
    const base = row * pictureWidth * channels
    for (let column = 0; column < columns; column++) {
      let from = base + first[column]! * channels
      const last = (column + 1) * width
      if (channels === 1) {
        let sum = 0
        for (let tap = column * width; tap < last; tap++) sum += weights[tap]! * data[from++]!
        scratch[to++] = sum
      } else {
        let red = 0
        let green = 0
        let blue = 0
        for (let tap = column * width; tap < last; tap++, from += 3) {
          const weight = weights[tap]!
          red += weight * data[from]!
          green += weight * data[from + 1]!
          blue += weight * data[from + 2]!
        }
        scratch[to] = red
        scratch[to + 1] = green
        scratch[to + 2] = blue
        to += 3
      }
    }
  }
}

/** As `drawPicture` for class indexes: the nearest, never a mixture. @param translate what each index becomes */
export function drawIndexes(
  mask: Picture,
  placement: Placement,
  canvas: Uint8Array,
  size: { readonly width: number; readonly height: number },
  translate: Uint8Array,
): void {
  const [across, down] = axesOf(placement, mask, size).map(nearestOf)
  for (const [row, fromRow] of down!) {
    for (const [column, fromColumn] of across!) {
      canvas[row * size.width + column] = translate[mask.data[fromRow * mask.width + fromColumn]!]!
    }
  }
}

function nearestOf({
  size,
  from,
  length,
  to,
  toLength,
  pixels,
  reversed,
}: Axis): [number, number][] {
  const [start, end] = pixels
  return Array.from({ length: end - start }, (_, index) => {
    const along = ((start + index + 0.5 - to) * length) / toLength
    const at = Math.floor(from + (reversed ? length - along : along))
    return [start + index, Math.min(size - 1, Math.max(0, at))]
  })
}

/** The size a picture is kept at: what it has at its largest on the canvas, but no more than it has. */
export function workingSize(
  content: Pick<Area, 'width' | 'height'>,
  source: { readonly width: number; readonly height: number },
  zoomMax: number,
): { readonly width: number; readonly height: number } {
  // Nothing is done to it later: libvips makes the final size, as it does in the agent.
  if (zoomMax === 1) return { width: content.width, height: content.height }
  return {
    width: Math.max(1, Math.min(source.width, Math.round(content.width * zoomMax))),
    height: Math.max(1, Math.min(source.height, Math.round(content.height * zoomMax))),
  }
}
