/**
 * A folder that was dropped as one tar, without reading it: heads are made here, contents stay files until they are
 * sent.
 */

/** A file and its path within the folder. */
export type FileAt = { readonly path: string; readonly file: Blob }

const blockBytes = 512

/** @throws {Error} naming the first file whose path is too long for a tar */
export function tarBlob(files: readonly FileAt[]): Blob {
  const parts: BlobPart[] = []
  for (const { path, file } of files) {
    parts.push(headOf(path, file.size), file)
    const rest = file.size % blockBytes
    if (rest > 0) parts.push(new Uint8Array(blockBytes - rest))
  }
  // Two empty blocks end it.
  parts.push(new Uint8Array(2 * blockBytes))
  return new Blob(parts, { type: 'application/x-tar' })
}

function headOf(path: string, sizeBytes: number): Uint8Array<ArrayBuffer> {
  const head = new Uint8Array(blockBytes)
  const encoder = new TextEncoder()
  const write = (text: string, at: number) => head.set(encoder.encode(text), at)
  const octal = (value: number, digits: number) => `${value.toString(8).padStart(digits, '0')}\0`
  const [name, prefix] = namesOf(path)
  head.set(name, 0)
  write(octal(0o644, 7), 100)
  write(octal(0, 7), 108)
  write(octal(0, 7), 116)
  write(octal(sizeBytes, 11), 124)
  write(octal(0, 11), 136)
  // Summed as blanks.
  write('        ', 148)
  write('0', 156)
  write('ustar\u000000', 257)
  head.set(prefix, 345)
  const sum = head.reduce((total, byte) => total + byte, 0)
  write(`${octal(sum, 6)} `, 148)
  return head
}

/** A path is cut at a slash where it is too long for the one field. */
function namesOf(path: string): readonly [name: Uint8Array, prefix: Uint8Array] {
  const encoder = new TextEncoder()
  const whole = encoder.encode(path)
  if (whole.length <= 100) return [whole, new Uint8Array(0)]
  for (let at = path.indexOf('/'); at >= 0; at = path.indexOf('/', at + 1)) {
    const prefix = encoder.encode(path.slice(0, at))
    const name = encoder.encode(path.slice(at + 1))
    if (prefix.length <= 155 && name.length <= 100) return [name, prefix]
  }
  throw new Error(`Cannot send "${path}": its path is too long; send an archive of the folder`)
}
