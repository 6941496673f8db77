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

test('KeyRhythm reads all for four intervals when a key frame was missed, and then gives more time', () => {
  const rhythm = seen(5)
  rhythm.leaveUnread()
  keyAndRest(rhythm, 6000)
  assert.equal(rhythm.intervalMs, 1000, 'the camera is not believed to be slower')
  for (const stampMs of [7000, 8000, 9000]) {
    assert.equal(rhythm.nextKeyMs, undefined)
    keyAndRest(rhythm, stampMs)
  }
  keyAndRest(rhythm, 10_000)
  assert.equal(rhythm.nextKeyMs, 10_700)
  for (const missed of [12_000, 18_000]) {
    rhythm.leaveUnread()
    for (let n = 0; n < 5; n++) keyAndRest(rhythm, missed + n * 1000)
  }
  assert.equal(rhythm.nextKeyMs, 22_500, 'half an interval at most')
})

test('KeyRhythm sees that a camera has become slower', () => {
  const rhythm = seen(5)
  rhythm.leaveUnread()
  for (const stampMs of [6000, 8000, 10_000]) keyAndRest(rhythm, stampMs)
  assert.equal(rhythm.intervalMs, 2000)
  for (const stampMs of [12_000, 14_000]) keyAndRest(rhythm, stampMs)
  assert.equal(rhythm.nextKeyMs, 15_700)
})
