/**
 * Follows objects from frame to frame, in the manner of ByteTrack (Zhang et al. 2022): confident
 * detections are matched first, doubtful ones may only keep a known track alive. Boxes are widened
 * before they are compared (C-BIoU, Yang et al. 2023), because at a few frames per second a fast
 * object no longer overlaps itself. All limits are times, not frame counts: frame intervals vary.
 */
import type { Box, Detection } from '@edgeloop/protocol'
import { assign } from './assignment.ts'
import { BoxMotion } from './box-motion.ts'

export type TrackerOptions = {
  /** Score from which a detection may start a track. */
  readonly scoreMin: number
  /** Label → score, instead of `scoreMin`. */
  readonly thresholds?: ReadonlyMap<string, number>
  /** Sightings after which a track is believed. */
  readonly confirmHits: number
  /** A track not seen for this long is lost. */
  readonly loseAfterMs: number
  /** An unbelieved track not seen for this long is forgotten. */
  readonly forgetAfterMs: number
}

export const trackerDefaults: Omit<TrackerOptions, 'scoreMin' | 'thresholds'> = {
  confirmHits: 3,
  loseAfterMs: 2_000,
  forgetAfterMs: 700,
}

/** The same object across frames, as far as it is known now. */
export type Track = {
  readonly trackId: number
  /** The label with the largest sum of scores so far. */
  readonly label: string
  readonly score: number
  readonly box: Box
  readonly startedAt: number
  readonly seenAt: number
  /** Analysed frames it was seen on. */
  readonly frames: number
}

/** What an update did to believed tracks. */
export type TrackChange =
  | { readonly kind: 'confirmed'; readonly track: Track }
  | { readonly kind: 'seen'; readonly track: Track }
  | { readonly kind: 'lost'; readonly track: Track }

/** Most tracks at a time; beyond it new objects are not followed until others leave. */
export const tracksMax = 256
/** Detections at or above this share of their threshold may keep a track alive. */
export const doubtfulShare = 0.5
/** Two labels on boxes that overlap more than this are two opinions about one object. */
const sameObjectIou = 0.85
/** Sightings missed in a row before loss is considered, however long ago the last one was. */
const missesMin = 2

/**
 * By how much of its size a box is widened on each side, and what overlap is then required: of the
 * same label, and of another one (a detector may change its mind about an object, but then the
 * object must be where it was expected). Nothing grows or shrinks by more than `sizeRatioMax` in area.
 */
const near = { widen: 0.3, overlapMin: 0.15, otherLabelOverlapMin: 0.6, sizeRatioMax: 6 }
const far = { widen: 0.8, overlapMin: 0.05, otherLabelOverlapMin: 1, sizeRatioMax: 2.5 }
/** What is left of an overlap when the labels differ, so that any equal label wins. */
const otherLabelShare = 0.4

type Live = {
  trackId: number
  readonly votes: Map<string, number>
  label: string
  score: number
  box: Box
  readonly startedAt: number
  seenAt: number
  frames: number
  misses: number
  confirmed: boolean
  readonly motion: BoxMotion
}

/** Deterministic: the same detections and times give the same tracks. */
export class Tracker {
  readonly #options: TrackerOptions
  #tracks: Live[] = []
  #nextTrackId: number
  #updatedAt = 0

  /** @param firstTrackId so that numbers go on where an earlier tracker of the stream stopped */
  constructor(options: TrackerOptions, firstTrackId = 1) {
    this.#options = options
    this.#nextTrackId = firstTrackId
  }

  /** Number that the next believed track gets. */
  get nextTrackId(): number {
    return this.#nextTrackId
  }

  /** Believed tracks. */
  get tracks(): readonly Track[] {
    return this.#tracks.filter((track) => track.confirmed).map(snapshotOf)
  }

  /**
   * True while something is undecided: an object not yet believed, or one that was missed. The next
   * frame should then be analysed, moving or not.
   */
  get unsettled(): boolean {
    return this.#tracks.some((track) => !track.confirmed || track.misses > 0)
  }

