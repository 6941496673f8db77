/**
 * As much of H.264 as recording without decoding needs: NAL units in both of their packings, and the
 * parameter sets as a decoder configuration (ITU-T H.264 7.3.2.1; ISO/IEC 14496-15 5.3.3). Pure.
 */

/** How NAL units follow each other: after start codes, or each after its length. */
export type Packing = 'start codes' | 'lengths'

/** What a decoder must know before the first picture. A change of it is another object. */
export type Coding = {
  /** AVCDecoderConfigurationRecord, with lengths of four bytes. */
  readonly configuration: Uint8Array
  readonly width: number
  readonly height: number
  readonly packing: Packing
}

/** One access unit as the camera coded it. */
export type CodedPacket = {
  readonly coding: Coding
  /** NAL units in `coding.packing`; nobody changes it. */
  readonly data: Uint8Array
  /** True where decoding can begin. */
  readonly isKey: boolean
  /** When it arrived, ms since the epoch. */
  readonly at: number
  /** Decoding and presentation time in the source's own ms; they jump where the source does. */
  readonly decodeMs: number
  readonly shownMs: number
}

const nal = { sps: 7, pps: 8, delimiter: 9 } as const
const typeOf = (unit: Uint8Array): number => (unit[0] ?? 0) & 0x1f
/** Parameter sets and delimiters are not among the samples of an `avc1` track. */
const isOutside = (unit: Uint8Array): boolean => {
  const type = typeOf(unit)
  return type === nal.sps || type === nal.pps || type === nal.delimiter
}

/** Most parameter sets of each kind that a configuration can hold. */
const setsMax = 31

/** NAL units after start codes (Annex B). */
export function* unitsOf(data: Uint8Array): Generator<Uint8Array> {
  const bytes = Buffer.from(data.buffer, data.byteOffset, data.byteLength)
  let from = bytes.indexOf(startCode)
  while (from >= 0) {
    const begin = from + startCode.length
    from = bytes.indexOf(startCode, begin)
    let end = from < 0 ? bytes.length : from
    // A start code may have a zero before it, and a unit never ends with one (7.4.1).
    while (end > begin && bytes[end - 1] === 0) end--
    if (end > begin) yield bytes.subarray(begin, end)
  }
}
const startCode = Buffer.from([0, 0, 1])

/**
 * The configuration that these parameter sets make, in either packing of the source's extra data;
 * undefined where they are none, or damaged.
 */
export function codingOf(extra: Uint8Array): Coding | undefined {
  if (extra[0] === 1) return codingOfRecord(extra)
  return codingOfSets([...unitsOf(extra)])
}

/** The configuration a key frame brings with it after start codes; undefined where it brings none. */
export function codingWithin(data: Uint8Array): Coding | undefined {
  const sets: Uint8Array[] = []
  for (const unit of unitsOf(data)) {
    // Parameter sets come before the picture: the rest need not be looked through.
    if (!isOutside(unit) && typeOf(unit) <= 5) break
    sets.push(unit)
  }
  return codingOfSets(sets)
}

export const isSameCoding = (a: Coding, b: Coding): boolean =>
  a === b || (a.packing === b.packing && Buffer.compare(a.configuration, b.configuration) === 0)

/** The sample of an MP4 track: each NAL unit after its length in four bytes, parameter sets left out. */
export function sampleOf({ coding, data }: CodedPacket): Uint8Array {
  if (coding.packing === 'lengths') return data
  const parts: Uint8Array[] = []
  for (const unit of unitsOf(data)) {
    if (isOutside(unit)) continue
    const length = Buffer.alloc(4)
    length.writeUInt32BE(unit.length)
    parts.push(length, unit)
  }
  return Buffer.concat(parts)
}

function codingOfRecord(record: Uint8Array): Coding | undefined {
  const view = Buffer.from(record.buffer, record.byteOffset, record.byteLength)
  // Shorter lengths are allowed and never seen; samples are written as they come.
  if (view.length < 9 || ((view[4] ?? 0) & 3) !== 3) return undefined
  const spsBytes = view.readUInt16BE(6)
  const size = sizeOf(view.subarray(8, 8 + spsBytes))
  if (size === undefined) return undefined
  return { configuration: Buffer.from(record), ...size, packing: 'lengths' }
}

