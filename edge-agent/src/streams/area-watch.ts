/**
 * What tracks do at the zones and lines of a stream. An object is where it stands, and a detector's
 * boxes tremble by a few percent of their size: so it enters a zone when it stands inside, but has left
 * only when it stands clearly outside, and has crossed a line only when it stands clearly beyond it.
 * "Clearly" is measured in sizes of its own box, near or far from the camera.
 */
import type { Point, zoneActs } from '@edgeloop/protocol'
import {
  crossingsOf,
  distanceTo,
  footOf,
  isInside,
  piecesOf,
  sidesOf,
  type Unit,
} from './geometry.ts'
import type { Track, TrackChange } from './tracker.ts'

export type ZoneSettings = {
  readonly name: string
  readonly polygon: readonly Point[]
  /** All labels when undefined. */
  readonly labels: readonly string[] | undefined
  readonly dwellMs: number | undefined
}

export type LineSettings = {
  readonly name: string
  readonly points: readonly Point[]
  readonly labels: readonly string[] | undefined
  readonly direction: 'both' | 'toRight' | 'toLeft'
}

/** What happened to a track at a zone or a line. */
export type AreaAct =
  | {
      readonly kind: 'zone'
      readonly zone: string
      readonly act: (typeof zoneActs)[number]
      readonly track: Track
      /** How long it has been inside; undefined when it has just come. */
      readonly dwellMs: number | undefined
    }
  | {
      readonly kind: 'line'
      readonly line: string
      readonly direction: 'toRight' | 'toLeft'
      readonly track: Track
    }

/** How far outside or beyond is clearly so, in sizes of the object's box: three times what boxes tremble. */
export const clearly = 0.15

type Visit = { readonly enteredAt: number; dwelled: boolean }
type Approach = {
  from: Point
  /** Crossings to the right less those to the left since it last stood clear of the line. */
  net: number
}

/** Deterministic: the same tracks and times give the same acts. */
export class AreaWatch {
  readonly #zones: readonly Watched<ZoneSettings, Visit>[]
  readonly #lines: readonly Watched<LineSettings, Approach>[]

  constructor(zones: readonly ZoneSettings[], lines: readonly LineSettings[]) {
    this.#zones = zones.map((zone) => watched(zone, sidesOf(zone.polygon)))
    this.#lines = lines.map((line) => watched(line, piecesOf(line.points)))
  }

  /** Tracks that are inside a zone now: its name with their ids. */
  get inside(): readonly { readonly zone: string; readonly trackIds: readonly number[] }[] {
    return this.#zones.map(({ settings, tracks }) => ({
      zone: settings.name,
      trackIds: [...tracks.keys()],
    }))
  }

  /**
   * Takes in what the tracker said of one frame.
   * @param tracks all believed tracks
   * @param at time of the frame in ms, in the tracker's time
   */
  take(changes: readonly TrackChange[], tracks: readonly Track[], at: number): AreaAct[] {
    const acts: AreaAct[] = []
    for (const { kind, track } of changes) {
      if (kind === 'lost') this.#lose(track, acts)
      else this.#see(track, at, acts)
    }
    for (const track of tracks) this.#dwell(track, acts)
    return acts
  }

  #see(track: Track, at: number, acts: AreaAct[]): void {
    const foot = footOf(track.box)
    const unit: Unit = [Math.max(track.box[2], 1e-4), Math.max(track.box[3], 1e-4)]
    for (const { settings, pieces, tracks } of this.#zones) {
      const visit = tracks.get(track.trackId)
      const inside = isInside(settings.polygon, foot)
      const zone = settings.name
      if (visit === undefined) {
        if (!inside || !concerns(settings, track)) continue
        tracks.set(track.trackId, { enteredAt: at, dwelled: false })
        acts.push({ kind: 'zone', zone, act: 'entered', track, dwellMs: undefined })
      } else if (!inside && distanceTo(pieces, foot, unit) >= clearly) {
        tracks.delete(track.trackId)
        acts.push({ kind: 'zone', zone, act: 'left', track, dwellMs: at - visit.enteredAt })
      }
    }
    for (const { settings, pieces, tracks } of this.#lines) {
      const approach = tracks.get(track.trackId)
      if (approach === undefined) {
        tracks.set(track.trackId, { from: foot, net: 0 })
        continue
      }
      approach.net += crossingsOf(pieces, approach.from, foot)
      approach.from = foot
      if (approach.net === 0 || distanceTo(pieces, foot, unit) < clearly) continue
      cross(settings, approach.net, track, acts)
      approach.net = 0
    }
  }

  #lose(track: Track, acts: AreaAct[]): void {
    for (const { settings, tracks } of this.#zones) {
      const visit = tracks.get(track.trackId)
      if (visit === undefined) continue
      tracks.delete(track.trackId)
      // It is told of only now, but was last there when it was last seen.
      const dwellMs = Math.max(0, track.seenAt - visit.enteredAt)
      acts.push({ kind: 'zone', zone: settings.name, act: 'left', track, dwellMs })
    }
    for (const { settings, tracks } of this.#lines) {
      const net = tracks.get(track.trackId)?.net ?? 0
      tracks.delete(track.trackId)
      // Many lines lie at the rim of the picture: it was last seen beyond, and will not be clearer.
      if (net !== 0) cross(settings, net, track, acts)
    }
  }

  #dwell(track: Track, acts: AreaAct[]): void {
    for (const { settings, tracks } of this.#zones) {
      const visit = tracks.get(track.trackId)
      if (visit === undefined || visit.dwelled || settings.dwellMs === undefined) continue
      const dwellMs = track.seenAt - visit.enteredAt
      if (dwellMs < settings.dwellMs) continue
      visit.dwelled = true
      acts.push({ kind: 'zone', zone: settings.name, act: 'dwelled', track, dwellMs })
    }
  }
}

function cross(line: LineSettings, net: number, track: Track, acts: AreaAct[]): void {
  const direction = net > 0 ? 'toRight' : 'toLeft'
  if (line.direction !== 'both' && line.direction !== direction) return
  if (concerns(line, track)) acts.push({ kind: 'line', line: line.name, direction, track })
}

/** A zone or a line, its sides, and what is remembered of each track at it. */
type Watched<S, T> = {
  readonly settings: S
  readonly pieces: readonly (readonly [Point, Point])[]
  readonly tracks: Map<number, T>
}

const watched = <S, T>(
  settings: S,
  pieces: readonly (readonly [Point, Point])[],
): Watched<S, T> => ({ settings, pieces, tracks: new Map() })

const concerns = (
  { labels }: { readonly labels: readonly string[] | undefined },
  { label }: Track,
): boolean => labels === undefined || labels.includes(label)
