/**
 * What each model has seen on each stream of this device in the last 24 hours: how much, how surely, how fast. Kept by
 * the hour in one small file, so that a restart forgets little; a file that is lost or damaged costs the memory of a day.
 */
import { randomUUID } from 'node:crypto'
import { readFile, rename, rm, writeFile } from 'node:fs/promises'
import { parse, parseJson } from '@edgeloop/protocol/check'
import { type Static, Type } from 'typebox'
import type { SeenBlock } from '../media/lane-watch.ts'
import { driftOf, joined, noSums, type Sums, withBlock, worstOf } from './drift.ts'
import { Latencies } from './latencies.ts'

const SumsRow = Type.Object({
  n: Type.Integer({ minimum: 0 }),
  mean: Type.Number(),
  squares: Type.Number({ minimum: 0 }),
  steps: Type.Number({ minimum: 0 }),
  pairs: Type.Integer({ minimum: 0 }),
})
const Hour = Type.Object({
  /** Hours since the epoch. */
  hour: Type.Integer({ minimum: 0 }),
  frames: Type.Integer({ minimum: 0 }),
  /** Detections in a frame, by blocks. */
  counts: SumsRow,
  /** Mean score of the detections of a block that had any. */
  confidence: SumsRow,
  latencies: Type.Array(Type.Tuple([Type.Integer(), Type.Integer({ minimum: 1 })]), {
    maxItems: 400,
  }),
})
type Hour = Static<typeof Hour>

/** Series of one model on one stream. More than these are not kept; the one that was quiet for longest goes. */
const seriesMax = 128
const hoursKept = 24
const File = Type.Object({
  series: Type.Array(
    Type.Object({
      model: Type.String({ maxLength: 120 }),
      digest: Type.String({ maxLength: 64 }),
      streamId: Type.String({ maxLength: 200 }),
      hours: Type.Array(Hour, { maxItems: hoursKept + 1 }),
    }),
    { maxItems: seriesMax },
  ),
})

/** Fewer frames in a block say too little of it. */
const blockFramesMin = 3
const hourMs = 3_600_000
/** How often the file is written at most. */
export const keepIntervalMs = 5 * 60_000

type Series = {
  readonly model: string
  readonly digest: string
  readonly streamId: string
  /** Oldest first. */
  hours: Hour[]
  last: { readonly counts: number; readonly confidence: number | undefined } | undefined
}

/** What a model saw on all its streams, summed up. */
export type Summary = {
  readonly frames: number
  /** Per frame. */
  readonly detections: number
  readonly confidence: number
  readonly latencyP95Ms: number
  readonly latencyMedianMs: number
  readonly streams: readonly string[]
}

export class Baseline {
  readonly #series = new Map<string, Series>()
  readonly #file: string | undefined
  readonly #now: () => number
  #keptAt: number
  #keeping: Promise<void> = Promise.resolve()

  /** @param file undefined: only remembered */
  constructor(file: string | undefined, now: () => number) {
    this.#file = file
    this.#now = now
    this.#keptAt = now()
  }

  /** Goes on with what the file has; with nothing where it cannot be read. */
  static async open(file: string, now: () => number): Promise<Baseline> {
    const baseline = new Baseline(file, now)
    try {
      const { series } = parse(File, parseJson(await readFile(file), 'baseline'), 'baseline')
      for (const one of series) baseline.#series.set(keyOf(one), { ...one, last: undefined })
      baseline.#forget()
    } catch {
      // None yet, or damaged: it grows again.
    }
    return baseline
  }

