/** Each task learns something that a person can see, and is as good from the file as it says. */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { buildNet } from '../../builders/index.ts'
import { seededRandom } from '../../builders/random.ts'
import type { Annotation, Dataset, Split } from '../../datasets/index.ts'
import { model, node, value } from '../../onnx/build.ts'
import { tensor } from '../../onnx/tensor.ts'
import { writeModel } from '../../onnx/write.ts'
import { openSession } from '../../runtime/session.ts'
import type { CanvasSpec } from '../batches/canvas.ts'
import { rawSet } from '../batches/raw-set.ts'
import { type RecipePart, recipeDefault, recipeOf } from '../run/recipe.ts'
import { train } from '../run/train.ts'
import type { TrainResult } from '../run/train-result.ts'
import { classHeadOf, withClasses } from './class-head.ts'
import { classificationTask } from './classification.ts'
import { regressionTask } from './regression.ts'
import { segmentationTask } from './segmentation.ts'
import type { Task } from './task.ts'

const side = 16
const canvas: CanvasSpec = {
  width: side,
  height: side,
  channels: 1,
  fit: 'stretch',
  order: 'rgb',
  pad: 0,
  mean: [0],
  std: [255],
}

/** A bright square somewhere in the dark, with what `say` says of it. */
function squares(
  count: number,
  labels: readonly string[],
  say: (x: number, y: number, size: number) => readonly Annotation[],
): Dataset {
  const random = seededRandom(3)
  const painted = Array.from({ length: count }, () => {
    const size = 4 + Math.floor(random() * 8)
    const [x, y] = [0, 1].map(() => Math.floor(random() * (side - size))) as [number, number]
    const data = Uint8Array.from({ length: side * side }, (_, at) => {
      const [dx, dy] = [(at % side) - x, Math.floor(at / side) - y]
      const isIn = dx >= 0 && dy >= 0 && dx < size && dy < size
      return Math.floor(random() * 60) + (isIn ? 150 : 20)
    })
    return { data, annotations: say(x, y, size) }
  })
  return rawSet({ width: side, height: side, channels: 1 }, painted, labels)
}

async function trained(
  t: TestContext,
  task: Task,
  dataset: Dataset,
  part: RecipePart,
): Promise<Extract<TrainResult, { kind: 'ended' }>> {
  const folder = await mkdtemp(join(tmpdir(), 'edgeloop-task-'))
  t.after(() => rm(folder, { recursive: true }))
  const split: Split = new Map(
    dataset.samples.map(({ digest }, at) => [digest, at % 4 === 0 ? 'test' : 'train']),
  )
  const recipe = recipeOf(recipeDefault, task.defaults, { threads: 1 }, part)
  const result = await train({
    task,
    dataset,
    split,
    recipe,
    seed: 3,
    folder,
    name: 'squares',
    code: { version: '0' },
    splitText: 'each fourth',
  })
  assert.equal(result.kind, 'ended')
  return result as Extract<TrainResult, { kind: 'ended' }>
}

test('regressionTask() learns numbers around 0 and says them in their own units', async (t) => {
  const dataset = squares(160, [], (x, _, size) => [
    { kind: 'number', name: 'kilograms', value: 1000 * size * size },
    { kind: 'number', name: 'from left', value: x },
  ])
  const net = buildNet('lenet', {
    classes: 2,
    channels: 1,
    height: side,
    width: side,
    scale: 1,
    seed: 1,
  })
  const task = regressionTask({ model: net, dataset, canvas, seed: 1, pretrained: false })
  assert.deepEqual(task.labels, ['from left', 'kilograms'])
  const result = await trained(t, task, dataset, { batch: 20, epochs: 25 })
  // Of all the spread, little is left.
  assert.ok((result.test?.r2 ?? 0) > 0.95, JSON.stringify(result.test))

  // The file that came out is trained on as it is.
  const again = regressionTask({ model: task.model, dataset, canvas, seed: 1, pretrained: true })
  assert.equal(again.model, task.model)
})

test('segmentationTask() learns which pixels belong to what is outlined', async (t) => {
  const dataset = squares(64, ['background', 'square'], (x, y, size) => {
    const [left, top, right, bottom] = [x, y, x + size, y + size].map((one) => one / side)
    const points = [
      [left!, top!],
      [right!, top!],
      [right!, bottom!],
      [left!, bottom!],
    ] as const
    return [{ kind: 'polygon', label: 'square', points }]
  })
  const net = buildNet('unet', {
    classes: 2,
    channels: 1,
    height: side,
    width: side,
    scale: 0.3,
    seed: 1,
  })
  const task = segmentationTask({ model: net, dataset, canvas, pretrained: false })
  const result = await trained(t, task, dataset, { batch: 8, epochs: 8, ema: 0.9 })
  assert.ok((result.test?.miou ?? 0) > 0.9, JSON.stringify(result.test))
})

