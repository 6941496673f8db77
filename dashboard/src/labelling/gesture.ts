/**
 * What a pointer does on the picture, as one state that follows from the one before: nothing here knows of a canvas
 * or an event. While something is drawn, whatever lies there already is out of reach.
 */
import {
  type BoxShape,
  boxAround,
  boxBetween,
  clamped,
  type Handle,
  handleAt,
  hitBy,
  moved,
  pulled,
  type Shape,
  type Size,
  type Spot,
  within,
} from './shapes.ts'

export type Tool = 'select' | 'draw' | 'extremes' | 'outline'

export type Gesture =
  | { readonly kind: 'idle' }
  /** A box from one corner: by dragging, or by a second click where `held` has ended without a drag. */
  | { readonly kind: 'corner'; readonly from: Spot; readonly to: Spot; readonly held: boolean }
  /** Points that were clicked, for four extremes or an outline; `to` is where the pointer is. */
  | {
      readonly kind: 'points'
      readonly tool: 'extremes' | 'outline'
      readonly points: readonly Spot[]
      readonly to: Spot
    }
  | {
      readonly kind: 'moving'
      readonly pieceId: number
      readonly from: Spot
      readonly shape: Shape
      readonly now: Shape
    }
  | {
      readonly kind: 'pulling'
      readonly pieceId: number
      readonly handle: Handle
      readonly shape: Shape
      readonly now: Shape
    }

export const idle: Gesture = { kind: 'idle' }

export type Around = {
  readonly tool: Tool
  readonly size: Size
  /** What can be taken hold of: shown, and not read only. */
  readonly pieces: readonly { readonly pieceId: number; readonly shape: Shape }[]
  readonly selected: number | undefined
  /** Pixels of the picture that the pointer reaches beyond its point: some CSS pixels at the zoom of now. */
  readonly reach: number
}

export type Outcome = {
  readonly gesture: Gesture
  /** Something new was drawn. */
  readonly made?: Shape
  /** Something was moved or pulled. */
  readonly changed?: { readonly pieceId: number; readonly shape: Shape }
  /** What is selected now; null for nothing. */
  readonly select?: number | null
}

/** Narrower or lower than this, in pixels of the picture, a box is a slip of the hand. */
export const sideMin = 2

const extremesNeeded = 4

/** The pointer goes down at `given`. */
export function pressed(gesture: Gesture, given: Spot, around: Around): Outcome {
  const point = within(given, around.size)
  if (around.tool === 'select') return taken(given, around)
  if (around.tool === 'draw') {
    return gesture.kind === 'corner'
      ? { gesture: { ...gesture, to: point } }
      : { gesture: { kind: 'corner', from: point, to: point, held: true } }
  }
  const before = gesture.kind === 'points' && gesture.tool === around.tool ? gesture.points : []
  const { tool } = around
  if (tool === 'outline') {
    const [first] = before
    if (first && before.length >= 3 && isAt(point, first, around.reach)) return closed(gesture)
  }
  const points = [...before, point]
  if (tool === 'extremes' && points.length === extremesNeeded) return finished(boxAround(points))
  return { gesture: { kind: 'points', tool, points, to: point } }
}

function taken(point: Spot, { pieces, selected, reach }: Around): Outcome {
  const chosen = pieces.find(({ pieceId }) => pieceId === selected)
  const handle = chosen && handleAt(point, chosen.shape, reach)
  if (chosen && handle !== undefined) {
    const { pieceId, shape } = chosen
    return { gesture: { kind: 'pulling', pieceId, handle, shape, now: shape } }
  }
  const hit = hitBy(point, pieces, reach / 2)
  if (!hit) return { gesture: idle, select: null }
  const { pieceId, shape } = hit
  return { gesture: { kind: 'moving', pieceId, from: point, shape, now: shape }, select: pieceId }
}

/** The pointer is at `given`. */
export function followed(gesture: Gesture, given: Spot, { size }: Pick<Around, 'size'>): Gesture {
  const to = within(given, size)
  switch (gesture.kind) {
    case 'corner':
    case 'points':
      return { ...gesture, to }
    case 'moving': {
      const [dx, dy] = [given[0] - gesture.from[0], given[1] - gesture.from[1]]
      return { ...gesture, now: moved(gesture.shape, dx, dy, size) }
    }
    case 'pulling':
      return { ...gesture, now: pulled(gesture.shape, gesture.handle, to, size) }
    default:
      return gesture
  }
}

/** The pointer goes up at `given`. */
export function released(before: Gesture, given: Spot, around: Around): Outcome {
  const gesture = followed(before, given, around)
  switch (gesture.kind) {
    case 'corner':
      // Without a way between down and up it was a click: the other corner is clicked as well.
      if (gesture.held && isAt(gesture.from, gesture.to, around.reach)) {
        return { gesture: { ...gesture, held: false } }
      }
      return finished(boxBetween(gesture.from, gesture.to))
    case 'moving':
    case 'pulling': {
      const { pieceId, shape, now } = gesture
      const same = shape === now || JSON.stringify(shape) === JSON.stringify(now)
      const slip = now.kind === 'box' && isSlip(now)
      return same || slip ? { gesture: idle } : { gesture: idle, changed: { pieceId, shape: now } }
    }
    default:
      return { gesture }
  }
}

/** An outline ends where it is: by its first point, by a double click, by Enter. */
export function closed(gesture: Gesture): Outcome {
  if (gesture.kind !== 'points' || gesture.tool !== 'outline') return { gesture }
  if (gesture.points.length < 3) return { gesture }
  return { gesture: idle, made: { kind: 'polygon', points: gesture.points } }
}

/** What is seen of a gesture before it ends. */
export function sketchOf(gesture: Gesture): Shape | undefined {
  if (gesture.kind === 'corner') return boxBetween(gesture.from, gesture.to)
  if (gesture.kind === 'moving' || gesture.kind === 'pulling') return gesture.now
  if (gesture.kind !== 'points') return undefined
  const points = [...gesture.points, gesture.to]
  return gesture.tool === 'extremes' ? boxAround(points) : { kind: 'polygon', points }
}

const finished = (box: BoxShape): Outcome =>
  isSlip(box) ? { gesture: idle } : { gesture: idle, made: box }

const isSlip = ({ left, top, right, bottom }: BoxShape): boolean =>
  right - left < sideMin || bottom - top < sideMin

const isAt = ([ax, ay]: Spot, [bx, by]: Spot, reach: number): boolean =>
  Math.abs(ax - bx) <= reach && Math.abs(ay - by) <= reach

/** A shape that somebody made, as it is kept. */
export const keptShape = (shape: Shape, size: Size): Shape => clamped(shape, size)
