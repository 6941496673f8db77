/**
 * Which packets of a video are decoded while its scene is still: key frames only, which stand by
 * themselves. Pure: what is told each packet, says what to do with it, and does nothing.
 */
import type { KeyFrames } from './camera.ts'

/** Intervals that are remembered: the longest of them is what a scene may have to wait. */
const intervalsKept = 4
/** Intervals that must have been seen before the rhythm is believed. */
const intervalsMin = 2
/** After this many intervals without a key frame, the camera has changed its habits. */
const overdueIntervals = 3

export type PacketTreatment =
  /** As usual. */
  | 'decode'
  /** Not at all. */
  | 'pass'
  /** By itself, in a decoder that has forgotten what came before; it gives its picture at once. */
  | 'alone'
  /** As usual, after the last key frame was given to the decoder once more without being shown again. */
  | 'decode after last key'
  /** As usual, in a decoder that has forgotten what came before. */
  | 'decode anew'

/** Follows the packets of one stream, over all passes through a clip. */
export class KeyFrameSelection implements KeyFrames {
  only = false
  passed = 0
  readonly #intervals: number[] = []
  #keyMs: number | undefined
  /** The decoder was emptied after the last key frame. */
  #isAlone = false
  #passedSinceKey = 0

  get intervalMs(): number | undefined {
    return this.#intervals.length < intervalsMin ? undefined : Math.max(...this.#intervals)
  }

  /**
   * What to do with the next packet.
   * @param stampMs its time, which only has to go forward; undefined where it has none
   */
  take(isKey: boolean, stampMs: number | undefined): PacketTreatment {
    if (isKey) this.#measure(stampMs)
    else if (this.only && this.#isOverdue(stampMs)) {
      this.only = false
      this.#intervals.length = 0
      return this.#anew()
    }
    if (isKey && this.only) {
      this.#isAlone = true
      this.#passedSinceKey = 0
      return 'alone'
    }
    if (this.only || (this.#passedSinceKey > 0 && !isKey)) {
      this.passed++
      this.#passedSinceKey++
      return 'pass'
    }
    if (isKey && (this.#isAlone || this.#passedSinceKey > 0)) return this.#anew()
    if (!this.#isAlone) return 'decode'
    this.#isAlone = false
    return 'decode after last key'
  }

  /** A clip starts over with a new decoder; what was learned of its rhythm holds. */
  startOver(): void {
    this.#keyMs = undefined
    this.#isAlone = false
    this.#passedSinceKey = 0
  }

  #anew(): PacketTreatment {
    this.#isAlone = false
    this.#passedSinceKey = 0
    return 'decode anew'
  }

  #measure(stampMs: number | undefined): void {
    if (stampMs !== undefined && this.#keyMs !== undefined && stampMs > this.#keyMs) {
      this.#intervals.push(stampMs - this.#keyMs)
      if (this.#intervals.length > intervalsKept) this.#intervals.shift()
    }
    this.#keyMs = stampMs
  }

  #isOverdue(stampMs: number | undefined): boolean {
    const { intervalMs } = this
    if (stampMs === undefined || this.#keyMs === undefined || intervalMs === undefined) return false
    return stampMs - this.#keyMs > overdueIntervals * intervalMs
  }
}
