import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import sharp from 'sharp'
import { maskedPicture, maskPolygons } from '../../../test/contracts/masked-pictures.ts'
import { CameraError } from './camera.ts'
import { type OpenCameraOptions, openCamera } from './open-camera.ts'
import type { MaskPolygon } from './picture-mask.ts'

const idle = new AbortController().signal
const options: Omit<OpenCameraOptions, 'source'> = {
  pace: 'unpaced',
  loop: false,
  inputFor: () => ({
    width: 20,
    height: 20,
    channels: 'bgr',
    content: { left: 0, top: 5, width: 20, height: 10 },
    pad: 114,
  }),
  masks: [],
  jpegWidthMax: 640,
  openTimeoutMs: 5000,
  stallTimeoutMs: 5000,
  signal: idle,
}

async function folder(t: TestContext, files: Record<string, Buffer | string>): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'edgeloop-images-'))
  t.after(() => rm(path, { recursive: true }))
  for (const [name, bytes] of Object.entries(files)) await writeFile(join(path, name), bytes)
  return path
}

const image = (background: string, width = 40, height = 20) =>
  sharp({ create: { width, height, channels: 3, background } })

test('openCamera() plays a folder of images in the order of their names', async (t) => {
  const source = await folder(t, {
    'b.png': await image('#00ff00').png().toBuffer(),
    'a.jpg': await image('#ff0000').jpeg({ quality: 100 }).toBuffer(),
    'notes.txt': 'not an image',
    'c.webp': await image('#0000ff', 80, 60).webp({ lossless: true }).toBuffer(),
  })
  await using camera = await openCamera({ ...options, source, analysisFps: 4 })
  assert.deepEqual(camera.info, {
    decoder: 'sharp',
    codec: 'jpeg',
    width: 40,
    height: 20,
    fps: undefined,
  })
  const target = new Uint8Array(20 * 20 * 3)
  const seen: [number, number, number, string, string][] = []
  for await (using frame of camera.frames()) {
    frame.input(target)
    const middle = (10 * 20 + 10) * 3
    const pixel = [...target.subarray(middle, middle + 3)].map((level) => (level > 128 ? 'x' : '-'))
    seen.push([frame.frame, frame.width, frame.height, pixel.join(''), `${target.subarray(0, 3)}`])
    const jpeg = await frame.jpeg({ widthMax: 16, quality: 80 })
    assert.equal((await sharp(jpeg).metadata()).width, 16)
    assert.equal(frame.gate().length, 160 * 90)
  }
  assert.deepEqual(seen, [
    [0, 40, 20, '--x', '114,114,114'],
    [1, 40, 20, '-x-', '114,114,114'],
    [2, 80, 60, 'x--', '114,114,114'],
  ])
})

test('openCamera() shows an image as a person sees it: turned, and flat where transparent', async (t) => {
  const source = await folder(t, {
    'turned.jpg': await image('#ffffff').withMetadata({ orientation: 6 }).jpeg().toBuffer(),
    'clear.png': await sharp({
      create: {
        width: 8,
        height: 8,
        channels: 4,
        background: { r: 255, g: 255, b: 255, alpha: 0 },
      },
    })
      .png()
      .toBuffer(),
  })
  await using camera = await openCamera({ ...options, source })
  const sizes: string[] = []
  for await (using frame of camera.frames()) {
    sizes.push(`${frame.width}x${frame.height} ${frame.gate()[7000]! > 128}`)
  }
  assert.deepEqual(sizes, ['8x8 false', '20x40 true'])
})

test('openCamera() passes over a broken image and counts it', async (t) => {
  const good = await image('#ffffff').png().toBuffer()
  const source = await folder(t, {
    'a.png': 'broken',
    'b.png': good,
    'c.png': good.subarray(0, 60),
  })
  await using camera = await openCamera({ ...options, source })
  let frames = 0
  for await (using _ of camera.frames()) frames++
  assert.equal(frames, 1)
  assert.deepEqual(camera.counts, { decoded: 1, damaged: 2 })
})

test('openCamera() says that a folder holds no image', async (t) => {
  for (const files of [{}, { 'a.txt': 'hello' }, { 'a.jpg': 'hello' }]) {
    const source = await folder(t, files)
    await assert.rejects(openCamera({ ...options, source }), (error: unknown) => {
      assert.ok(error instanceof CameraError)
      assert.equal(error.fault, 'unreadable')
      return true
    })
  }
})

test('openCamera() loops a folder, with times at analysisFps, until it is aborted', async (t) => {
  const source = await folder(t, { 'a.png': await image('#ffffff').png().toBuffer() })
  const aborting = new AbortController()
  const { signal } = aborting
  await using camera = await openCamera({ ...options, source, loop: true, analysisFps: 8, signal })
  const times: number[] = []
  const reading = async () => {
    for await (using frame of camera.frames()) {
      times.push(frame.at)
      if (times.length === 4) aborting.abort(new Error('enough'))
    }
  }
  await assert.rejects(reading(), { message: 'enough' })
  assert.deepEqual(
    times.slice(1).map((at, n) => at - times[n]!),
    [125, 125, 125],
  )
})

test('openCamera() leaves no masked pixel of an image in any of its pictures', async (t) => {
  const look = async (masks: readonly MaskPolygon[], negative: boolean) => {
    const source = await folder(t, { 'a.jpg': await maskedPicture(negative) })
    const content = { left: 0, top: 0, width: 300, height: 200 }
    const inputFor = () => ({ ...options.inputFor(1, 1), width: 300, height: 200, content })
    await using camera = await openCamera({ ...options, inputFor, masks, source })
    for await (using frame of camera.frames()) {
      const input = Buffer.alloc(300 * 200 * 3)
      frame.input(input)
      const jpeg = await frame.jpeg({ widthMax: 300, quality: 90 })
      return [Buffer.from(frame.gate()), input, Buffer.from(jpeg)]
    }
    assert.fail('no frame')
  }
  const [open, openNegative] = [await look([], false), await look([], true)]
  const [hidden, hiddenNegative] = [await look(maskPolygons, false), await look(maskPolygons, true)]
  assert.ok(open.every((picture, i) => !picture.equals(openNegative[i]!)))
  assert.ok(hidden.every((picture, i) => picture.equals(hiddenNegative[i]!)))
  assert.ok(hidden.every((picture, i) => !picture.equals(open[i]!)))
})
