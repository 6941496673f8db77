/**
 * Pictures on their way to a hub, many in one request: the length of a head (four bytes, big endian), the head as JSON,
 * then the bytes of each picture in the order of the head.
 */
import type { PicturePack } from './datasets.ts'

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
