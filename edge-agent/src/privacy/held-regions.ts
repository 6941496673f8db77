/**
 * Where something lies that must not be seen, also in a picture in which the detector misses it. What was found stays for
 * a while, moves on as it moved, and grows the longer nobody has seen it. Pure but for what it remembers.
 */
import type { Box } from '@edgeloop/protocol'

export type Region = { readonly label: string; readonly box: Box }

/** How long a region outlives its last sighting. */
export const heldMs = 2000
/** By how much of its size a region grows on each side in a second without a sighting. */
const growthPerSecond = 0.5
/** Regions that are remembered: all that two models may name in one picture. The one not seen for longest gives way. */
const regionsMax = 600
/** Two sightings closer in time than this say nothing of speed. */
const speedFromMs = 50

type Held = {
  readonly label: string
  box: Box
  /** Shares of the frame that its left and top move in a millisecond. */
  speed: readonly [x: number, y: number]
  seenMs: number
}

export class HeldRegions {
  #held: Held[] = []

  /**
   * Takes in what was found at a moment.
   * @param nowMs of a clock that is never set
   * @returns all of it, and where what was missed is believed to be
   */
  take(found: readonly Region[], nowMs: number): Region[] {
    const left = this.#held.filter(({ seenMs }) => nowMs - seenMs <= heldMs)
    const seen: Held[] = []
    for (const { label, box } of found) {
      const at = nearest(left, label, box, nowMs)
      const [before] = at < 0 ? [] : left.splice(at, 1)
      seen.push({ label, box, seenMs: nowMs, speed: speedOf(before, box, nowMs) })
    }
    const missed = left.map(({ label, ...one }) => ({ label, box: believed(one, nowMs) }))
    this.#held = [...seen, ...left].slice(0, regionsMax)
    return [...found, ...missed]
  }
}

/** Which of `held` this is: of the same label, and overlapping or near; -1 where none is. */
function nearest(held: readonly Held[], label: string, box: Box, nowMs: number): number {
  let best = -1
  let bestFar = 1
  for (const [i, one] of held.entries()) {
    if (one.label !== label) continue
    const other = believed(one, nowMs)
    // In sizes of the larger of the two: 1 where one begins as the other ends.
    const x = Math.abs(box[0] + box[2] / 2 - other[0] - other[2] / 2) / Math.max(box[2], other[2])
    const y = Math.abs(box[1] + box[3] / 2 - other[1] - other[3] / 2) / Math.max(box[3], other[3])
    const far = Math.max(x, y)
    if (far <= bestFar) [best, bestFar] = [i, far]
  }
  return best
}

function speedOf(before: Held | undefined, box: Box, nowMs: number): Held['speed'] {
  if (!before) return [0, 0]
  const passedMs = nowMs - before.seenMs
  if (passedMs < speedFromMs) return before.speed
  return [(box[0] - before.box[0]) / passedMs, (box[1] - before.box[1]) / passedMs]
}

function believed({ box, speed, seenMs }: Omit<Held, 'label'>, nowMs: number): Box {
  const passedMs = Math.max(0, nowMs - seenMs)
  const moved: Box = [box[0] + speed[0] * passedMs, box[1] + speed[1] * passedMs, box[2], box[3]]
  return widened(moved, (growthPerSecond * passedMs) / 1000)
}

/** A box that is larger by `margin` of its size on each side, within the frame. */
export function widened([left, top, width, height]: Box, margin: number): Box {
  const from = [within(left - width * margin), within(top - height * margin)] as const
  const to = [within(left + width * (1 + margin)), within(top + height * (1 + margin))] as const
  return [from[0], from[1], to[0] - from[0], to[1] - from[1]]
}

const within = (share: number): number => Math.min(1, Math.max(0, share))
