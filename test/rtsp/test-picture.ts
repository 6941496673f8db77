/**
 * A picture that proves what a decoder did with it: its frame number as black and white cells, eight
 * colour bars with known values, and below them moving gravel with a square, so that there is work to do.
 */
import { randomFrom } from './random.ts'

/** The bars from left to right, as RGB. */
export const bars = [
  [235, 235, 235],
  [200, 200, 20],
  [20, 200, 200],
  [20, 200, 20],
  [200, 20, 200],
  [200, 20, 20],
  [20, 20, 200],
  [20, 20, 20],
] as const satisfies readonly (readonly [red: number, green: number, blue: number])[]

/** Cells of the number, the highest bit first; numbers start again at 2¹⁶. */
const bits = 16

/** Heights as shares of the picture: number above, bars, the square's lane below. */
const numberShare = 0.2
const barsShare = 0.7

export type Matrix = 'bt601' | 'bt709'

/** Bytes of one picture: I420 (planes Y, U, V without gaps), limited range. */
export const pictureBytes = (width: number, height: number): number => (width * height * 3) / 2

export type TestPictures = {
  /** Even, in pixels. */
  readonly width: number
  readonly height: number
  /** Lays the gravel and says where the square starts. */
  readonly seed: number
  readonly matrix: Matrix
}

/** @returns a function that draws picture `number` as I420 into `target` */
export function drawTestPictures({
  width,
  height,
  seed,
  matrix,
}: TestPictures): (target: Uint8Array, number: number) => void {
  const numberBottom = even(height * numberShare)
  const barsBottom = even(height * barsShare)
  const side = height - barsBottom
  const random = randomFrom(seed)
  const gravel = Uint8Array.from({ length: gravelLength + width }, () => 60 + 60 * random())
  return (target, number) => {
    const paint = painter(target, width, height, matrix)
    for (let bit = 0; bit < bits; bit++) {
      const on = ((number >> (bits - 1 - bit)) & 1) === 1
      paint(cell(width, bits, bit), 0, numberBottom, on ? [255, 255, 255] : [0, 0, 0])
    }
    bars.forEach((colour, bar) => {
      paint(cell(width, bars.length, bar), numberBottom, barsBottom, colour)
    })
    paint([0, width], barsBottom, height, [90, 90, 90])
    for (let row = barsBottom; row < height; row++) {
      const from = (row * 997 + number * speed) % gravelLength
      target.set(gravel.subarray(from, from + width), row * width)
    }
    const left = even((seed * 37 + number * speed) % Math.max(2, width - side))
    paint([left, Math.min(width, left + side)], barsBottom, height, [240, 160, 40])
  }
}

/** Looks up a pixel's RGB, given its place as shares (0..1) of the picture. */
export type Look = (x: number, y: number) => readonly [red: number, green: number, blue: number]

/** The number drawn in a decoded picture. */
export function readNumber(look: Look): number {
  let number = 0
  for (let bit = 0; bit < bits; bit++) {
    const [red, green, blue] = look((bit + 0.5) / bits, numberShare / 2)
    number = number * 2 + (red + green + blue > 3 * 128 ? 1 : 0)
  }
  return number
}

/** The colours found where the bars are. */
export function readBars(look: Look): (readonly [number, number, number])[] {
  const y = (numberShare + barsShare) / 2
  return bars.map((_, bar) => look((bar + 0.5) / bars.length, y))
}

/** Pixels a picture by which gravel and square move. */
const speed = 4

/** Long enough that the eye, and the encoder, find no repetition. */
const gravelLength = 1 << 14

const even = (value: number): number => 2 * Math.round(value / 2)
const cell = (width: number, count: number, index: number): [number, number] => [
  even((width * index) / count),
  even((width * (index + 1)) / count),
]

function painter(target: Uint8Array, width: number, height: number, matrix: Matrix) {
  const luma = width * height
  const chroma = luma / 4
  return (
    [left, right]: readonly [number, number],
    top: number,
    bottom: number,
    colour: readonly [number, number, number],
  ) => {
    const [y, u, v] = toYuv(colour, matrix)
    for (let row = top; row < bottom; row++) {
      target.fill(y, row * width + left, row * width + right)
    }
    const half = width / 2
    for (let row = top / 2; row < bottom / 2; row++) {
      const from = luma + row * half + left / 2
      const to = luma + row * half + right / 2
      target.fill(u, from, to)
      target.fill(v, from + chroma, to + chroma)
    }
  }
}

/** ITU-R BT.601 and BT.709, limited range: Y 16..235, U and V 16..240. */
function toYuv(
  [red, green, blue]: readonly [number, number, number],
  matrix: Matrix,
): [number, number, number] {
  const [kr, kb] = matrix === 'bt601' ? [0.299, 0.114] : [0.2126, 0.0722]
  const luma = kr * red + (1 - kr - kb) * green + kb * blue
  return [
    Math.round(16 + (219 * luma) / 255),
    Math.round(128 + (112 * (blue - luma)) / (255 * (1 - kb))),
    Math.round(128 + (112 * (red - luma)) / (255 * (1 - kr))),
  ]
}
