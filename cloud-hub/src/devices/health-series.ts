/** Figures of health over time, thinned so that a chart keeps every peak it would have shown. */
import type { HealthSeries, StreamFigures } from '@edgeloop/protocol'
import type { Store } from '../store/store.ts'

/** Rows read for one chart: the newest ones win. 60,000 is a week at one per 10 s. */
export const healthRowsMax = 60_000
/** Streams drawn in one chart; a device may have more. */
const streamsMax = 64

export type HealthRow = {
  readonly at: number
  readonly cpuShare: number
  readonly memoryBytes: number
  readonly loopP99Ms: number
  readonly outboxEvents: number
  readonly streams: readonly StreamFigures[]
}

/** @param from ms, inclusive @param to ms, exclusive */
export async function readHealthSeries(
  store: Store,
  query: { deviceKey: number; from: number; to: number; points: number },
): Promise<HealthSeries> {
  const rows = await store.reader
    .selectFrom('health_figure')
    .select(['at', 'cpu_share', 'memory_bytes', 'loop_p99_ms', 'outbox_events', 'streams'])
    .where('device_key', '=', query.deviceKey)
    .where('at', '>=', query.from)
    .where('at', '<', query.to)
    .orderBy('at', 'desc')
    .limit(healthRowsMax)
    .execute()
  const figures = rows.reverse().map((row) => ({
    at: row.at,
    cpuShare: row.cpu_share,
    memoryBytes: row.memory_bytes,
    loopP99Ms: row.loop_p99_ms,
    outboxEvents: row.outbox_events,
    // Written by ingest from an event that had passed its schema.
    streams: JSON.parse(row.streams) as StreamFigures[],
  }))
  return healthSeriesOf(figures, query.points)
}

/**
 * At most `points` points of `rows`, oldest first. Rows are grouped evenly in order; a group of
 * more than two gives two points, one holding the least and one the greatest of each column, so a spike of
 * one row survives any thinning.
 */
export function healthSeriesOf(rows: readonly HealthRow[], points: number): HealthSeries {
  const groups = groupsOf(rows, points)
  const column = (pick: (row: HealthRow) => number): number[] =>
    groups.flatMap((group) => extremes(group.map(pick)))
  const streamIds = [
    ...new Set(rows.flatMap(({ streams }) => streams.map(({ streamId }) => streamId))),
  ].slice(0, streamsMax)
  return {
    at: groups.flatMap((group) => ends(group).map(({ at }) => at / 1000)),
    cpuShare: column((row) => row.cpuShare),
    memoryBytes: column((row) => row.memoryBytes),
    loopP99Ms: column((row) => row.loopP99Ms),
    outboxEvents: column((row) => row.outboxEvents),
    streams: streamIds.map((streamId) => {
      const streamColumn = (pick: (figures: StreamFigures) => number): (number | null)[] =>
        groups.flatMap((group) => {
          const values = group.flatMap(({ streams }) => {
            const figures = streams.find((candidate) => candidate.streamId === streamId)
            return figures ? [pick(figures)] : []
          })
          const width = ends(group).length
          if (values.length === 0) return new Array<null>(width).fill(null)
          return extremes(values, width)
        })
      return {
        streamId,
        inputFps: streamColumn((figures) => figures.inputFps),
        analysedFps: streamColumn((figures) => figures.analysedFps),
        latencyP95Ms: streamColumn((figures) => figures.latencyP95Ms),
        inferenceMs: streamColumn((figures) => figures.inferenceMs),
        dropped: streamColumn((figures) => figures.dropped),
      }
    }),
  }
}

function groupsOf<T>(rows: readonly T[], points: number): T[][] {
  if (rows.length <= points) return rows.map((row) => [row])
  const count = Math.max(1, Math.floor(points / 2))
  return Array.from({ length: count }, (_, i) =>
    rows.slice(Math.floor((i * rows.length) / count), Math.floor(((i + 1) * rows.length) / count)),
  ).filter((group) => group.length > 0)
}

/** The one row of a group, or its first and last. */
function ends<T>(group: readonly T[]): readonly T[] {
  return group.length > 1 ? [group[0]!, group.at(-1)!] : group
}

/** The least and the greatest, in the order in which they came; `width` of them. */
function extremes(values: readonly number[], width = values.length > 1 ? 2 : 1): number[] {
  const least = values.indexOf(Math.min(...values))
  const greatest = values.indexOf(Math.max(...values))
  const [first, second] = least < greatest ? [least, greatest] : [greatest, least]
  return width === 1 ? [values[greatest]!] : [values[first]!, values[second]!]
}
