/** What fits is opened and gives the right boxes; what does not fit is refused with a sentence. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { Detection } from '@edgeloop/protocol'
import { fits } from '@edgeloop/protocol/check'
import fc from 'fast-check'
import { constantDetector, put } from '../../../test/detection/tiny-models.ts'
import { material, needs } from '../../../test/require.ts'
import { ortRuntime } from '../runtimes/ort.ts'
import type { ModelSource } from './model.ts'
import { openModel } from './open-model.ts'

const options = { scoreMin: 0.3, nmsIou: 0.6, maxDetections: 100 }
const image = { type: 'float32', shape: [1, 3, 16, 32] } as const

/** Two classes in 4×2 cells of stride 8: one gear, a weaker copy of it, and a bolt. */
function gearAndBolt(): Float32Array {
  const data = new Float32Array(8 * 7)
  data.set([0.5, 0.5, Math.log(2), 0, 0.9, 0.1, 0.9], 5 * 7)
  data.set([0.4, 0.5, Math.log(2), 0, 0.8, 0.1, 0.9], 5 * 7 + 7)
  data.set([0, 0.5, 0, 0, 1, 0.5, 0.4], 0)
  // The copy sits one cell further right, so it is moved back by one.
  data[6 * 7] = -0.6
  return data
}

const tiny = constantDetector(image, { output: { shape: [1, 8, 7], values: gearAndBolt() } })
const tinyDescription = 'layout: yolox\nlabels: [bolt, gear]\nstrides: [8]\ninput: {fit: stretch}\n'

async function tinyModel(t: TestContext, description = tinyDescription): Promise<ModelSource> {
  const folder = await folderFor(t)
  await put(folder, 'tiny.model.yaml', description)
  return { name: 'tiny', file: await put(folder, 'tiny.onnx', tiny) }
}

test('openModel() says what the model is', async (t) => {
  const source = await tinyModel(t)
  await using model = await openModel(source, ortRuntime)
  assert.equal(model.name, 'tiny')
  assert.equal(model.layout, 'yolox')
  assert.equal(model.runtime, 'ort:cpu')
  assert.deepEqual(model.labels, ['bolt', 'gear'])
  assert.equal(model.inputBytes, 32 * 16 * 3)
  assert.deepEqual(model.input, {
    width: 32,
    height: 16,
    channels: 'bgr',
    fit: 'stretch',
    pad: 114,
    mean: [0, 0, 0],
    std: [1, 1, 1],
    layout: 'nchw',
    type: 'float32',
  })
  const digest = createHash('sha256')
    .update(await readFile(source.file))
    .digest('hex')
  assert.equal(model.digest, digest)
})

test('Model.detect() gives labels, scores and boxes as shares of the frame, best first', async (t) => {
  await using model = await openModel(await tinyModel(t), ortRuntime)
  const canvas = new Uint8Array(new SharedArrayBuffer(model.inputBytes))
  const view = model.inputFor(640, 480)
  const detections = await model.detect(canvas, view, options)
  // The gear's centre (12, 12) of 32×16, size 16×8; the bolt sticks out at the left.
  assert.deepEqual(detections, [
    { label: 'gear', score: 0.81, box: [0.125, 0.5, 0.5, 0.5] },
    { label: 'bolt', score: 0.5, box: [0, 0, 0.125, 0.5] },
  ])
})

test('Model.detect() keeps to its options', async (t) => {
  await using model = await openModel(await tinyModel(t), ortRuntime)
  const canvas = new Uint8Array(model.inputBytes)
  const view = model.inputFor(32, 16)
  const labelsWith = async (changes: object) =>
    (await model.detect(canvas, view, { ...options, ...changes })).map(({ label }) => label)
  assert.deepEqual(await labelsWith({ scoreMin: 0.6 }), ['gear'])
  assert.deepEqual(await labelsWith({ nmsIou: 0.95 }), ['gear', 'gear', 'bolt'])
  assert.deepEqual(await labelsWith({ maxDetections: 1 }), ['gear'])
  assert.deepEqual(await labelsWith({ labels: ['bolt'] }), ['bolt'])
  assert.deepEqual(await labelsWith({ labels: [] }), [])
  await assert.rejects(labelsWith({ labels: ['gaer'] }), {
    name: 'ModelError',
    message: 'Cannot look for "gaer": model "tiny" has no such label; did you mean "gear"?',
  })
})

