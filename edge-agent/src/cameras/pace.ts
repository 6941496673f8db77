/** A clip played as if it were live: each frame waits until its time has come. */
import { setImmediate, setTimeout } from 'node:timers/promises'

/** Waiting for less than this costs more than being early. */
const waitMinMs = 2

/** Further behind than this (a suspended machine, an overloaded core), time starts anew. */
export const lagMaxMs = 2000

/** Without a wait for this long, timers and signals get their turn. */
const turnMs = 10

export type Pace = {
  /** Waits until the frame at `positionMs` is due; undefined where that is now. */
  wait(positionMs: number, signal: AbortSignal): Promise<void> | undefined
  /** When the frame at `positionMs` was captured, ms since the epoch. */
  at(positionMs: number): number
}

/**
 * @param live wait for each frame's time; otherwise only let other work run now and then
 * @param now ms since the epoch, read when the first frame arrives and after a lag
 * @param monotonic ms that only go forward: waiting must not follow a clock that is set
 */
export function pace(
  live: boolean,
  now: () => number,
  monotonic: () => number = () => performance.now(),
): Pace {
  let startedAt = Number.NaN
  let started = 0
  let turn = monotonic()
  const start = (positionMs: number) => {
    started = monotonic() - positionMs
    startedAt = Math.max(Number.isNaN(startedAt) ? 0 : startedAt, Math.round(now() - positionMs))
  }
  return {
    wait(positionMs, signal) {
      if (Number.isNaN(startedAt)) start(positionMs)
      const time = monotonic()
      if (live) {
        const early = started + positionMs - time
        if (early < -lagMaxMs) start(positionMs)
        if (early >= waitMinMs) {
          turn = time + early
          return setTimeout(early, undefined, { signal })
        }
      }
      if (time - turn < turnMs) return undefined
      turn = time
      return setImmediate(undefined, { signal })
    },
    at: (positionMs) => Math.round(startedAt + positionMs),
  }
}

/** Waits on `clock` as `Pace.wait()` does, and throws the signal's own reason when aborted. */
export async function waitFor(clock: Pace, positionMs: number, signal: AbortSignal): Promise<void> {
  try {
    await clock.wait(positionMs, signal)
  } catch (error) {
    signal.throwIfAborted()
    throw error
  }
}
