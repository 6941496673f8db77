/** Reads back what was really drawn on a canvas. */
import { setTimeout as wait } from 'node:timers/promises'
import type { Page } from 'playwright-core'

/** Outermost places, in CSS pixels from the canvas' upper left. */
export type Extent = {
  readonly left: number
  readonly top: number
  readonly right: number
  readonly bottom: number
}

/** How far a white rectangle on black reaches. */
export const whiteExtent = (page: Page, label: string): Promise<Extent> =>
  extentOf(page, label, [255, 255, 255], 128)

/** The middle of a 2 px line of `colour` (`#rrggbb`) around a rectangle. */
export async function strokeExtent(page: Page, label: string, colour: string): Promise<Extent> {
  const rgb = [1, 3, 5].map((at) => Number.parseInt(colour.slice(at, at + 2), 16))
  const { left, top, right, bottom } = await extentOf(page, label, rgb, 40)
  return { left: left + 1, top: top + 1, right: right - 1, bottom: bottom - 1 }
}

/** What is used of a canvas; these functions run in the page. */
type Canvas = {
  readonly width: number
  readonly height: number
  readonly clientWidth: number
  getContext(kind: '2d'): {
    getImageData(x: number, y: number, width: number, height: number): { data: Uint8ClampedArray }
  }
}

const drawnWithinMs = 8000

/** Waits until something of the colour is drawn on the canvas, then says how far it reaches. */
async function extentOf(
  page: Page,
  label: string,
  rgb: readonly number[],
  tolerance: number,
): Promise<Extent> {
  const canvas = page.getByRole('img', { name: label })
  await canvas.waitFor()
  const until = Date.now() + drawnWithinMs
  while (Date.now() < until) {
    const extent = await canvas.evaluate(reachOf, { rgb, tolerance })
    if (extent) return extent
    await wait(50)
  }
  throw new Error(`Cannot measure "${label}": nothing of that colour was drawn`)
}

/**
 * How far the pixels near a colour reach, where there are at least 200. The upper fifth is left out, where
 * names stand; top and bottom are looked for in the right half only, away from the plate with the label.
 */
function reachOf(
  canvas: Canvas,
  { rgb, tolerance }: { rgb: readonly number[]; tolerance: number },
): Extent | undefined {
  const { width, height, clientWidth } = canvas
  if (width === 0) return undefined
  const { data } = canvas.getContext('2d').getImageData(0, 0, width, height)
  const ratio = width / clientWidth
  const reach = { left: width, top: height, right: 0, bottom: 0 }
  let count = 0
  for (let y = Math.round(height / 5); y < height; y++) {
    for (let x = 0; x < width; x++) {
      const at = (y * width + x) * 4
      if (!rgb.every((value, n) => Math.abs((data[at + n] ?? 0) - value) <= tolerance)) continue
      count++
      reach.left = Math.min(reach.left, x / ratio)
      reach.right = Math.max(reach.right, (x + 1) / ratio)
      if (x < width / 2) continue
      reach.top = Math.min(reach.top, y / ratio)
      reach.bottom = Math.max(reach.bottom, (y + 1) / ratio)
    }
  }
  return count < 200 ? undefined : reach
}
