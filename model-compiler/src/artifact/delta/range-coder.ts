/**
 * A binary range coder. Model code is written once for both directions: `bit()` is given the bit where it is known and gives it
 * back, or finds it out. Docs: docs/artifact.md, "Range coder".
 */
import { ArtifactError } from '../artifact-error.ts'

/** Probabilities that a bit is 1, in 65536ths; never 0 or 65536. */
export type Coder = {
  /** Codes one bit; `value` counts only where it is known (while encoding). */
  bit(probability: number, value: number): number
  /** Codes `count` bits, 1 to 16, that nothing is known of. */
  plain(count: number, value: number): number
}

/** Range goes from here to 2^31. */
const rangeMin = 2 ** 23
const rangeStart = 2 ** 31 - 1
/** Zeros that an encoder leaves out at the end; a decoder reads no more past it. */
const zerosMax = 4

export class RangeEncoder implements Coder {
  #bytes: Uint8Array
  #length = 0
  #low = 0
  #range = rangeStart

  constructor(roomBytes = 1 << 16) {
    this.#bytes = new Uint8Array(roomBytes)
  }

  bit(probability: number, value: number): number {
    const bound = (this.#range >>> 16) * probability
    if (value !== 0) this.#range = bound
    else {
      this.#low += bound
      this.#range -= bound
    }
    this.#normalize()
    return value
  }

  plain(count: number, value: number): number {
    this.#range >>>= count
    this.#low += value * this.#range
    this.#normalize()
    return value
  }

  /** About how many bits were coded so far. */
  get bits(): number {
    return 8 * this.#length + 31 - Math.log2(this.#range)
  }

  /** What was coded; the encoder is used up. Zeros at the end are left out: the decoder reads zeros there. */
  finish(): Uint8Array {
    // Any number from low on for the length of range will do: take the one with most zeros behind.
    for (let zeros = 30; zeros >= 0; zeros--) {
      const step = 2 ** zeros
      const number = Math.ceil(this.#low / step) * step
      if (number < this.#low + this.#range) {
        this.#low = number
        break
      }
    }
    for (let i = 0; i < 4; i++) this.#shift()
    let left = zerosMax
    while (this.#length > 0 && this.#bytes[this.#length - 1] === 0 && left-- > 0) this.#length--
    return this.#bytes.slice(0, this.#length)
  }

  #normalize(): void {
    while (this.#range < rangeMin) {
      this.#shift()
      this.#range *= 256
    }
  }

  #shift(): void {
    if (this.#low >= 2 ** 32) {
      this.#low -= 2 ** 32
      // A carry runs through all 255s before it.
      let at = this.#length - 1
      while (++this.#bytes[at]! > 255) at--
    }
    if (this.#length === this.#bytes.length) {
      const larger = new Uint8Array(2 * this.#length)
      larger.set(this.#bytes)
      this.#bytes = larger
    }
    this.#bytes[this.#length++] = this.#low / 2 ** 24
    this.#low = (this.#low % 2 ** 24) * 256
  }
}

export class RangeDecoder implements Coder {
  readonly #bytes: Uint8Array
  #at = 0
  #code = 0
  #range = rangeStart

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
    for (let i = 0; i < 4; i++) this.#code = this.#code * 256 + this.#next()
    if (this.#code >= rangeStart) throw damaged('it begins with a number that no encoder writes')
  }

  bit(probability: number): number {
    const bound = (this.#range >>> 16) * probability
    let bit = 0
    if (this.#code < bound) {
      this.#range = bound
      bit = 1
    } else {
      this.#code -= bound
      this.#range -= bound
    }
    while (this.#range < rangeMin) {
      this.#code = (this.#code << 8) | this.#next()
      this.#range <<= 8
    }
    return bit
  }

  plain(count: number): number {
    this.#range >>>= count
    const value = Math.min((this.#code / this.#range) | 0, (1 << count) - 1)
    this.#code -= value * this.#range
    if (this.#code >= this.#range) throw damaged('its numbers contradict each other')
    while (this.#range < rangeMin) {
      this.#code = (this.#code << 8) | this.#next()
      this.#range <<= 8
    }
    return value
  }

  /** @throws {ArtifactError} when bytes are left */
  finish(): void {
    if (this.#at < this.#bytes.length) {
      throw damaged(`${this.#bytes.length - this.#at} of its bytes were not used`)
    }
  }

  #next(): number {
    if (this.#at < this.#bytes.length) return this.#bytes[this.#at++]!
    // A cut patch must end, not decode zeros for as long as its header says.
    if (this.#at++ >= this.#bytes.length + zerosMax) throw damaged('it ends too early')
    return 0
  }
}

const damaged = (why: string) =>
  new ArtifactError('damaged', `Cannot decode the residuals of a delta: ${why}`)
