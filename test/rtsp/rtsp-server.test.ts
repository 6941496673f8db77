import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect } from 'node:net'
import { test } from 'node:test'
import { needs } from '../require.ts'
import { readClip, type VideoClip } from './access-units.ts'
import { makeClip } from './make-clip.ts'
import type { ClipTool } from './node-av.ts'
import { headBytes, packUnit, stampPacket } from './rtp.ts'
import { type CameraFaults, RtspServer } from './rtsp-server.ts'

const options = { width: 64, height: 48, fps: 10, seconds: 2, bframes: 2 }

for (const tool of ['node-av', 'ffmpeg'] as const satisfies readonly ClipTool[]) {
  test(
    `makeClip() and readClip() by ${tool}: every picture with its time`,
    needs(tool),
    async () => {
      const clip = await readClip(await makeClip({ ...options, tool }), tool)
      assert.deepEqual([clip.width, clip.height, clip.fps], [64, 48, 10])
      assert.equal(Math.round(clip.durationMs), 2000)
      const stamps = clip.units.map((unit) => Math.round(unit.stampMs)).sort((a, b) => a - b)
      assert.deepEqual(
        stamps,
        Array.from({ length: 20 }, (_, n) => n * 100),
      )
      assert.ok(clip.units[0]!.isKey)
      assert.ok(clip.units.every((unit) => unit.nals.length > 0))
      assert.deepEqual(
        clip.parameterSets.map((set) => set[0]! & 0x1f),
        [7, 8],
      )
    },
  )
}

test('makeClip() keeps a variable rate with either tool', needs('node-av', 'ffmpeg'), async () => {
  const stampsBy = async (tool: ClipTool) => {
    const path = await makeClip({ ...options, bframes: 0, variableRate: true, tool })
    return (await readClip(path, tool)).units.map((unit) => Math.round(unit.stampMs))
  }
  const stamps = await stampsBy('node-av')
  assert.deepEqual(stamps.slice(0, 5), [0, 100, 300, 400, 600])
  assert.deepEqual(await stampsBy('ffmpeg'), stamps)
})

test('packUnit() cuts a large NAL unit into fragments that make it whole again', () => {
  const small = Buffer.from([0x67, 1, 2, 3])
  const large = Buffer.from(Array.from({ length: 5000 }, (_, n) => (n === 0 ? 0x65 : n % 251)))
  const packets = packUnit([small, large], 2)
  for (const [n, packet] of packets.entries()) {
    stampPacket(packet, { sequence: 0xffff + n, ticks: 2 ** 32 + 7, source: 5 })
    assert.deepEqual([packet[0], packet[1]], [0x24, 2])
    assert.equal(packet.readUInt16BE(2), packet.length - 4)
    assert.equal(packet.readUInt16BE(6), (0xffff + n) % 0x10000)
    assert.equal(packet.readUInt32BE(8), 7)
    const isLast = n === packets.length - 1
    assert.equal(packet[5]! >> 7, isLast ? 1 : 0, 'only the last packet carries the marker')
  }
  const [first, ...fragments] = packets.map((packet) => packet.subarray(headBytes))
  assert.deepEqual(first, small)
  const head = (fragments[0]![0]! & 0xe0) | (fragments[0]![1]! & 0x1f)
  const whole = Buffer.concat([Buffer.from([head]), ...fragments.map((part) => part.subarray(2))])
  assert.deepEqual(whole, large)
  const edges = fragments.map((part) => part[1]! & 0xc0)
  assert.deepEqual([edges[0], edges.at(-1)], [0x80, 0x40])
  assert.ok(edges.slice(1, -1).every((edge) => edge === 0))
})

/** A clip of pictures that nobody will decode: enough to watch what is sent. */
const clip: VideoClip = {
  width: 16,
  height: 16,
  fps: 100,
  durationMs: 50,
  parameterSets: [Buffer.from([0x67, 1, 2, 3]), Buffer.from([0x68, 4])],
  units: Array.from({ length: 5 }, (_, n) => ({
    nals: [Buffer.alloc(40, n === 0 ? 0x65 : 0x41)],
    stampMs: n * 10,
    isKey: n === 0,
  })),
}

/** Plays for a while; returns the status line and the interleaved packets that came after it. */
async function play(faults: CameraFaults, forMs: number) {
  await using server = await RtspServer.open({ clip, faults, seed: 7 })
  const socket = connect(server.port, '127.0.0.1')
  const parts: Buffer[] = []
  socket.on('data', (bytes) => parts.push(bytes))
  socket.on('error', () => {})
  let isClosed = false
  socket.on('close', () => {
    isClosed = true
  })
  await once(socket, 'connect')
  socket.write(`PLAY ${server.url} RTSP/1.0\r\nCSeq: 3\r\n\r\n`)
  await new Promise((resolve) => setTimeout(resolve, forMs))
  const open = !isClosed
  socket.destroy()
  const bytes = Buffer.concat(parts)
  const status = bytes.subarray(0, bytes.indexOf('\r\n')).toString()
  const packets: Buffer[] = []
  let at = bytes.indexOf('\r\n\r\n') + 4
  while (at + 4 < bytes.length) {
    const end = at + 4 + bytes.readUInt16BE(at + 2)
    packets.push(bytes.subarray(at, end))
    at = end
  }
  return { status, packets, open }
}

test('RtspServer loops its clip for ever, with sequence numbers and times going on', async () => {
  const { status, packets } = await play({}, 400)
  assert.equal(status, 'RTSP/1.0 200 OK')
  assert.ok(packets.length > 20, `${packets.length} packets`)
  const sequences = packets.map((packet) => packet.readUInt16BE(6))
  assert.ok(
    sequences.every((sequence, n) => n === 0 || sequence === (sequences[n - 1]! + 1) % 65536),
  )
  const pictures = packets.filter((packet) => (packet[5]! & 0x80) !== 0)
  const ticks = pictures.map((packet) => packet.readUInt32BE(8))
  assert.ok(ticks.every((tick, n) => n === 0 || tick - ticks[n - 1]! === 900))
})

test('RtspServer stalls, closes, drops and asks for a password on request', async () => {
  const [stalled, closed, dropped, whole, locked] = await Promise.all([
    play({ stallAfterFrames: 2 }, 300),
    play({ closeAfterFrames: 2 }, 300),
    play({ dropShare: 0.5 }, 600),
    play({}, 600),
    play({ unauthorized: { scheme: 'digest', user: 'a', password: 'b' } }, 100),
  ])
  // Parameter sets and the key frame, then one more picture.
  assert.deepEqual([stalled.packets.length, stalled.open], [4, true])
  assert.deepEqual([closed.packets.length, closed.open], [4, false])
  assert.ok(dropped.packets.length < 0.75 * whole.packets.length)
  assert.equal(locked.status, 'RTSP/1.0 401 Unauthorized')
})
