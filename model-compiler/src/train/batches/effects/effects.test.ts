/** What each effect does to the bytes of a canvas. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { drawsAt } from '../draws.ts'
import { fillOutline } from '../outline.ts'
import { blur } from './blur.ts'
import { applyColour, colourMatrix } from './colour.ts'
import { cutOut, drawCutouts } from './cutout.ts'
import { compress } from './jpeg.ts'
import { addNoise } from './noise.ts'

const none = { brightness: 0, contrast: 0, saturation: 0, hue: 0 }
const noisy = (length: number, seed: number) => {
  const draws = drawsAt(seed)
  return Uint8Array.from({ length }, () => draws() * 256)
}

test('colour: nothing changes nothing, a whole turn of hue neither, and grey has no hue', () => {
  const canvas = noisy(300, 1)
  for (const amounts of [none, { ...none, hue: 1 }]) {
    const changed = canvas.slice()
    applyColour(changed, 3, colourMatrix(amounts))
    assert.deepEqual(changed, canvas)
  }
  const grey = Uint8Array.of(90, 90, 90)
  applyColour(grey, 3, colourMatrix({ ...none, hue: 0.3, saturation: -0.8 }))
  assert.deepEqual([...grey], [90, 90, 90])
  const light = Uint8Array.of(50, 100, 200)
  applyColour(light, 3, colourMatrix({ ...none, brightness: 0.5 }))
  assert.deepEqual([...light], [75, 150, 255])
  const colourless = Uint8Array.of(255, 0, 0)
  applyColour(colourless, 3, colourMatrix({ ...none, saturation: -1 }))
  assert.deepEqual([...colourless], [76, 76, 76])
  // A third of the circle makes green of red.
  const red = Uint8Array.of(200, 0, 0)
  applyColour(red, 3, colourMatrix({ ...none, hue: 1 / 3 }))
  assert.deepEqual([...red], [0, 200, 0])
  const one = Uint8Array.of(100)
  applyColour(one, 1, colourMatrix({ ...none, contrast: 0.5, saturation: 1 }))
  assert.deepEqual([...one], [86])
})

test('blur keeps what is even, and the sum of what is not', () => {
  const even = new Uint8Array(20 * 10 * 3).fill(77)
  blur(even, 20, 10, 3, 2)
  assert(even.every((byte) => byte === 77))
  const spot = new Uint8Array(31 * 31)
  spot[15 * 31 + 15] = 255
  blur(spot, 31, 31, 1, 1)
  // The middle of a bell of width 1: 1 / (2π).
  assert.equal(spot[15 * 31 + 15], 41)
  assert.equal(spot[15 * 31 + 14], spot[14 * 31 + 15])
})

test('noise has the width that was asked for, and none at the same seed twice', () => {
  const canvas = new Uint8Array(100_000).fill(128)
  addNoise(canvas, 10, 5)
  const mean = canvas.reduce((sum, byte) => sum + byte, 0) / canvas.length
  const width = Math.sqrt(canvas.reduce((sum, byte) => sum + (byte - mean) ** 2, 0) / canvas.length)
  assert(Math.abs(mean - 128) < 0.2 && Math.abs(width - 10) < 0.2, `${mean} ± ${width}`)
  const again = new Uint8Array(100_000).fill(128)
  addNoise(again, 10, 5)
  assert.deepEqual(again, canvas)
})

test('cutouts lie on the canvas and blank what they cover alone', () => {
  const shape = {
    cutoutCount: fc.integer({ min: 1, max: 5 }),
    cutoutSize: fc.double({ min: 0.01, max: 0.9, noNaN: true }),
  }
  fc.assert(
    fc.property(fc.record(shape), fc.integer(), (amounts, seed) => {
      const canvas = new Uint8Array(20 * 12 * 3).fill(1)
      const areas = drawCutouts(drawsAt(seed), amounts, { width: 20, height: 12 })
      assert(areas.length >= 1 && areas.length <= amounts.cutoutCount)
      for (const area of areas) cutOut(canvas, 60, 3, area, 9)
      for (let at = 0; at < 240; at++) {
        const [column, row] = [at % 20, Math.floor(at / 20)]
        const covered = areas.some(
          ({ x, y, width, height }) =>
            column >= x && column < x + width && row >= y && row < y + height,
        )
        assert.equal(canvas[at * 3], covered ? 9 : 1)
      }
    }),
  )
})

test('compression changes bytes a little, the less the better its quality', async () => {
  const difference = async (quality: number, channels: 1 | 3) => {
    const canvas = noisy(32 * 32 * channels, 3)
    const before = canvas.slice()
    await compress(canvas, 32, 32, channels, quality)
    return canvas.reduce((sum, byte, at) => sum + Math.abs(byte - before[at]!), 0) / canvas.length
  }
  assert((await difference(95, 1)) < (await difference(30, 1)))
  assert((await difference(30, 3)) > 1)
})

test('an outline is filled as large as it is', () => {
  const mask = new Uint8Array(100 * 100).fill(255)
  const circle = Array.from({ length: 90 }, (_, at) => {
    const angle = (at / 90) * 2 * Math.PI
    return [50 + 30 * Math.cos(angle), 50 + 30 * Math.sin(angle)] as const
  })
  fillOutline(mask, { width: 100, height: 100 }, circle, 4)
  const filled = mask.filter((index) => index === 4).length
  assert(Math.abs(filled - Math.PI * 900) < 20, `${filled}`)
  assert.equal(mask[50 * 100 + 50], 4)
  assert.equal(mask[0], 255)
})

test('draws are spread evenly, and those of neighbours have nothing to do with each other', () => {
  const counts = new Uint32Array(10)
  let product = 0
  for (let place = 0; place < 5000; place++) {
    const [one, other] = [drawsAt(1, 2, place)(), drawsAt(1, 3, place)()]
    counts[Math.floor(one * 10)]! += 1
    product += (one - 0.5) * (other - 0.5)
  }
  for (const count of counts) assert(Math.abs(count - 500) < 100, `${counts}`)
  assert(Math.abs(product / 5000) < 0.005)
})
