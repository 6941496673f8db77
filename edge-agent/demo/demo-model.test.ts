/** The committed detector: small, int8, and really detects on scenes it never saw, as the float form beside it does. */
import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { readModel, writeModel } from '@edgeloop/model-compiler'
import { openDataset } from '@edgeloop/model-compiler/datasets'
import { needs } from '../../test/require.ts'
import { demoModel } from '../src/demo/demo-model.ts'
import { demoLabels } from '../src/demo/parts.ts'
import { openModel } from '../src/models/open-model.ts'
import { ortRuntime } from '../src/runtimes/ort.ts'
import { demoFloatModel } from './float-model.ts'
import { measureModel } from './measure-model.ts'
import { writeTrainingFrames } from './training-frames.ts'

const sizeBytesMax = 300_000
const ap50Min = 0.9

test('demoModel and its float form are small, read as ONNX byte for byte and say labels and layout', async () => {
  for (const file of [demoModel.file, demoFloatModel.file]) {
    assert.ok((await stat(file)).size <= sizeBytesMax)
    const bytes = await readFile(file)
    assert.equal(Buffer.compare(writeModel(readModel(bytes)), bytes), 0)
    await using model = await openModel({ ...demoModel, file }, ortRuntime)
    assert.equal(model.layout, 'yolox')
    assert.deepEqual(model.labels, demoLabels)
    assert.deepEqual([model.input.type, model.input.layout], ['uint8', 'nhwc'])
  }
})

test('every convolution of demoModel computes with int8 codes', async () => {
  const { graph } = readModel(await readFile(demoModel.file))
  const nodes = graph!.node
  const makers = new Map(nodes.flatMap((node) => node.output.map((value) => [value, node])))
  const convolutions = nodes.filter(({ opType }) => opType === 'Conv')
  assert.ok(convolutions.length >= 7)
  for (const { input, name } of convolutions) {
    for (const value of input.slice(0, 2)) {
      assert.equal(makers.get(value)?.opType, 'DequantizeLinear', `${name} reads ${value}`)
    }
  }
})

test('demoModel finds the parts of unseen scenes in H.264', needs('ffmpeg'), async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'edgeloop-demo-model-'))
  t.after(() => rm(folder, { recursive: true }))
  const seeds = [1, 2]
  const measured = await measureModel({
    seeds,
    seconds: 12,
    framesPerSecond: 2.5,
    folder,
    signal: t.signal,
  })
  t.diagnostic(`seeds ${seeds}: ${JSON.stringify(measured)}`)
  assert.ok(measured.frames >= 58 && measured.truths >= 300)
  assert.ok(measured.ap50 >= ap50Min, `AP50 is ${measured.ap50}`)
})

test('writeTrainingFrames() writes a set that opens without a problem, seeds as streams', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'edgeloop-demo-frames-'))
  t.after(() => rm(folder, { recursive: true }))
  await writeTrainingFrames(folder, [7, 8], 2)
  const { samples, labels, problems } = await openDataset(folder, { format: 'coco' })
  assert.deepEqual(labels, demoLabels)
  assert.equal(problems.total, 0)
  assert.deepEqual(
    samples.map(({ width, height, stream }) => [width, height, stream]),
    ['seed-7', 'seed-7', 'seed-8', 'seed-8'].map((stream) => [320, 180, stream]),
  )
  assert.ok(samples.every(({ annotations }) => annotations.length > 0))
})
