/** The reference trainer in PyTorch, by the contract, on the processor: it learns, can be paused, and what it leaves fits. */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { model, node, tensor, value } from '@edgeloop/model-compiler'
import { openDataset, splitDataset } from '@edgeloop/model-compiler/datasets'
import {
  type CanvasSpec,
  recipeDefault,
  recipeOf,
  type TrainProgress,
} from '@edgeloop/model-compiler/train'
import { Graph } from '../../model-compiler/src/graph/graph.ts'
import { openSession } from '../../model-compiler/src/runtime/session.ts'
import { trainExternally } from '../../model-compiler/src/train/external/train-externally.ts'
import { needs } from '../require.ts'
import { writeStripes } from './stripes.ts'

const script = fileURLToPath(new URL('../../model-compiler/external/train.py', import.meta.url))

/** What the trainer has to fit; it trains a net of its own. */
const wanted = model({
  name: 'wanted',
  inputs: [value('x', 'float32', ['n', 1, 12, 12])],
  outputs: [value('y', 'float32', ['n', 2])],
  initializers: [tensor('w', [144, 2], new Float32Array(288))],
  nodes: [node('Flatten', ['x'], ['flat']), node('MatMul', ['flat', 'w'], ['y'])],
})

async function folderFor(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'edgeloop-reference-'))
  t.after(() => rm(folder, { recursive: true }))
  return folder
}

test(
  'PyTorch learns stripes, is paused on the way, and its model is taken',
  needs('torch', 'time'),
  async (t) => {
    const source = await folderFor(t)
    await writeStripes(source, 200, 5)
    const dataset = await openDataset(source)
    const split = splitDataset(dataset, { holdout: 0.2, validation: 0.2, seed: 1 })
    const folder = await folderFor(t)
    const words: TrainProgress[] = []
    const pause = new AbortController()
    const options = {
      task: {
        name: 'classification' as const,
        model: wanted,
        labels: dataset.labels,
        canvas: {
          width: 12,
          height: 12,
          channels: 1 as const,
          fit: 'stretch' as const,
          pad: 0,
          order: 'rgb' as const,
          mean: [0],
          std: [255],
        },
      },
      dataset,
      split,
      folder,
      seed: 2,
      // So many that it has not ended when somebody looks, however slow the machine.
      recipe: recipeOf(recipeDefault, { epochs: 60, batch: 16 }),
      lookEveryMs: 20,
      command: ['/usr/bin/python3', script],
      progress: (word: TrainProgress) => {
        words.push(word)
        if (word.kind === 'evaluation') pause.abort()
      },
    }
    // Not compared by assert.equal(), which would write a whole model down to say where it differs.
    assert((await trainExternally({ ...options, pause: pause.signal })) === 'paused')
    const before = words.findLast((word) => word.kind === 'paused')!.step
    assert(before > 0)
    const accepted = await trainExternally(options)
    assert(accepted !== 'paused')
    assert.match(accepted.result.trainer, /^pytorch /)
    assert.equal(accepted.result.steps, 480)
    const operators = new Graph(accepted.model).nodes.map(({ opType }) => opType)
    assert(operators.includes('BatchNormalization'), 'it can be trained on')
    // What it says of itself is not asked: the samples of the test, which it never had, are.
    await using session = await openSession(accepted.bytes)
    const test = dataset.samples.filter(({ digest }) => split.get(digest) === 'test')
    let right = 0
    for (const sample of test) {
      const { data } = await dataset.picture(sample)
      const grey = data.length === 144 ? data : data.filter((_, at) => at % 3 === 0)
      const x = {
        type: 'float32',
        dims: [1, 1, 12, 12],
        data: Float32Array.from(grey, (byte) => byte / 255),
      } as const
      const [first = 0, second = 0] = (await session.run({ x })).y!.data as Float32Array
      const said = dataset.labels[first > second ? 0 : 1]
      if (sample.annotations.some((one) => one.kind === 'class' && one.label === said)) right++
    }
    assert(right / test.length > 0.9, `${right} of ${test.length}`)
  },
)

test('what it cannot do it refuses, with the reason', needs('torch', 'time'), async (t) => {
  const source = await folderFor(t)
  await writeStripes(source, 20, 5)
  const dataset = await openDataset(source)
  const split = splitDataset(dataset, { holdout: 0.2, seed: 1 })
  const canvas: CanvasSpec = {
    width: 12,
    height: 12,
    channels: 1,
    fit: 'stretch',
    pad: 0,
    order: 'rgb',
    mean: [0],
    std: [255],
  }
  await assert.rejects(
    trainExternally({
      task: { name: 'detection', model: wanted, labels: dataset.labels, canvas },
      dataset,
      split,
      folder: await folderFor(t),
      seed: 2,
      recipe: recipeDefault,
      command: ['/usr/bin/python3', script],
    }),
    /refuses the order \("task detection: this trainer knows classification"\)/,
  )
})
