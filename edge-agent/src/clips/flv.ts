/**
 * What ffmpeg writes when it copies H.264 into FLV (Adobe Flash Video File Format 10.1, annex E): a tag
 * per packet, sent as soon as the packet is there, which no other container of ffmpeg's does as simply.
 */
import { type CodedPacket, type Coding, codingOf } from './h264.ts'

const headerBytes = 9
const tagBytes = 11
const videoTag = 9
/** Of a video tag's payload: H.264 (7), with the kind of frame in the upper half. */
const avc = 7
const keyFrame = 1
/** Largest tag that is kept; a larger one cannot be a picture of a camera, and is the end of it. */
const tagBytesMax = 16 * 1024 * 1024

/**
 * Cuts the bytes of a pipe into packets.
 * @param now ms since the epoch
 * @param take told each packet
 * @returns a function that takes bytes as they come; it gives false once they make no sense
 */
export function flvReader(
  now: () => number,
  take: (packet: CodedPacket) => void,
): (bytes: Buffer) => boolean {
  let parts: Buffer[] = []
  let held = 0
  /** Bytes that must be there before there is something to read. */
  let needed = headerBytes + 4
  let isOpened = false
  let isBroken = false
  let coding: Coding | undefined

  function read(tag: Buffer): void {
    const type = tag[0]! & 0x1f
    const size = tag.readUIntBE(1, 3)
    if (type !== videoTag || size < 5) return
    const kind = tag[tagBytes]!
    if ((kind & 0x0f) !== avc) return
    const payload = tag.subarray(tagBytes + 5, tagBytes + size)
    const packetType = tag[tagBytes + 1]
    if (packetType === 0) coding = codingOf(Buffer.from(payload))
    if (packetType !== 1 || coding === undefined) return
    const decodeMs = tag.readUIntBE(4, 3) + tag[7]! * 0x1000000
    const shownMs = decodeMs + tag.readIntBE(tagBytes + 2, 3)
    // A copy: what came in one piece may hold many packets, of which few are kept.
    const data = Buffer.from(payload)
    take({ coding, data, isKey: kind >> 4 === keyFrame, at: now(), decodeMs, shownMs })
  }

  return (bytes) => {
    if (isBroken) return false
    parts.push(bytes)
    held += bytes.length
    while (held >= needed) {
      const whole = parts.length === 1 ? parts[0]! : Buffer.concat(parts)
      parts = [whole]
      if (!isOpened) {
        isOpened = true
        isBroken = whole.toString('latin1', 0, 3) !== 'FLV'
        parts = [whole.subarray(headerBytes + 4)]
        held -= headerBytes + 4
        needed = tagBytes
      } else if (needed === tagBytes) {
        // The payload, and the size of the tag once more.
        needed = tagBytes + whole.readUIntBE(1, 3) + 4
        isBroken = needed > tagBytesMax
      } else {
        read(whole.subarray(0, needed))
        parts = [whole.subarray(needed)]
        held -= needed
        needed = tagBytes
      }
      if (isBroken) {
        parts = []
        return false
      }
    }
    return true
  }
}
