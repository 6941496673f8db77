/**
 * From the time stamps of a source to positions that only go forward, over loops of a clip, over
 * time stamps that are missing, and over clocks that jump.
 */

/** A longer pause between two frames is a jump of the clock, and is shortened to one frame. */
export const pauseMaxMs = 10_000

/** Where nothing says how long a frame lasts. */
const frameMsDefault = 40

/**
 * @param fps what the container or the camera says about its rate, if anything believable
 * @returns a function from each frame's time stamp (ms, undefined where it has none) to its position
 *   in ms since the first frame; `newPass` marks the first frame of another pass through a clip
 */
export function timeline(
  fps: number | undefined,
): (stampMs: number | undefined, newPass?: boolean) => number {
  let frameMs = fps === undefined ? frameMsDefault : 1000 / fps
  let position = Number.NaN
  let lastStamp: number | undefined
  return (stampMs, newPass = false) => {
    const step =
      stampMs === undefined || lastStamp === undefined || newPass ? frameMs : stampMs - lastStamp
    const believable = step > 0 && step <= pauseMaxMs
    if (fps === undefined && believable) frameMs = step
    position = Number.isNaN(position) ? 0 : position + (believable ? step : frameMs)
    lastStamp = stampMs
    return position
  }
}

/** Frames per second, where `fps` is one: containers write 90000 or 1/0 when they do not know. */
export function believableFps(fps: number): number | undefined {
  return Number.isFinite(fps) && fps > 0 && fps <= 1000 ? fps : undefined
}
