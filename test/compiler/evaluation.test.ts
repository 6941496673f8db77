/** Evaluation as `model compile` does it: on models whose answers are known beforehand, and on real ones. */
import assert from 'node:assert/strict'
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { node, value } from '@edgeloop/model-compiler'
import sharp from 'sharp'
import { Canvases } from '../../cli/src/model/canvases.ts'
import { imageSamples } from '../../cli/src/model/image-samples.ts'
import { ImageSet, type Truths } from '../../cli/src/model/image-set.ts'
import { describe, Evaluator } from '../../cli/src/model/task-evaluation.ts'
import { openModel } from '../../edge-agent/src/models/open-model.ts'
import { ortRuntime } from '../../edge-agent/src/runtimes/ort.ts'
import { channelMeans, constantDetector, modelBytes, put } from '../detection/tiny-models.ts'
import { material, needs } from '../require.ts'

const colours = { red: '#f00000', green: '#00f000', blue: '#0000f0' } as const

async function folderFor(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'edgeloop-evaluation-'))
  t.after(() => rm(folder, { recursive: true }))
  return folder
}

const picture = (background: string, side = 16) =>
  sharp({ create: { width: side, height: side, channels: 3, background } })
    .png()
    .toBuffer()

/** An evaluator of a model on a folder of images. */
async function evaluatorFor(
  t: TestContext,
  source: { bytes: Uint8Array; layout: string; labels?: readonly string[] },
  set: ImageSet,
  truthsOf: (labels: readonly string[]) => Promise<Truths> | Truths,
) {
  const folder = await folderFor(t)
  const { bytes, layout, labels } = source
  const file = await put(folder, 'original.onnx', bytes)
  const given = { ...(labels && { labels: [...labels] }), layout, input: { mean: 0, std: 1 } }
  await put(folder, 'original.model.json', JSON.stringify(given))
  await using model = await openModel({ name: 'original', file }, ortRuntime)
  const canvases = new Canvases(model, set.images)
  const truths = await truthsOf(model.labels)
  return new Evaluator({ description: describe(model, given), canvases, truths, folder })
}

async function colourFolder(t: TestContext): Promise<ImageSet> {
  const folder = await folderFor(t)
  for (const [name, background] of Object.entries(colours)) {
    await mkdir(join(folder, name))
    await put(join(folder, name), 'a.png', await picture(background))
  }
  // A red picture among the blue ones.
  await put(join(folder, 'blue'), 'b.png', await picture(colours.red))
  return await ImageSet.open(folder)
}

const labels = Object.keys(colours)
/** Gives blue for red: what a candidate that went wrong looks like. */
const reversed = (side: number) =>
  modelBytes({
    nodes: [
      node('GlobalAveragePool', ['images'], ['means']),
      node('Split', ['means'], ['r', 'g', 'b'], { axis: { int: 1 } }),
      node('Concat', ['b', 'g', 'r'], ['output'], { axis: { int: 1 } }),
    ],
    inputs: [value('images', 'float32', [1, 3, side, side])],
    outputs: [value('output', 'float32', [1, 3, 1, 1])],
  })

test('a classifier is right as often as the folders of its images say', async (t) => {
  const set = await colourFolder(t)
  const source = { bytes: channelMeans(16), layout: 'classifier', labels }
  const evaluator = await evaluatorFor(t, source, set, (known) => set.classes(known))
  assert.deepEqual(await evaluator.evaluate(source.bytes), {
    metric: 'top1',
    value: 0.75,
    others: { top5: 1 },
  })
  // Only green is still green, and the red picture among the blue ones is called blue.
  const { value: wrong } = await evaluator.evaluate(reversed(16))
  assert.equal(wrong, 0.5)
})