function codingOfSets(units: readonly Uint8Array[]): Coding | undefined {
  const sps = units.filter((unit) => typeOf(unit) === nal.sps).slice(0, setsMax)
  const pps = units.filter((unit) => typeOf(unit) === nal.pps).slice(0, setsMax)
  const [first] = sps
  if (first === undefined || pps.length === 0 || first.length < 4) return undefined
  const size = sizeOf(first)
  if (size === undefined) return undefined
  const list = (count: number, sets: readonly Uint8Array[]) => [
    Buffer.from([count]),
    ...sets.flatMap((set) => [Buffer.from([set.length >> 8, set.length & 255]), set]),
  ]
  const [, profile = 0, compatibility = 0, level = 0] = first
  const configuration = Buffer.concat([
    Buffer.from([1, profile, compatibility, level, 0xff]),
    ...list(0xe0 | sps.length, sps),
    ...list(pps.length, pps),
  ])
  return { configuration, ...size, packing: 'start codes' }
}

/** Profiles whose parameter sets say how colours are coded. */
const highProfiles = new Set([100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135])

/** Size of the picture that a sequence parameter set announces; undefined where it makes no sense. */
export function sizeOf(sps: Uint8Array): { width: number; height: number } | undefined {
  const bits = new Bits(withoutEscapes(sps.subarray(1)))
  const profile = bits.take(8)
  bits.take(16)
  bits.unsigned()
  let chroma = 1
  if (highProfiles.has(profile)) {
    chroma = bits.unsigned()
    if (chroma === 3) bits.take(1)
    bits.unsigned()
    bits.unsigned()
    bits.take(1)
    if (bits.take(1) === 1) {
      for (let list = 0; list < (chroma === 3 ? 12 : 8); list++) {
        if (bits.take(1) === 1) skipScaling(bits, list < 6 ? 16 : 64)
      }
    }
  }
  bits.unsigned()
  const order = bits.unsigned()
  if (order === 0) bits.unsigned()
  else if (order === 1) {
    bits.take(1)
    bits.signed()
    bits.signed()
    const count = bits.unsigned()
    for (let i = 0; i < Math.min(count, 255); i++) bits.signed()
  }
  bits.unsigned()
  bits.take(1)
  const across = bits.unsigned() + 1
  const down = bits.unsigned() + 1
  const isProgressive = bits.take(1)
  if (isProgressive === 0) bits.take(1)
  bits.take(1)
  let [left, right, top, bottom] = [0, 0, 0, 0]
  if (bits.take(1) === 1) {
    left = bits.unsigned()
    right = bits.unsigned()
    top = bits.unsigned()
    bottom = bits.unsigned()
  }
  // Units of cropping (7-19 to 7-22).
  const cropX = chroma === 1 || chroma === 2 ? 2 : 1
  const cropY = (chroma === 1 ? 2 : 1) * (2 - isProgressive)
  const width = across * 16 - (left + right) * cropX
  const height = down * 16 * (2 - isProgressive) - (top + bottom) * cropY
  const isSound = !bits.isOver && width > 0 && height > 0 && width <= 16_384 && height <= 16_384
  return isSound ? { width, height } : undefined
}

function skipScaling(bits: Bits, size: number): void {
  let [last, next] = [8, 8]
  for (let i = 0; i < size; i++) {
    if (next !== 0) next = (last + bits.signed() + 256) % 256
    last = next === 0 ? last : next
  }
}

/** Takes the bytes out that keep start codes from appearing inside a unit (7.4.1.1). */
function withoutEscapes(bytes: Uint8Array): Uint8Array {
  const out: number[] = []
  let zeros = 0
  for (const byte of bytes) {
    if (zeros >= 2 && byte === 3) {
      zeros = 0
      continue
    }
    zeros = byte === 0 ? zeros + 1 : 0
    out.push(byte)
  }
  return Uint8Array.from(out)
}

/** Reads bits, and numbers in Exp-Golomb code (9.1); zeros beyond the end. */
class Bits {
  readonly #bytes: Uint8Array
  #at = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
  }

  get isOver(): boolean {
    return this.#at > this.#bytes.length * 8
  }

  take(count: number): number {
    let value = 0
    for (let i = 0; i < count; i++, this.#at++) {
      value = value * 2 + (((this.#bytes[this.#at >> 3] ?? 0) >> (7 - (this.#at & 7))) & 1)
    }
    return value
  }

  unsigned(): number {
    let zeros = 0
    while (zeros < 32 && !this.isOver && this.take(1) === 0) zeros++
    return 2 ** zeros - 1 + this.take(zeros)
  }

  signed(): number {
    const code = this.unsigned()
    return code % 2 === 1 ? (code + 1) / 2 : -code / 2
  }
}