test('Model.detect() gives what the protocol allows, whatever boxes the model gives', async (t) => {
  const wild = fc.oneof(fc.float(), fc.float({ min: -4, max: 4 }))
  const score = fc.float({ min: 0, max: 1, noNaN: true })
  const row = fc.tuple(wild, wild, wild, wild, score, score, score)
  const folder = await folderFor(t)
  await put(folder, 'm.model.yaml', tinyDescription)
  await fc.assert(
    fc.asyncProperty(fc.array(row, { minLength: 8, maxLength: 8 }), async (rows) => {
      const output = { shape: [1, 8, 7], values: Float32Array.from(rows.flat()) }
      const file = await put(folder, 'm.onnx', constantDetector(image, { output }))
      await using model = await openModel({ name: 'm', file }, ortRuntime)
      const canvas = new Uint8Array(model.inputBytes)
      const view = model.inputFor(1920, 1080)
      const detections = await model.detect(canvas, view, { ...options, scoreMin: 0 })
      for (const detection of detections) assert(fits(Detection, detection))
    }),
    { numRuns: 50 },
  )
})

test('Model.detect() refuses a canvas of another size and a second canvas at a time', async (t) => {
  await using model = await openModel(await tinyModel(t), ortRuntime)
  const view = model.inputFor(32, 16)
  await assert.rejects(model.detect(new Uint8Array(10), view, options), {
    message: 'Cannot detect: canvas has 10 bytes, expected 32×16×3 = 1536',
  })
  const canvas = new Uint8Array(model.inputBytes)
  const first = model.detect(canvas, view, options)
  await assert.rejects(model.detect(canvas, view, options), {
    message: 'Cannot detect: the model is busy with another canvas',
  })
  assert.equal((await first).length, 2)
  assert.equal((await model.detect(canvas, view, options)).length, 2)
})

test('openModel() takes every kind of input tensor', async (t) => {
  const folder = await folderFor(t)
  const output = { shape: [1, 8, 7], values: gearAndBolt() }
  const inputs = [
    { type: 'float32', shape: [1, 3, 16, 32] },
    { type: 'float32', shape: [1, 16, 32, 3] },
    { type: 'uint8', shape: [1, 16, 32, 3] },
    { type: 'uint8', shape: [1, 3, 16, 32] },
    { type: 'float32', shape: ['batch', 3, 16, 32] },
  ] as const
  for (const [index, input] of inputs.entries()) {
    const file = await put(folder, `${index}.onnx`, constantDetector(input, { output }))
    await put(folder, `${index}.model.yaml`, tinyDescription)
    await using model = await openModel({ name: 'm', file }, ortRuntime)
    const canvas = new Uint8Array(model.inputBytes)
    const detections = await model.detect(canvas, model.inputFor(32, 16), options)
    assert.equal(detections.length, 2, JSON.stringify(input))
  }
})

test('openModel() takes the size of a free input from its description', async (t) => {
  const folder = await folderFor(t)
  const input = { type: 'float32', shape: [1, 3, 'height', 'width'] } as const
  const output = { shape: [1, 8, 7], values: gearAndBolt() }
  const file = await put(folder, 'free.onnx', constantDetector(input, { output }))
  const source = { name: 'free', file, description: join(folder, 'free.yaml') }
  await put(folder, 'free.yaml', tinyDescription)
  await assert.rejects(openModel(source, ortRuntime), {
    name: 'ModelError',
    message: `Cannot use model "${file}" with layout yolox: its input "images" [1, 3, height, width] leaves the width free; say input.width in a description file`,
  })
  await put(folder, 'free.yaml', `${tinyDescription.trim().slice(0, -1)}, width: 32, height: 16}`)
  await using model = await openModel(source, ortRuntime)
  assert.equal(model.inputBytes, 32 * 16 * 3)
})

