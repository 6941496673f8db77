/**
 * What the bytes of a sample are: a file of an image format, told by how it begins, or plain pixels, told by how many
 * there are. Nothing is decoded here: pictures of strangers are decoded in processes of their own. Pure.
 */
import { crc32, deflateSync } from 'node:zlib'
import { fileFormOf, type PictureForm } from '@edgeloop/protocol'

/**
 * Says why bytes are not what they were sent as, or undefined where they may be. A mask, which has no form, is a PNG.
 */
export function formFault(
  bytes: Uint8Array,
  picture: { readonly form?: PictureForm; readonly width: number; readonly height: number },
): string | undefined {
  const { form = 'image/png', width, height } = picture
  const channels = channelsOf(form)
  if (channels !== undefined) {
    const expected = width * height * channels
    return bytes.length === expected
      ? undefined
      : `${bytes.length} bytes are not ${width}×${height} pixels of ${form}: those are ${expected}`
  }
  const found = fileFormOf(bytes)
  if (found === form) return undefined
  const start = Buffer.from(bytes.subarray(0, 12))
    .toString('latin1')
    .replace(/[^ -~]/g, '·')
  return `the bytes begin with "${start}", which is ${found ?? 'no image format that is known'} and not ${form}`
}

const channelsOf = (form: PictureForm): 1 | 3 | undefined =>
  form === 'raw-grey' ? 1 : form === 'raw-rgb' ? 3 : undefined

/** What a browser can show: the bytes themselves, or a PNG of plain pixels. */
export function showable(
  bytes: Uint8Array,
  { form, width, height }: { form: PictureForm; width: number; height: number },
): { readonly type: string; readonly bytes: Uint8Array } {
  const channels = channelsOf(form)
  return channels === undefined
    ? { type: form, bytes }
    : { type: 'image/png', bytes: encodePng(bytes, { width, height, channels }) }
}

/** A PNG of pixels that lie row by row, 8 bits each. */
export function encodePng(
  pixels: Uint8Array,
  { width, height, channels }: { width: number; height: number; channels: 1 | 3 },
): Uint8Array {
  const stride = width * channels
  // Each row is led by the number of its filter: none.
  const rows = Buffer.alloc((stride + 1) * height)
  for (let y = 0; y < height; y++) {
    rows.set(pixels.subarray(y * stride, (y + 1) * stride), y * (stride + 1) + 1)
  }
  const head = Buffer.alloc(13)
  head.writeUInt32BE(width, 0)
  head.writeUInt32BE(height, 4)
  head[8] = 8
  head[9] = channels === 3 ? 2 : 0
  return Buffer.concat([
    Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]),
    chunk('IHDR', head),
    chunk('IDAT', deflateSync(rows)),
    chunk('IEND', Buffer.alloc(0)),
  ])
}

function chunk(name: string, data: Uint8Array): Uint8Array {
  const named = Buffer.concat([Buffer.from(name, 'latin1'), data])
  const length = Buffer.alloc(4)
  length.writeUInt32BE(data.length)
  const sum = Buffer.alloc(4)
  sum.writeUInt32BE(crc32(named))
  return Buffer.concat([length, named, sum])
}
