/**
 * Sums up what a stream saw, interval by interval. Intervals begin at whole multiples of their length
 * since the epoch, so that those of many streams can be laid beside each other.
 */
import { type Counts, countRowsMax } from '@edgeloop/protocol'
import type { AreaAct, AreaWatch } from './area-watch.ts'
import type { Track, TrackChange } from './tracker.ts'

type Row<K extends 'objects' | 'zones' | 'lines'> = Counts[K][number]
/** What `counts` says, without what every event says. */
export type Summary = Omit<Counts, 'sequence' | 'kind' | 'streamId' | 'at'> & {
  /** End of the interval, ms since the epoch. */
  readonly at: number
}

/** Rows kept for one interval, each list: a model of a thousand labels must not fill the memory. */
const rowsMax = 1000

export class IntervalCounts {
  readonly #intervalMs: number
  #startedAt: number | undefined
  #objects = new Map<string, Row<'objects'>>()
  #zones = new Map<string, Row<'zones'>>()
  #lines = new Map<string, Row<'lines'>>()

  /** @param intervalMs 0: nothing is counted */
  constructor(intervalMs: number) {
    this.#intervalMs = intervalMs
  }

  /**
   * Takes in one frame.
   * @param at capture time of the frame, ms since the epoch
   * @returns the summary of the interval that the frame has ended, where anything was in it
   */
  take(
    at: number,
    frame: {
      readonly changes: readonly TrackChange[]
      readonly acts: readonly AreaAct[]
      readonly tracks: readonly Track[]
      readonly inside: AreaWatch['inside']
    },
  ): Summary | undefined {
    if (this.#intervalMs === 0) return undefined
    const begun = Math.floor(at / this.#intervalMs) * this.#intervalMs
    const startedAt = this.#startedAt ?? at
    this.#startedAt = startedAt
    // Also when the clock was set back: what was counted belongs to the time before.
    const ended = begun > startedAt || at < startedAt
    const summary = ended
      ? this.#sum(begun > startedAt ? endOf(startedAt, this.#intervalMs) : at)
      : undefined
    if (ended) this.#startedAt = begun > startedAt ? begun : at
    this.#count(frame)
    return summary
  }

  /** The stream has gone: what was counted until `at`. */
  end(at: number): Summary | undefined {
    const summary = this.#startedAt === undefined ? undefined : this.#sum(at)
    this.#startedAt = undefined
    return summary
  }

  #count({ changes, acts, tracks, inside }: Parameters<IntervalCounts['take']>[1]): void {
    for (const { kind, track } of changes) {
      if (kind === 'confirmed') row(this.#objects, [track.label], object(track.label)).appeared++
    }
    for (const [label, count] of perLabel(tracks)) {
      const counted = row(this.#objects, [label], object(label))
      counted.most = Math.max(counted.most, count)
    }
    for (const act of acts) {
      const { label } = act.track
      if (act.kind === 'line') {
        const { line, direction } = act
        row(this.#lines, [line, label], { line, label, toRight: 0, toLeft: 0 })[direction]++
      } else if (act.act !== 'dwelled') {
        row(this.#zones, [act.zone, label], visits(act.zone, label))[act.act]++
      }
    }
    if (inside.length === 0) return
    const known = new Map(tracks.map((track) => [track.trackId, track]))
    for (const { zone, trackIds } of inside) {
      const there = trackIds.flatMap((trackId) => known.get(trackId) ?? [])
      for (const [label, count] of perLabel(there)) {
        const counted = row(this.#zones, [zone, label], visits(zone, label))
        counted.most = Math.max(counted.most, count)
      }
    }
  }

  #sum(at: number): Summary | undefined {
    const intervalMs = Math.max(1, Math.round(at - (this.#startedAt ?? at)))
    const objects = topOf(this.#objects, ({ appeared, most }) => appeared + most)
    const zones = topOf(this.#zones, ({ entered, left, most }) => entered + left + most)
    const lines = topOf(this.#lines, ({ toRight, toLeft }) => toRight + toLeft)
    const all = this.#objects.size + this.#zones.size + this.#lines.size
    this.#objects = new Map()
    this.#zones = new Map()
    this.#lines = new Map()
    if (all === 0) return undefined
    const omitted = all - objects.length - zones.length - lines.length
    return { at, intervalMs, objects, zones, lines, omitted }
  }
}

const endOf = (at: number, intervalMs: number): number =>
  (Math.floor(at / intervalMs) + 1) * intervalMs

const object = (label: string): Row<'objects'> => ({ label, appeared: 0, most: 0 })

const visits = (zone: string, label: string): Row<'zones'> => ({
  zone,
  label,
  entered: 0,
  left: 0,
  most: 0,
})

/** The row of this key, `fresh` where there is none. Beyond the bound it is counted nowhere. */
function row<T>(rows: Map<string, T>, key: readonly string[], fresh: T): T {
  const name = JSON.stringify(key)
  const known = rows.get(name)
  if (known !== undefined) return known
  if (rows.size < rowsMax) rows.set(name, fresh)
  return fresh
}

function perLabel(tracks: readonly Track[]): Map<string, number> {
  const counts = new Map<string, number>()
  for (const { label } of tracks) counts.set(label, (counts.get(label) ?? 0) + 1)
  return counts
}

/** The largest rows, as many as an event may hold. */
const topOf = <T>(rows: Map<string, T>, sizeOf: (row: T) => number): T[] =>
  [...rows.values()].sort((a, b) => sizeOf(b) - sizeOf(a)).slice(0, countRowsMax)
