/** `detect` as people run it: on folders of photographs and on clips. */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import sharp from 'sharp'
import { constantDetector, put } from '../../../test/detection/tiny-models.ts'
import { material, needs } from '../../../test/require.ts'
import { openCamera } from '../cameras/open-camera.ts'
import type { Model } from '../models/model.ts'
import { openModel } from '../models/open-model.ts'
import { ortRuntime } from '../runtimes/ort.ts'
import { detectCamera, type FrameReading } from './detect-camera.ts'
import { detectImages, type ImageReading } from './detect-images.ts'

const options = { scoreMin: 0.3, nmsIou: 0.6, maxDetections: 100 }

/** Always sees one face in the right lower quarter. */
async function oneFace(folder: string): Promise<Model> {
  const bytes = constantDetector(
    { type: 'float32', shape: [1, 3, 8, 8] },
    {
      scores: { shape: [1, 1, 2], values: Float32Array.of(0.25, 0.75) },
      boxes: { shape: [1, 1, 4], values: Float32Array.of(0.5, 0.5, 1, 1) },
    },
  )
  const file = await put(folder, 'face.onnx', bytes)
  return openModel({ name: 'face', file, layout: 'ultraface' }, ortRuntime)
}

const face = { label: 'face', score: 0.75, box: [0.5, 0.5, 0.5, 0.5] }

function blank(width: number, height: number): Promise<Buffer> {
  return sharp({ create: { width, height, channels: 3, background: '#888' } })
    .jpeg()
    .toBuffer()
}

test('detectImages() answers for every image of a folder, in the order of names', async (t) => {
  const folder = await folderFor(t)
  await put(folder, 'b.jpg', await blank(30, 20))
  await put(folder, 'a.jpg', await blank(16, 16))
  await using model = await oneFace(folder)
  const results = await Array.fromAsync(detectImages({ model, images: [folder], options }))
  assert.deepEqual(results, [
    { source: 'a.jpg', width: 16, height: 16, detections: [face] },
    { source: 'b.jpg', width: 30, height: 20, detections: [face] },
  ])
})

test('detectImages() answers for the others, then names the image it could not read', async (t) => {
  const folder = await folderFor(t)
  await put(folder, 'a.jpg', 'not an image')
  await put(folder, 'b.jpg', await blank(16, 16))
  await using model = await oneFace(folder)
  const answered: ImageReading[] = []
  const all = async () => {
    for await (const result of detectImages({ model, images: [folder], options })) {
      answered.push(result)
    }
  }
  await assert.rejects(all, {
    name: 'ImageError',
    message: `Cannot read image "${join(folder, 'a.jpg')}": Input file contains unsupported image format`,
  })
  assert.deepEqual(
    answered.map(({ source }) => source),
    ['b.jpg'],
  )
  for (const name of ['c', 'd', 'e', 'f']) await put(folder, `${name}.jpg`, '')
  await assert.rejects(all, /^ImageError: 5 of 6 images have no answer: Cannot read .*; …$/)
})

test('detectImages() stops when it is told to', async (t) => {
  const folder = await folderFor(t)
  for (const name of ['a', 'b', 'c']) await put(folder, `${name}.jpg`, await blank(16, 16))
  await using model = await oneFace(folder)
  const controller = new AbortController()
  const results = detectImages({ model, images: [folder], options }, controller.signal)
  await results.next()
  controller.abort(new Error('enough'))
  await assert.rejects(results.next(), { message: 'enough' })
})

test('detectCamera() answers for every image of a folder as a camera', async (t) => {
  const folder = await folderFor(t)
  for (const name of ['a', 'b', 'c']) await put(folder, `${name}.jpg`, await blank(32, 24))
  await using model = await oneFace(await folderFor(t))
  const results = await allFrames(model, folder)
  assert.deepEqual(
    results.map(({ frame, width, height, detections }) => [frame, width, height, detections]),
    [0, 1, 2].map((frame) => [frame, 32, 24, [face]]),
  )
  for (const { source, at } of results) {
    assert.equal(source, folder)
    assert.equal(new Date(at).toISOString(), at)
  }
})

const clips = ['MP4_AVC720P_AAC', 'FLV_H264_AAC', 'MKV_VP8_VORBIS']

for (const clip of clips) {
  test(
    `detectCamera() analyses all 180 frames of ${clip} in order`,
    needs('material', 'node-av'),
    async (t) => {
      await using model = await oneFace(await folderFor(t))
      const results = await allFrames(model, `${material}/clips/framecounter_${clip}.video`)
      assert.deepEqual(
        results.map(({ frame }) => frame),
        Array.from({ length: 180 }, (_, frame) => frame),
      )
    },
  )
}

test(
  'detectCamera() looks at five frames a second unless told otherwise',
  needs('material', 'node-av'),
  async (t) => {
    await using model = await oneFace(await folderFor(t))
    const source = `${material}/clips/framecounter_MP4_AVC720P_AAC.video`
    const results = await allFrames(model, source, false)
    const seconds = results.map(({ at }) => Date.parse(at) / 1000)
    const rate = (results.length - 1) / ((seconds.at(-1) ?? 0) - (seconds[0] ?? 0))
    assert(Math.abs(rate - 5) < 0.5, `${rate} frames a second`)
  },
)

test('detectCamera() sees the cars of a real street', needs('material', 'node-av'), async () => {
  const file = `${material}/models/yolox_nano_416.onnx`
  const source = { name: 'yolox', file, layout: 'yolox', labels: 'coco' }
  await using model = await openModel(source, ortRuntime)
  const street = `${material}/clips/vehicle-counting.mp4`
  const frames = detectCamera(
    { open: openCamera, model, source: street, everyFrame: false, options },
    new AbortController().signal,
  )
  let cars = 0
  let seen = 0
  for await (const { detections = [] } of frames) {
    cars += detections.filter(({ label }) => label === 'car').length
    if (++seen === 5) break
  }
  assert(cars >= 10, `${cars} cars in ${seen} frames`)
})

async function allFrames(model: Model, source: string, everyFrame = true): Promise<FrameReading[]> {
  const signal = new AbortController().signal
  const request = { open: openCamera, model, source, everyFrame, options }
  return await Array.fromAsync(detectCamera(request, signal))
}

async function folderFor(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'edgeloop-detect-'))
  t.after(() => rm(folder, { recursive: true }))
  return folder
}
