import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Box, Detection } from '@edgeloop/protocol'
import type { Track } from '../streams/tracker.ts'
import type { FrameFacts } from './facts.ts'
import { inconsistent } from './inconsistent.ts'
import { noLabels, rare } from './rare.ts'
import { entropyOf, uncertain } from './uncertain.ts'
import { type MotionMemory, noMotion, unseenMotion } from './unseen-motion.ts'

const inside: Box = [0.4, 0.4, 0.1, 0.1]
const found = (label: string, score: number, box: Box = inside): Detection => ({
  label,
  score,
  box: [...box],
})
const track = (trackId: number, facts: Partial<Track> = {}): Track => ({
  trackId,
  label: 'cup',
  score: 0.8,
  box: inside,
  startedAt: 0,
  seenAt: 0,
  frames: 9,
  ...facts,
})
const frame = (facts: Partial<FrameFacts>): FrameFacts => ({
  at: 0,
  detections: [],
  trackIds: [],
  tracks: [],
  moving: undefined,
  scoreMinOf: () => 0.4,
  ...facts,
})

test('uncertain() finds scores near the one that counts, and says both', () => {
  const near = uncertain(frame({ detections: [found('cup', 0.41), found('pen', 0.9)] }))
  assert.equal(near?.why, 'score 0.41 of "cup", threshold 0.40')
  assert.ok(near.use > 0.5)
  const doubtful = uncertain(frame({ detections: [found('cup', 0.3)] }))
  assert.ok(doubtful && doubtful.use < near.use)
  assert.equal(uncertain(frame({ detections: [found('cup', 0.9), found('cup', 0.1)] })), undefined)
})

test('uncertain() takes the threshold of each label, and more doubts for more', () => {
  const scoreMinOf = (label: string) => (label === 'pen' ? 0.8 : 0.4)
  const detections = [found('pen', 0.79), found('cup', 0.79, [0.7, 0.7, 0.1, 0.1])]
  const one = uncertain(frame({ detections, scoreMinOf }))
  assert.match(one?.why ?? '', /"pen", threshold 0.80$/)
  const more = [...detections, found('cup', 0.42, [0.1, 0.1, 0.1, 0.1])]
  const two = uncertain(frame({ detections: more, scoreMinOf }))
  assert.match(two?.why ?? '', /; 1 more in the picture$/)
  assert.ok(two && one && two.use > one.use && two.use < 1)
})

test('uncertain() finds two labels on one object by margin and entropy', () => {
  const torn = uncertain(frame({ detections: [found('cup', 0.72), found('bowl', 0.7)] }))
  assert.match(torn?.why ?? '', /^"cup" 0.72 or "bowl" 0.70: 0.02 apart, entropy 1.00 of 1$/)
  const sure = [found('cup', 0.9), found('bowl', 0.6)]
  assert.equal(uncertain(frame({ detections: sure })), undefined)
  const elsewhere = [found('cup', 0.9), found('bowl', 0.88, [0.7, 0.7, 0.1, 0.1])]
  assert.equal(uncertain(frame({ detections: elsewhere })), undefined)
  assert.equal(entropyOf([{ score: 0.5 }, { score: 0.5 }]), 1)
  assert.ok(entropyOf([{ score: 0.9 }, { score: 0.1 }]) < 0.5)
  assert.equal(entropyOf([{ score: 0.9 }]), 0)
})

test('inconsistent() tells of an object that is missed in the middle of its way, once', () => {
  const seen = inconsistent(frame({ at: 0, tracks: [track(1)] }), new Map())
  assert.equal(seen.finding, undefined)
  const missed = inconsistent(frame({ at: 200, tracks: [track(1)] }), seen.memory)
  assert.match(missed.finding?.why ?? '', /^"cup" \(track 1\) not found after 9 sightings/)
  assert.deepEqual(missed.finding?.tracks, [1])
  const again = inconsistent(frame({ at: 400, tracks: [track(1)] }), missed.memory)
  assert.equal(again.finding, undefined)
  // At the rim it has left; a young one may have been a mistake.
  for (const facts of [{ box: [0, 0.4, 0.1, 0.1] as const }, { frames: 3 }]) {
    const before = inconsistent(frame({ at: 0, tracks: [track(1, facts)] }), new Map())
    const after = inconsistent(frame({ at: 200, tracks: [track(1, facts)] }), before.memory)
    assert.equal(after.finding, undefined)
  }
})