/** A change of the model that fits, and the reason it is refused for. */
const misfits: Readonly<Record<string, Misfit>> = {
  'an output that is no output of its layout': {
    outputs: { '758': { shape: [1, 85, 22, 22] } },
    reason:
      'with layout yolox: expected one output [1, 8, 5 + classes] (8 = 4×2 cells of strides 8 at 32×16), it has "758" [1, 85, 22, 22]',
  },
  'a layout that is not its own, and names that one': {
    outputs: { scores: { shape: [1, 6, 2] }, boxes: { shape: [1, 6, 4] } },
    reason:
      'with layout yolox: expected one output [1, 8, 5 + classes] (8 = 4×2 cells of strides 8 at 32×16), it has "scores" [1, 6, 2], "boxes" [1, 6, 4]; layout ultraface fits it',
  },
  'an input that is no picture': {
    input: { type: 'float32', shape: [1, 2, 28, 28] },
    reason:
      'with layout yolox: expected one input [1, 3, height, width] or [1, height, width, 3], or with 1 for a gray picture, it has "images" [1, 2, 28, 28]',
  },
  'a batch of pictures': {
    input: { type: 'float32', shape: [4, 3, 16, 32] },
    reason:
      'with layout yolox: expected one input [1, 3, height, width] or [1, height, width, 3], or with 1 for a gray picture, it has "images" [4, 3, 16, 32]',
  },
  'an input of an unknown type': {
    input: { type: 'int64', shape: [1, 3, 16, 32] },
    reason: 'with layout yolox: its input "images" is of type int64, float32 or uint8 was expected',
  },
  'an input of unreasonable size': {
    input: { type: 'float32', shape: [1, 3, 16, 100_000] },
    reason:
      'with layout yolox: its input "images" [1, 3, 16, 100000] has the width 100000, allowed 1 to 8192',
  },
  'a description that contradicts the model': {
    description: tinyDescription.replace('stretch', 'stretch, layout: nhwc'),
    reason:
      'with layout yolox: the description says input.layout nhwc, it has "images" [1, 3, 16, 32]',
  },
  'a description with another size': {
    description: tinyDescription.replace('stretch', 'stretch, width: 64'),
    reason:
      'with layout yolox: the description says input.width 64, it has "images" [1, 3, 16, 32]',
  },
  'a description with another type': {
    description: tinyDescription.replace('stretch', 'stretch, type: uint8'),
    reason: 'with layout yolox: the description says input.type uint8, it takes float32',
  },
  'arithmetic on an input that takes bytes': {
    input: { type: 'uint8', shape: [1, 16, 32, 3] },
    description: tinyDescription.replace('stretch', 'stretch, std: 255'),
    reason:
      'with layout yolox: its input takes bytes as they are; leave input.mean and input.std out',
  },
  'too few labels': {
    description: tinyDescription.replace('[bolt, gear]', '[bolt]'),
    reason: ': model has 2 classes, its description has 1',
  },
  'the labels of another model': {
    description: tinyDescription.replace('[bolt, gear]', 'coco'),
    reason: ': model has 2 classes, coco has 80',
  },
  'scores that went through no sigmoid': {
    outputs: { output: { shape: [1, 8, 7], values: new Float32Array(56).fill(-4.5) } },
    reason:
      'with layout yolox: its scores must lie within 0..1, it gave -4.50; export it with the sigmoid at its end',
  },
  'scores that are no numbers': {
    outputs: { output: { shape: [1, 8, 7], values: new Float32Array(56).fill(Number.NaN) } },
    reason:
      'with layout yolox: its scores must lie within 0..1, it gave NaN; export it with the sigmoid at its end',
  },
  'no labels': {
    description: tinyDescription.replace(/labels.*\n/, ''),
    reason:
      ': model has 2 classes and their labels were not given; add --labels FILE (one per line) or --labels coco',
  },
  'no layout': {
    description: tinyDescription.replace(/layout.*\n/, ''),
    reason:
      ': it does not say its layout; --layout yolox, yolov8, nanodet, picodet, fastestdet, ultraface, classifier, segmentation or embedding',
  },
  'no layout, and names the one that fits': {
    outputs: { scores: { shape: [1, 6, 2] }, boxes: { shape: [1, 6, 4] } },
    description: '',
    reason: ': it does not say its layout; --layout ultraface fits it',
  },
}

