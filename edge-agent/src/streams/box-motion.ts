/**
 * Where a box will be: a Kalman filter that believes in constant velocity, one independent pair of
 * position and velocity for each of centre x, centre y, width and height.
 */
import type { Box } from '@edgeloop/protocol'

/** Standard deviation of a measured box, as a share of its own size. */
const measuredDeviation = 0.05
/** Velocity nobody has measured yet, in sizes per second. */
const firstVelocityDeviation = 2
/** Change of velocity, in sizes per second squared: of the place, and of the size. */
const placeAcceleration = 1.5
const sizeAcceleration = 0.4

/** Place, velocity and their covariance along one axis. */
type Axis = { place: number; velocity: number; pp: number; pv: number; vv: number }

/** One box in motion, in shares of the frame and seconds. */
export class BoxMotion {
  readonly #axes: readonly [Axis, Axis, Axis, Axis]
  #at: number

  constructor(box: Box, at: number) {
    const start = (place: number, size: number): Axis => ({
      place,
      velocity: 0,
      pp: (measuredDeviation * size) ** 2,
      pv: 0,
      vv: (firstVelocityDeviation * size) ** 2,
    })
    const [left, top, width, height] = box
    this.#axes = [
      start(left + width / 2, width),
      start(top + height / 2, height),
      start(width, width * 0.2),
      start(height, height * 0.2),
    ]
    this.#at = at
  }

  /**
   * The box expected at `at` (ms), without learning anything. May reach over the frame's edge. Its size
   * is the last one: an object that is being hidden seems to shrink, and would be expected to vanish.
   */
  boxAt(at: number): Box {
    const seconds = Math.max(0, at - this.#at) / 1000
    const [x, y, w, h] = this.#axes
    const width = Math.max(w.place, 1e-4)
    const height = Math.max(h.place, 1e-4)
    const left = x.place + x.velocity * seconds - width / 2
    const top = y.place + y.velocity * seconds - height / 2
    return [left, top, width, height]
  }

  /** Takes in where the box really was at `at` (ms). */
  measure([left, top, width, height]: Box, at: number): void {
    const seconds = Math.max(0, at - this.#at) / 1000
    const [x, y, w, h] = this.#axes
    advance(x, seconds, placeAcceleration * width)
    advance(y, seconds, placeAcceleration * height)
    advance(w, seconds, sizeAcceleration * width)
    advance(h, seconds, sizeAcceleration * height)
    correct(x, left + width / 2, measuredDeviation * width)
    correct(y, top + height / 2, measuredDeviation * height)
    correct(w, width, measuredDeviation * width)
    correct(h, height, measuredDeviation * height)
    this.#at = at
  }

  /** Time has passed and the box is known not to have moved. */
  rest(at: number): void {
    for (const axis of this.#axes) axis.velocity = 0
    this.#at = at
  }
}

/** Predicts `seconds` ahead under white-noise acceleration of the given deviation. */
function advance(axis: Axis, seconds: number, acceleration: number): void {
  const a = acceleration ** 2
  axis.place += axis.velocity * seconds
  axis.pp += 2 * seconds * axis.pv + seconds ** 2 * axis.vv + (a * seconds ** 4) / 4
  axis.pv += seconds * axis.vv + (a * seconds ** 3) / 2
  axis.vv += a * seconds ** 2
}

function correct(axis: Axis, place: number, deviation: number): void {
  const innovation = place - axis.place
  const total = axis.pp + deviation ** 2
  if (total <= 0) return
  const gainPlace = axis.pp / total
  const gainVelocity = axis.pv / total
  axis.place += gainPlace * innovation
  axis.velocity += gainVelocity * innovation
  axis.vv -= gainVelocity * axis.pv
  axis.pv *= 1 - gainPlace
  axis.pp *= 1 - gainPlace
}