test('inconsistent() tells of another name and of another size', () => {
  const before = inconsistent(frame({ at: 0, tracks: [track(1)] }), new Map())
  const named = inconsistent(
    frame({
      at: 200,
      tracks: [track(1, { seenAt: 200 })],
      detections: [found('bowl', 0.61)],
      trackIds: [1],
    }),
    before.memory,
  )
  assert.match(named.finding?.why ?? '', /called "bowl" at 0.61/)
  const box: Box = [0.4, 0.4, 0.15, 0.15]
  const grown = inconsistent(
    frame({ at: 200, tracks: [track(1, { seenAt: 200, box })] }),
    before.memory,
  )
  assert.match(grown.finding?.why ?? '', /changed its size 2.2 times at once/)
  const slowly = inconsistent(
    frame({ at: 900, tracks: [track(1, { seenAt: 900, box })] }),
    before.memory,
  )
  assert.equal(slowly.finding, undefined)
})

/** A place of 2×2 cells whose left upper cell is at column `x` of the 16×9 grid. */
function movingAt(...columns: number[]): FrameFacts['moving'] {
  const cells = new Uint8Array(16 * 9)
  for (const x of columns) for (const i of [0, 1, 16, 17]) cells[3 * 16 + x + i] = 1
  return { columns: 16, rows: 9, cells }
}

/** Frames every 200 ms. */
function watched(steps: readonly Partial<FrameFacts>[], from: MotionMemory = noMotion) {
  let memory = from
  return steps.map((facts, i) => {
    const looked = unseenMotion(frame({ at: i * 200, ...facts }), memory)
    memory = looked.memory
    return looked.finding
  })
}

test('unseenMotion() waits until something has moved for a while with nothing found there', () => {
  const passing = watched([1, 2, 3, 4, 5].map((x) => ({ moving: movingAt(x) })))
  assert.deepEqual(
    passing.map((finding) => finding !== undefined),
    [false, false, false, true, true],
  )
  assert.match(
    passing[3]?.why ?? '',
    /^something moved for 0.6 s on 3 % of the picture, and nothing/,
  )
  assert.deepEqual(passing[3]?.place?.slice(0, 2), [4 / 16, 3 / 9])
})

test('unseenMotion() is quiet where a detection or a track is, and where things only appear', () => {
  const box: Box = [0, 0.3, 0.6, 0.3]
  const steps = [1, 2, 3, 4, 5]
  const detections = [found('cup', 0.2, box)]
  const none = Array.from(steps, () => undefined)
  assert.deepEqual(watched(steps.map((x) => ({ moving: movingAt(x), detections }))), none)
  const tracks = [track(1, { box })]
  assert.deepEqual(watched(steps.map((x) => ({ moving: movingAt(x), tracks }))), none)
  assert.deepEqual(watched(steps.map(() => ({ moving: movingAt(3) }))), none)
})

test('unseenMotion() is quiet when the light changes, and where leaves always move', () => {
  const all = { columns: 16, rows: 9, cells: new Uint8Array(16 * 9).fill(1) }
  assert.ok(watched([1, 2, 3, 4, 5].map(() => ({ moving: all }))).every((one) => !one))
  const leaves = watched(Array.from({ length: 2_000 }, (_, i) => ({ moving: movingAt(i % 4) })))
  assert.ok(leaves.slice(0, 100).some((one) => one))
  assert.ok(leaves.slice(-100).every((one) => !one))
})

test('rare() counts objects, not frames, and knows what is looked out for', () => {
  let memory = noLabels
  for (let trackId = 1; trackId <= 60; trackId++) {
    for (let again = 0; again < 5; again++) {
      const looked = rare(frame({ tracks: [track(trackId)] }), memory, undefined)
      assert.equal(looked.finding, undefined)
      memory = looked.memory
    }
  }
  assert.deepEqual(memory.counts, { cup: 60 })
  const tracks = [track(61, { label: 'vase' })]
  const { finding } = rare(frame({ tracks }), memory, undefined)
  assert.equal(finding?.why, '"vase" is 1 of 61 objects seen here (2 %)')
  assert.equal(rare(frame({ tracks }), memory, ['cup']).finding, undefined)
  assert.match(rare(frame({ tracks }), noLabels, ['vase']).finding?.why ?? '', /looked out for/)
})
