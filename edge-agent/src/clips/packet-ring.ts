/**
 * The last seconds of a stream as its camera coded them, in memory: from a key frame on, so that what is
 * taken out of it can be played. Pure: it is told each packet and holds what the bounds allow.
 */
import { type CodedPacket, isSameCoding } from './h264.ts'

/** A packet in the ring, with a decoding time that only goes forward. */
export type RingPacket = CodedPacket & {
  /** Counted up by one per packet. */
  readonly number: number
  /** Ms since the ring's first packet. */
  readonly steadyMs: number
}

export type RingOptions = {
  /** How far back packets are kept, ms; the group of pictures that this falls into is kept whole. */
  readonly keptMs: number
  /**
   * Most bytes. When they are used up, the oldest group of pictures goes: a clip then begins later than
   * it should. A group that is larger by itself is not kept at all.
   */
  readonly bytesMax: number
}

/** A longer or a backward step is a jump of the source's clock, and becomes one frame. */
const stepMaxMs = 10_000
const frameMsDefault = 40

export class PacketRing {
  readonly #options: RingOptions
  #packets: RingPacket[] = []
  #bytes = 0
  #number = 0
  #frameMs = frameMsDefault
  #last: RingPacket | undefined

  constructor(options: RingOptions) {
    this.#options = options
  }

  get bytes(): number {
    return this.#bytes
  }

  /** Takes the next packet. @returns it as it is kept; undefined before the first key frame */
  add(packet: CodedPacket): RingPacket | undefined {
    const last = this.#last
    const isOther = last !== undefined && !isSameCoding(last.coding, packet.coding)
    if (isOther) this.#clear()
    if (this.#packets.length === 0 && !packet.isKey) {
      this.#last = undefined
      return undefined
    }
    const kept = { ...packet, number: this.#number++, steadyMs: this.#steady(packet) }
    this.#packets.push(kept)
    this.#bytes += kept.data.length
    this.#last = kept
    this.#giveWay(packet.at)
    return kept
  }

  /** Packets from the key frame on that is the last one no later than `at`; else from the oldest. */
  from(at: number): readonly RingPacket[] {
    const packets = this.#packets
    let start = 0
    for (let i = 0; i < packets.length; i++) {
      if (packets[i]!.isKey && packets[i]!.at <= at) start = i
    }
    return packets.slice(start)
  }

  /** Packets after the one with this number. */
  after(number: number): readonly RingPacket[] {
    // Numbers have no gap within the ring.
    const first = this.#packets[0]?.number ?? 0
    return this.#packets.slice(Math.max(0, number + 1 - first))
  }

  #steady(packet: CodedPacket): number {
    const last = this.#last
    if (last === undefined) return 0
    const step = packet.decodeMs - last.decodeMs
    const isBelievable = step > 0 && step <= stepMaxMs
    if (isBelievable) this.#frameMs = step
    return last.steadyMs + (isBelievable ? step : this.#frameMs)
  }

  #giveWay(now: number): void {
    const { keptMs, bytesMax } = this.#options
    for (;;) {
      const second = this.#packets.findIndex(({ isKey }, i) => i > 0 && isKey)
      const isTooMuch = this.#bytes > bytesMax
      const isTooOld = second > 0 && this.#packets[second]!.at <= now - keptMs
      if (!isTooMuch && !isTooOld) return
      if (second < 0) {
        this.#clear()
        return
      }
      for (const { data } of this.#packets.splice(0, second)) this.#bytes -= data.length
    }
  }

  #clear(): void {
    this.#packets = []
    this.#bytes = 0
  }
}
