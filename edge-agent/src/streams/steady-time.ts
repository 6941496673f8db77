/**
 * Time that only goes forward. Frames carry the wall clock, which may be set; gate and tracker work
 * with durations, so a step of the clock must not lose every track or hold the gate open for an hour.
 */

/** A longer pause within one connection is a step of the clock: a silent camera is given up earlier. */
const pauseMsMax = 125_000

/**
 * Makes the function that turns capture times into steady ones, in ms from 0.
 * @param intervalMs the usual time between two frames, which stands in where the clock was set
 */
export function steadyTime(intervalMs: number): (at: number) => number {
  let last: number | undefined
  let steady = 0
  return (at) => {
    const elapsed = last === undefined ? 0 : at - last
    last = at
    steady += elapsed < 0 || elapsed > pauseMsMax ? intervalMs : elapsed
    return steady
  }
}
