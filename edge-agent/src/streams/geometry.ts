/** Points, polygons and lines in shares of the frame. Pure. */
import { type Box, type Point, turn } from '@edgeloop/protocol'

/** Width and height that count as one unit, so that a distance can be said in sizes of a box. */
export type Unit = readonly [width: number, height: number]

/** What lies on the picture's lower edge still lies within an area that was drawn down to it. */
const lowest = 1 - 1e-6

/** Where an object stands: the middle of its box's lower edge. */
export const footOf = ([left, top, width, height]: Box): Point => [
  left + width / 2,
  Math.min(top + height, lowest),
]

/** Whether `point` lies within a polygon whose sides do not cross; on a side it may be either. */
export function isInside(polygon: readonly Point[], [x, y]: Point): boolean {
  let inside = false
  for (const [[ax, ay], [bx, by]] of sidesOf(polygon)) {
    if (ay > y !== by > y && x < ax + ((bx - ax) * (y - ay)) / (by - ay)) inside = !inside
  }
  return inside
}

/** Corner to corner, the last joined to the first. */
export function sidesOf(polygon: readonly Point[]): [Point, Point][] {
  return polygon.map((corner, i) => [corner, polygon[(i + 1) % polygon.length]!])
}

/** Point to point. */
export function piecesOf(points: readonly Point[]): [Point, Point][] {
  return points.slice(1).map((point, i) => [points[i]!, point])
}

/** From `point` to the nearest of these pieces, in units. */
export function distanceTo(
  pieces: readonly (readonly [Point, Point])[],
  [x, y]: Point,
  [unitWidth, unitHeight]: Unit,
): number {
  let nearest = Number.POSITIVE_INFINITY
  for (const [[ax, ay], [bx, by]] of pieces) {
    const [dx, dy] = [(bx - ax) / unitWidth, (by - ay) / unitHeight]
    const [px, py] = [(x - ax) / unitWidth, (y - ay) / unitHeight]
    const length = dx * dx + dy * dy
    const along = length === 0 ? 0 : Math.min(1, Math.max(0, (px * dx + py * dy) / length))
    nearest = Math.min(nearest, Math.hypot(px - along * dx, py - along * dy))
  }
  return nearest
}

/**
 * How often the step from `from` to `to` crosses these pieces towards their right side, less how often
 * towards their left. Whatever falls exactly onto a point counts as being on one side of it, so that a
 * step through a joint is counted once; the same side whichever way the step goes, so that there and back
 * is nothing.
 */
export function crossingsOf(
  pieces: readonly (readonly [Point, Point])[],
  from: Point,
  to: Point,
): number {
  let crossings = 0
  const goesOn = from[0] < to[0] || (from[0] === to[0] && from[1] < to[1])
  const [first, last] = goesOn ? [from, to] : [to, from]
  for (const [a, b] of pieces) {
    const comesFromRight = turn(a, b, from) >= 0
    const goesToRight = turn(a, b, to) >= 0
    if (comesFromRight === goesToRight) continue
    if (turn(first, last, a) >= 0 === turn(first, last, b) >= 0) continue
    crossings += goesToRight ? 1 : -1
  }
  return crossings
}
