/**
 * Makes regions of a picture unreadable, on its pixels. A region is rounded outwards to whole blocks of the JPEG it was
 * read from: what lies in a block has left its colour all over it. Pure but for the pixels.
 */
import type { Box, RedactionConfig } from '@edgeloop/protocol'

export type RedactionMethod = NonNullable<RedactionConfig['method']>

/** Blocks of a JPEG whose colours are stored at half size. */
const blockPx = 16
/** Squares along the longer side of a pixelated region: a face of eight was recognized by people who know it. */
const squaresMax = 5

export type Pixels = {
  readonly data: Uint8Array
  readonly width: number
  readonly height: number
  /** Bytes of a pixel. */
  readonly channels: number
}

/** Overwrites `regions` in `pixels`. */
export function makeUnreadable(
  pixels: Pixels,
  regions: readonly Box[],
  method: RedactionMethod,
): void {
  for (const region of regions) {
    const { left, top, right, bottom } = wholeBlocks(region, pixels)
    // Of a pixelated region the squares begin at its corner, so that none shows a part of it alone.
    const longer = Math.max(right - left, bottom - top)
    const step = method === 'fill' ? longer : Math.max(blockPx, Math.ceil(longer / squaresMax))
    for (let y = top; y < bottom; y += step) {
      for (let x = left; x < right; x += step) {
        const square = { x, y, w: Math.min(step, right - x), h: Math.min(step, bottom - y) }
        paint(pixels, square, method === 'fill' ? undefined : meanOf(pixels, square))
      }
    }
  }
}

/** Pixels of a region, outwards to whole blocks, within the picture. */
export function wholeBlocks(
  [x, y, w, h]: Box,
  { width, height }: Pick<Pixels, 'width' | 'height'>,
) {
  const down = (share: number, size: number) =>
    Math.max(0, Math.floor((share * size) / blockPx) * blockPx)
  const up = (share: number, size: number) =>
    Math.min(size, Math.ceil((share * size) / blockPx) * blockPx)
  return {
    left: down(x, width),
    top: down(y, height),
    right: up(x + w, width),
    bottom: up(y + h, height),
  }
}

type Square = { readonly x: number; readonly y: number; readonly w: number; readonly h: number }

function meanOf({ data, width, channels }: Pixels, { x, y, w, h }: Square): number[] {
  const sums = Array.from({ length: channels }, () => 0)
  for (let row = y; row < y + h; row++) {
    for (let at = (row * width + x) * channels; at < (row * width + x + w) * channels; ) {
      for (let c = 0; c < channels; c++) sums[c]! += data[at++]!
    }
  }
  return sums.map((sum) => Math.round(sum / (w * h)))
}

/** Black without a colour. */
function paint({ data, width, channels }: Pixels, { x, y, w, h }: Square, colour?: number[]): void {
  for (let row = y; row < y + h; row++) {
    const [from, to] = [(row * width + x) * channels, (row * width + x + w) * channels]
    if (!colour) data.fill(0, from, to)
    else for (let at = from; at < to; at++) data[at] = colour[(at - from) % channels]!
  }
}
