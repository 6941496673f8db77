/**
 * RTP packets of an access unit, as RFC 6184 wants H.264 packed (packetization mode 1: single NAL units
 * and FU-A), each behind the four bytes that RTSP puts before it on TCP (RFC 2326 10.12).
 */

/** Largest RTP payload: what fits an Ethernet frame with room for headers. */
const payloadMax = 1400
const interleavedBytes = 4
const rtpHeaderBytes = 12
const fuA = 28

export const payloadType = 96
/** Bytes from the start of an interleaved packet to its payload. */
export const headBytes = interleavedBytes + rtpHeaderBytes

/** Packets of one access unit with sequence number and time stamp left open. */
export type UnitPackets = readonly Buffer[]

/** Packs `nals`; the last packet carries the marker bit. */
export function packUnit(nals: readonly Buffer[], channel: number): UnitPackets {
  const payloads = nals.flatMap((nal) => (nal.length <= payloadMax ? [[nal]] : fragments(nal)))
  return payloads.map((parts, index) => {
    const sizeBytes = parts.reduce((sum, part) => sum + part.length, 0)
    const packet = Buffer.alloc(headBytes + sizeBytes)
    packet[0] = 0x24
    packet[1] = channel
    packet.writeUInt16BE(rtpHeaderBytes + sizeBytes, 2)
    packet[4] = 0x80
    packet[5] = payloadType | (index === payloads.length - 1 ? 0x80 : 0)
    let offset = headBytes
    for (const part of parts) offset += part.copy(packet, offset)
    return packet
  })
}

/** Fills in what is different each time the packet is sent. */
export function stampPacket(
  packet: Buffer,
  { sequence, ticks, source }: { sequence: number; ticks: number; source: number },
): void {
  packet.writeUInt16BE(sequence & 0xffff, interleavedBytes + 2)
  packet.writeUInt32BE(ticks >>> 0, interleavedBytes + 4)
  packet.writeUInt32BE(source >>> 0, interleavedBytes + 8)
}

/** FU-A (RFC 6184 5.8): indicator, header with start and end bits, a piece of the NAL unit. */
function fragments(nal: Buffer): Buffer[][] {
  const head = nal[0]!
  const pieces: Buffer[][] = []
  const piece = payloadMax - 2
  for (let from = 1; from < nal.length; from += piece) {
    const start = from === 1 ? 0x80 : 0
    const end = from + piece >= nal.length ? 0x40 : 0
    const fu = Buffer.from([(head & 0xe0) | fuA, start | end | (head & 0x1f)])
    pieces.push([fu, nal.subarray(from, from + piece)])
  }
  return pieces
}
