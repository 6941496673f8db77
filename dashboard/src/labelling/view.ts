/** Where a picture lies on the canvas: how large a pixel of it is, and where its corner is, in CSS pixels. */
import type { BoxShape, Size, Spot } from './shapes.ts'

export type View = { readonly scale: number; readonly x: number; readonly y: number }

/** How many CSS pixels one pixel of a picture may take. */
export const scaleMax = 40
/** Of the picture, in CSS pixels, that always stays on the canvas. */
const staysMin = 48

/** The whole picture, centred. */
export function fitted(area: Size, picture: Size): View {
  const scale = Math.min(area.width / picture.width, area.height / picture.height)
  return centred(scale > 0 ? scale : 1, area, [picture.width / 2, picture.height / 2])
}

const centred = (scale: number, area: Size, [x, y]: Spot): View => ({
  scale,
  x: area.width / 2 - x * scale,
  y: area.height / 2 - y * scale,
})

export const toPicture = ([x, y]: Spot, view: View): Spot => [
  (x - view.x) / view.scale,
  (y - view.y) / view.scale,
]

export const toCanvas = ([x, y]: Spot, view: View): Spot => [
  x * view.scale + view.x,
  y * view.scale + view.y,
]

/** Larger (or smaller) by a factor; what is at `at` stays there. Smaller than the whole picture is the whole picture. */
export function zoomed(view: View, factor: number, at: Spot, area: Size, picture: Size): View {
  const whole = fitted(area, picture)
  const scale = Math.min(view.scale * factor, scaleMax)
  if (scale <= whole.scale) return whole
  const [x, y] = toPicture(at, view)
  return kept({ scale, x: at[0] - x * scale, y: at[1] - y * scale }, area, picture)
}

export const panned = (view: View, dx: number, dy: number, area: Size, picture: Size): View =>
  kept({ ...view, x: view.x + dx, y: view.y + dy }, area, picture)

/** Some of the picture is always to be seen. */
function kept(view: View, area: Size, picture: Size): View {
  const inside = (at: number, room: number, length: number) =>
    Math.min(Math.max(at, staysMin - length), room - staysMin)
  return {
    scale: view.scale,
    x: inside(view.x, area.width, picture.width * view.scale),
    y: inside(view.y, area.height, picture.height * view.scale),
  }
}

/** A box with as much room around it as it takes itself. */
export function zoomedTo(box: BoxShape, area: Size, picture: Size): View {
  const [width, height] = [box.right - box.left, box.bottom - box.top]
  const whole = fitted(area, picture)
  const scale = Math.min(
    area.width / Math.max(1, width * 2),
    area.height / Math.max(1, height * 2),
    scaleMax,
  )
  if (scale <= whole.scale) return whole
  return kept(centred(scale, area, [box.left + width / 2, box.top + height / 2]), area, picture)
}
