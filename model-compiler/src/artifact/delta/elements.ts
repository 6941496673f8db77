/** Payload bytes as the numbers that the models work on, and back. */
import type { ElementKind, Payload } from './onnx-payloads.ts'

/** Codes of 8 or 4 bits, one a byte, or wider numbers whose order is that of what they stand for. */
export type Elements = Uint8Array | Int32Array

export const isCode = (kind: ElementKind): boolean =>
  kind === 'code8' || kind === 'code4' || kind === 'bytes'

/** How many elements a payload has, where its length says it; varints have to be read. */
export function elementCount({ kind, lengthBytes }: Pick<Payload, 'kind' | 'lengthBytes'>): number {
  if (kind === 'code4') return lengthBytes * 2
  if (kind === 'int32' || kind === 'float32') return lengthBytes / 4
  return kind === 'int16' || kind === 'float16' ? lengthBytes / 2 : lengthBytes
}

/** Elements of a payload that lies in `bytes`; undefined where its bytes are not what its kind has. */
export function elementsOf(
  { kind, packed, signed }: Pick<Payload, 'kind' | 'packed' | 'signed'>,
  bytes: Uint8Array,
): Elements | undefined {
  if (packed) return packedElements(kind, signed, bytes)
  const count = elementCount({ kind, lengthBytes: bytes.length })
  if (!Number.isInteger(count)) return undefined
  if (kind === 'code8' || kind === 'bytes') return bytes
  if (kind === 'code4') {
    const codes = new Uint8Array(count)
    for (let i = 0; i < bytes.length; i++) {
      codes[2 * i] = bytes[i]! & 15
      codes[2 * i + 1] = bytes[i]! >> 4
    }
    return codes
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  const numbers = new Int32Array(count)
  for (let i = 0; i < count; i++) {
    if (kind === 'int32') numbers[i] = view.getInt32(4 * i, true)
    else if (kind === 'float32') numbers[i] = inOrder32(view.getInt32(4 * i, true))
    else if (kind === 'float16') numbers[i] = inOrder16(view.getInt16(2 * i, true))
    else numbers[i] = signed ? view.getInt16(2 * i, true) : view.getUint16(2 * i, true)
  }
  return numbers
}

/**
 * Writes elements where a payload belongs. What does not fit its width is cut off, and found out by the digest.
 * @returns whether they fill `target` exactly
 */
export function writeElements(
  { kind, packed, signed }: Pick<Payload, 'kind' | 'packed' | 'signed'>,
  elements: Elements,
  target: Uint8Array,
): boolean {
  if (packed) return writePacked(kind, signed, elements, target)
  if (elementCount({ kind, lengthBytes: target.length }) !== elements.length) return false
  if (kind === 'code8' || kind === 'bytes') {
    if (elements !== target) target.set(elements)
    return true
  }
  if (kind === 'code4') {
    for (let i = 0; i < target.length; i++) {
      target[i] = (elements[2 * i]! & 15) | (elements[2 * i + 1]! << 4)
    }
    return true
  }
  const view = new DataView(target.buffer, target.byteOffset, target.length)
  for (let i = 0; i < elements.length; i++) {
    const one = elements[i]!
    if (kind === 'int32') view.setInt32(4 * i, one, true)
    else if (kind === 'float32') view.setInt32(4 * i, inOrder32(one), true)
    else view.setInt16(2 * i, kind === 'float16' ? inOrder16(one) : one, true)
  }
  return true
}

/** The bits of a float as an integer that grows with it, and back: negative floats are turned round. */
export const inOrder32 = (bits: number): number => (bits < 0 ? bits ^ 0x7fffffff : bits)
const inOrder16 = (bits: number): number => {
  const word = (bits << 16) >> 16
  return word < 0 ? word ^ 0x7fff : word
}

/** Varints of `int32_data`: at most one number a byte. */
function packedElements(
  kind: ElementKind,
  signed: boolean,
  bytes: Uint8Array,
): Elements | undefined {
  if (kind === 'bytes' || kind === 'float32') return undefined
  const numbers = new Int32Array(bytes.length)
  let [count, at] = [0, 0]
  while (at < bytes.length) {
    let [value, shift] = [0, 0]
    let byte: number
    do {
      byte = bytes[at++] ?? 128
      if (shift > 63 || at > bytes.length) return undefined
      if (shift < 32) value |= (byte & 127) << shift
      shift += 7
    } while (byte >= 128)
    numbers[count++] = value
  }
  const found = numbers.subarray(0, count)
  const elements = isCode(kind)
    ? Uint8Array.from(found)
    : kind === 'float16'
      ? found.map(inOrder16)
      : found
  // Only what is written back as it was, to the byte, may be told by its numbers.
  const again = new Uint8Array(bytes.length)
  const isSame =
    writePacked(kind, signed, elements, again) && again.every((byte, i) => byte === bytes[i])
  return isSame ? elements : undefined
}

function writePacked(
  kind: ElementKind,
  signed: boolean,
  elements: Elements,
  target: Uint8Array,
): boolean {
  let at = 0
  for (let i = 0; i < elements.length; i++) {
    let value = elements[i]!
    if (isCode(kind)) value = signed ? (value << 24) >> 24 : value & 255
    else if (kind === 'float16') value = inOrder16(value) & 0xffff
    else if (kind === 'int16') value = signed ? (value << 16) >> 16 : value & 0xffff
    // Negative numbers are written with 64 bits.
    let high = value < 0 ? 0xffffffff : 0
    let low = value >>> 0
    while (low > 127 || high > 0) {
      if (at >= target.length) return false
      target[at++] = (low & 127) | 128
      low = ((low >>> 7) | (high << 25)) >>> 0
      high >>>= 7
    }
    if (at >= target.length) return false
    target[at++] = low
  }
  return at === target.length
}
