/**
 * Decides, packet by packet, what of a stream becomes clips: from a key frame before an event until a while
 * after it. Events whose windows touch extend one clip, up to the longest a clip may be; then the next one
 * begins at the last key frame, so that nothing is missing between them.
 */
import { type CodedPacket, type Coding, isSameCoding } from './h264.ts'
import { PacketRing, type RingPacket } from './packet-ring.ts'

/** Most bytes of one stream that wait in memory for an event. */
export const ringBytesMax = 32 * 1024 * 1024

/** How late an event may be told after its frame came and still have all of its window. */
const lateMs = 2000

export type ClipWindow = {
  readonly beforeMs: number
  readonly afterMs: number
  readonly lengthMaxMs: number
}

/** What a clip is written to. */
export type ClipSink = {
  isFull(packet: RingPacket): boolean
  /** False where it cannot go on. */
  write(packet: RingPacket): boolean
}

export type ClipRecorderOptions<S extends ClipSink> = ClipWindow & {
  readonly open: (coding: Coding) => S
  /** The clip is over: all of it has been handed to `sink`. */
  readonly close: (sink: S) => void
  readonly ringBytesMax?: number
}

type Open<S> = {
  readonly sink: S
  readonly coding: Coding
  readonly startedAt: number
  /** Up to here pictures are wanted, ms since the epoch. */
  until: number
  /** Number of the last packet that was handed on. */
  written: number
}

export class ClipRecorder<S extends ClipSink> {
  readonly #options: ClipRecorderOptions<S>
  readonly #ring: PacketRing
  #open: Open<S> | undefined
  /** A clip is wanted until then, and there was no key frame yet to begin it with. */
  #awaitedUntil: number | undefined

  constructor(options: ClipRecorderOptions<S>) {
    this.#options = options
    this.#ring = new PacketRing({
      keptMs: options.beforeMs + lateMs,
      bytesMax: options.ringBytesMax ?? ringBytesMax,
    })
  }

  /** Something worth a clip happened at `at`, ms since the epoch. */
  want(at: number): void {
    const { beforeMs, afterMs } = this.#options
    const open = this.#open
    if (open === undefined || at - beforeMs > open.until) {
      this.end()
      this.#begin(at - beforeMs, at + afterMs)
    } else {
      open.until = Math.max(open.until, at + afterMs)
    }
    this.#write()
  }

  /** Takes the next packet of the camera. */
  packet(packet: CodedPacket): void {
    const kept = this.#ring.add(packet)
    if (this.#open !== undefined && !isSameCoding(this.#open.coding, packet.coding)) {
      // The camera sends something else from here on: another track, and so another clip.
      const { until } = this.#open
      this.end()
      if (until > packet.at) this.#awaitedUntil = until
    }
    if (kept === undefined) return
    if (this.#awaitedUntil !== undefined && kept.isKey) {
      const until = this.#awaitedUntil
      this.#awaitedUntil = undefined
      if (until >= kept.at) this.#begin(kept.at, until)
    }
    this.#write()
    // Kept open for as long as an event may still come whose window touches this one.
    if (this.#open && kept.at > this.#open.until + this.#options.beforeMs) this.end()
  }

  /** The camera has gone, or nothing more is wanted: what there is becomes the clip. */
  end(): void {
    const open = this.#open
    this.#open = undefined
    this.#awaitedUntil = undefined
    if (open) this.#options.close(open.sink)
  }

  /** A clip follows on the one that ended before `next`. */
  #goOn(next: RingPacket, { startedAt, until }: Open<S>): void {
    const key = this.#ring.from(next.at)[0]
    // A group of pictures longer than a clip may be: from its next key frame on.
    if (key === undefined || key.at <= startedAt) this.#awaitedUntil = until
    else this.#begin(next.at, until)
  }

  #begin(from: number, until: number): void {
    const first = this.#ring.from(from)[0]
    if (first === undefined) {
      this.#awaitedUntil = until
      return
    }
    const { coding, at, number } = first
    const sink = this.#options.open(coding)
    this.#open = { sink, coding, startedAt: at, until, written: number - 1 }
  }

  /** Hands on what is in the ring and wanted. */
  #write(): void {
    for (let open = this.#open; open !== undefined; open = this.#open) {
      const next = this.#ring.after(open.written)[0]
      if (next === undefined || next.at > open.until) return
      // What the ring could not hold is missing: a clip has no holes.
      const isHole = next.number !== open.written + 1
      const isLong = next.at - open.startedAt >= this.#options.lengthMaxMs
      if (isHole || isLong || open.sink.isFull(next)) {
        this.end()
        this.#goOn(next, open)
      } else if (open.sink.write(next)) {
        open.written = next.number
      } else {
        this.end()
        return
      }
    }
  }
}
