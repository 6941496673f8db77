/** A walk over the fields of a protobuf message that allocates nothing but the fields, and never reads outside its bytes. */
import { ArtifactError } from './artifact-error.ts'

export type WireField = {
  readonly number: number
  /** 0 varint, 1 eight bytes, 2 bytes with a length, 5 four bytes. */
  readonly type: 0 | 1 | 2 | 5
  /** Where its value begins and ends. */
  readonly start: number
  readonly end: number
}

const damaged = (at: number, why: string): ArtifactError =>
  new ArtifactError('damaged', `Cannot read the model: ${why} at byte ${at}`)

/**
 * Fields of the message between `start` and `end`, in order.
 * @throws {ArtifactError} `damaged` from the iteration, with the byte
 */
export function* wireFields(
  bytes: Uint8Array,
  start: number,
  end: number,
): Generator<WireField, void, undefined> {
  let at = start
  while (at < end) {
    const tagAt = at
    const tagEnd = varintEnd(bytes, at, end)
    const tag = varint(bytes, at, tagEnd)
    at = tagEnd
    const number = Math.floor(tag / 8)
    const type = tag % 8
    if (number < 1 || number > 0x1fffffff) throw damaged(tagAt, `no field has the number ${number}`)
    let from = at
    if (type === 0) at = varintEnd(bytes, at, end)
    else if (type === 1) at += 8
    else if (type === 5) at += 4
    else if (type === 2) {
      from = varintEnd(bytes, at, end)
      at = from + varint(bytes, at, from)
    } else throw damaged(tagAt, `field ${number} is of the wire type ${type}, which is not taken`)
    if (at > end) throw damaged(tagAt, `field ${number} is cut off`)
    yield { number, type, start: from, end: at }
  }
}

/** The number in a varint; above 2^53 it is not exact. */
export function varint(bytes: Uint8Array, start: number, end: number): number {
  let value = 0
  for (let at = end - 1; at >= start; at--) value = value * 128 + (bytes[at]! & 0x7f)
  return value
}

/** How many varints are packed between `start` and `end`. */
export function countVarints(bytes: Uint8Array, start: number, end: number): number {
  let count = 0
  for (let at = start; at < end; at++) if (bytes[at]! < 0x80) count++
  return count
}

function varintEnd(bytes: Uint8Array, start: number, end: number): number {
  const last = Math.min(end, start + 10)
  for (let at = start; at < last; at++) if (bytes[at]! < 0x80) return at + 1
  throw damaged(start, 'a number does not end')
}
