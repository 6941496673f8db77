import assert from 'node:assert/strict'
import { test } from 'node:test'
import { flvReader } from './flv.ts'
import type { CodedPacket } from './h264.ts'

const configuration = Buffer.from(
  '0164000dffe100186764000dacd941419f9e100000030010002bf200f142996001000468efbcb0',
  'hex',
)

function tag(type: number, atMs: number, payload: Buffer): Buffer {
  const bytes = Buffer.alloc(11 + payload.length + 4)
  bytes[0] = type
  bytes.writeUIntBE(payload.length, 1, 3)
  bytes.writeUIntBE(atMs & 0xffffff, 4, 3)
  bytes[7] = Math.floor(atMs / 0x1000000)
  payload.copy(bytes, 11)
  bytes.writeUInt32BE(11 + payload.length, 11 + payload.length)
  return bytes
}
const video = (kind: number, packetType: number, delayMs: number, data: Buffer) => {
  const head = Buffer.from([(kind << 4) | 7, packetType, 0, 0, 0])
  head.writeIntBE(delayMs, 2, 3)
  return Buffer.concat([head, data])
}
const header = Buffer.from('464c5601010000000900000000', 'hex')
const stream = Buffer.concat([
  header,
  tag(18, 0, Buffer.from('metadata')),
  tag(9, 0, video(1, 0, 0, configuration)),
  tag(9, 20_000_000, video(1, 1, 66, Buffer.from('key'))),
  tag(9, 20_000_033, video(2, 1, -33, Buffer.from('other'))),
])

function read(pieces: readonly Buffer[]): { packets: CodedPacket[]; sound: boolean } {
  const packets: CodedPacket[] = []
  const reader = flvReader(
    () => 5,
    (packet) => packets.push(packet),
  )
  return { sound: pieces.map(reader).every(Boolean), packets }
}

test('flvReader() gives packets with their times, however the bytes are cut', () => {
  const expected = [
    { data: 'key', isKey: true, at: 5, decodeMs: 20_000_000, shownMs: 20_000_066 },
    { data: 'other', isKey: false, at: 5, decodeMs: 20_000_033, shownMs: 20_000_000 },
  ]
  for (const size of [1, 7, 64, stream.length]) {
    const pieces = Array.from({ length: Math.ceil(stream.length / size) }, (_, i) =>
      stream.subarray(i * size, (i + 1) * size),
    )
    const { packets, sound } = read(pieces)
    assert.ok(sound)
    const found = packets.map(({ coding: { width }, data, ...rest }) => {
      assert.equal(width, 320)
      return { data: Buffer.from(data).toString(), ...rest }
    })
    assert.deepEqual(found, expected, `in pieces of ${size}`)
  }
})

test('flvReader() gives up on what is no FLV, and keeps nothing of it', () => {
  assert.equal(read([Buffer.alloc(100)]).sound, false)
  const endless = Buffer.concat([header, Buffer.from([9, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0])])
  const { packets, sound } = read([endless, Buffer.alloc(1000)])
  assert.deepEqual([packets.length, sound], [0, false])
})

test('flvReader() leaves packets aside that come before their configuration', () => {
  const early = Buffer.concat([header, tag(9, 0, video(1, 1, 0, Buffer.from('key')))])
  assert.deepEqual(read([early]).packets, [])
})
