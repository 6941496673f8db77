/**
 * Turns what happened to tracks into the events the hub is told: `appeared` when an object is
 * believed, `left` when it is gone, with the frame that shows it best. Decides, too, when a picture
 * is worth its milliseconds.
 */
import type { Attribute, Box, NewEvent } from '@edgeloop/protocol'
import type { AreaAct } from './area-watch.ts'
import type { Track, TrackChange } from './tracker.ts'

/** A later frame is pictured only if it is this much better than the best one so far… */
const betterBy = 1.25
/** …and the last picture of the track is this old… */
const pictureIntervalMs = 1_000
/** …and the track has fewer pictures than this. */
const picturesPerTrackMax = 6
/** A box that touches the frame's edge is probably cut off. */
const edgeShare = 0.005
const cutOffWorth = 0.5

type Best = {
  readonly at: number
  readonly box: Box
  readonly score: number
  readonly worth: number
  readonly snapshot: string | undefined
  /** When the snapshot was captured, where that is not `at`. */
  readonly snapshotAt?: number
}

type Life = { readonly appearedAt: number; scoreBest: number; best: Best; pictures: number }

/** Events of one stream's tracks. Deterministic; holds what must be remembered between frames. */
export class TrackEvents {
  readonly #streamId: string
  readonly #lives = new Map<number, Life>()

  constructor(streamId: string) {
    this.#streamId = streamId
  }

  /** The tracks that deserve a picture of the frame at `at`. */
  toPicture(changes: readonly TrackChange[], at: number): Track[] {
    return changes.filter((change) => this.#pictures(change, at)).map(({ track }) => track)
  }

  /**
   * The events of one frame.
   * @param at capture time of the frame in ms
   * @param snapshot digest of a picture of this frame, where one was taken
   * @returns the events, and the pictures that no event will name any more
   */
  take(
    changes: readonly TrackChange[],
    at: number,
    snapshot?: string,
  ): { events: NewEvent[]; unnamed: string[] } {
    const before = this.#bestSnapshots()
    if (snapshot !== undefined) before.add(snapshot)
    const events: NewEvent[] = []
    for (const change of changes) {
      const { track } = change
      const life = this.#lives.get(track.trackId)
      if (change.kind === 'confirmed') {
        const best = bestOf(track, at, snapshot)
        const pictures = snapshot === undefined ? 0 : 1
        this.#lives.set(track.trackId, {
          appearedAt: at,
          scoreBest: track.score,
          best,
          pictures,
        })
        events.push(this.#appeared(track, at, snapshot))
      } else if (life && change.kind === 'seen') {
        life.scoreBest = Math.max(life.scoreBest, track.score)
        if (snapshot !== undefined && this.#pictures(change, at)) {
          life.best = bestOf(track, at, snapshot)
          life.pictures++
        }
      } else if (life && change.kind === 'lost') {
        this.#lives.delete(track.trackId)
        events.push(this.#left(track, at, life))
      }
    }
    const still = this.#bestSnapshots()
    for (const event of events) {
      const named = snapshotOf(event)
      if (named !== undefined) still.add(named)
    }
    return { events, unnamed: [...before.difference(still)] }
  }

  /**
   * Puts a larger picture in the place of one that is the best of some track.
   * @param at when the larger one was captured, ms
   * @returns the pictures that no event will name any more
   */
  enlarge(small: string, large: string, at: number): string[] {
    if (small === large) return []
    for (const life of this.#lives.values()) {
      if (life.best.snapshot !== small) continue
      life.best = { ...life.best, snapshot: large, snapshotAt: at }
    }
    const still = this.#bestSnapshots()
    return [small, large].filter((digest) => !still.has(digest))
  }

  #bestSnapshots(): Set<string> {
    const snapshots = new Set<string>()
    for (const { best } of this.#lives.values()) {
      if (best.snapshot !== undefined) snapshots.add(best.snapshot)
    }
    return snapshots
  }

