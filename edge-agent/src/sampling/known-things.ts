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
/** Less than this of where it was when it was kept, and a thing has gone on. */
const standsIou = 0.6
/** Frames in a row on which a thing may be missed. */
const missesMax = 3
/** Things that are followed; of more the oldest are forgotten. */
const thingsMax = 256

/** Whether a thing was kept before, and then whether it has stayed where it was, as what is part of the scene does. */
export type Acquaintance = 'new' | 'passing' | 'standing'

type Known = {
  readonly box: Box
  /** Where it was when it was kept. */
  readonly keptAt: Box
  readonly misses: number
}
export type KnownThings = readonly Known[]

/** Pure: what is followed after a frame, and what each of its detections is of. */
export function followKnown(
  known: KnownThings,
  detections: readonly Detection[],
): { known: KnownThings; seen: readonly Acquaintance[] } {
  const boxes = detections.map(boxOf)
  const seen = boxes.map((): Acquaintance => 'new')
  if (known.length === 0) return { known, seen }
  const wide = boxes.map(widened)
  const next = known.flatMap(({ box, keptAt, misses }) => {
    const before = widened(box)
    let most = overlapMin
    let at = -1
    for (const [i, one] of wide.entries()) {
      const overlap = iou(before, one)
      // Who comes first has the choice: two things do not become one.
      if (overlap < most || seen[i] !== 'new') continue
      most = overlap
      at = i
    }
    const found = boxes[at]
    if (!found) return misses < missesMax ? { box, keptAt, misses: misses + 1 } : []
    const how = iou(keptAt, found) >= standsIou ? 'standing' : 'passing'
    for (const [i, one] of boxes.entries()) if (iou(found, one) >= sameIou) seen[i] = how
    return { box: found, keptAt, misses: 0 }
  })
  return { known: next, seen }
}

/** All that a frame shows was kept. Pure. */
export function withKnown(known: KnownThings, detections: readonly Detection[]): KnownThings {
  const { seen } = followKnown(known, detections)
  const fresh: Known[] = []
  for (const [i, detection] of detections.entries()) {
    const box = boxOf(detection)
    if (seen[i] !== 'new' || fresh.some((one) => iou(one.box, box) >= sameIou)) continue
    fresh.push({ box, keptAt: box, misses: 0 })
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
