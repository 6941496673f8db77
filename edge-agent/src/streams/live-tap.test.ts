import assert from 'node:assert/strict'
import { test } from 'node:test'
import { decodeLiveFrame } from '@edgeloop/protocol'
import { LiveTap } from './live-tap.ts'

const jpeg = Uint8Array.of(0xff, 0xd8, 0xff, 0xd9)
const frameAt = (at: number) => ({
  frame: 7,
  at: new Date(at).toISOString(),
  width: 640,
  height: 360,
  detections: [],
})

/** A tap with a clock to turn, and what it sent. */
function tapWithClock() {
  const clock = { now: 1_000_000 }
  const sent: { streamId: string; bytes: Uint8Array; leave: () => void }[] = []
  const tap = new LiveTap(
    'box',
    () => clock.now,
    (streamId, bytes) =>
      new Promise((resolve) => sent.push({ streamId, bytes, leave: () => resolve() })),
  )
  const request = (...streams: { streamId: string; widthMax: number; fpsMax: number }[]) =>
    tap.request({ until: new Date(clock.now + 30_000).toISOString(), streams })
  return { tap, clock, sent, request }
}

test('LiveTap.wanted() asks for no picture that nobody wants, nor after its time', () => {
  const { tap, clock, request } = tapWithClock()
  assert.equal(tap.wanted('gate', clock.now), undefined)
  request({ streamId: 'gate', widthMax: 320, fpsMax: 5 })
  assert.equal(tap.wanted('gate', clock.now)?.widthMax, 320)
  assert.equal(tap.wanted('door', clock.now), undefined)
  clock.now += 30_001
  assert.equal(tap.wanted('gate', clock.now), undefined)
})

test('LiveTap keeps to the rate that was asked, across renewed requests', async () => {
  const { tap, clock, sent, request } = tapWithClock()
  for (let i = 0; i < 50; i++) {
    if (i % 10 === 0) request({ streamId: 'gate', widthMax: 320, fpsMax: 2 })
    if (tap.wanted('gate', clock.now)) {
      tap.show('gate', frameAt(clock.now), jpeg)
      sent.at(-1)?.leave()
      await Promise.resolve()
    }
    clock.now += 200
  }
  // Ten seconds at five frames a second: every third frame is the first that is due.
  assert.equal(sent.length, 17)
  const { header } = decodeLiveFrame(sent[0]?.bytes ?? new Uint8Array())
  assert.deepEqual(header, { ...frameAt(1_000_000), deviceId: 'box', streamId: 'gate' })
})

test('LiveTap makes no picture while four have not left', async () => {
  const { tap, clock, sent, request } = tapWithClock()
  request({ streamId: 'gate', widthMax: 320, fpsMax: 30 })
  const show = () => {
    clock.now += 1000
    if (tap.wanted('gate', clock.now)) tap.show('gate', frameAt(clock.now), jpeg)
  }
  for (let i = 0; i < 10; i++) show()
  assert.equal(sent.length, 4)
  sent[0]?.leave()
  await new Promise(setImmediate)
  for (let i = 0; i < 3; i++) show()
  assert.equal(sent.length, 5)
})
