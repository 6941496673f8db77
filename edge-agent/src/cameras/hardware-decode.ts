/** How ffmpeg is asked to let hardware decode. Pure. */
import type { HardwareDecode } from '@edgeloop/protocol'

/** Codecs for which ffmpeg has a decoder of this kind, by its name. */
const ownDecoders = {
  v4l2m2m: ['h263', 'h264', 'hevc', 'mpeg2video', 'mpeg4', 'vc1', 'vp8', 'vp9'],
  rkmpp: ['h264', 'hevc', 'vp8', 'vp9'],
} as const satisfies Partial<Record<HardwareDecode, readonly string[]>>

/** ffmpeg's decoders are named after the codec, with two exceptions. */
const shortNames: Readonly<Record<string, string>> = { mpeg2video: 'mpeg2' }

/** Where frames that hardware decoded come back from its memory, they are in one of these. */
const hardwareFormats = new Set(['nv12', 'p010le', 'nv16'])

/**
 * Options before `-i`. Frames are fetched back into memory: what follows works on them as on any other.
 * @param codec as ffprobe names it
 * @returns undefined where this kind of hardware cannot be asked for this codec
 */
export function hardwareArguments(hardware: HardwareDecode, codec: string): string[] | undefined {
  if (hardware === 'none') return []
  if (hardware !== 'v4l2m2m' && hardware !== 'rkmpp') return ['-hwaccel', hardware]
  const codecs: readonly string[] = ownDecoders[hardware]
  if (!codecs.includes(codec)) return undefined
  return ['-c:v', `${shortNames[codec] ?? codec}_${hardware}`]
}

/**
 * Whether hardware decoded, as far as can be told from outside: a method asked for may be passed over
 * without a word, and software decodes 8-bit video into planes of their own.
 * @param format pixel format of the frames, as ffmpeg calls it
 */
export function wasHardware(hardware: HardwareDecode, format: string): boolean {
  // A decoder of its own either works or fails.
  if (hardware === 'v4l2m2m' || hardware === 'rkmpp') return true
  return hardware !== 'none' && hardwareFormats.has(format)
}

/** What a decoder without hardware says where hardware was asked for. */
export function softwareOnly(
  hardware: HardwareDecode | undefined,
  why: string,
): { hardwareDecode?: string } {
  return (hardware ?? 'none') === 'none' ? {} : { hardwareDecode: `software: ${why}` }
}
