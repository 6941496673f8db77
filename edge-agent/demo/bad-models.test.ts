/** The bad versions are bad in the way they say, and in no other. */
import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { type ModelProto, readModelFile, writeModel } from '@edgeloop/model-compiler'
import { demoModel } from '../src/demo/demo-model.ts'
import { demoLabels } from '../src/demo/parts.ts'
import { placeImage } from '../src/detect/images.ts'
import { openModel } from '../src/models/open-model.ts'
import { ortRuntime } from '../src/runtimes/ort.ts'
import { mislabelling, overlooking } from './bad-models.ts'
import { trainingFrames } from './training-frames.ts'

test('one bad model gives parts the names of others, the other one does not see them', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'edgeloop-bad-models-'))
  t.after(() => rm(folder, { recursive: true }))
  const good = await readModelFile(demoModel.file)
  const truth = await labelsSeen(folder, good)
  assert.ok(truth.length >= 10)
  const next = truth.map((label) => {
    const at = (demoLabels as readonly string[]).indexOf(label)
    return demoLabels.at(at - 1)
  })
  assert.deepEqual(await labelsSeen(folder, mislabelling(good)), next)
  assert.ok((await labelsSeen(folder, overlooking(good))).length < truth.length / 2)
  assert.deepEqual(await labelsSeen(folder, good), truth)
})

/** Labels of the parts in some frames, from left to right. */
async function labelsSeen(folder: string, model: ModelProto): Promise<string[]> {
  const file = join(folder, 'model.onnx')
  await writeFile(file, writeModel(model))
  const description = demoModel.file.replace('.onnx', '.model.yaml')
  await using opened = await openModel({ ...demoModel, file, description }, ortRuntime)
  const labels: string[] = []
  for (const { rgb } of trainingFrames(7, 4)) {
    const picture = { width: 320, height: 180, channels: 3, data: rgb } as const
    const canvas = new Uint8Array(opened.inputBytes)
    const { view } = await placeImage(picture, (w, h) => opened.inputFor(w, h), canvas)
    const options = { scoreMin: 0.5, nmsIou: 0.5, maxDetections: 100 }
    const found = await opened.detect(canvas, view, options)
    const byPlace = found.toSorted((one, other) => one.box[0]! - other.box[0]!)
    labels.push(...byPlace.map(({ label }) => label))
  }
  return labels
}
