/**
 * Things that were kept for learning, followed from frame to frame as long as they are in the picture: a second picture
 * of one teaches little more. The tracker's tracks would not do, as what a model doubts most never becomes a track.
 */
import type { Box, Detection } from '@edgeloop/protocol'
import { iou } from '../streams/tracker.ts'

/** By how much of its size a box is widened on each side before two frames are compared, and what overlap it takes then. */
const widen = 0.3
const overlapMin = 0.25
/** What overlaps a thing that was found again by so much is another opinion about it. */
const sameIou = 0.6
/** Frames in a row on which a thing may be missed. */
const missesMax = 3
/** Things that are followed; of more the oldest are forgotten. */
const thingsMax = 256

export type KnownThings = readonly { readonly box: Box; readonly misses: number }[]

/** Pure: what is followed after a frame, and which of its detections are of things that were kept. */
export function followKnown(
  known: KnownThings,
  detections: readonly Detection[],
): { known: KnownThings; isKnown: readonly boolean[] } {
  if (known.length === 0) return { known, isKnown: [] }
  const boxes = detections.map(boxOf)
  const wide = boxes.map(widened)
  const isKnown = boxes.map(() => false)
  const next = known.flatMap(({ box, misses }) => {
    const before = widened(box)
    let most = overlapMin
    let at = -1
    for (const [i, one] of wide.entries()) {
      const overlap = iou(before, one)
      // Who comes first has the choice: two things do not become one.
      if (overlap < most || isKnown[i]) continue
      most = overlap
      at = i
    }
    const found = boxes[at]
    if (!found) return misses < missesMax ? { box, misses: misses + 1 } : []
    for (const [i, one] of boxes.entries()) if (iou(found, one) >= sameIou) isKnown[i] = true
    return { box: found, misses: 0 }
  })
  return { known: next, isKnown }
}

/** All that a frame shows was kept. Pure. */
export function withKnown(known: KnownThings, detections: readonly Detection[]): KnownThings {
  const { isKnown } = followKnown(known, detections)
  const fresh: { box: Box; misses: number }[] = []
  for (const [i, detection] of detections.entries()) {
    const box = boxOf(detection)
    if (isKnown[i] || fresh.some((one) => iou(one.box, box) >= sameIou)) continue
    fresh.push({ box, misses: 0 })
  }
  return [...known, ...fresh].slice(-thingsMax)
}

const boxOf = ({ box }: Detection): Box => [box[0]!, box[1]!, box[2]!, box[3]!]

const widened = ([left, top, width, height]: Box): Box => [
  left - width * widen,
  top - height * widen,
  width * (1 + 2 * widen),
  height * (1 + 2 * widen),
]
