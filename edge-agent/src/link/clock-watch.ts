/**
 * Notices a wall clock that jumps: a box without a battery gets its time minutes after it started, and
 * events before and after carry times that do not fit together. Durations are measured by the
 * monotonic clock everywhere, so nothing else happens than that people are told.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { NewEvent } from '@edgeloop/protocol'

/** Smaller steps are what time synchronization does all day. */
export const jumpMsMin = 5000
const lookIntervalMs = 1000
/** The alarm ends after the clock has been steady for so long. */
const steadyMs = 60_000

export type ClockReading = { readonly wallMs: number; readonly monotonicMs: number }

/** How far the wall clock moved against the monotonic one, in ms; 0 where that is no jump. */
export function jumpBetween(before: ClockReading, after: ClockReading): number {
  const moved = after.wallMs - before.wallMs
  const jumpMs = Math.round(moved - (after.monotonicMs - before.monotonicMs))
  return Math.abs(jumpMs) >= jumpMsMin ? jumpMs : 0
}

export type ClockWatchOptions = {
  readonly read: () => ClockReading
  readonly record: (event: NewEvent) => unknown
  readonly intervalMs?: number
  readonly steadyMs?: number
  readonly signal: AbortSignal
}

/** Looks at the clocks until the signal aborts, and records an alarm for every jump. */
export async function watchClock(options: ClockWatchOptions): Promise<void> {
  const { read, record, signal } = options
  const intervalMs = options.intervalMs ?? lookIntervalMs
  let before = read()
  let jumpedAtMs: number | undefined
  const alarm = (active: boolean, text: string) =>
    record({
      kind: 'alarm',
      code: 'clockJumped',
      at: new Date(read().wallMs).toISOString(),
      active,
      text,
    })
  while (!signal.aborted) {
    await sleep(intervalMs, undefined, { signal, ref: false }).catch(() => {})
    const after = read()
    const jumpMs = jumpBetween(before, after)
    before = after
    if (jumpMs !== 0) {
      jumpedAtMs = after.monotonicMs
      const way = jumpMs > 0 ? 'forward' : 'back'
      alarm(true, `The clock jumped ${way} by ${Math.round(Math.abs(jumpMs) / 1000)} s`)
    } else if (
      jumpedAtMs !== undefined &&
      after.monotonicMs - jumpedAtMs >= (options.steadyMs ?? steadyMs)
    ) {
      jumpedAtMs = undefined
      alarm(false, 'The clock has been steady since')
    }
  }
}
