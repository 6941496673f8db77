/**
 * Which cells answer for which box, decided by the boxes alone: those around the middle of a box, on the map that suits
 * its size. It needs nothing of what the head says, so a net that knows nothing yet gets the same targets at every step.
 * SimOTA is better where things stand close together.
 */
import type { Anchors } from './anchors.ts'
import type { Truths } from './truths.ts'

/** Cells are taken within this many strides of the middle, if they lie in the box. */
const centreRadius = 1.5
/** A box of longer sides, in strides of a map, goes to the next coarser map. */
const stridesMax = 8

/** @returns [N, G, A]: 1 where a cell answers for a box; a cell that several want goes to the smallest */
export function assignByCentre(truths: Truths, anchors: Anchors, pictures: number): Float32Array {
  const { slots, boxes, present } = truths
  const matched = new Float32Array(pictures * slots * anchors.count)
  const strides = stridesOf(anchors)
  for (let picture = 0; picture < pictures; picture++) {
    // Area of the box that has a cell so far.
    const held = new Float64Array(anchors.count).fill(Number.POSITIVE_INFINITY)
    const holder = new Int32Array(anchors.count).fill(-1)
    for (let slot = 0; slot < slots; slot++) {
      const row = picture * slots + slot
      if (present[row] !== 1) continue
      const [left, top, right, bottom] = boxes.subarray(row * 4, row * 4 + 4) as unknown as Corners
      const area = (right - left) * (bottom - top)
      for (const at of cellsFor([left, top, right, bottom], anchors, strides)) {
        if (area >= held[at]!) continue
        held[at] = area
        holder[at] = slot
      }
    }
    for (let at = 0; at < anchors.count; at++) {
      if (holder[at]! >= 0) matched[(picture * slots + holder[at]!) * anchors.count + at] = 1
    }
  }
  return matched
}

type Corners = readonly [number, number, number, number]

/** Strides of the maps, the finest first. */
function stridesOf({ level, stride, count }: Anchors): number[] {
  const strides: number[] = []
  for (let at = 0; at < count; at++) strides[level[at]!] = stride[at]!
  return strides
}

function cellsFor(corners: Corners, anchors: Anchors, strides: readonly number[]): number[] {
  const [left, top, right, bottom] = corners
  const longest = Math.max(right - left, bottom - top)
  const suits = strides.findIndex((stride) => longest <= stridesMax * stride)
  const level = suits < 0 ? strides.length - 1 : suits
  const radius = centreRadius * strides[level]!
  const [x, y] = [(left + right) / 2, (top + bottom) / 2]
  const cells: number[] = []
  let nearest = -1
  let nearestAway = Number.POSITIVE_INFINITY
  for (let at = 0; at < anchors.count; at++) {
    if (anchors.level[at] !== level) continue
    const [cellX, cellY] = [anchors.x[at]!, anchors.y[at]!]
    const away = Math.max(Math.abs(cellX - x), Math.abs(cellY - y))
    if (away < nearestAway) {
      nearest = at
      nearestAway = away
    }
    const within = cellX > left && cellX < right && cellY > top && cellY < bottom
    if (within && away < radius) cells.push(at)
  }
  // A box smaller than a cell may have no middle of one in it.
  return cells.length > 0 ? cells : [nearest]
}
