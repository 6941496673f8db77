import assert from 'node:assert/strict'
import { test } from 'node:test'
import { KeyRhythm } from './key-rhythm.ts'

/** A rhythm that has seen `count` key frames, one each `stepMs`, of 10 packets each; none was late. */
function seen(count: number, stepMs = 1000): KeyRhythm {
  const rhythm = new KeyRhythm()
  for (let n = 0; n < count; n++) keyAndRest(rhythm, n * stepMs)
  return rhythm
}

function keyAndRest(rhythm: KeyRhythm, stampMs: number, delayMs = 0): void {
  rhythm.key(stampMs, stampMs + delayMs)
  for (let packet = 1; packet < 10; packet++) rhythm.packet()
}

test('KeyRhythm says when the next key frame may come, once four intervals were alike', () => {
  assert.equal(seen(4).nextKeyMs, undefined)
  assert.equal(seen(5).nextKeyMs, 4850)
  const uneven = seen(5)
  keyAndRest(uneven, 5400)
  assert.equal(uneven.nextKeyMs, undefined, 'such a camera may send one at any time')
  assert.equal(uneven.intervalMs, 1400)
})

test('KeyRhythm is not misled by key frames that come late', () => {
  const rhythm = seen(5)
  keyAndRest(rhythm, 5000, 400)
  assert.equal(rhythm.nextKeyMs, 5850, 'the next one may be punctual again')
  for (let n = 6; n < 26; n++) keyAndRest(rhythm, n * 1000, 400)
  assert.equal(rhythm.nextKeyMs, 26_250, 'when all are late, that is how long the way takes')
})

test('KeyRhythm counts the packets that were left unread', () => {
  const rhythm = seen(5)
  assert.equal(rhythm.key(5000, 5000), 0)
  rhythm.leaveUnread()
  rhythm.packet()
  rhythm.packet()
  assert.equal(rhythm.key(6000, 6000), 7)
})

test('KeyRhythm gives more time when a key frame was missed, and goes on believing in its rhythm', () => {
  const rhythm = seen(5)
  rhythm.leaveUnread()
  rhythm.key(6000, 6000)
  assert.deepEqual([rhythm.intervalMs, rhythm.nextKeyMs], [1000, 6700])
  rhythm.leaveUnread()
  rhythm.key(8000, 8000)
  assert.deepEqual([rhythm.intervalMs, rhythm.nextKeyMs], [1000, 8500])
  rhythm.leaveUnread()
  rhythm.key(10_000, 10_000)
  assert.equal(
    rhythm.intervalMs,
    2000,
    'nothing can have been missed: it is the camera that is slower',
  )
  assert.equal(rhythm.nextKeyMs, undefined)
})

test('KeyRhythm takes an interval that is no multiple for a new rhythm', () => {
  const rhythm = seen(5)
  rhythm.leaveUnread()
  rhythm.key(5600, 5600)
  assert.equal(rhythm.intervalMs, 1600)
  assert.equal(rhythm.nextKeyMs, undefined)
})
