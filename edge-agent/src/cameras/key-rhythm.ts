/**
 * The rhythm in which a camera sends key frames: how long a scene may have to wait for one, and when the
 * next one can come at the earliest, so that nobody has to read what lies between them. Pure.
 */

/** Intervals that are remembered: the longest of them is what a scene may have to wait. */
const intervalsKept = 4
/** Intervals that must have been seen before the rhythm is believed. */
const intervalsMin = 2
/** After this many intervals without a key frame, the camera has changed its habits. */
const overdueIntervals = 3
/** Intervals that differ by more than this do not tell when the next key frame comes. */
const regularRatioMax = 1.25
/** Key frames whose delay on the way is remembered: one of them came without any. */
const delaysKept = 16
/** How much earlier than that one the next may come, ms; doubled when that has proved too little… */
const earlyMs = 150
/** …up to this share of an interval. */
const earlyShareMax = 0.5

export class KeyRhythm {
  readonly #intervals: number[] = []
  /** From a key frame's own time to when it came, ms; clocks differ, so only differences count. */
  readonly #delays: number[] = []
  #keyMs: number | undefined
  #earlyMs = earlyMs
  /** Intervals still to be read whole, because a key frame seems to have been missed. */
  #doubted = 0
  /** Packets since the last key frame, with it. */
  #packets = 0
  #hasUnread = false
  /** From the last interval that was read whole. */
  #packetsPerMs = 0

  /** Longest of the last intervals, ms; undefined before there were enough of them. */
  get intervalMs(): number | undefined {
    return this.#intervals.length < intervalsMin ? undefined : Math.max(...this.#intervals)
  }

  /**
   * Before when no key frame comes, on the clock of `key()`. Undefined where that cannot be told: the
   * last intervals were too few or too different, or a key frame was missed lately.
   */
  get nextKeyMs(): number | undefined {
    const usual = this.#usualMs
    if (this.#keyMs === undefined || usual === undefined || this.#doubted > 0) return undefined
    const early = Math.min(this.#earlyMs, earlyShareMax * usual)
    return this.#keyMs + Math.min(...this.#delays) + usual - early
  }

  /**
   * A key frame has come.
   * @param stampMs its own time; undefined where it has none
   * @param nowMs when it came, on a clock that is never set
   * @returns how many packets since the last one were left unread, by how many come in an interval that is read whole
   */
  key(stampMs: number | undefined, nowMs: number): number {
    const before = this.#keyMs
    const packets = this.#packets
    const hadUnread = this.#hasUnread
    this.#keyMs = stampMs
    this.#packets = 1
    this.#hasUnread = false
    if (stampMs === undefined || before === undefined || stampMs <= before) return 0
    const interval = stampMs - before
    if (hadUnread && interval > regularRatioMax * (this.#usualMs ?? interval)) {
      // One may have come before its time, unread; what the camera really does is seen by reading all.
      this.#earlyMs *= 2
      this.#doubted = intervalsKept
    } else {
      keep(this.#intervals, interval, intervalsKept)
      if (!hadUnread && this.#doubted > 0) this.#doubted--
    }
    keep(this.#delays, nowMs - stampMs, delaysKept)
    if (!hadUnread) this.#packetsPerMs = packets / interval
    return Math.max(0, Math.round(this.#packetsPerMs * interval) - packets)
  }

  /** A packet has come that is no key frame. */
  packet(): void {
    this.#packets++
  }

  /** Packets until the next one that is told are not read. */
  leaveUnread(): void {
    this.#hasUnread = true
  }

  /** True where no key frame has come for so long that the rhythm no longer holds. */
  isOverdue(stampMs: number | undefined): boolean {
    const { intervalMs } = this
    if (stampMs === undefined || this.#keyMs === undefined || intervalMs === undefined) return false
    return stampMs - this.#keyMs > overdueIntervals * intervalMs
  }

  /** The rhythm must be learned again. */
  forget(): void {
    this.#intervals.length = 0
  }

  /** A clip starts over; what was learned of its rhythm holds. */
  startOver(): void {
    this.#keyMs = undefined
    this.#packets = 0
  }

  /** The shortest interval, where they are regular. */
  get #usualMs(): number | undefined {
    if (this.#intervals.length < intervalsKept) return undefined
    const shortest = Math.min(...this.#intervals)
    return Math.max(...this.#intervals) > regularRatioMax * shortest ? undefined : shortest
  }
}

function keep(values: number[], value: number, most: number): void {
  values.push(value)
  if (values.length > most) values.shift()
}