test('a classifier that fits the data is measured before it is trained', async (t) => {
  const labels = ['left', 'right']
  const dataset = squares(48, labels, (x, _, size) => [
    { kind: 'class', label: x + size / 2 < side / 2 ? 'left' : 'right' },
  ])
  const given = buildNet('lenet', {
    classes: 2,
    channels: 1,
    height: side,
    width: side,
    scale: 0.5,
    seed: 1,
  })
  const options = { model: given, dataset, canvas, seed: 1, pretrained: true }
  const task = classificationTask({ ...options, modelLabels: labels })
  const result = await trained(t, task, dataset, { batch: 12, epochs: 1 })
  const held = dataset.samples.filter((_, at) => at % 4 === 0).map(({ digest }) => digest)
  const report = await task.evaluate(given, held, { threads: 1, rounds: 0 })
  assert.equal(result.before?.accuracy, report.figures.accuracy)
  // Other labels want another last layer, which knows nothing yet.
  const other = classificationTask({ ...options, modelLabels: ['right', 'left'] })
  assert.notEqual(other.model, given)
  assert.equal(other.before, undefined)
})

test('what cannot be learned is refused', () => {
  const net = buildNet('lenet', {
    classes: 2,
    channels: 1,
    height: side,
    width: side,
    scale: 0.5,
    seed: 1,
  })
  const task = (say: readonly Annotation[]) =>
    classificationTask({
      model: net,
      dataset: squares(8, ['a', 'b'], () => say),
      canvas,
      seed: 1,
      pretrained: false,
    })
  assert.throws(() => task([{ kind: 'class', label: 'a' }]), /all samples have the label "a"/)
  assert.throws(() => task([]), /no sample has a label/)
  const unmarked = squares(8, ['a', 'b'], () => [])
  const options = { model: net, dataset: unmarked, canvas, pretrained: false }
  assert.throws(() => segmentationTask(options), /no sample has a mask or an outline/)
  assert.throws(() => regressionTask({ ...options, seed: 1 }), /no sample has one/)
})

/** A classifier of 5 classes whose end is written in one of several ways. */
function ending(kind: 'gemm' | 'matmul' | 'conv') {
  const random = seededRandom(8)
  const weights = (name: string, dims: readonly number[]) =>
    tensor(
      name,
      dims,
      Float32Array.from({ length: dims.reduce((a, b) => a * b, 1) }, () => random() - 0.5),
    )
  const common = [node('GlobalAveragePool', ['x'], ['mean'])]
  const ends = {
    gemm: {
      nodes: [
        node('Flatten', ['mean'], ['flat']),
        node('Gemm', ['flat', 'w', 'b'], ['logits'], { transB: { int: 1 } }),
        node('Softmax', ['logits'], ['y'], { axis: { int: 1 } }),
      ],
      weights: [weights('w', [5, 3]), weights('b', [5])],
    },
    matmul: {
      nodes: [
        node('Flatten', ['mean'], ['flat']),
        node('MatMul', ['flat', 'w'], ['product']),
        node('Add', ['product', 'b'], ['y']),
      ],
      weights: [weights('w', [3, 5]), weights('b', [5])],
    },
    conv: {
      nodes: [node('Conv', ['mean', 'w', 'b'], ['map']), node('Reshape', ['map', 'shape'], ['y'])],
      weights: [
        weights('w', [5, 3, 1, 1]),
        weights('b', [5]),
        tensor('shape', [2], BigInt64Array.of(-1n, 5n)),
      ],
    },
  }[kind]
  return model({
    name: kind,
    nodes: [...common, ...ends.nodes],
    inputs: [value('x', 'float32', ['N', 3, 4, 4])],
    outputs: [value('y', 'float32', ['N', 5])],
    initializers: ends.weights,
  })
}

test('withClasses() gives a classifier another last layer, however it ends', async () => {
  for (const kind of ['gemm', 'matmul', 'conv'] as const) {
    const before = ending(kind)
    assert.deepEqual(classHeadOf(before), { logits: kind === 'gemm' ? 'logits' : 'y', classes: 5 })
    const after = withClasses(before, 8, 1)
    assert.equal(classHeadOf(after).classes, 8)
    await using session = await openSession(writeModel(after))
    const data = Float32Array.from({ length: 2 * 48 }, (_, at) => Math.sin(at))
    const { y } = await session.run({ x: { type: 'float32', dims: [2, 3, 4, 4], data } })
    assert.deepEqual(y!.dims, [2, 8], kind)
  }
  const headless = model({
    name: 'headless',
    nodes: [node('GlobalAveragePool', ['x'], ['mean']), node('Flatten', ['mean'], ['y'])],
    inputs: [value('x', 'float32', ['N', 3, 4, 4])],
    outputs: [value('y', 'float32', ['N', 3])],
  })
  assert.throws(() => withClasses(headless, 8, 1), /found GlobalAveragePool/)
})
