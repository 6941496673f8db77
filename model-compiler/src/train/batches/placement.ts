/**
 * Where a part of a picture lands on a canvas, and what that does to what people said is in it. Pure: the pixels follow
 * in `resample.ts`.
 */
import type { Annotation, Box, Point } from '../../datasets/index.ts'
import type { Area } from './canvas.ts'

export type Placement = {
  readonly digest: string
  /** Which data set it is of: 0, or 1 for the older one that is replayed. */
  readonly set: 0 | 1
  /** Size of the picture, in its own pixels. */
  readonly width: number
  readonly height: number
  /** The part that is shown, as shares of the picture. */
  readonly from: Area
  /** Where it lands, in pixels of the canvas. */
  readonly to: Area
  /** Nothing is drawn beyond: the quarter of a mosaic, or the canvas. */
  readonly clip: Area
  readonly mirrored: boolean
  readonly upsideDown: boolean
  /** Its picture of class indexes, where one is wanted. */
  readonly mask?: { readonly file: string; readonly labels: readonly string[] }
}

/** A box of which less is left is no longer told: what it is cannot be seen. */
const visibleShareMin = 0.2
/** Sides of a box on the canvas, in pixels, below which nothing can be seen of it. */
const sideMin = 1

/** Annotations as shares of the canvas; those that are no longer to be seen are gone. */
export function placeAnnotations(
  annotations: readonly Annotation[],
  placement: Placement,
  canvas: { readonly width: number; readonly height: number },
): Annotation[] {
  const placed: Annotation[] = []
  for (const annotation of annotations) {
    if (annotation.kind === 'box') {
      const box = placeBox(annotation.box, placement, canvas)
      if (box) placed.push({ ...annotation, box })
    } else if (annotation.kind === 'polygon') {
      const points = placePolygon(annotation.points, placement, canvas)
      if (points) placed.push({ ...annotation, points })
    } else if (annotation.kind !== 'mask') placed.push(annotation)
  }
  return placed
}

/** A point of the picture on the canvas, in pixels. */
function onCanvas({ from, to, mirrored, upsideDown }: Placement, x: number, y: number): Point {
  const u = (x - from.x) / from.width
  const v = (y - from.y) / from.height
  return [to.x + (mirrored ? 1 - u : u) * to.width, to.y + (upsideDown ? 1 - v : v) * to.height]
}

/** What can be seen: the part within `to` and `clip`. */
function windowOf({ to, clip }: Placement): readonly [number, number, number, number] {
  return [
    Math.max(to.x, clip.x),
    Math.max(to.y, clip.y),
    Math.min(to.x + to.width, clip.x + clip.width),
    Math.min(to.y + to.height, clip.y + clip.height),
  ]
}

type Sides = { readonly width: number; readonly height: number }

function placeBox(
  [x, y, width, height]: Box,
  placement: Placement,
  canvas: Sides,
): Box | undefined {
  const [ax, ay] = onCanvas(placement, x, y)
  const [bx, by] = onCanvas(placement, x + width, y + height)
  const [x0, y0, x1, y1] = windowOf(placement)
  const [left, right] = [Math.max(x0, Math.min(ax, bx)), Math.min(x1, Math.max(ax, bx))]
  const [top, bottom] = [Math.max(y0, Math.min(ay, by)), Math.min(y1, Math.max(ay, by))]
  if (right - left < sideMin || bottom - top < sideMin) return undefined
  const whole = Math.abs(bx - ax) * Math.abs(by - ay)
  if ((right - left) * (bottom - top) < visibleShareMin * whole) return undefined
  return [
    left / canvas.width,
    top / canvas.height,
    (right - left) / canvas.width,
    (bottom - top) / canvas.height,
  ]
}

/** Cut at each side of the window in turn (Sutherland and Hodgman). */
function placePolygon(
  points: readonly Point[],
  placement: Placement,
  canvas: Sides,
): Point[] | undefined {
  const [x0, y0, x1, y1] = windowOf(placement)
  const moved = points.map(([x, y]) => onCanvas(placement, x, y))
  const sides: readonly (readonly [axis: 0 | 1, limit: number, sign: 1 | -1])[] = [
    [0, x0, 1],
    [0, x1, -1],
    [1, y0, 1],
    [1, y1, -1],
  ]
  const cut = sides.reduce<readonly Point[]>((left, [axis, limit, sign]) => {
    const inside = (point: Point) => (point[axis] - limit) * sign >= 0
    return left.flatMap((point, at): Point[] => {
      const before = left.at(at - 1)!
      if (inside(point) === inside(before)) return inside(point) ? [point] : []
      const share = (limit - before[axis]) / (point[axis] - before[axis])
      const crossing: Point = [
        before[0] + share * (point[0] - before[0]),
        before[1] + share * (point[1] - before[1]),
      ]
      return inside(point) ? [crossing, point] : [crossing]
    })
  }, moved)
  if (cut.length < 3 || areaOf(cut) < visibleShareMin * areaOf(moved) || areaOf(cut) < sideMin)
    return undefined
  return cut.map(([x, y]) => [x / canvas.width, y / canvas.height])
}

function areaOf(points: readonly Point[]): number {
  let twice = 0
  for (const [at, [x, y]] of points.entries()) {
    const [bx, by] = points.at(at - 1)!
    twice += bx * y - x * by
  }
  return Math.abs(twice) / 2
}
