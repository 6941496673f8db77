/** Pictures of a stream that hides something, made by real cameras and looked at by real models. */
import assert from 'node:assert/strict'
import { copyFile, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import sharp from 'sharp'
import { markedPixels, markScene } from '../../../test/privacy/marked-scene.ts'
import { material, needs } from '../../../test/require.ts'
import { cropOnto } from '../cameras/crop.ts'
import { openCamera } from '../cameras/open-camera.ts'
import type { MaskPolygon } from '../cameras/picture-mask.ts'
import { demoModel } from '../demo/demo-model.ts'
import { openInference } from '../media/inference.ts'
import type { ModelSource } from '../models/model.ts'
import { ModelError } from '../runtimes/runtime.ts'
import { makeUnreadable, wholeBlocks } from './make-unreadable.ts'
import {
  NotRedacted,
  pictureOf,
  type RedactionSettings,
  Redactor,
  redactionOf,
} from './redactor.ts'

const jpeg = { widthMax: 640, quality: 80 }

async function openFor(
  t: TestContext,
  given: Partial<RedactionSettings> & { labels: readonly string[] },
  models: readonly ModelSource[] = [demoModel],
  detectionsMax = 300,
) {
  const inference = openInference((error) => assert.fail(error))
  let opened: Redactor | undefined
  t.after(async () => {
    opened?.[Symbol.dispose]()
    await inference[Symbol.asyncDispose]()
  })
  const warnings: string[] = []
  const settings = { scoreMin: 0.05, margin: 0.15, method: 'fill', model: undefined, ...given }
  const redactor = await Redactor.open(settings as RedactionSettings, {
    model: models[0]!.name,
    masks: 0,
    monotonicMs: () => performance.now(),
    openLane: async (name, options) => {
      const source = models.find((model) => model.name === name)
      if (!source) throw new ModelError(`Cannot use model "${name}"`)
      return await inference.openLane(source, options)
    },
    warn: (text) => warnings.push(text),
    detectionsMax,
  })
  opened = redactor
  const open = async (source: string, masks: readonly MaskPolygon[] = []) =>
    await openCamera({
      source,
      masks,
      pace: 'unpaced',
      loop: false,
      jpegWidthMax: 1280,
      inputFor: (width, height) => ({
        width: 64,
        height: 36,
        channels: 'rgb',
        pad: 0,
        content: { left: 0, top: 0, width: Math.min(64, width), height: Math.min(36, height) },
      }),
      openTimeoutMs: 20_000,
      stallTimeoutMs: 5000,
      signal: t.signal,
    })
  return { inference, redactor, warnings, open }
}

test('nothing that wears the mark is on any picture, whatever its size, and the record says where it was', async (t) => {
  const { folder, labels, parts } = await markScene(t)
  const { redactor, open } = await openFor(t, { labels })
  {
    await using plain = await open(folder)
    for await (using frame of plain.frames()) {
      assert.ok((await markedPixels(await frame.jpeg(jpeg))) > 50, 'the mark would be seen')
    }
  }
  await using camera = redactor.over(await open(folder))
  let pictures = 0
  for await (using frame of camera.frames()) {
    for (const widthMax of [640, 200]) {
      const picture = await frame.jpeg({ ...jpeg, widthMax })
      assert.equal(await markedPixels(picture), 0, `picture ${pictures}, ${widthMax} pixels wide`)
      assert.equal((await sharp(picture).metadata()).width, widthMax)
      const record = redactionOf(picture, 7)
      assert.deepEqual([record.method, record.masks, record.labels], ['fill', 0, labels])
      assert.match(record.modelDigest ?? '', /^[0-9a-f]{64}$/)
      for (const [x, y, w, h] of parts[pictures] ?? []) {
        const [cx, cy] = [x + w / 2, y + h / 2]
        assert.ok(
          record.regions.some(({ box: [l = 0, u = 0, rw = 0, rh = 0] }) => {
            return cx >= l && cx <= l + rw && cy >= u && cy <= u + rh
          }),
          'the record knows of each part',
        )
      }
    }
    assert.equal(frame.gate().length, 160 * 90, 'the motion gate sees all of it')
    pictures++
  }
  assert.equal(pictures, parts.length)
  assert.deepEqual(redactionOf(new Uint8Array(3), 7), {
    masks: 7,
    method: 'none',
    labels: [],
    regions: [],
  })
})

test('where nobody can look there is no picture, and it is said once', async (t) => {
  const { folder, labels } = await markScene(t, { count: 2 })
  const { inference, redactor, warnings, open } = await openFor(t, { labels })
  await using camera = redactor.over(await open(folder))
  await inference.change(demoModel.name, undefined)
  for await (using frame of camera.frames()) {
    await assert.rejects(frame.jpeg(jpeg), NotRedacted)
    assert.equal(await pictureOf(frame, jpeg), undefined)
  }
  assert.equal(warnings.length, 1)
  // The thread that took the place of the one without the model has begun.
  await inference.describe(demoModel)
  assert.match(warnings[0] ?? '', /^A picture is left out, because nobody could look/)
})

test('more pictures than can be looked at are left out, not shown', async (t) => {
  const { folder, labels } = await markScene(t, { count: 1 })
  const { redactor, open } = await openFor(t, { labels })
  await using camera = redactor.over(await open(folder))
  for await (using frame of camera.frames()) {
    const taken = await Promise.all(Array.from({ length: 9 }, () => pictureOf(frame, jpeg)))
    const pictures = taken.filter((one) => one !== undefined)
    assert.equal(pictures.length, 4)
    for (const picture of pictures) assert.equal(await markedPixels(picture), 0)
  }
})

test('of a crowd in which a model may have left somebody out there is no picture', async (t) => {
  const { folder, labels, parts } = await markScene(t)
  const { redactor, warnings, open } = await openFor(t, { labels }, [demoModel], 1)
  await using camera = redactor.over(await open(folder))
  let looked = 0
  for await (using frame of camera.frames()) {
    await assert.rejects(frame.jpeg(jpeg), NotRedacted)
    looked++
  }
  assert.equal(looked, parts.length)
  assert.match(warnings.join(), /"conveyor" found 1 objects, the most it may name/)
})

test('a label that no model of the stream finds is refused, with the nearest that one does', async (t) => {
  const { labels } = await markScene(t, { count: 1 })
  const wrong = `${labels[0]}x`
  await assert.rejects(openFor(t, { labels: [wrong] }), (error: Error) => {
    assert.ok(error instanceof ModelError)
    assert.match(error.message, new RegExp(`^Cannot redact "${wrong}": "conveyor" cannot find it`))
    assert.match(error.message, /did you mean/)
    return true
  })
  await assert.rejects(openFor(t, { labels, model: 'faces' }), /Cannot use model "faces"/)
})

test('pixels become squares of one colour each, and no block of the JPEG keeps a part of them', () => {
  const [width, height] = [100, 60]
  const data = new Uint8Array(width * height * 3)
  for (let i = 0; i < data.length; i++) data[i] = (i * 37) & 255
  const before = data.slice()
  const region = [0.33, 0.4, 0.2, 0.3] as const
  makeUnreadable({ data, width, height, channels: 3 }, [region], 'pixelate')
  const { left, top, right, bottom } = wholeBlocks(region, { width, height })
  assert.deepEqual([left, top, right, bottom], [32, 16, 64, 48])
  const colours = new Set<string>()
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const at = (y * width + x) * 3
      const inside = x >= left && x < right && y >= top && y < bottom
      if (inside) colours.add(data.subarray(at, at + 3).join())
      else assert.deepEqual(data.subarray(at, at + 3), before.subarray(at, at + 3))
    }
  }
  assert.ok(colours.size <= 4, `${colours.size} squares`)
  makeUnreadable({ data, width, height, channels: 3 }, [[0, 0, 1, 1]], 'fill')
  assert.ok(data.every((value) => value === 0))
})

