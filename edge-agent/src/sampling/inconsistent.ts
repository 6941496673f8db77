/**
 * Frames on which the model contradicts what it said a moment ago: an object is missed in the middle of its way, is
 * called something else, or changes its size at once. Each is most likely a fault on this very frame.
 */
import type { Track } from '../streams/tracker.ts'
import { type Finding, type FrameFacts, isInside, usesTogether } from './facts.ts'

/** Sightings after which an object is expected to go on being seen. */
const expectedFrames = 5
/** Longest gap that is still news; later the object has gone. */
const gapMsMax = 1_000
/** A box that grows or shrinks by more between two sightings has jumped. */
const sizeJump = 1.7
/** Sightings further apart than this say nothing about each other. */
const nearMs = 600
const useOf = { gap: 0.55, label: 0.5, size: 0.4 }

type Seen = { readonly at: number; readonly area: number; readonly missed: boolean }
/** What is remembered of each believed track. */
export type TrackMemory = ReadonlyMap<number, Seen>

/** Pure: gives what is to be remembered with what it finds. */
export function inconsistent(
  facts: FrameFacts,
  memory: TrackMemory,
): { finding: Finding | undefined; memory: TrackMemory } {
  const found: { use: number; why: string; trackId: number }[] = []
  const next = new Map<number, Seen>()
  for (const track of facts.tracks) {
    const before = memory.get(track.trackId)
    const area = (track.box[2] ?? 0) * (track.box[3] ?? 0)
    const missedMs = facts.at - track.seenAt
    // The first missed frame tells all that the others would.
    const isMissed = missedMs > 0
    next.set(track.trackId, { at: track.seenAt, area, missed: isMissed })
    const trackId = track.trackId
    if (isMissed) {
      const isNews = before?.missed === false && missedMs <= gapMsMax && isInside(track)
      if (!isNews || track.frames < expectedFrames) continue
      const why = `"${track.label}" (track ${trackId}) not found after ${track.frames} sightings in a row of frames`
      found.push({ use: useOf.gap, why, trackId })
      continue
    }
    const called = otherName(facts, track)
    if (called !== undefined) {
      const why = `"${track.label}" (track ${trackId}) called "${called.label}" at ${called.score.toFixed(2)}`
      found.push({ use: useOf.label, why, trackId })
    }
    if (!before || before.area === 0 || area === 0 || !isInside(track)) continue
    const ratio = Math.max(area / before.area, before.area / area)
    if (ratio < sizeJump || facts.at - before.at > nearMs) continue
    const why = `"${track.label}" (track ${trackId}) changed its size ${ratio.toFixed(1)} times at once`
    found.push({ use: useOf.size, why, trackId })
  }
  found.sort((a, b) => b.use - a.use)
  const [most] = found
  const more = found.length <= 1 ? '' : `; ${found.length - 1} more in the picture`
  const finding: Finding | undefined = most && {
    reason: 'inconsistent',
    use: usesTogether(found.map(({ use }) => use)),
    why: `${most.why}${more}`,
    tracks: found.map(({ trackId }) => trackId),
  }
  return { finding, memory: next }
}

function otherName({ detections, trackIds }: FrameFacts, track: Track) {
  if (track.frames < expectedFrames) return undefined
  const named = detections.find((_, i) => trackIds[i] === track.trackId)
  return named && named.label !== track.label ? named : undefined
}
