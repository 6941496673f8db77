/**
 * MP4 files with one H.264 track (ISO/IEC 14496-12 and -15): the bytes in front of the samples, and the
 * table that is written behind them when they are all there. Pure.
 */
import type { Coding } from './h264.ts'

/** Ticks per second of the track: what RTP counts in. */
const timescale = 90_000
const ticks = (ms: number): number => Math.round((ms * timescale) / 1000)
/** Of the file as a whole, per second. */
const fileTimescale = 1000

export type Sample = {
  readonly sizeBytes: number
  readonly isKey: boolean
  /** When it is decoded, ms since the first. */
  readonly decodeMs: number
  /** How much later it is shown, ms; negative where it is shown before what is decoded earlier. */
  readonly delayMs: number
}

const text = (name: string): Buffer => Buffer.from(name, 'latin1')

function u16(...values: number[]): Buffer {
  const bytes = Buffer.alloc(values.length * 2)
  values.forEach((value, i) => {
    bytes.writeUInt16BE(value, i * 2)
  })
  return bytes
}

function u32(...values: number[]): Buffer {
  const bytes = Buffer.alloc(values.length * 4)
  values.forEach((value, i) => {
    bytes.writeUInt32BE(value >>> 0, i * 4)
  })
  return bytes
}

function box(name: string, ...parts: Uint8Array[]): Buffer {
  const sizeBytes = 8 + parts.reduce((sum, part) => sum + part.length, 0)
  return Buffer.concat([u32(sizeBytes), text(name), ...parts])
}

const full = (name: string, version: number, flags: number, ...parts: Uint8Array[]): Buffer =>
  box(name, u32(version * 0x1000000 + flags), ...parts)

const brand = box('ftyp', text('isom'), u32(512), text('isomiso2avc1mp41'))

/** Where the first sample begins. */
export const headBytes = brand.length + 8

/** The beginning of a file whose samples have so many bytes together: at most 4 GB. */
export const head = (samplesBytes: number): Buffer =>
  Buffer.concat([brand, u32(samplesBytes + 8), text('mdat')])

/** How long the samples last, ms: the last one as long as the one before it. */
export function durationOf(samples: readonly Sample[]): number {
  const last = samples.at(-1)?.decodeMs ?? 0
  const before = samples.at(-2)?.decodeMs
  return last + (before === undefined ? 40 : last - before)
}

/**
 * The end of the file, for samples that lie one after the other from `headBytes` on.
 * @param madeAt ms since the epoch
 */
export function tail(coding: Coding, samples: readonly Sample[], madeAt: number): Buffer {
  const { width, height } = coding
  const durationMs = durationOf(samples)
  // Seconds since 1904.
  const made = Math.floor(madeAt / 1000) + 2_082_844_800
  const fileDuration = Math.round((durationMs * fileTimescale) / 1000)
  const matrix = u32(0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
  const zeros = (bytes: number) => Buffer.alloc(bytes)
  const movieHeader = full(
    'mvhd',
    ...([0, 0] as const),
    u32(made, made, fileTimescale, fileDuration, 0x10000),
    u16(0x100, 0),
    zeros(8),
    matrix,
    zeros(24),
    u32(2),
  )
  const trackHeader = full(
    'tkhd',
    ...([0, 3] as const),
    u32(made, made, 1, 0, fileDuration),
    zeros(8),
    u16(0, 0, 0, 0),
    matrix,
    u32(width * 0x10000, height * 0x10000),
  )
  // The first picture is shown at once, however much later than decoding that is.
  const edit = full(
    'elst',
    ...([0, 0] as const),
    u32(1, fileDuration, ticks(Math.max(0, samples[0]?.delayMs ?? 0))),
    u16(1, 0),
  )
  const media = box(
    'mdia',
    full('mdhd', 0, 0, u32(made, made, timescale, ticks(durationMs)), u16(0x55c4, 0)),
    full('hdlr', 0, 0, u32(0), text('vide'), zeros(12), text('video\0')),
    box(
      'minf',
      full('vmhd', 0, 1, zeros(8)),
      box('dinf', full('dref', 0, 0, u32(1), full('url ', 0, 1))),
      sampleTable(coding, samples, durationMs),
    ),
  )
  return box('moov', movieHeader, box('trak', trackHeader, box('edts', edit), media))
}

function sampleTable(coding: Coding, samples: readonly Sample[], durationMs: number): Buffer {
  const { width, height, configuration } = coding
  const entry = box(
    'avc1',
    Buffer.from([0, 0, 0, 0, 0, 0, 0, 1]),
    Buffer.alloc(16),
    u16(width, height),
    u32(0x480000, 0x480000, 0),
    u16(1),
    Buffer.alloc(32),
    u16(24, 0xffff),
    box('avcC', configuration),
  )
  const starts = samples.map(({ decodeMs }) => ticks(decodeMs))
  const durations = starts.map((start, i) => (starts[i + 1] ?? ticks(durationMs)) - start)
  const delays = samples.map(({ delayMs }) => ticks(delayMs))
  const keys = samples.flatMap(({ isKey }, i) => (isKey ? [i + 1] : []))
  const table = (name: string, version: number, count: number, rows: Uint8Array) =>
    full(name, version, 0, u32(count), rows)
  const runTable = (name: string, version: number, values: readonly number[]) => {
    const rows = runs(values)
    return table(name, version, rows.length, u32(...rows.flat()))
  }
  return box(
    'stbl',
    table('stsd', 0, 1, entry),
    runTable('stts', 0, durations),
    ...(delays.some((delay) => delay !== 0) ? [runTable('ctts', 1, delays)] : []),
    table('stss', 0, keys.length, u32(...keys)),
    table('stsc', 0, 1, u32(1, samples.length, 1)),
    full('stsz', 0, 0, u32(0, samples.length, ...samples.map(({ sizeBytes }) => sizeBytes))),
    table('stco', 0, 1, u32(headBytes)),
  )
}

/** Equal neighbours together: how many, and what. */
function runs(values: readonly number[]): [count: number, value: number][] {
  const found: [number, number][] = []
  for (const value of values) {
    const last = found.at(-1)
    if (last?.[1] === value) last[0]++
    else found.push([1, value])
  }
  return found
}