  /**
   * Takes in the detections of one analysed frame.
   * @param at capture time in ms; not before the last one's
   * @returns changes of believed tracks, and for each detection its track or undefined
   */
  update(
    detections: readonly Detection[],
    at: number,
  ): { changes: TrackChange[]; trackIds: (number | undefined)[] } {
    const { scoreMin, thresholds } = this.#options
    const enoughFor = ({ label }: Detection) => thresholds?.get(label) ?? scoreMin
    this.#updatedAt = at
    const matched = new Map<number, Live>()
    const open = new Set(this.#tracks)
    const unique = withoutSecondOpinions(detections)
    const sure = unique.filter((i) => detections[i]!.score >= enoughFor(detections[i]!))
    const doubtful = unique.filter((i) => {
      const enough = enoughFor(detections[i]!)
      return detections[i]!.score < enough && detections[i]!.score >= enough * doubtfulShare
    })
    const match = (
      candidates: readonly number[],
      tracks: readonly Live[],
      { widen, overlapMin, otherLabelOverlapMin, sizeRatioMax }: typeof near,
    ): void => {
      const predicted = tracks.map((track) => widened(track.motion.boxAt(at), widen))
      const measured = candidates.map((i) => widened(boxOf(detections[i]!), widen))
      const pairs = assign(tracks.length, candidates.length, (t, d) => {
        const overlap = iou(predicted[t]!, measured[d]!)
        if (overlap === 0 || sizeRatio(predicted[t]!, measured[d]!) > sizeRatioMax) return 0
        if (tracks[t]!.votes.has(detections[candidates[d]!]!.label)) {
          return overlap >= overlapMin ? overlap : 0
        }
        return overlap >= otherLabelOverlapMin ? overlap * otherLabelShare : 0
      })
      for (const [t, d] of pairs) {
        matched.set(candidates[d]!, tracks[t]!)
        open.delete(tracks[t]!)
      }
    }
    match(sure, [...open], near)
    match(
      doubtful,
      [...open].filter((track) => track.confirmed),
      near,
    )
    match(
      sure.filter((i) => !matched.has(i)),
      [...open],
      far,
    )

    const changes: TrackChange[] = []
    for (const [i, track] of matched) this.#see(track, detections[i]!, at, changes)
    for (const track of open) track.misses++
    this.#dropMissed(at, changes)
    for (const i of sure) {
      if (matched.has(i) || this.#tracks.length >= tracksMax) continue
      const track = start(detections[i]!, at)
      this.#tracks.push(track)
      matched.set(i, track)
      this.#confirm(track, changes)
    }
    const trackIds = detections.map((_, i) => {
      const track = matched.get(i)
      return track?.confirmed ? track.trackId : undefined
    })
    return { changes, trackIds }
  }

  /**
   * Time has passed without motion: what was there at the last analysed frame still is, and what was
   * missed goes on being missed.
   */
  rest(at: number): TrackChange[] {
    for (const track of this.#tracks) {
      if (track.misses > 0) continue
      track.seenAt = at
      track.motion.rest(at)
    }
    this.#updatedAt = at
    const changes: TrackChange[] = []
    this.#dropMissed(at, changes)
    return changes
  }

  /** The stream has gone: everything that was there is lost. */
  end(): TrackChange[] {
    const lost = this.#tracks.filter((track) => track.confirmed)
    this.#tracks = []
    return lost.map((track) => ({ kind: 'lost', track: snapshotOf(track) }))
  }

  /** Time of the last frame taken in. */
  get updatedAt(): number {
    return this.#updatedAt
  }

  #see(track: Live, detection: Detection, at: number, changes: TrackChange[]): void {
    track.votes.set(detection.label, (track.votes.get(detection.label) ?? 0) + detection.score)
    for (const [label, votes] of track.votes) {
      if (votes > track.votes.get(track.label)!) track.label = label
    }
    track.score = detection.score
    track.box = boxOf(detection)
    track.seenAt = at
    track.frames++
    track.misses = 0
    track.motion.measure(track.box, at)
    if (track.confirmed) changes.push({ kind: 'seen', track: snapshotOf(track) })
    else this.#confirm(track, changes)
  }

  #confirm(track: Live, changes: TrackChange[]): void {
    if (track.frames < this.#options.confirmHits) return
    track.confirmed = true
    track.trackId = this.#nextTrackId++
    changes.push({ kind: 'confirmed', track: snapshotOf(track) })
  }

  #dropMissed(at: number, changes: TrackChange[]): void {
    const { loseAfterMs, forgetAfterMs } = this.#options
    this.#tracks = this.#tracks.filter((track) => {
      const unseenMs = at - track.seenAt
      if (track.misses === 0) return true
      if (!track.confirmed) return track.misses < missesMin || unseenMs <= forgetAfterMs
      if (track.misses < missesMin || unseenMs <= loseAfterMs) return true
      changes.push({ kind: 'lost', track: snapshotOf(track) })
      return false
    })
  }
}

function start(detection: Detection, at: number): Live {
  const box = boxOf(detection)
  return {
    trackId: 0,
    votes: new Map([[detection.label, detection.score]]),
    label: detection.label,
    score: detection.score,
    box,
    startedAt: at,
    seenAt: at,
    frames: 1,
    misses: 0,
    confirmed: false,
    motion: new BoxMotion(box, at),
  }
}

const snapshotOf = (track: Live): Track => ({
  trackId: track.trackId,
  label: track.label,
  score: track.score,
  box: track.box,
  startedAt: track.startedAt,
  seenAt: track.seenAt,
  frames: track.frames,
})

/** Indexes of the detections that remain when each object has one opinion: the most confident. */
function withoutSecondOpinions(detections: readonly Detection[]): number[] {
  const order = detections
    .map((_, i) => i)
    .sort((a, b) => detections[b]!.score - detections[a]!.score)
  const kept: number[] = []
  for (const i of order) {
    const { label } = detections[i]!
    const repeated = kept.some(
      (k) =>
        detections[k]!.label !== label &&
        iou(boxOf(detections[k]!), boxOf(detections[i]!)) > sameObjectIou,
    )
    if (!repeated) kept.push(i)
  }
  return kept
}

/** The schema says four numbers; its static type only says numbers. */
const boxOf = ({ box }: Detection): Box => [box[0]!, box[1]!, box[2]!, box[3]!]

/** Overlap of two boxes, 0..1: shared area over joint area. */
export function iou(a: Box, b: Box): number {
  const width = Math.min(a[0] + a[2], b[0] + b[2]) - Math.max(a[0], b[0])
  const height = Math.min(a[1] + a[3], b[1] + b[3]) - Math.max(a[1], b[1])
  if (width <= 0 || height <= 0) return 0
  const shared = width * height
  return shared / (a[2] * a[3] + b[2] * b[3] - shared)
}

/** How many times larger the larger of two boxes is. */
function sizeRatio(a: Box, b: Box): number {
  const ratio = (a[2] * a[3]) / (b[2] * b[3])
  return Math.max(ratio, 1 / ratio)
}

function widened([left, top, width, height]: Box, share: number): Box {
  return [
    left - width * share,
    top - height * share,
    width * (1 + 2 * share),
    height * (1 + 2 * share),
  ]
}
