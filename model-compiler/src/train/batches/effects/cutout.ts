/** Rectangles that are blanked, so that no single part of a thing is all that it is known by. */
import type { Augmentation } from '../augmentation.ts'
import type { Area } from '../canvas.ts'
import { below, type Draws, uniform } from '../draws.ts'

type Sides = { readonly width: number; readonly height: number }

export function drawCutouts(
  draws: Draws,
  { cutoutCount, cutoutSize }: Pick<Augmentation, 'cutoutCount' | 'cutoutSize'>,
  canvas: Sides,
): Area[] {
  return Array.from({ length: 1 + below(draws, cutoutCount) }, () => {
    const width = Math.max(1, Math.round(uniform(draws, cutoutSize / 4, cutoutSize) * canvas.width))
    const height = Math.max(
      1,
      Math.round(uniform(draws, cutoutSize / 4, cutoutSize) * canvas.height),
    )
    const x = below(draws, canvas.width - width + 1)
    return { x, y: below(draws, canvas.height - height + 1), width, height }
  })
}

export function cutOut(
  canvas: Uint8Array,
  rowBytes: number,
  channels: 1 | 3,
  area: Area,
  pad: number,
): void {
  for (let row = area.y; row < area.y + area.height; row++) {
    const start = row * rowBytes + area.x * channels
    canvas.fill(pad, start, start + area.width * channels)
  }
}
