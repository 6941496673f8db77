/** Class-wise greedy non-maximum suppression: of boxes that show the same object, the best stays. */
import type { Candidates } from './candidates.ts'

export type SuppressOptions = {
  /** A box that overlaps a better one of its class by more than this (0..1) goes. */
  readonly iouMax: number
  /** Most boxes that stay, over all classes. */
  readonly keepMax: number
  /** Class indexes that may stay; all when left out. */
  readonly classes?: ReadonlySet<number>
}

/**
 * Indexes of the candidates that stay, best first; equal scores stay in the order they came in.
 *
 * Going through all classes in one order of scores and comparing only within a class gives the same
 * as one pass per class, and may stop at `keepMax`: the cost is candidates × kept at most.
 */
export function suppress(candidates: Candidates, options: SuppressOptions): number[] {
  const { scores, classes, corners, count } = candidates
  const order = new Uint32Array(count)
  for (let index = 0; index < count; index++) order[index] = index
  order.sort((a, b) => scores[b]! - scores[a]! || a - b)
  const kept: number[] = []
  for (const index of order) {
    if (kept.length >= options.keepMax) break
    const classIndex = classes[index]!
    if (options.classes && !options.classes.has(classIndex)) continue
    const hidden = kept.some(
      (other) => classes[other] === classIndex && iou(corners, index, other) > options.iouMax,
    )
    if (!hidden) kept.push(index)
  }
  return kept
}

/** Intersection over union of two boxes of a corner array; 0 where either has no area. */
function iou(corners: Float32Array, a: number, b: number): number {
  const aLeft = corners[a * 4]!
  const aTop = corners[a * 4 + 1]!
  const aRight = corners[a * 4 + 2]!
  const aBottom = corners[a * 4 + 3]!
  const bLeft = corners[b * 4]!
  const bTop = corners[b * 4 + 1]!
  const bRight = corners[b * 4 + 2]!
  const bBottom = corners[b * 4 + 3]!
  const width = Math.min(aRight, bRight) - Math.max(aLeft, bLeft)
  const height = Math.min(aBottom, bBottom) - Math.max(aTop, bTop)
  if (!(width > 0 && height > 0)) return 0
  const intersection = width * height
  const areas = (aRight - aLeft) * (aBottom - aTop) + (bRight - bLeft) * (bBottom - bTop)
  return intersection / (areas - intersection)
}