test('without labels it is the original that is agreed with', async (t) => {
  const set = await colourFolder(t)
  const none = (): Truths => ({ kind: 'none' })
  const source = { bytes: channelMeans(16), layout: 'classifier', labels }
  const classes = await evaluatorFor(t, source, set, none)
  assert.deepEqual(await classes.evaluate(source.bytes), { metric: 'agreement', value: 1 })
  assert.equal((await classes.evaluate(reversed(16))).value, 0.25)

  const vectors = await evaluatorFor(t, { bytes: source.bytes, layout: 'embedding' }, set, none)
  const same = await vectors.evaluate(source.bytes)
  assert(same.metric === 'cosine' && same.value > 0.9999)
  const { value: angle } = await vectors.evaluate(reversed(16))
  assert(Math.abs(angle - 0.25) < 1e-4, `${angle}`)

  const face = (score: number, right: number) =>
    constantDetector(
      { type: 'float32', shape: [1, 3, 8, 8] },
      {
        scores: { shape: [1, 1, 2], values: Float32Array.of(1 - score, score) },
        boxes: { shape: [1, 1, 4], values: Float32Array.of(0, 0, right, 1) },
      },
    )
  const boxes = await evaluatorFor(t, { bytes: face(0.9, 1), layout: 'ultraface' }, set, none)
  assert.deepEqual(await boxes.evaluate(face(0.9, 1)), { metric: 'f1', value: 1 })
  assert.equal((await boxes.evaluate(face(0.8, 0.6))).value, 1)
  assert.equal((await boxes.evaluate(face(0.8, 0.4))).value, 0)
  // Nobody would be told of a face this unlikely.
  assert.equal((await boxes.evaluate(face(0.2, 1))).value, 0)
})

test('a segmentation is compared with masks, pixel by pixel', async (t) => {
  const folder = await folderFor(t)
  await mkdir(join(folder, 'images'))
  await mkdir(join(folder, 'masks'))
  await put(join(folder, 'images'), 'a.png', await picture(colours.green))
  const half = await sharp({ create: { width: 8, height: 16, channels: 3, background: '#010101' } })
    .extend({ right: 8, background: '#020202' })
    .toColourspace('b-w')
    .png()
    .toBuffer()
  await put(join(folder, 'masks'), 'a.png', half)
  const set = await ImageSet.open(folder)
  /** Scores of a pixel are its colours. */
  const same = modelBytes({
    nodes: [node('Identity', ['images'], ['output'])],
    inputs: [value('images', 'float32', [1, 3, 16, 16])],
    outputs: [value('output', 'float32', [1, 3, 16, 16])],
  })
  const source = { bytes: same, layout: 'segmentation', labels }
  const evaluator = await evaluatorFor(t, source, set, () => set.masks())
  // Green is 1 everywhere: half of it is right, and class 2 is never said.
  assert.deepEqual(await evaluator.evaluate(same), { metric: 'miou', value: 0.25 })
  await put(join(folder, 'masks'), 'a.png', await picture('#010203'))
  await assert.rejects(evaluator.evaluate(same), /Cannot read mask .* it has colours/)
})

test('images become samples as the agent feeds them, and a thumbnail is refused', async (t) => {
  const set = await colourFolder(t)
  const folder = await folderFor(t)
  const file = await put(folder, 'm.onnx', channelMeans(16))
  await put(folder, 'm.model.json', JSON.stringify({ layout: 'embedding' }))
  await using model = await openModel({ name: 'm', file }, ortRuntime)
  const samples = imageSamples(model, new Canvases(model, set.images))
  assert.equal(samples.count, 4)
  const all = await Array.fromAsync(samples.read())
  assert.deepEqual(await Array.fromAsync(samples.read()), all)
  const [blue] = all.map((sample) => sample.images)
  assert.deepEqual(blue?.dims, [1, 3, 16, 16])
  // The embedding's preset is blue, green, red.
  assert.deepEqual([blue?.data[0], blue?.data[256], blue?.data[512]], [240, 0, 0])
  const small = await put(folder, 'small.png', await picture(colours.red, 4))
  const one = imageSamples(model, new Canvases(model, [{ name: 'small.png', file: small }]))
  await assert.rejects(Array.fromAsync(one.read()), /it is 4×4 pixels, at least 8×8 are needed/)
})

test('a real detector reaches its AP50 on labelled photographs', needs('material'), async (t) => {
  const name = 'light_person_detector_192'
  const set = await ImageSet.open(`${material}/datasets/coco128`)
  const folder = await folderFor(t)
  const file = `${material}/models/${name}.onnx`
  const people = await put(folder, 'labels.txt', 'person')
  await using model = await openModel({ name, file, layout: 'yolox', labels: people }, ortRuntime)
  const canvases = new Canvases(model, set.images)
  const truths = await set.boxes(model.labels)
  const evaluator = new Evaluator({ description: describe(model, {}), canvases, truths, folder })
  const { metric, value: ap50, others } = await evaluator.evaluate(await readFile(file))
  assert.equal(metric, 'ap50')
  assert(Math.abs(ap50 - 0.441) < 0.01, `${ap50}`)
  assert(Math.abs((others?.ap50to95 ?? 0) - 0.262) < 0.01)
})