type Misfit = {
  readonly input?: Parameters<typeof constantDetector>[0]
  readonly outputs?: Parameters<typeof constantDetector>[1]
  readonly description?: string
  readonly reason: string
}

for (const [what, misfit] of Object.entries(misfits)) {
  test(`openModel() refuses ${what}`, async (t) => {
    const folder = await folderFor(t)
    const outputs = misfit.outputs ?? { output: { shape: [1, 8, 7] } }
    const bytes = constantDetector(misfit.input ?? image, outputs)
    const file = await put(folder, 'm.onnx', bytes)
    await put(folder, 'm.model.yaml', misfit.description ?? tinyDescription)
    const between = misfit.reason.startsWith(':') ? '' : ' '
    await assert.rejects(openModel({ name: 'm', file }, ortRuntime), {
      name: 'ModelError',
      message: `Cannot use model "${file}"${between}${misfit.reason}`,
    })
  })
}

test('openModel() says how many labels a file has too few', async (t) => {
  const source = await tinyModel(t)
  const labels = await put(await folderFor(t), 'names.txt', 'bolt\n')
  await assert.rejects(openModel({ ...source, labels }, ortRuntime), {
    message: `Cannot use model "${source.file}": model has 2 classes, labels file "${labels}" has 1`,
  })
})

test('openModel() names the nearest layout', async (t) => {
  const source = await tinyModel(t)
  await assert.rejects(openModel({ ...source, layout: 'yolx' }, ortRuntime), {
    name: 'ModelError',
    message: 'Cannot use layout "yolx": there is no such layout; did you mean "yolox"?',
  })
  await assert.rejects(openModel({ ...source, layout: 'ssd' }, ortRuntime), {
    message:
      'Cannot use layout "ssd": there is no such layout; known layouts are yolox, yolov8, nanodet, picodet, fastestdet, ultraface, classifier, segmentation, embedding',
  })
})

test('openModel() lets what was asked for override the description', async (t) => {
  const source = await tinyModel(t, tinyDescription.replace('yolox', 'nanodet'))
  const labels = await put(await folderFor(t), 'names.txt', 'screw\nwheel\n')
  await using model = await openModel({ ...source, layout: 'yolox', labels }, ortRuntime)
  assert.deepEqual(model.labels, ['screw', 'wheel'])
})

test('openModel() names the layout that fits a real model', needs('material'), async () => {
  const file = `${material}/models/fastestdet_352.onnx`
  const source = { name: 'm', file, layout: 'yolox', labels: 'coco' }
  await assert.rejects(openModel(source, ortRuntime), {
    message: `Cannot use model "${file}" with layout yolox: expected one output [1, 2541, 5 + classes] (2541 = 44×44 + 22×22 + 11×11 cells of strides 8, 16, 32 at 352×352), it has "758" [1, 85, 22, 22]; layout fastestdet fits it`,
  })
  const person = `${material}/models/light_person_detector_192.onnx`
  await assert.rejects(openModel({ ...source, file: person }, ortRuntime), {
    message: `Cannot use model "${person}": model has 1 class, coco has 80`,
  })
})

async function folderFor(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'edgeloop-model-'))
  t.after(() => rm(folder, { recursive: true }))
  return folder
}
