/**
 * Places on a picture, in pixels of the picture as it was taken, with fractions: what is drawn at any zoom is kept as
 * exactly as it was pointed at. The hub is told shares (0..1) of the picture.
 */
import type { Box, SampleAnnotation } from '@edgeloop/protocol'

export type Spot = readonly [x: number, y: number]
export type Size = { readonly width: number; readonly height: number }

export type BoxShape = {
  readonly kind: 'box'
  readonly left: number
  readonly top: number
  readonly right: number
  readonly bottom: number
}
export type OutlineShape = { readonly kind: 'polygon'; readonly points: readonly Spot[] }
/** Said of the whole picture. */
export type WholeShape = { readonly kind: 'whole' }
export type Shape = BoxShape | OutlineShape | WholeShape

const between = (value: number, min: number, max: number): number =>
  Math.min(Math.max(value, min), max)

export const within = ([x, y]: Spot, { width, height }: Size): Spot => [
  between(x, 0, width),
  between(y, 0, height),
]

/** The box that two opposite corners span, in whatever order they were given. */
export const boxBetween = ([ax, ay]: Spot, [bx, by]: Spot): BoxShape => ({
  kind: 'box',
  left: Math.min(ax, bx),
  top: Math.min(ay, by),
  right: Math.max(ax, bx),
  bottom: Math.max(ay, by),
})

/** The smallest box that holds all points: of four extreme clicks, the tight one. */
export const boxAround = (points: readonly Spot[]): BoxShape => ({
  kind: 'box',
  left: Math.min(...points.map(([x]) => x)),
  top: Math.min(...points.map(([, y]) => y)),
  right: Math.max(...points.map(([x]) => x)),
  bottom: Math.max(...points.map(([, y]) => y)),
})

/** What a shape takes up; nothing of a whole picture is anywhere. */
export function boundsOf(shape: Shape): BoxShape | undefined {
  if (shape.kind === 'whole') return undefined
  return shape.kind === 'box' ? shape : boxAround(shape.points)
}

/** In square pixels, of the box around it. */
export function areaOf(shape: Shape): number {
  const bounds = boundsOf(shape)
  return bounds
    ? (bounds.right - bounds.left) * (bounds.bottom - bounds.top)
    : Number.POSITIVE_INFINITY
}

/** The part of a shape that is on the picture. */
export function clamped(shape: Shape, size: Size): Shape {
  if (shape.kind === 'whole') return shape
  if (shape.kind === 'polygon') {
    return { kind: 'polygon', points: shape.points.map((point) => within(point, size)) }
  }
  const [left, top] = within([shape.left, shape.top], size)
  const [right, bottom] = within([shape.right, shape.bottom], size)
  return boxBetween([left, top], [right, bottom])
}

/** Moved as far as the picture allows: it keeps its size. */
export function moved(shape: Shape, dx: number, dy: number, size: Size): Shape {
  const bounds = boundsOf(shape)
  if (!bounds || shape.kind === 'whole') return shape
  const x = between(dx, -bounds.left, Math.max(-bounds.left, size.width - bounds.right))
  const y = between(dy, -bounds.top, Math.max(-bounds.top, size.height - bounds.bottom))
  if (shape.kind === 'polygon') {
    return { kind: 'polygon', points: shape.points.map(([px, py]): Spot => [px + x, py + y]) }
  }
  return {
    kind: 'box',
    left: shape.left + x,
    top: shape.top + y,
    right: shape.right + x,
    bottom: shape.bottom + y,
  }
}

/** Its right and lower edges moved; never smaller than one pixel, never beyond the picture. */
export function grown(shape: Shape, dx: number, dy: number, size: Size): Shape {
  if (shape.kind !== 'box') return shape
  return {
    ...shape,
    right: between(shape.right + dx, shape.left + 1, Math.max(size.width, shape.left + 1)),
    bottom: between(shape.bottom + dy, shape.top + 1, Math.max(size.height, shape.top + 1)),
  }
}

/** Of a box, eight by the compass; of an outline, its corners by number. */
export type Handle = 'nw' | 'n' | 'ne' | 'e' | 'se' | 's' | 'sw' | 'w' | number

/** Where a shape can be taken hold of. */
export function handlesOf(shape: Shape): readonly { readonly handle: Handle; readonly at: Spot }[] {
  if (shape.kind === 'whole') return []
  if (shape.kind === 'polygon') return shape.points.map((at, handle) => ({ handle, at }))
  const { left, top, right, bottom } = shape
  const [x, y] = [(left + right) / 2, (top + bottom) / 2]
  return [
    { handle: 'nw', at: [left, top] },
    { handle: 'ne', at: [right, top] },
    { handle: 'se', at: [right, bottom] },
    { handle: 'sw', at: [left, bottom] },
    { handle: 'n', at: [x, top] },
    { handle: 'e', at: [right, y] },
    { handle: 's', at: [x, bottom] },
    { handle: 'w', at: [left, y] },
  ]
}

