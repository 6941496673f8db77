/** A heat map laid over the picture it is of, as PNG. */
import sharp from 'sharp'
import type { HeatMap } from './explain.ts'

/** Dark blue over magenta to yellow: brightness alone says how strong, so that it reads without colours as well. */
const stops: readonly (readonly [at: number, r: number, g: number, b: number])[] = [
  [0, 4, 4, 40],
  [0.25, 70, 10, 105],
  [0.5, 180, 50, 90],
  [0.75, 245, 125, 20],
  [1, 252, 255, 164],
]

/** Red, green and blue (0..255) of a strength 0..1. */
export function heatColour(strength: number): readonly [number, number, number] {
  const share = Math.min(1, Math.max(0, strength))
  const at = Math.max(
    1,
    stops.findIndex(([place]) => place >= share),
  )
  const [low, high] = [stops[at - 1]!, stops[at]!]
  const between = (share - low[0]) / (high[0] - low[0])
  const mixed = (channel: 1 | 2 | 3) =>
    Math.round(low[channel] + (high[channel] - low[channel]) * between)
  return [mixed(1), mixed(2), mixed(3)]
}

/** The part of a map that shows the picture, in shares of the map; the rest is what a letterbox left empty. */
export type Shown = {
  readonly left: number
  readonly top: number
  readonly width: number
  readonly height: number
}

export const wholeMap: Shown = { left: 0, top: 0, width: 1, height: 1 }

/** The strongest places cover this much of the picture. */
const opacityMax = 0.75

/**
 * @param picture RGB or grey, row by row
 * @param options.shown which part of the map it is
 */
export async function heatPicture(
  map: HeatMap,
  picture: {
    readonly width: number
    readonly height: number
    readonly channels: 1 | 3
    readonly data: Uint8Array
  },
  options: { readonly shown?: Shown; readonly signal?: AbortSignal } = {},
): Promise<Buffer> {
  const { shown = wholeMap, signal } = options
  signal?.throwIfAborted()
  const { width, height, channels, data } = picture
  const rgb = Buffer.alloc(width * height * 3)
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const u = shown.left + ((x + 0.5) / width) * shown.width
      const v = shown.top + ((y + 0.5) / height) * shown.height
      const strength = sampled(map, u, v)
      const heat = heatColour(strength)
      const cover = opacityMax * Math.sqrt(strength)
      const at = y * width + x
      for (let channel = 0; channel < 3; channel++) {
        const own = data[channels === 1 ? at : at * 3 + channel]!
        rgb[at * 3 + channel] = Math.round(own * (1 - cover) + heat[channel]! * cover)
      }
    }
  }
  return await sharp(rgb, { raw: { width, height, channels: 3 } })
    .png()
    .toBuffer()
}

/** Bilinear, at shares of the map. */
function sampled({ width, height, values }: HeatMap, u: number, v: number): number {
  const x = Math.min(width - 1, Math.max(0, u * width - 0.5))
  const y = Math.min(height - 1, Math.max(0, v * height - 0.5))
  const [left, top] = [Math.floor(x), Math.floor(y)]
  const [right, bottom] = [Math.min(width - 1, left + 1), Math.min(height - 1, top + 1)]
  const [dx, dy] = [x - left, y - top]
  const at = (row: number, column: number) => values[row * width + column]!
  const upper = at(top, left) * (1 - dx) + at(top, right) * dx
  const lower = at(bottom, left) * (1 - dx) + at(bottom, right) * dx
  return upper * (1 - dy) + lower * dy
}
