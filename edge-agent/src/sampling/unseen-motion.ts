/**
 * Frames on which something moves and the model says nothing, not even with doubt: what it misses for good. A moving
 * place counts when it stays for a while and has moved meanwhile; where leaves or water always move, it
 * counts for nothing.
 */
import type { MovingCells } from '../streams/motion-gate.ts'
import type { Finding, FrameFacts } from './facts.ts'
import { percent } from './facts.ts'

/** It has to be there this long, on at least so many frames. */
const lastsMs = 600
const framesMin = 3
/** Between two frames further apart than this it cannot be followed. */
const gapMsMax = 1_500
/** Smallest moving place: cells of the grid. */
const cellsMin = 2
/** More of the picture than this is light or the camera, not an object. */
const cellsShareMax = 0.4
/** How fast a cell that moves becomes one that always moves, and by which share it is one. */
const habitMs = 5 * 60_000
const habitShare = 0.25
/** Boxes are widened by this much of a cell before they cover. */
const coverCells = 1
const useMax = 0.7

type Place = {
  /** Column and row of its cells, least and most. */
  readonly left: number
  readonly top: number
  readonly right: number
  readonly bottom: number
  readonly cells: number
}
type Followed = {
  readonly place: Place
  readonly first: Place
  readonly since: number
  readonly frames: number
}

export type MotionMemory = {
  readonly at: number
  readonly followed: readonly Followed[]
  /** Share of the time in which each cell has moved with nothing found there. */
  readonly habit: Float32Array | undefined
}
export const noMotion: MotionMemory = { at: 0, followed: [], habit: undefined }

/** Pure: gives what is to be remembered with what it finds. */
export function unseenMotion(
  facts: FrameFacts,
  memory: MotionMemory,
): { finding: Finding | undefined; memory: MotionMemory } {
  const { moving, at } = facts
  if (!moving) return { finding: undefined, memory: { ...memory, at, followed: [] } }
  const open = uncovered(moving, facts)
  const elapsedMs = at - memory.at
  const habit = grownHabit(open.cells, memory.habit, Math.min(elapsedMs, gapMsMax))
  const isWhole = count(moving.cells) > moving.cells.length * cellsShareMax
  for (let i = 0; i < open.cells.length; i++) if (habit[i]! > habitShare) open.cells[i] = 0
  const places = isWhole ? [] : placesOf(open)
  const followed = places.map((place): Followed => {
    const before =
      elapsedMs > gapMsMax ? undefined : memory.followed.find((one) => touches(one.place, place))
    return {
      place,
      first: before?.first ?? place,
      since: before?.since ?? at,
      frames: (before?.frames ?? 0) + 1,
    }
  })
  const lasting = followed.filter(
    ({ since, frames, first, place }) =>
      at - since >= lastsMs && frames >= framesMin && hasMoved(first, place),
  )
  const most = lasting.sort((a, b) => b.place.cells - a.place.cells)[0]
  const finding: Finding | undefined = most && {
    reason: 'motion',
    use: useMax * Math.min(1, 0.6 + most.place.cells / 40),
    why: `something moved for ${((at - most.since) / 1000).toFixed(1)} s on ${percent(most.place.cells / moving.cells.length)} of the picture, and nothing was found there`,
    tracks: [],
    place: shareOf(most.place, moving),
  }
  return { finding, memory: { at, followed, habit } }
}

/** Moving cells that no detection and no track is near. */
function uncovered({ columns, rows, cells }: MovingCells, facts: FrameFacts): MovingCells {
  const open = cells.slice()
  for (const { box } of [...facts.detections, ...facts.tracks]) {
    const [left = 0, top = 0, width = 0, height = 0] = box
    const fromX = Math.max(0, Math.floor(left * columns) - coverCells)
    const toX = Math.min(columns - 1, Math.floor((left + width) * columns) + coverCells)
    const fromY = Math.max(0, Math.floor(top * rows) - coverCells)
    const toY = Math.min(rows - 1, Math.floor((top + height) * rows) + coverCells)
    for (let y = fromY; y <= toY; y++) open.fill(0, y * columns + fromX, y * columns + toX + 1)
  }
  return { columns, rows, cells: open }
}

function grownHabit(cells: Uint8Array, before: Float32Array | undefined, ms: number): Float32Array {
  const part = 1 - Math.exp(-Math.max(0, ms) / habitMs)
  const habit = before ? before.slice() : new Float32Array(cells.length)
  for (let i = 0; i < habit.length; i++) habit[i]! += (cells[i]! - habit[i]!) * part
  return habit
}

/** Cells that hang together, as places. */
function placesOf({ columns, rows, cells }: MovingCells): Place[] {
  const left = cells.slice()
  const places: Place[] = []
  for (let start = left.indexOf(1); start >= 0; start = left.indexOf(1, start)) {
    const place = { left: columns, top: rows, right: -1, bottom: -1, cells: 0 }
    const stack = [start]
    left[start] = 0
    for (let at = stack.pop(); at !== undefined; at = stack.pop()) {
      const [x, y] = [at % columns, Math.floor(at / columns)]
      place.left = Math.min(place.left, x)
      place.right = Math.max(place.right, x)
      place.top = Math.min(place.top, y)
      place.bottom = Math.max(place.bottom, y)
      place.cells++
      for (let nextY = Math.max(0, y - 1); nextY <= Math.min(rows - 1, y + 1); nextY++) {
        for (let nextX = Math.max(0, x - 1); nextX <= Math.min(columns - 1, x + 1); nextX++) {
          const next = nextY * columns + nextX
          if (left[next] === 0) continue
          left[next] = 0
          stack.push(next)
        }
      }
    }
    if (place.cells >= cellsMin) places.push(place)
  }
  return places
}

const shareOf = (place: Place, { columns, rows }: MovingCells) =>
  [
    place.left / columns,
    place.top / rows,
    (place.right + 1 - place.left) / columns,
    (place.bottom + 1 - place.top) / rows,
  ] as const

const touches = (a: Place, b: Place): boolean =>
  a.left <= b.right + 1 && b.left <= a.right + 1 && a.top <= b.bottom + 1 && b.top <= a.bottom + 1

/** What only appeared, such as the floor where something was carried away, stays where it is. */
const hasMoved = (a: Place, b: Place): boolean =>
  Math.abs(a.left + a.right - b.left - b.right) >= 2 ||
  Math.abs(a.top + a.bottom - b.top - b.bottom) >= 2

const count = (cells: Uint8Array): number => cells.reduce((sum, cell) => sum + cell, 0)
