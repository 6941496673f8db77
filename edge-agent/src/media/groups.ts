/**
 * Which stream runs in which media process. A process more costs memory (its own decoder library and
 * model), so the first is filled before a second is started; a stream keeps its process as long as it
 * can, because moving it means reconnecting its camera.
 */
import type { StreamConfig } from '@edgeloop/protocol'

export type GroupBounds = {
  readonly processesMax: number
  /** Streams in one process before another is started; when all have so many, they are filled up. */
  readonly streamsPerProcess: number
}

/** How far over `streamsPerProcess` the last processes are filled before a stream is refused. */
export const overfill = 4

/** Streams that fit, all processes together. */
export const streamsMaxOf = ({ processesMax, streamsPerProcess }: GroupBounds): number =>
  processesMax * streamsPerProcess * overfill

/**
 * Divides streams into groups.
 * @param before stream id → number of the group it runs in now
 * @returns one list per group, the group's number being its place; groups may be empty
 * @throws {RangeError} when there are more streams than fit
 */
export function planGroups(
  streams: readonly StreamConfig[],
  before: ReadonlyMap<string, number>,
  bounds: GroupBounds,
): StreamConfig[][] {
  const { processesMax, streamsPerProcess } = bounds
  const streamsMax = streamsMaxOf(bounds)
  if (streams.length > streamsMax) {
    throw new RangeError(
      `Cannot run ${streams.length} streams: this device runs at most ${streamsMax}; set media.streamsPerProcess or media.processesMax in agent.yaml higher`,
    )
  }
  const groups: StreamConfig[][] = Array.from({ length: processesMax }, () => [])
  const homeless: StreamConfig[] = []
  for (const stream of streams) {
    const home = groups[before.get(stream.streamId) ?? -1]
    if (home && home.length < streamsPerProcess * overfill) home.push(stream)
    else homeless.push(stream)
  }
  for (const stream of homeless) {
    const roomy = groups.find((group) => group.length < streamsPerProcess)
    const emptiest = groups.toSorted((a, b) => a.length - b.length)[0]
    ;(roomy ?? emptiest ?? []).push(stream)
  }
  return groups
}
