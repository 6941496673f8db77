/** Where frames land, the way back, and the bytes of the tensor. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { fits, type InputSpec, placeFrame, tensorWriter, toSourceBox } from './canvas.ts'

const spec: InputSpec = {
  width: 416,
  height: 416,
  channels: 'bgr',
  fit: 'letterbox-topleft',
  pad: 114,
  mean: [0, 0, 0],
  std: [1, 1, 1],
  layout: 'nchw',
  type: 'float32',
}

test('placeFrame() keeps the shape of a frame in the top left corner', () => {
  assert.deepEqual(placeFrame(spec, 640, 480), {
    width: 416,
    height: 416,
    channels: 'bgr',
    content: { left: 0, top: 0, width: 416, height: 312 },
    pad: 114,
  })
})

test('placeFrame() centres a frame on a canvas that is not square', () => {
  const wide: InputSpec = { ...spec, fit: 'letterbox-center', width: 320, height: 192 }
  assert.deepEqual(placeFrame(wide, 640, 360).content, { left: 0, top: 6, width: 320, height: 180 })
  assert.deepEqual(placeFrame(wide, 360, 640).content, {
    left: 106,
    top: 0,
    width: 108,
    height: 192,
  })
})

test('placeFrame() stretches a frame over the whole canvas', () => {
  const { content } = placeFrame({ ...spec, fit: 'stretch' }, 1920, 1080)
  assert.deepEqual(content, { left: 0, top: 0, width: 416, height: 416 })
})

test('placeFrame() leaves a pixel of the thinnest frame, and refuses a frame of none', () => {
  assert.equal(placeFrame(spec, 100_000, 1).content.height, 1)
  assert.throws(() => placeFrame(spec, 0, 100), RangeError)
})

test('toSourceBox() undoes placeFrame() for any frame and any box', () => {
  const share = fc.double({ min: 0, max: 1, noNaN: true })
  const side = fc.integer({ min: 16, max: 4096 })
  fc.assert(
    fc.property(
      fc.constantFrom(...fits),
      side,
      side,
      fc.tuple(share, share, share, share),
      (fit, width, height, [a, b, c, d]) => {
        const [left, right] = [Math.min(a, b), Math.max(a, b)]
        const [top, bottom] = [Math.min(c, d), Math.max(c, d)]
        const view = placeFrame({ ...spec, fit }, width, height)
        const { content } = view
        const x = (at: number) => content.left + at * content.width
        const y = (at: number) => content.top + at * content.height
        const box = toSourceBox(view, x(left), y(top), x(right), y(bottom))
        if (!box) return right - left < 2e-5 || bottom - top < 2e-5
        const wanted = [left, top, right - left, bottom - top]
        return box.every((value, at) => Math.abs(value - wanted[at]!) <= 2.1e-5)
      },
    ),
  )
})

test('toSourceBox() cuts at the edges of the frame and drops what lies in the padding', () => {
  const view = placeFrame(spec, 640, 480)
  assert.deepEqual(toSourceBox(view, -50, -50, 500, 500), [0, 0, 1, 1])
  assert.deepEqual(toSourceBox(view, 208, 156, Number.POSITIVE_INFINITY, 400), [0.5, 0.5, 0.5, 0.5])
  assert.equal(toSourceBox(view, 10, 320, 40, 400), undefined)
  assert.equal(toSourceBox(view, 40, 40, 10, 10), undefined)
  assert.equal(toSourceBox(view, Number.NaN, 0, 10, 10), undefined)
})

test('tensorWriter() writes planes or pixels, scaled per channel', () => {
  const small = { ...spec, width: 2, height: 1, mean: [10, 20, 30], std: [2, 4, 5] } as const
  const canvas = new Uint8Array(new SharedArrayBuffer(6))
  canvas.set([10, 24, 40, 20, 28, 35])
  const target = new Float32Array(6)
  tensorWriter(small)(canvas, target)
  assert.deepEqual([...target].map(Math.fround), [0, 5, 1, 2, 2, 1])
  tensorWriter({ ...small, layout: 'nhwc' })(canvas, target)
  assert.deepEqual([...target], [0, 1, 2, 5, 2, 1])
})

test('tensorWriter() hands bytes on as they are where mean and std say so', () => {
  const small = { ...spec, width: 2, height: 1 }
  const canvas = Uint8Array.of(1, 2, 3, 4, 5, 255)
  const target = new Float32Array(6)
  tensorWriter(small)(canvas, target)
  assert.deepEqual([...target], [1, 4, 2, 5, 3, 255])
  tensorWriter({ ...small, layout: 'nhwc' })(canvas, target)
  assert.deepEqual([...target], [...canvas])
})