  /** Takes in what a model saw on a stream. */
  take(block: SeenBlock): void {
    if (block.frames < blockFramesMin) return
    const series = this.#seriesOf(block)
    const hour = hourIn(series, Math.floor(this.#now() / hourMs))
    const counts = block.detections / block.frames
    const confidence = block.detections === 0 ? undefined : block.scores / block.detections
    hour.frames += block.frames
    hour.counts = withBlock(hour.counts, counts, series.last?.counts)
    if (confidence !== undefined) {
      hour.confidence = withBlock(hour.confidence, confidence, series.last?.confidence)
    }
    series.last = { counts, confidence }
    const latencies = new Latencies(hour.latencies)
    for (const ms of block.inferenceMs) latencies.add(ms)
    hour.latencies = latencies.entries
    this.#forget()
    if (this.#now() - this.#keptAt >= keepIntervalMs) void this.keep()
  }

  /** What a model saw; on these streams only where they are given. */
  summary(digest: string, streams?: readonly string[]): Summary {
    const series = this.#of(digest).filter(({ streamId }) => streams?.includes(streamId) ?? true)
    const hours = series.flatMap((one) => one.hours)
    const latencies = new Latencies()
    for (const hour of hours) latencies.merge(new Latencies(hour.latencies))
    const meanOf = (what: 'counts' | 'confidence'): number =>
      hours.map((hour) => hour[what]).reduce(joined, noSums).mean
    return {
      frames: hours.reduce((sum, { frames }) => sum + frames, 0),
      detections: meanOf('counts'),
      confidence: Math.min(1, Math.max(0, meanOf('confidence'))),
      latencyP95Ms: latencies.quantile(0.95),
      latencyMedianMs: latencies.quantile(0.5),
      streams: series.map(({ streamId }) => streamId),
    }
  }

  /** Digest of what was last seen to run under this name that is not `digest`; undefined where nothing else was. */
  before(model: string, digest: string): string | undefined {
    const others = [...this.#series.values()].filter(
      (one) => one.model === model && one.digest !== digest,
    )
    return others.at(-1)?.digest
  }

  /** How far `now` is from what the model with this digest saw on the same streams, in standard errors. */
  drift(digest: string, now: Baseline, nowDigest: string): { counts: number; confidence: number } {
    const of = (what: 'counts' | 'confidence'): number =>
      worstOf(
        now.#of(nowDigest).flatMap(({ streamId, hours }) => {
          const before = this.#series.get(keyOf({ digest, streamId }))
          if (!before) return []
          const sums = (all: readonly Hour[]): Sums[] => all.map((hour) => hour[what])
          return [driftOf(sums(before.hours), sums(hours).reduce(joined, noSums))]
        }),
      )
    return { counts: of('counts'), confidence: of('confidence') }
  }

  /** Writes the file, whole or not at all; that it cannot be written changes nothing. */
  keep(): Promise<void> {
    this.#keptAt = this.#now()
    this.#keeping = this.#keeping.then(() => this.#write())
    return this.#keeping
  }

  async #write(): Promise<void> {
    if (this.#file === undefined) return
    const series = [...this.#series.values()].map(({ last: _, ...one }) => one)
    const part = `${this.#file}.${randomUUID()}.part`
    try {
      await writeFile(part, JSON.stringify({ series }), { mode: 0o600 })
      await rename(part, this.#file)
    } catch {
      await rm(part, { force: true }).catch(() => {})
    }
  }

  #of(digest: string): Series[] {
    return [...this.#series.values()].filter((one) => one.digest === digest)
  }

  #seriesOf({ model, digest, streamId }: SeenBlock): Series {
    const key = keyOf({ digest, streamId })
    const series = this.#series.get(key) ?? {
      model,
      digest,
      streamId,
      hours: [],
      last: undefined,
    }
    // The newest stands last.
    this.#series.delete(key)
    this.#series.set(key, series)
    return series
  }

  #forget(): void {
    const oldest = Math.floor(this.#now() / hourMs) - hoursKept
    for (const [key, series] of this.#series) {
      series.hours = series.hours.filter(({ hour }) => hour > oldest)
      if (series.hours.length === 0) this.#series.delete(key)
    }
    for (const key of this.#series.keys()) {
      if (this.#series.size <= seriesMax) break
      this.#series.delete(key)
    }
  }
}

const keyOf = ({ digest, streamId }: { digest: string; streamId: string }): string =>
  `${digest} ${streamId}`

function hourIn(series: Series, number: number): Hour {
  const last = series.hours.at(-1)
  // A clock that was set back goes on in the hour that it had.
  if (last && last.hour >= number) return last
  const hour = { hour: number, frames: 0, counts: noSums, confidence: noSums, latencies: [] }
  series.hours.push(hour)
  return hour
}
