import assert from 'node:assert/strict'
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { needs } from '../../../../test/require.ts'
import { readModelFile } from '../../onnx/model-file.ts'
import { type PaintedOrder, paintedRun, trainPainted } from './painted-run.ts'
import type { TrainProgress } from './progress.ts'
import { TrainError } from './train-error.ts'
import type { TrainResult } from './train-result.ts'

const program = fileURLToPath(new URL('painted-run.ts', import.meta.url))

async function temporary(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'edgeloop-train-'))
  t.after(() => rm(folder, { recursive: true }))
  return folder
}

type Ended = Extract<TrainResult, { kind: 'ended' }>
function ended(result: TrainResult): Ended {
  assert.equal(result.kind, 'ended')
  return result as Ended
}

/** Everything that has a say in the weights: accumulation, averages, augmentation, statistics of batches. */
const demanding = {
  batch: 12,
  accumulate: 2,
  epochs: 3,
  ema: 0.9,
  evaluateEvery: 5,
  checkpointEvery: 4,
  augment: { shift: 0.1, noise: 0.5, mixup: 0.3 },
  loss: { labelSmoothing: 0.05 },
} as const

/** Runs it in a process of its own, which is killed as soon as it says that this step is done. */
async function runAndKill(
  order: PaintedOrder,
  step: number | undefined,
): Promise<Ended | undefined> {
  const child = fork(program, [JSON.stringify(order)], {
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  })
  let result: Ended | undefined
  child.on('message', (word: TrainProgress | { kind: 'result'; result: Ended }) => {
    if (word.kind === 'result') result = word.result
    if (word.kind === 'checkpoint' && step !== undefined && word.step >= step) child.kill('SIGKILL')
  })
  await once(child, 'close')
  return result
}

test('a run that is killed ends with the same bytes as one that is not', async (t) => {
  const folder = await temporary(t)
  const whole = ended(await trainPainted({ folder: join(folder, 'whole'), recipe: demanding }))
  assert.equal(whole.step, 12)
  const broken = { folder: join(folder, 'broken'), recipe: demanding }
  assert.equal(await runAndKill(broken, 6), undefined)
  const last = await runAndKill(broken, undefined)
  assert.equal(last?.digest, whole.digest)
  assert.deepEqual(
    await readFile(join(folder, 'broken/model.onnx')),
    await readFile(join(folder, 'whole/model.onnx')),
  )
  assert.deepEqual(last?.test, whole.test)
  assert.equal(last?.bestStep, whole.bestStep)
  // Each step stands in the curves once.
  const words = (await readFile(join(folder, 'broken/curves.jsonl'), 'utf8')).trim().split('\n')
  const steps = words.map((line) => JSON.parse(line) as TrainProgress)
  assert.deepEqual(
    steps.flatMap((word) => (word.kind === 'step' ? word.step : [])),
    Array.from({ length: 12 }, (_, at) => at + 1),
  )
})

test('a run learns, pauses and goes on, and the file it leaves is as good as it says', async (t) => {
  const folder = await temporary(t)
  const order = { folder, net: 'mnist-cnn', recipe: { epochs: 12 } }
  const pause = new AbortController()
  const words: TrainProgress[] = []
  const first = await trainPainted(order, {
    pause: pause.signal,
    progress: (word) => {
      words.push(word)
      if (word.kind === 'evaluation') pause.abort()
    },
  })
  assert.deepEqual(first, { kind: 'paused', step: 6, steps: 72 })
  assert.equal(words.at(-1)?.kind, 'paused')
  const second = ended(await trainPainted(order))
  assert.equal(second.step, 72)
  assert.ok((second.test?.accuracy ?? 0) >= 0.9, JSON.stringify(second.test))
  // Once more gives the result that is there.
  const third = ended(await trainPainted(order))
  assert.deepEqual(third, JSON.parse(JSON.stringify(second)))

  const { task, dataset } = paintedRun(order)
  const held = dataset.samples.slice(-48).map(({ digest }) => digest)
  const model = await readModelFile(join(folder, 'model.onnx'))
  const again = await task.evaluate(model, held, { threads: 1, rounds: 0 })
  assert.equal(again.figures.accuracy, second.test?.accuracy)
  assert.deepEqual((await readdir(folder)).sort(), [
    ...['card.md', 'checkpoints', 'curves.jsonl', 'model.onnx'],
    ...['report.html', 'report.json', 'result.json', 'run.json'],
  ])
})

test('another seed is another run, and the same seed is the same', async (t) => {
  const folder = await temporary(t)
  const digest = async (name: string, seed: number) =>
    ended(
      await trainPainted({
        folder: join(folder, name),
        seed,
        net: 'lenet',
        recipe: { steps: 3 },
      }),
    ).digest
  const [a, b, c] = [await digest('a', 1), await digest('b', 1), await digest('c', 2)]
  assert.equal(a, b)
  assert.notEqual(a, c)
})

/** What is refused, with the way out. */
async function refusal(run: Promise<unknown>): Promise<string> {
  try {
    await run
  } catch (error) {
    assert.ok(error instanceof TrainError, String(error))
    return `${error.message}; ${error.hint}`
  }
  throw new Error('it was not refused')
}

