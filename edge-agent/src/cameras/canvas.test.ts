import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { InputView } from './camera.ts'
import { canvasBytes, checkedView, paintCanvas, sizeWithin } from './canvas.ts'

const view = (
  [width, height]: [number, number],
  [left, top, contentWidth, contentHeight]: [number, number, number, number],
): InputView => ({
  width,
  height,
  channels: 'rgb',
  content: { left, top, width: contentWidth, height: contentHeight },
  pad: 9,
})

/** One digit per pixel; `stride` bytes a row, filled with 7s that must never be seen. */
function pixels(width: number, height: number, stride: number): Buffer {
  const bytes = Buffer.alloc(stride * height, 7)
  for (let y = 0; y < height; y++) bytes.fill(y + 1, y * stride, y * stride + width * 3)
  return bytes
}

function painted(of: InputView, strideExtra: number): string[] {
  const { width, height } = of.content
  const stride = width * 3 + strideExtra
  const target = new Uint8Array(new SharedArrayBuffer(canvasBytes(of) + 3)).fill(5)
  paintCanvas(target, of, pixels(width, height, stride), stride)
  assert.deepEqual([...target.subarray(-3)], [5, 5, 5], 'nothing behind the canvas is touched')
  const rows: string[] = []
  for (let y = 0; y < of.height; y++) {
    const row = target.subarray(y * of.width * 3, (y + 1) * of.width * 3)
    rows.push([...row].filter((_, index) => index % 3 === 1).join(''))
  }
  return rows
}

for (const strideExtra of [0, 5]) {
  test(`paintCanvas() pads above and below (${strideExtra} bytes between rows)`, () => {
    assert.deepEqual(painted(view([3, 4], [0, 1, 3, 2]), strideExtra), ['999', '111', '222', '999'])
  })

  test(`paintCanvas() pads on all sides (${strideExtra} bytes between rows)`, () => {
    assert.deepEqual(painted(view([4, 3], [1, 0, 2, 2]), strideExtra), ['9119', '9229', '9999'])
  })
}

test('paintCanvas() refuses a target that is too small, and says how large it must be', () => {
  assert.throws(
    () => paintCanvas(new Uint8Array(35), view([4, 3], [0, 0, 4, 3]), Buffer.alloc(36), 12),
    {
      name: 'RangeError',
      message: /4×3 takes 36 bytes, the target has 35/,
    },
  )
})

test('checkedView() refuses content that leaves the canvas', () => {
  assert.ok(checkedView(view([4, 3], [1, 1, 3, 2])))
  for (const content of [
    [2, 1, 3, 2],
    [0, 0, 0, 3],
    [-1, 0, 2, 2],
    [0, 0, 1.5, 2],
  ] as const) {
    assert.throws(() => checkedView(view([4, 3], [...content])), RangeError)
  }
})

test('sizeWithin() keeps the shape and never enlarges', () => {
  assert.deepEqual(sizeWithin(1920, 1080, 640), { width: 640, height: 360 })
  assert.deepEqual(sizeWithin(320, 240, 640), { width: 320, height: 240 })
  assert.deepEqual(sizeWithin(4000, 1, 100), { width: 100, height: 1 })
})