  #pictures(change: TrackChange, at: number): boolean {
    if (change.kind === 'confirmed') return true
    const life = this.#lives.get(change.track.trackId)
    if (change.kind === 'lost' || !life || life.pictures >= picturesPerTrackMax) return false
    if (life.best.snapshot === undefined) return true
    return (
      at - life.best.at >= pictureIntervalMs && worthOf(change.track) >= life.best.worth * betterBy
    )
  }

  #appeared(track: Track, at: number, snapshot: string | undefined): NewEvent {
    return {
      kind: 'appeared',
      at: new Date(at).toISOString(),
      streamId: this.#streamId,
      trackId: track.trackId,
      label: track.label,
      score: track.score,
      box: [...track.box],
      ...(snapshot !== undefined && { snapshot }),
    }
  }

  #left(track: Track, at: number, { appearedAt, best, scoreBest }: Life): NewEvent {
    return {
      kind: 'left',
      at: new Date(at).toISOString(),
      streamId: this.#streamId,
      trackId: track.trackId,
      label: track.label,
      score: scoreBest,
      box: [...track.box],
      appearedAt: new Date(appearedAt).toISOString(),
      frames: track.frames,
      best: {
        at: new Date(best.at).toISOString(),
        box: [...best.box],
        score: best.score,
        ...(best.snapshot !== undefined && { snapshot: best.snapshot }),
        ...(best.snapshotAt !== undefined && {
          snapshotAt: new Date(best.snapshotAt).toISOString(),
        }),
      },
    }
  }
}

/**
 * The event with what is known of its object; only the last one of an object carries embeddings.
 * @param attributes may be empty
 */
export function withAttributes(event: NewEvent, attributes: readonly Attribute[]): NewEvent {
  if (attributes.length === 0) return event
  if (event.kind === 'left') return { ...event, attributes: [...attributes] }
  if (event.kind !== 'zone' && event.kind !== 'line') return event
  const short = attributes.flatMap(({ embedding: _, ...rest }) => (rest.classes ? [rest] : []))
  return short.length === 0 ? event : { ...event, attributes: short }
}

/** Whether what happened at a zone or a line should be seen; of an object that has gone there is nothing. */
export const deservesPicture = (act: AreaAct): boolean => act.kind === 'line' || act.act !== 'left'

/**
 * The event of what happened at a zone or a line.
 * @param at capture time of the frame in ms
 * @param snapshot digest of a picture of this frame, where one was taken
 */
export function areaEvent(
  streamId: string,
  act: AreaAct,
  at: number,
  snapshot: string | undefined,
): NewEvent {
  const { trackId, label, score, box } = act.track
  const seen = {
    at: new Date(at).toISOString(),
    streamId,
    trackId,
    label,
    score,
    box: [...box],
    ...(snapshot !== undefined && deservesPicture(act) && { snapshot }),
  }
  if (act.kind === 'line') {
    return { kind: 'line', ...seen, line: act.line, direction: act.direction }
  }
  const dwell = act.dwellMs === undefined ? {} : { dwellMs: Math.round(act.dwellMs) }
  return { kind: 'zone', ...seen, zone: act.zone, act: act.act, ...dwell }
}

/** The picture that an event names. */
export function snapshotOf(event: NewEvent): string | undefined {
  if (event.kind === 'left') return event.best.snapshot
  return 'snapshot' in event ? event.snapshot : undefined
}

/** The event without its picture. */
export function withoutSnapshot(event: NewEvent): NewEvent {
  if ('snapshot' in event) {
    const { snapshot: _, ...rest } = event
    return rest
  }
  if (event.kind !== 'left') return event
  const { snapshot: _, snapshotAt: __, ...best } = event.best
  return { ...event, best }
}

function bestOf(track: Track, at: number, snapshot: string | undefined): Best {
  return { at, box: track.box, score: track.score, worth: worthOf(track), snapshot }
}

/** How well a frame shows an object: sure, large and whole. */
function worthOf({ score, box: [left, top, width, height] }: Track): number {
  const cutOff =
    left < edgeShare ||
    top < edgeShare ||
    left + width > 1 - edgeShare ||
    top + height > 1 - edgeShare
  return score * Math.sqrt(width * height) * (cutOff ? cutOffWorth : 1)
}
