import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createScene } from '../demo/scene.ts'
import { cosineDistance, hashDistance, looksLength } from '../sampling/looks.ts'
import { looksOfImage } from './image-looks.ts'

test('a picture looks like itself at another size, like its neighbour nearly, like another scene not', async () => {
  const { default: sharp } = await import('sharp')
  const scene = createScene({ seed: 3, seconds: 10 })
  const { width, height } = scene
  const draw = (frame: number) => {
    const data = new Uint8Array(width * height * 3)
    scene.render(frame, data)
    return { width, height, channels: 3 as const, data }
  }
  const one = draw(10)
  const half = { width: width >> 1, height: height >> 1 }
  const smaller = await sharp(one.data, { raw: one })
    .resize(half.width, half.height)
    .raw()
    .toBuffer()
  const looks = await looksOfImage(one)
  assert.equal(looks.embedding.length, looksLength)
  const scaled = await looksOfImage({ ...half, channels: 3, data: smaller })
  assert.ok(hashDistance(looks.hash, scaled.hash) <= 6)
  assert.ok(cosineDistance(looks.embedding, scaled.embedding) < 0.05)
  const inverted = { ...one, data: one.data.map((value) => 255 - value) }
  const other = await looksOfImage(inverted)
  assert.ok(hashDistance(looks.hash, other.hash) > 16)
  assert.ok(cosineDistance(looks.embedding, other.embedding) > 0.2)
  // Grey pictures have looks too.
  const grey = await looksOfImage({ width: 16, height: 9, channels: 1, data: new Uint8Array(144) })
  assert.match(grey.hash, /^[0-9a-f]{16}$/)
})
