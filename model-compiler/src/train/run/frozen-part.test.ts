import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { normal, seededRandom } from '../../builders/random.ts'
import { model, node, value } from '../../onnx/build.ts'
import { readModelFile } from '../../onnx/model-file.ts'
import type { ModelProto } from '../../onnx/schema.ts'
import { tensor } from '../../onnx/tensor.ts'
import { writeModel } from '../../onnx/write.ts'
import { openSession } from '../../runtime/session.ts'
import { classificationTask } from '../tasks/classification.ts'
import { frozenPartOf, openFeatureBatches } from './frozen-part.ts'
import { paintedRun, trainPainted } from './painted-run.ts'
import { trainableOf } from './plan-run.ts'

const order = (folder: string, trainable: string, net = 'resnet') => ({
  folder,
  net,
  recipe: { trainable, epochs: 4, ema: 0 },
})

const weightsOf = (model: ModelProto) =>
  new Map(model.graph!.initializer.map(({ name, rawData }) => [name, Buffer.from(rawData)]))

test('what is frozen is asked once, and the two parts say what the whole says', async () => {
  for (const [trainable, net, value] of [
    ['head', 'resnet', 'features'],
    ['blocks:2', 'lenet', 'dense1.act'],
    ['blocks:3', 'mnist-cnn', 'pool1'],
  ] as const) {
    const { task, recipe, dataset } = paintedRun(order('', trainable, net))
    const part = frozenPartOf(task, recipe, trainableOf(task, recipe), 96)
    assert.ok(part, net)
    assert.equal(part.task.model.graph!.input[0]!.name, value)
    const digests = dataset.samples.slice(0, 8).map(({ digest }) => digest)
    await using batches = await openFeatureBatches(part, {
      dataset,
      digests,
      batch: 8,
      seed: 1,
      threads: 1,
    })
    const batch = await batches.batch(0)
    const settings = { batch: 8, labelSmoothing: 0, classWeights: 'none', focalGamma: 0 } as const
    const { [value]: features } = await part.task.feeds(batch, settings)
    await using rest = await openSession(writeModel(part.task.model))
    await using whole = await openSession(writeModel(task.model))
    const { output } = await rest.run({ [value]: features! })
    for (const [at, sample] of batch.samples.entries()) {
      const { data } = await dataset.picture(sample)
      const pixels = Float32Array.from(data, (one) => one / 255)
      const input = { type: 'float32', dims: [1, 1, 12, 12], data: pixels } as const
      const expected = (await whole.run({ input })).output!.data as Float32Array
      const said = (output!.data as Float32Array).subarray(at * 4, at * 4 + 4)
      for (const [k, one] of expected.entries()) assert.ok(Math.abs(one - said[k]!) < 1e-4)
    }
  }
})

test('a run of the head leaves everything else as it was, and resumes from its checkpoint', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'edgeloop-head-'))
  t.after(() => rm(folder, { recursive: true }))
  const whole = await trainPainted(order(join(folder, 'whole'), 'head'))
  assert.equal(whole.kind, 'ended')
  const pause = new AbortController()
  const broken = order(join(folder, 'broken'), 'head')
  const first = await trainPainted(broken, {
    pause: pause.signal,
    progress: ({ kind }) => void (kind === 'evaluation' && pause.abort()),
  })
  assert.equal(first.kind, 'paused')
  const second = await trainPainted(broken)
  assert.ok(whole.kind === 'ended' && second.kind === 'ended')
  assert.equal(second.digest, whole.digest)
  const before = weightsOf(paintedRun(broken).task.model)
  const after = weightsOf(await readModelFile(whole.modelFile))
  const changed = [...before].filter(([name, bytes]) => !bytes.equals(after.get(name)!))
  assert.deepEqual(changed.map(([name]) => name).sort(), ['head.bias', 'head.weight'])
})

test('a model that was exported for one picture is asked about one at a time', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'edgeloop-one-'))
  t.after(() => rm(folder, { recursive: true }))
  const random = seededRandom(2)
  const weights = (name: string, dims: readonly number[]) =>
    tensor(name, dims, normal(random, dims[0]! * dims[1]!, 0.1))
  const one = model({
    name: 'one',
    nodes: [
      node('Reshape', ['x', 'shape'], ['flat']),
      node('Gemm', ['flat', 'w1'], ['wide']),
      node('Relu', ['wide'], ['active']),
      node('Gemm', ['active', 'w2'], ['y']),
    ],
    inputs: [value('x', 'float32', [1, 1, 12, 12])],
    outputs: [value('y', 'float32', [1, 4])],
    initializers: [
      tensor('shape', [2], BigInt64Array.of(1n, 144n)),
      ...[weights('w1', [144, 32]), weights('w2', [32, 4])],
    ],
  })
  const given = paintedRun(order(folder, 'head'))
  const { dataset } = given
  const { canvas } = given.task
  const task = classificationTask({ model: one, dataset, canvas, seed: 1, pretrained: true })
  const result = await trainPainted(order(folder, 'head'), { task })
  assert.ok(result.kind === 'ended')
  assert.ok(result.test!.accuracy! > result.before!.accuracy!, JSON.stringify(result))
})

test('nothing is asked ahead where pictures change, or where everything learns', () => {
  const { task, recipe } = paintedRun(order('', 'head'))
  const trainable = trainableOf(task, recipe)
  assert.ok(frozenPartOf(task, recipe, trainable, 96))
  const moved = { ...recipe, augment: { ...recipe.augment, flip: 0.5 } }
  assert.equal(frozenPartOf(task, moved, trainable, 96), undefined)
  assert.equal(
    frozenPartOf(task, { ...recipe, trainable: 'all' }, () => true, 96),
    undefined,
  )
  // More than memory should hold.
  assert.equal(frozenPartOf(task, recipe, trainable, 1e8), undefined)
})
