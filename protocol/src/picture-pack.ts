/**
 * Pictures on their way to a hub, many in one request: the length of a head (four bytes, big endian), the head as JSON,
 * then the bytes of each picture in the order of the head.
 */
import type { PictureForm, PicturePack } from './datasets.ts'

/** A picture with its bytes. */
export type PackedPicture = Omit<PicturePack[number], 'sizeBytes'> & { readonly bytes: Uint8Array }

export function writePack(pictures: readonly PackedPicture[]): Uint8Array<ArrayBuffer> {
  const head: PicturePack = pictures.map(({ bytes, ...picture }) => ({
    ...picture,
    sizeBytes: bytes.length,
  }))
  const json = new TextEncoder().encode(JSON.stringify(head))
  const bodyBytes = pictures.reduce((sum, { bytes }) => sum + bytes.length, 0)
  const pack = new Uint8Array(4 + json.length + bodyBytes)
  new DataView(pack.buffer).setUint32(0, json.length)
  pack.set(json, 4)
  let at = 4 + json.length
  for (const { bytes } of pictures) {
    pack.set(bytes, at)
    at += bytes.length
  }
  return pack
}

/** @returns undefined where the bytes are no pack: the head, not yet checked, and what follows it */
export function splitPack(
  pack: Uint8Array,
): { readonly head: Uint8Array; readonly rest: Uint8Array } | undefined {
  if (pack.length < 4) return undefined
  const headBytes = new DataView(pack.buffer, pack.byteOffset, 4).getUint32(0)
  if (4 + headBytes > pack.length) return undefined
  return { head: pack.subarray(4, 4 + headBytes), rest: pack.subarray(4 + headBytes) }
}

/** How files of each format begin; a null stands for any byte. */
const beginnings: readonly (readonly [PictureForm, readonly (number | null)[]])[] = [
  ['image/jpeg', [0xff, 0xd8, 0xff]],
  ['image/png', [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]],
  ['image/webp', [0x52, 0x49, 0x46, 0x46, null, null, null, null, 0x57, 0x45, 0x42, 0x50]],
  ['image/gif', [0x47, 0x49, 0x46, 0x38]],
  ['image/tiff', [0x49, 0x49, 0x2a, 0x00]],
  ['image/tiff', [0x4d, 0x4d, 0x00, 0x2a]],
  ['image/heif', [null, null, null, null, 0x66, 0x74, 0x79, 0x70]],
]

/** @returns undefined where the bytes begin like no image format */
export function fileFormOf(bytes: Uint8Array): PictureForm | undefined {
  return beginnings.find(([, begin]) =>
    begin.every((byte, at) => byte === null || bytes[at] === byte),
  )?.[0]
}
