import assert from 'node:assert/strict'
import { test } from 'node:test'
import { mergeWants, readLiveFrame } from './live-link.ts'

test('mergeWants() asks once per stream, for the most that any tile wants', () => {
  const one = { deviceId: 'a', streamId: 's', widthMax: 640, fpsMax: 2 }
  assert.deepEqual(
    mergeWants([one, { ...one, widthMax: 320, fpsMax: 5 }, { ...one, deviceId: 'b' }]),
    [
      { ...one, fpsMax: 5 },
      { ...one, deviceId: 'b' },
    ],
  )
})

test('mergeWants() stays within what one message may hold', () => {
  const wants = Array.from({ length: 80 }, (_, n) => ({
    deviceId: 'a',
    streamId: `s${n}`,
    widthMax: 640,
    fpsMax: 2,
  }))
  assert.equal(mergeWants(wants).length, 64)
})

test('readLiveFrame() gives nothing for what is no live message', () => {
  assert.equal(readLiveFrame(new Uint8Array([0, 0, 0, 9, 1])), undefined)
})