test('a face detector finds no face on the pictures of a stream that hides faces', {
  ...needs('material'),
}, async (t) => {
  const faces = { name: 'faces', file: join(material, 'models', 'ultraface_rfb_320.onnx') }
  const { inference, redactor, open } = await openFor(
    t,
    { labels: ['face'], model: 'faces', scoreMin: 0.2, method: 'pixelate' },
    [demoModel, { ...faces, layout: 'ultraface' } as ModelSource],
  )
  const options = { scoreMin: 0.6, nmsIou: 0.5, maxDetections: 100 }
  using judge = await inference.openLane({ ...faces, layout: 'ultraface' } as ModelSource, options)
  const facesOn = async (picture: Uint8Array) =>
    (await judge.detect(await cropOnto(judge, picture, [0, 0, 1, 1])))?.detections.length ?? 0
  for (const name of ['faces_1.jpg', 'faces_2.jpg', 'faces_13.jpg']) {
    const folder = await mkdtemp(join(tmpdir(), 'edgeloop-faces-'))
    t.after(() => rm(folder, { recursive: true, force: true }))
    await copyFile(join(material, 'images', name), join(folder, name))
    let [before, after] = [0, 0]
    await using plain = await open(folder)
    for await (using frame of plain.frames()) {
      before = await facesOn(await frame.jpeg({ widthMax: 960, quality: 80 }))
    }
    await using camera = redactor.over(await open(folder))
    for await (using frame of camera.frames()) {
      after = await facesOn(await frame.jpeg({ widthMax: 960, quality: 80 }))
    }
    assert.ok(before > 0, `${name} shows faces`)
    assert.equal(after, 0, `${name}: ${after} of ${before} faces are left`)
  }
})
