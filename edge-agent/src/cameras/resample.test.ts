import assert from 'node:assert/strict'
import { test } from 'node:test'
import { BufferedFrame } from './buffered-frame.ts'
import type { InputView } from './camera.ts'
import { resampleOnto } from './resample.ts'

const view = (width: number, channels: 'rgb' | 'bgr'): InputView => ({
  width,
  height: 4,
  channels,
  pad: 9,
  content: { left: 0, top: 1, width, height: 2 },
})

/** Left half red, right half blue, with a little noise of which the mean is nothing. */
const pixels = Uint8Array.from({ length: 8 * 4 * 3 }, (_, i) => {
  const [x, channel] = [Math.floor(i / 3) % 8, i % 3]
  const level = (x < 4 ? channel === 0 : channel === 2) ? 200 : 20
  return level + (x % 2 === 0 ? 10 : -10)
})
const picture = { pixels, width: 8, height: 4 }

test('resampleOnto() gives each pixel the mean of what it covers, in the order of the model', () => {
  const target = new Uint8Array(2 * 4 * 3)
  resampleOnto(target, view(2, 'bgr'), picture)
  const padding = [9, 9, 9, 9, 9, 9]
  const row = [20, 20, 200, 200, 20, 20]
  assert.deepEqual([...target], [...padding, ...row, ...row, ...padding])
  // More pixels than there are.
  const wide = new Uint8Array(16 * 4 * 3)
  resampleOnto(wide, view(16, 'rgb'), picture)
  assert.deepEqual([...wide.subarray(16 * 3, 16 * 3 + 9)], [210, 30, 30, 210, 30, 30, 190, 10, 10])
})

test('a frame that was made for one model is given to another as that takes it', () => {
  const before = view(2, 'rgb')
  let wanted = { ...before }
  using frame = new BufferedFrame({
    frame: 0,
    at: 0,
    width: 8,
    height: 4,
    gate: new Uint8Array(1),
    view: before,
    content: Buffer.alloc(2 * 2 * 3, 77),
    anew: { inputFor: () => wanted, from: picture },
    jpeg: async () => new Uint8Array(),
  })
  const target = new Uint8Array(16 * 4 * 3)
  assert.equal(frame.input(target), before)
  assert.equal(target[6], 77)
  wanted = view(16, 'rgb')
  assert.equal(frame.input(target), wanted)
  assert.equal(target[16 * 3], 210)
})
