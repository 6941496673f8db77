/**
 * The outlines of a mask, along the edges of its pixels: filled again they give the same pixels. Parts that touch at a
 * corner alone are two; a hole is joined to the outline around it by a slit of no width, as an outline of ours is one ring. Pure.
 */
import type { MaskPart } from './run-lengths.ts'

/** A corner of pixels. */
type Corner = readonly [number, number]

/** Directions in the order of a turn to the right: east, south, west, north. */
const [dx, dy] = [
  [1, 0, -1, 0],
  [0, 1, 0, -1],
] as const

/** Corners of all outlines of one mask, at most: beyond, it is noise. */
export const cornersMax = 20_000
/** Holes of one mask, at most. */
const holesMax = 500

/** @returns rings of corners in pixels of the picture, the first of each not repeated; undefined where there are too many */
export function traceMask(part: MaskPart): Corner[][] | undefined {
  const { width, height, pixels } = part
  const stride = width + 1
  const isIn = (x: number, y: number): boolean =>
    x >= 0 && y >= 0 && x < width && y < height && pixels[y * width + x] === 1
  // For each corner, a bit for each direction in which an edge leaves it; what is inside lies to its right.
  const edges = new Uint8Array(stride * (height + 1))
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) {
      if (!isIn(x, y)) continue
      if (!isIn(x, y - 1)) edges[y * stride + x]! |= 1
      if (!isIn(x + 1, y)) edges[y * stride + x + 1]! |= 2
      if (!isIn(x, y + 1)) edges[(y + 1) * stride + x + 1]! |= 4
      if (!isIn(x - 1, y)) edges[(y + 1) * stride + x]! |= 8
    }
  }
  const outer: Ring[] = []
  const holes: Ring[] = []
  let corners = 0
  for (let start = 0; start < edges.length; start += 1) {
    // Each ring has an edge that goes east.
    while ((edges[start]! & 1) !== 0) {
      const points = walk(edges, start, stride)
      corners += points.length
      if (corners > cornersMax) return undefined
      const ring = { points, area: areaOf(points), start: cornerOf(start, stride) }
      if (ring.area > 0) outer.push(ring)
      else holes.push(ring)
    }
  }
  if (holes.length > holesMax) return undefined
  const smallestFirst = outer.toSorted((a, b) => a.area - b.area)
  for (const hole of holes) {
    // The pixel below the edge where the hole begins is of the part that it is a hole of.
    const [x, y] = hole.start
    const around = smallestFirst.find(({ points }) => holds(points, x + 0.5, y + 0.5))
    if (around) around.points = joined(around.points, hole.points)
  }
  return outer.map(({ points }) => points.map(([x, y]): Corner => [part.x + x, part.y + y]))
}

type Ring = { points: Corner[]; readonly area: number; readonly start: Corner }

const cornerOf = (at: number, stride: number): Corner => [at % stride, Math.floor(at / stride)]

/** Goes once around, taking each edge away; corners where it goes straight on are left out. */
function walk(edges: Uint8Array, start: number, stride: number): Corner[] {
  const points: Corner[] = []
  let [at, direction, before] = [start, 0, -1]
  const first = direction
  for (;;) {
    if (direction !== before) points.push(cornerOf(at, stride))
    edges[at]! &= ~(1 << direction)
    at += dx[direction]! + dy[direction]! * stride
    before = direction
    // Another ring may leave the corner where this one began.
    if (at === start && (direction + 1) % 4 === first) break
    // To the right first: what touches at a corner stays apart.
    const next = [1, 0, 3]
      .map((turn) => (direction + turn) % 4)
      .find((one) => edges[at]! & (1 << one))
    if (next === undefined) break
    direction = next
  }
  if (before === first) points.shift()
  return points
}

/** Twice what a ring holds; negative where it goes around a hole. */
function areaOf(points: readonly Corner[]): number {
  let sum = 0
  for (const [at, [x, y]] of points.entries()) {
    const [nextX, nextY] = points[(at + 1) % points.length]!
    sum += x * nextY - nextX * y
  }
  return sum
}

function holds(points: readonly Corner[], x: number, y: number): boolean {
  let inside = false
  for (const [at, [ax, ay]] of points.entries()) {
    const [bx, by] = points[(at + 1) % points.length]!
    // Edges go along the axes: only those down or up are crossed.
    if (ax === bx && ay > y !== by > y && ax > x) inside = !inside
  }
  return inside
}

/** Outer and hole as one ring, over the shortest way between two corners. */
function joined(outer: readonly Corner[], hole: readonly Corner[]): Corner[] {
  const [first, ...others] = hole.toSorted((a, b) => a[0] - b[0] || a[1] - b[1])
  // One corner of the hole is as good as another; looking at all would cost the product.
  const from = hole.indexOf(first ?? others[0]!)
  const [x, y] = hole[from]!
  let [nearest, distance] = [0, Number.POSITIVE_INFINITY]
  for (const [at, [ox, oy]] of outer.entries()) {
    const away = (ox - x) ** 2 + (oy - y) ** 2
    if (away < distance) [nearest, distance] = [at, away]
  }
  return [
    ...outer.slice(0, nearest + 1),
    ...hole.slice(from),
    ...hole.slice(0, from + 1),
    ...outer.slice(nearest),
  ]
}