test('a run is refused where it cannot end well', async (t) => {
  const folder = await temporary(t)
  const order = { folder: join(folder, 'run'), net: 'lenet', recipe: { steps: 2 } }
  await trainPainted(order)
  const other = { ...order, recipe: { steps: 3 } }
  assert.match(await refusal(trainPainted(other)), /another|differs in the recipe/)

  await writeFile(join(folder, 'stranger.txt'), '')
  assert.match(await refusal(trainPainted({ ...order, folder })), /holds other files/)

  const options = paintedRun({ ...order, folder: join(folder, 'empty') })
  const split = new Map([...options.split].map(([digest]) => [digest, 'test' as const]))
  assert.match(await refusal(trainPainted(order, { split })), /no samples to learn from/)

  const large = { ...order, folder: join(folder, 'large'), net: 'resnet' }
  const said = await refusal(trainPainted({ ...large, recipe: { batch: 96, memoryMibMax: 250 } }))
  const batch = Number(/batches of (\d+) would fit/.exec(said)?.[1])
  assert.ok(batch >= 1 && batch < 96, said)
  const fitting = { ...large, recipe: { batch, steps: 1, memoryMibMax: 250 } }
  ended(await trainPainted(fitting))
})

test('a loss that is no number stops the run, and the last good checkpoint stays', async (t) => {
  const folder = await temporary(t)
  const order = { folder, net: 'lenet', recipe: { epochs: 5, checkpointEvery: 2 } }
  const { task } = paintedRun(order)
  let batches = 0
  // From the sixth batch on, pictures are broken.
  const broken: typeof task = {
    ...task,
    feeds(batch, settings) {
      batches += 1
      if (batches >= 6) batch.images.fill(Number.NaN)
      return task.feeds(batch, settings)
    },
  }
  assert.match(
    await refusal(trainPainted(order, { task: broken })),
    /the loss is NaN at step 6; the checkpoint of step 4 is kept/,
  )
  // It is a good one: the run goes on from it.
  const result = ended(await trainPainted(order))
  assert.ok(Number.isFinite(result.test?.logLoss))
})

test('older samples are replayed, but none that tests here', async (t) => {
  const folder = await temporary(t)
  const order = { folder, net: 'lenet', recipe: { steps: 6, batch: 16, replayShare: 0.25 } }
  const options = paintedRun(order)
  const [tested, ...rest] = options.dataset.samples.toReversed()
  assert.equal(options.split.get(tested!.digest), 'test')
  // An older set that shares its samples with this one: what is held out here must not come back in.
  const replay = { ...options.dataset, name: 'older', samples: [tested!, ...rest.slice(-20)] }
  const seen: string[] = []
  const task = {
    ...options.task,
    feeds(...given: Parameters<typeof options.task.feeds>) {
      seen.push(...given[0].samples.map(({ digest }) => digest))
      return options.task.feeds(...given)
    },
  }
  ended(await trainPainted(order, { replay, task }))
  assert.equal(seen.length, 6 * 16)
  const older = new Set(replay.samples.map(({ digest }) => digest))
  assert.ok(seen.filter((digest) => older.has(digest)).length >= 6 * 4)
  assert.ok(!seen.includes(tested!.digest))
  const without = { ...order, folder: join(folder, 'without') }
  assert.match(await refusal(trainPainted(without)), /older data: none are given; .*--replay-dir/)
  const unasked = { ...without, recipe: { steps: 1 } }
  assert.match(await refusal(trainPainted(unasked, { replay })), /no share of a batch/)
})

test('with a gate as little is trained as is good enough', needs('time'), async (t) => {
  const folder = await temporary(t)
  const order = (name: string, gate: number | null) => ({
    folder: join(folder, name),
    net: 'mnist-cnn',
    recipe: { trainable: 'auto', gate, epochs: 4 } as const,
  })
  const tiers = async (name: string) => (await readdir(join(folder, name, 'tiers'))).sort()
  const easy = ended(await trainPainted(order('easy', 0.4)))
  assert.deepEqual(await tiers('easy'), ['head'])
  assert.equal(easy.recipe.trainable, 'head')
  const hard = ended(await trainPainted(order('hard', 1.1)))
  assert.deepEqual(await tiers('hard'), ['all', 'blocks-4', 'head'])
  assert.ok(hard.validation!.accuracy! >= 0.4)
  assert.equal(hard.modelFile, join(folder, 'hard/model.onnx'))
  await readModelFile(hard.modelFile)
  assert.deepEqual(ended(await trainPainted(order('hard', 1.1))).digest, hard.digest)
  assert.match(await refusal(trainPainted(order('none', null))), /no gate says.*--set gate=0.95/)
})

test('a run that gains no more ends early with its best weights', async (t) => {
  const folder = await temporary(t)
  const recipe = {
    epochs: 40,
    earlyStop: { patience: 2, gainMin: 0.5 },
  }
  const result = ended(await trainPainted({ folder, net: 'lenet', recipe }))
  assert.equal(result.why, 'no gain any more')
  assert.ok(result.step < result.steps)
  assert.ok(result.bestStep <= result.step)
})
