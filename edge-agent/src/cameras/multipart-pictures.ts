/**
 * Cuts `multipart/x-mixed-replace` into pictures, as cameras really send it: boundaries with or without
 * their dashes, with and without Content-Length, with lengths that lie. Pure; what it holds is bounded.
 */

/** Longest heading of a part that is read. */
const headMaxBytes = 8 << 10

export type MultipartPictures = {
  /**
   * Takes the next bytes and hands on each picture they complete, in memory of its own.
   * @throws {RangeError} when a part is larger than `partMaxBytes`, or has no end to its heading
   */
  push(bytes: Uint8Array): void
}

/**
 * @param contentType the answer's, which names the boundary
 * @param partMaxBytes a larger part is refused before it is held
 * @returns undefined where the type is no multipart, or names no boundary
 */
export function multipartPictures(
  contentType: string,
  partMaxBytes: number,
  take: (picture: Uint8Array) => void,
): MultipartPictures | undefined {
  const boundary = boundaryOf(contentType)
  if (boundary === undefined) return undefined
  // RFC 2046 5.1.1 puts two dashes before the boundary; some cameras name it with them already.
  const delimiter = Buffer.from(`--${boundary.replace(/^--/, '')}`)
  let held: Buffer = Buffer.alloc(0)
  let state: 'delimiter' | 'head' | 'body' = 'delimiter'
  let length: number | undefined
  /** Where the search for the delimiter goes on: bytes are looked at once. */
  let searched = 0

  /** Goes on by one step; false where more bytes are needed. */
  const step = (): boolean => {
    if (state === 'delimiter') {
      const at = held.indexOf(delimiter)
      if (at < 0) {
        held = held.subarray(Math.max(0, held.length - delimiter.length))
        return false
      }
      held = held.subarray(at + delimiter.length)
      state = 'head'
      return true
    }
    if (state === 'head') {
      const end = endOfHead(held)
      if (end === undefined) {
        if (held.length <= headMaxBytes) return false
        throw new RangeError(`a part's heading is longer than ${headMaxBytes} bytes`)
      }
      length = lengthIn(held.toString('latin1', 0, end))
      if (length !== undefined && length > partMaxBytes) throw tooLarge(length)
      held = held.subarray(end)
      state = 'body'
      searched = 0
      return true
    }
    const size = length !== undefined && (isJpeg(length) || isEnd(length)) ? length : undefined
    if (size === undefined && length !== undefined && held.length < length + delimiter.length + 4) {
      return false
    }
    const end = size ?? held.indexOf(delimiter, searched)
    if (end < 0) {
      if (held.length > partMaxBytes + delimiter.length) throw tooLarge(held.length)
      searched = Math.max(0, held.length - delimiter.length)
      return false
    }
    const picture = size ?? beforeLineEnd(held, end)
    if (picture > partMaxBytes) throw tooLarge(picture)
    if (picture > 0) take(Uint8Array.from(held.subarray(0, picture)))
    held = held.subarray(end)
    state = 'delimiter'
    return true
  }

  /** A length is believed at once where a JPEG ends there: the delimiter may come a picture later. */
  const isJpeg = (at: number): boolean =>
    at >= 4 &&
    held.length >= at &&
    held[0] === 0xff &&
    held[at - 2] === 0xff &&
    held[at - 1] === 0xd9

  /** Else where the delimiter follows it, behind at most two line ends. */
  const isEnd = (at: number): boolean => {
    const found = held.indexOf(delimiter, at)
    return (
      found >= at && /^(\r?\n){0,2}$/.test(held.toString('latin1', at, Math.min(found, at + 5)))
    )
  }

  /** Where `held` lies, with room behind it: bytes are copied a few times at most, not with each push. */
  let room: Buffer = Buffer.alloc(0)
  const hold = (bytes: Uint8Array): void => {
    const from = held.byteOffset - room.byteOffset
    const size = held.length + bytes.length
    if (held.length === 0 || from + size > room.length) {
      const next = size * 2 > room.length ? Buffer.allocUnsafeSlow(size * 2) : room
      held.copy(next, 0)
      room = next
      room.set(bytes, held.length)
      held = room.subarray(0, size)
      return
    }
    room.set(bytes, from + held.length)
    held = room.subarray(from, from + size)
  }
  return {
    push: (bytes) => {
      hold(bytes)
      if (state === 'body' && held.length < (length ?? 0)) return
      while (step());
    },
  }
}

function boundaryOf(contentType: string): string | undefined {
  if (!/^\s*multipart\//i.test(contentType)) return undefined
  const [, quoted, bare] = /;\s*boundary\s*=\s*(?:"([^"]+)"|([^;\s]+))/i.exec(contentType) ?? []
  return quoted ?? bare
}

/** Where the body begins: behind the first empty line, whichever way lines end. */
function endOfHead(held: Buffer): number | undefined {
  const whole = held.subarray(0, headMaxBytes)
  const ends = ['\r\n\r\n', '\n\n'].flatMap((end) => {
    const at = whole.indexOf(end)
    return at < 0 ? [] : [at + end.length]
  })
  return ends.length === 0 ? undefined : Math.min(...ends)
}

function lengthIn(head: string): number | undefined {
  const digits = /^content-length:\s*(\d{1,15})\s*$/im.exec(head)?.[1]
  return digits === undefined ? undefined : Number(digits)
}

function beforeLineEnd(held: Buffer, end: number): number {
  if (end > 0 && held[end - 1] === 0x0a) return held[end - 2] === 0x0d ? end - 2 : end - 1
  return end
}

const tooLarge = (sizeBytes: number): RangeError =>
  new RangeError(`a picture of ${sizeBytes} bytes is larger than it may be`)
