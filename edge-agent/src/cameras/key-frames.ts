/**
 * Which packets of a video are decoded while its scene is still: key frames only, which stand by
 * themselves. Pure: what is told each packet, says what to do with it, and does nothing.
 */
import type { KeyFrames } from './camera.ts'
import { KeyRhythm } from './key-rhythm.ts'

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
  readonly #rhythm = new KeyRhythm()
  /** The decoder was emptied after the last key frame. */
  #isAlone = false
  #passedSinceKey = 0

  get intervalMs(): number | undefined {
    return this.#rhythm.intervalMs
  }

  /**
   * Until when nothing comes that would be decoded, on the clock of `take()`; undefined where that cannot
   * be told, or where what comes next is needed. Whoever reads nothing until then says `leaveUnread()`.
   */
  get quietUntilMs(): number | undefined {
    return this.only && this.#isAlone ? this.#rhythm.nextKeyMs : undefined
  }

  /** Packets until the next one that is told are not read. They count as passed with the next key frame. */
  leaveUnread(): void {
    this.#rhythm.leaveUnread()
    this.#passedSinceKey++
  }

  /**
   * What to do with the next packet.
   * @param stampMs its time, which only has to go forward; undefined where it has none
   * @param nowMs when it came, on a clock that is never set
   */
  take(isKey: boolean, stampMs: number | undefined, nowMs: number): PacketTreatment {
    if (isKey) this.passed += this.#rhythm.key(stampMs, nowMs)
    else this.#rhythm.packet()
    if (this.only && !isKey && this.#rhythm.isOverdue(stampMs)) {
      this.only = false
      this.#rhythm.forget()
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
    this.#rhythm.startOver()
    this.#isAlone = false
    this.#passedSinceKey = 0
  }

  #anew(): PacketTreatment {
    this.#isAlone = false
    this.#passedSinceKey = 0
    return 'decode anew'
  }
}