/** The shape with one handle somewhere else; pulled over its other side, a box turns over. */
export function pulled(shape: Shape, handle: Handle, to: Spot, size: Size): Shape {
  const [x, y] = within(to, size)
  if (shape.kind === 'polygon') {
    return {
      kind: 'polygon',
      points: shape.points.map((point, at) => (at === handle ? [x, y] : point)),
    }
  }
  if (shape.kind === 'whole' || typeof handle === 'number') return shape
  const left = handle.includes('w') ? x : shape.left
  const right = handle.includes('e') ? x : shape.right
  const top = handle.includes('n') ? y : shape.top
  const bottom = handle.includes('s') ? y : shape.bottom
  return boxBetween([left, top], [right, bottom])
}

/** Whether a point lies on a shape, or less than `reach` pixels beside it. */
export function isOn([x, y]: Spot, shape: Shape, reach: number): boolean {
  const bounds = boundsOf(shape)
  if (!bounds) return false
  if (x < bounds.left - reach || x > bounds.right + reach) return false
  if (y < bounds.top - reach || y > bounds.bottom + reach) return false
  return shape.kind !== 'polygon' || isInside([x, y], shape.points) || isNear([x, y], shape, reach)
}

/** By the number of its sides to the right of the point. */
function isInside([x, y]: Spot, points: readonly Spot[]): boolean {
  let inside = false
  for (const [at, [bx, by]] of points.entries()) {
    const [ax, ay] = points.at(at - 1) ?? [0, 0]
    if (ay > y !== by > y && x < ((bx - ax) * (y - ay)) / (by - ay) + ax) inside = !inside
  }
  return inside
}

const isNear = (point: Spot, { points }: OutlineShape, reach: number): boolean =>
  points.some((end, at) => distanceTo(point, points.at(at - 1) ?? end, end) <= reach)

function distanceTo([x, y]: Spot, [ax, ay]: Spot, [bx, by]: Spot): number {
  const [dx, dy] = [bx - ax, by - ay]
  const length = dx * dx + dy * dy
  const along = length === 0 ? 0 : between(((x - ax) * dx + (y - ay) * dy) / length, 0, 1)
  return Math.hypot(x - ax - along * dx, y - ay - along * dy)
}

/** Which handle of a shape is under a point: the nearest within `reach` pixels. */
export function handleAt(point: Spot, shape: Shape, reach: number): Handle | undefined {
  let found: Handle | undefined
  let nearest = reach
  for (const { handle, at } of handlesOf(shape)) {
    const away = Math.max(Math.abs(point[0] - at[0]), Math.abs(point[1] - at[1]))
    if (away < nearest || (away === nearest && found === undefined)) {
      nearest = away
      found = handle
    }
  }
  return found
}

/** What is under a point: of several the smallest, which lies in front of the others. */
export function hitBy<P extends { readonly shape: Shape }>(
  point: Spot,
  pieces: readonly P[],
  reach: number,
): P | undefined {
  let found: P | undefined
  for (const piece of pieces) {
    if (!isOn(point, piece.shape, reach)) continue
    if (!found || areaOf(piece.shape) < areaOf(found.shape)) found = piece
  }
  return found
}

/** With six digits: of the widest picture a fifteenth of a pixel. */
const share = (value: number, whole: number): number => rounded(between(value / whole, 0, 1))
const rounded = (value: number): number => Number(value.toFixed(6))

/** What the hub is told: shares of the picture, never beyond its edge. */
export function annotationOf(
  { label, shape, crowd }: { label: string; shape: Shape; crowd: boolean },
  size: Size,
): SampleAnnotation {
  if (shape.kind === 'whole') return { kind: 'class', label }
  if (shape.kind === 'polygon') {
    const points = shape.points.map(([x, y]): [number, number] => [
      share(x, size.width),
      share(y, size.height),
    ])
    return { kind: 'polygon', label, points }
  }
  const [left, top] = [share(shape.left, size.width), share(shape.top, size.height)]
  const [right, bottom] = [share(shape.right, size.width), share(shape.bottom, size.height)]
  const box = [left, top, rounded(right - left), rounded(bottom - top)]
  return { kind: 'box', label, box, ...(crowd && { crowd: true }) }
}

/** A place of the hub's in pixels; a box as shares is left, top, width, height. */
export function shapeOf(
  given: {
    readonly box?: readonly number[] | undefined
    readonly points?: readonly (readonly [number, number])[] | undefined
  },
  { width, height }: Size,
): Shape {
  if (given.points) {
    return { kind: 'polygon', points: given.points.map(([x, y]): Spot => [x * width, y * height]) }
  }
  if (!given.box) return { kind: 'whole' }
  const [left, top, across, down] = given.box as unknown as Box
  return {
    kind: 'box',
    left: left * width,
    top: top * height,
    right: (left + across) * width,
    bottom: (top + down) * height,
  }
}
