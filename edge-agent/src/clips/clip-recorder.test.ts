/** The ring and the plan, on packets that are only numbers: ten per second, a key frame each second. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ClipRecorder, type ClipWindow } from './clip-recorder.ts'
import type { CodedPacket, Coding } from './h264.ts'
import { PacketRing, type RingPacket } from './packet-ring.ts'

const coding: Coding = {
  configuration: Buffer.from([1]),
  width: 320,
  height: 180,
  packing: 'lengths',
}
const other: Coding = { ...coding, configuration: Buffer.from([2]) }

const packet = (n: number, more: Partial<CodedPacket> = {}): CodedPacket => ({
  coding,
  data: Buffer.alloc(100),
  isKey: n % 10 === 0,
  at: n * 100,
  decodeMs: n * 100,
  shownMs: n * 100,
  ...more,
})

const window: ClipWindow = { beforeMs: 1500, afterMs: 1000, lengthMaxMs: 10_000 }

/** A recorder whose clips are lists of packet numbers; `events` says when something happens. */
function record(
  packets: readonly CodedPacket[],
  events: readonly number[],
  options: Partial<ClipWindow> & { ringBytesMax?: number; packetsMax?: number } = {},
) {
  const { packetsMax = Number.POSITIVE_INFINITY, ...rest } = options
  const clips: number[][] = []
  let opened = 0
  const recorder = new ClipRecorder({
    ...window,
    ...rest,
    open: () => {
      opened++
      const taken: number[] = []
      return {
        taken,
        isFull: () => taken.length >= packetsMax,
        write: ({ at }: RingPacket) => taken.push(at / 100) > 0,
      }
    },
    close: ({ taken }) => clips.push(taken),
  })
  const waiting = [...events]
  for (const one of packets) {
    recorder.packet(one)
    while (waiting[0] !== undefined && waiting[0] <= one.at) recorder.want(waiting.shift()!)
  }
  recorder.end()
  assert.equal(clips.length, opened)
  return clips
}

const range = (from: number, through: number): number[] =>
  Array.from({ length: through - from + 1 }, (_, i) => from + i)
const packets = range(0, 299).map((n) => packet(n))

test('a clip begins with the key frame before the window and ends with the window', () => {
  assert.deepEqual(record(packets, [5000]), [range(30, 60)])
  assert.deepEqual(record(packets, [5000], { beforeMs: 0 }), [range(50, 60)])
})

test('events whose windows touch extend one clip, and later ones begin another', () => {
  assert.deepEqual(record(packets, [5000, 5600, 7900]), [range(30, 89)])
  assert.deepEqual(record(packets, [5000, 7700]), [range(30, 60), range(60, 87)])
  assert.deepEqual(record(packets, [5000, 9000]), [range(30, 60), range(70, 100)])
})

test('a clip that grows too long is followed by the next one without a gap', () => {
  const events = range(50, 140).map((n) => n * 100)
  assert.deepEqual(record(packets, events, { lengthMaxMs: 3000 }), [
    ...[range(30, 59), range(60, 89), range(90, 119), range(120, 149)],
    [150],
  ])
  // In the middle of a group of pictures: the next clip has its beginning again.
  const [first, second] = record(packets, events, { lengthMaxMs: 3500 })
  assert.deepEqual([first?.at(-1), second?.[0]], [64, 60])
  const full = record(packets, [5000], { packetsMax: 15 })
  assert.deepEqual(full, [range(30, 44), range(40, 54), range(50, 60)])
})

test('a group of pictures longer than a clip leaves a gap until its next key frame', () => {
  const slow = range(0, 299).map((n) => packet(n, { isKey: n % 100 === 0 }))
  const events = range(50, 130).map((n) => n * 100)
  const clips = record(slow, events, { lengthMaxMs: 2000 })
  assert.ok(clips.length > 0)
  for (const clip of clips) {
    assert.equal(clip[0]! % 100, 0)
    assert.ok(clip.length <= 20, `${clip}`)
  }
})

test('an event at the very beginning has what there is, and one before the first key frame waits for it', () => {
  assert.deepEqual(record(packets, [200]), [range(0, 12)])
  assert.deepEqual(record(packets.slice(4), [500]), [range(10, 15)])
  assert.deepEqual(record(packets.slice(0, 53), [5000]), [range(30, 52)], 'the camera has gone')
})

test('an event that is told late has its pictures all the same', () => {
  const clips: number[][] = []
  const recorder = new ClipRecorder({
    ...window,
    open: () => ({
      isFull: () => false,
      write: (p: RingPacket) => clips.at(-1)!.push(p.at / 100) > 0,
    }),
    close: () => {},
  })
  clips.push([])
  for (const one of packets.slice(0, 72)) recorder.packet(one)
  recorder.want(6000)
  recorder.end()
  assert.deepEqual(clips, [range(40, 70)])
})

test('a camera that codes otherwise from a packet on begins another clip there', () => {
  const changed = packets.map((one, n) => (n < 55 ? one : { ...one, coding: other }))
  assert.deepEqual(record(changed, [5000]), [range(30, 54), [60]])
})

test('the ring forgets whole groups of pictures, and what is too large for it', () => {
  const ring = new PacketRing({ keptMs: 1500, bytesMax: 2500 })
  for (const one of packets.slice(0, 36)) ring.add(one)
  assert.equal(ring.from(0)[0]?.at, 2000, 'the key frame no later than 1.5 s ago')
  assert.equal(ring.bytes, 1600)
  ring.add(packet(36, { data: Buffer.alloc(1200) }))
  assert.equal(ring.from(0)[0]?.at, 3000, 'the oldest group gave way')
  ring.add(packet(37, { data: Buffer.alloc(2000) }))
  assert.deepEqual([ring.bytes, ring.from(0).length], [0, 0], 'a group by itself too large')
  assert.equal(ring.add(packet(38)), undefined)
  assert.ok(ring.add(packet(40)))
})

test('what the ring had to forget is missing at the beginning, and nowhere else', () => {
  const fat = packets.map((one) => ({ ...one, data: Buffer.alloc(1000) }))
  assert.deepEqual(record(fat, [5500], { ringBytesMax: 12_000 }), [range(50, 65)])
})

test('decoding times go forward over jumps of the source', () => {
  const ring = new PacketRing({ keptMs: 60_000, bytesMax: 1e6 })
  const stamps = [0, 100, 200, 0, 100, 200, 5_000_000, 5_000_100]
  const steady = stamps.map((decodeMs, n) => ring.add(packet(n, { decodeMs }))?.steadyMs)
  assert.deepEqual(steady, [0, 100, 200, 300, 400, 500, 600, 700])
})
