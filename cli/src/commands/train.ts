/** `edgeloop train`: a labelled data set and a model in, a better model out; works without a hub. */
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import type {
  DataFormat,
  TrainOrder,
  TrainProgress,
  TrainResult,
} from '@edgeloop/model-compiler/train'
import { Command, Option } from 'commander'
import { Failure, UsageFailure } from '../failure.ts'
import type { HubOptions } from '../hub-client.ts'
import type { ProgressForm } from '../model/tell-progress.ts'
import {
  caOption,
  dataOption,
  gather,
  hubOption,
  integer,
  jsonOption,
  number,
  tokenOption,
} from '../options.ts'
import { formatTable, printJson } from '../output.ts'
import { externalTrainerOf } from '../train/external-trainer.ts'
import { objectIn, readText } from '../train/object-file.ts'
import { searchRuns } from '../train/search-runs.ts'
import { trainingAt, trainingTeller } from '../train/tell-training.ts'
import { progressOption } from './model-compile.ts'

/** The program that trains, in a process of its own. */
export const trainProcess = fileURLToPath(new URL('../train/train-process.ts', import.meta.url))

const formats = [
  'coco',
  'yolo',
  'voc',
  'cvat',
  'label-studio',
  'folders',
  'masks',
  'idx',
  'frozen',
] as const satisfies DataFormat[]
const tasks = ['classification', 'regression', 'segmentation', 'detection'] as const
/** Evaluating many samples of a slow model is silent for long. */
const silenceMs = 15 * 60_000

type Options = {
  dataset?: string
  datasetDir?: string
  format?: DataFormat
  labels?: string
  replayDir?: string
  holdout?: string
  validation?: number
  by?: 'sample' | 'stream' | 'time'
  split?: string
  model?: string
  layout?: string
  task?: TrainOrder['task']
  teacher?: string
  recipe?: string
  set?: string[]
  epochs?: number
  seed: number
  seeds?: number
  search?: string
  trainer?: string
  out: string
  resume?: boolean
  memoryLimit?: number
  progress: ProgressForm
  json?: boolean
}

export function trainCommand(): Command {
  return new Command('train')
    .description('fine-tune a model, or train a new one, on labelled images')
    .option('--dataset-dir <dir>', 'folder of labelled images')
    .option(
      '--dataset <name>',
      'NAME or NAME/VERSION in a hub: it trains, and the result is fetched',
    )
    .addOption(
      new Option('--format <name>', 'how they are labelled (default: told by the folder)').choices(
        formats,
      ),
    )
    .option('--labels <file>', 'labels in their order, one per line')
    .option('--model <model>', 'ONNX file, or new:NAME, such as new:mobilenet-v2?width=0.5')
    .option('--layout <name>', 'input and output conventions of the file, as for detect')
    .addOption(new Option('--task <name>', 'default: told by the labels').choices(tasks))
    .option('--holdout <part>', 'kept for the test: last:N, or a share (default: 0.2)')
    .option(
      '--validation <share>',
      'of the rest, to choose among checkpoints (default: 0.1 at most, of 1000 samples or more)',
      number(0, 0.9),
    )
    .addOption(
      new Option('--by <unit>', 'what stays on one side of the split').choices([
        ...['sample', 'stream', 'time'],
      ]),
    )
    .option('--split <file>', 'JSON: digest of each sample with train, validation or test')
    .option(
      '--replay-dir <dir>',
      'older data set, of which each batch holds recipe.replayShare (default: 0.25)',
    )
    .option(
      '--teacher <file>',
      'ONNX file that compress.distill follows (default: the model itself)',
    )
    .option('--recipe <file>', 'YAML or JSON; what it leaves out is chosen by task and model')
    .option('--set <key=value>', 'one setting of the recipe; may be repeated', gather)
    .option('--epochs <n>', 'passes over the data', number(0.01, 100_000))
    .option('--seed <n>', 'decides split, weights, order and augmentation', integer(0, 2 ** 31), 42)
    .option('--seeds <n>', 'train so many times and give the mean', integer(1, 100))
    .option('--search <file>', 'try values of the recipe; keep the best (YAML or JSON)')
    .option(
      '--trainer <how>',
      'external:COMMAND or kubernetes:IMAGE trains instead: docs/external-trainer.md',
    )
    .requiredOption('--out <dir>', 'folder of the run; one that holds this run is gone on with')
    .option('--resume', 'go on with the run in --out, as it was asked for')
    .option('--memory-limit <mib>', 'MiB of memory that it may take', number(64, 1e7))
    .addOption(progressOption())
    .addOption(jsonOption())
    .addOption(hubOption())
    .addOption(caOption())
    .addOption(tokenOption())
    .addOption(dataOption())
    .addHelpText(
      'after',
      `
Examples:
  $ ./edgeloop train --dataset-dir mnist/ --format idx --holdout last:10000 --model new:mnist-cnn --epochs 5 --out runs/mnist
  $ ./edgeloop train --dataset-dir photos/ --model new:mobilenet-v2?width=0.5 --set augment.flip=0.5 --out runs/gate
  $ ./edgeloop train --dataset-dir raccoon/ --format voc --model yolox_nano_416.onnx --layout yolox --out runs/raccoon
  $ ./edgeloop train --dataset-dir photos/ --model runs/gate/model.onnx --set compress.quantize=true --out runs/gate-int8
  $ ./edgeloop train --dataset-dir photos/ --model new:resnet-small --search search.yaml --out runs/search
  $ ./edgeloop train --dataset-dir photos/ --model new:resnet-small --trainer "external:python3 train.py" --out runs/torch
  $ ./edgeloop train --dataset gate --model gate --epochs 3 --out runs/gate-3     by the hub, on its data
  $ ./edgeloop train --resume --out runs/mnist

Ctrl-C pauses: a checkpoint is written, and the same command goes on from it. So does a run that was killed.
Writes model.onnx with its description, report.html, report.json, card.md and curves.jsonl.`,
    )
    .action(trainAsAsked)
}

async function trainAsAsked(given: Options & HubOptions): Promise<void> {
  const { dataset } = given
  if (dataset !== undefined) {
    const { trainInHub } = await import('../train/train-in-hub.ts')
    return await trainInHub({ ...given, dataset })
  }
  const orders = await ordersOf(given)
  const signals = twoSignals()
  if (given.search !== undefined) return await search(orders, given.search, given, signals)
  const outcomes: Outcome[] = []
  for (const order of orders) {
    const outcome = await perform(order, given, signals)
    if (outcome.result.kind === 'paused') {
      const { step, steps } = outcome.result
      if (given.json) printJson({ paused: true, step, steps, folder: order.folder })
      else console.log(`Paused at step ${step} of ${steps}; the same command goes on.`)
      return
    }
    outcomes.push({ ...outcome, result: outcome.result })
  }
  const summary = summaryOf(outcomes)
  if (given.json) {
    if (outcomes.length > 1) for (const one of outcomes) printJson({ ...summaryOf([one]) })
    printJson(summary)
  } else describe(outcomes)
}

type Ended = Extract<TrainResult, { kind: 'ended' }>
type Outcome = { readonly order: TrainOrder; readonly out: string; readonly result: Ended }

type Signals = { readonly pause: AbortSignal; readonly stop: AbortSignal }

/** Trial by trial; the line that is printed is the best one's, with what was tried. */
async function search(
  orders: readonly TrainOrder[],
  file: string,
  given: Options,
  signals: Signals,
): Promise<void> {
  const [order, second] = orders
  if (!order || second || given.resume) {
    throw new UsageFailure(
      'Cannot search with --seeds or --resume: a search has one seed, and goes on by itself',
      'leave them out; the same command goes on with a search',
    )
  }
  const outcome = await searchRuns({
    order,
    given: await objectIn(file, 'search'),
    perform: async (one) => (await perform(one, given, signals)).result,
    tell: (word) => {
      if (given.progress === 'none') return
      if (given.progress === 'json') process.stderr.write(`${JSON.stringify({ progress: word })}\n`)
      else if (word.kind === 'trial') {
        const settings = Object.entries(word.trial.settings).map(
          ([key, value]) => `${key}=${value}`,
        )
        process.stderr.write(`trial ${word.ended + 1} of ${word.trials}: ${settings.join(' ')}\n`)
      }
    },
  })
  if (!outcome) {
    if (given.json) printJson({ paused: true, folder: order.folder })
    else console.log('Paused; the same command goes on.')
    return
  }
  const { found, result } = outcome
  const folder = `trial-${found.best.id}`
  const summary = {
    ...summaryOf([{ order, out: join(given.out, folder), result }]),
    metric: found.metric,
    validation: found.best.value,
    settings: found.best.settings,
    trials: found.trials.length,
    table: join(given.out, 'trials.json'),
  }
  if (given.json) return printJson(summary)
  console.log(
    formatTable(found.trials, [
      { title: 'TRIAL', of: ({ id }) => id },
      {
        title: 'SETTINGS',
        of: ({ settings }) =>
          Object.entries(settings)
            .map((pair) => pair.join('='))
            .join(' '),
      },
      { title: 'EPOCHS', of: ({ share }) => `${Math.round(share * 100)} %`, right: true },
      {
        title: found.metric.toUpperCase(),
        of: ({ value, failure }) => (failure ? 'failed' : (value?.toFixed(4) ?? '')),
        right: true,
      },
    ]),
  )
  console.log(
    `\nThe best is in ${join(given.out, folder)}/; ${join(given.out, 'report.html')} shows all.`,
  )
}

async function perform(order: TrainOrder, given: Options, { pause, stop }: Signals) {
  const { childLimitsDefault, runInChild } = await import('@edgeloop/model-compiler/compile')
  const teller = trainingTeller(given.progress)
  try {
    const result = await runInChild<TrainOrder, TrainProgress, TrainResult>({
      program: trainProcess,
      order,
      what: `train in "${order.folder}"`,
      doing: trainingAt,
      pause,
      signal: stop,
      onProgress: teller.tell,
      limits: {
        memoryBytesMax: memoryMib(given, childLimitsDefault.memoryBytesMax) * 1024 ** 2,
        timeoutMs: Number.POSITIVE_INFINITY,
        // A trainer of others has limits of its own, and need not say anything.
        silenceMs: order.trainer ? Number.POSITIVE_INFINITY : silenceMs,
      },
    })
    return { order, out: outOf(order, given), result }
  } catch (error) {
    throw stop.aborted
      ? new Failure(
          'Cannot go on training: it was stopped',
          'the same command goes on from its last checkpoint',
        )
      : error
  } finally {
    teller.end()
  }
}

/** The folder as the user wrote it. */
const outOf = (order: TrainOrder, { out, seeds }: Options): string =>
  seeds === undefined || seeds === 1 ? out : join(out, `seed-${order.seed}`)

const memoryMib = ({ memoryLimit }: Options, defaultBytes: number): number =>
  memoryLimit ?? Math.floor(defaultBytes / 1024 ** 2)

/** A launcher above us, and the terminal, send the same signal twice: within this time it is one. */
const sameSignalMs = 1000

/** The first signal pauses, the second stops. */
function twoSignals(): Signals {
  const [pause, stop] = [new AbortController(), new AbortController()]
  let pausedAt = 0
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(name, () => {
      if (!pause.signal.aborted) {
        pausedAt = performance.now()
        pause.abort()
      } else if (performance.now() - pausedAt > sameSignalMs) stop.abort(new Error(name))
    })
  }
  return { pause: pause.signal, stop: stop.signal }
}

async function ordersOf(given: Options): Promise<readonly TrainOrder[]> {
  if (given.resume) return [await resumedOrder(given)]
  const { datasetDir, model } = given
  if (datasetDir === undefined || model === undefined) {
    const missing = datasetDir === undefined ? '--dataset-dir' : '--model'
    throw new UsageFailure(
      `Cannot train: ${missing} is missing`,
      '--dataset-dir and --model say what; --resume goes on with the run in --out',
    )
  }
  const { childLimitsDefault } = await import('@edgeloop/model-compiler/compile')
  const recipe = await recipeParts(given, memoryMib(given, childLimitsDefault.memoryBytesMax))
  const trainer =
    given.trainer === undefined ? undefined : await externalTrainerOf(given.trainer, '--trainer')
  const labels = given.labels === undefined ? undefined : await labelsIn(given.labels)
  const seeds = Array.from({ length: given.seeds ?? 1 }, (_, at) => given.seed + at)
  return seeds.map((seed): TrainOrder => {
    const folder = resolve(seeds.length === 1 ? given.out : join(given.out, `seed-${seed}`))
    return {
      kind: 'train',
      model: model.startsWith('new:') ? model : resolve(model),
      data: {
        folder: resolve(datasetDir),
        ...(given.format && { format: given.format }),
        ...(labels && { labels }),
      },
      ...(given.replayDir !== undefined && { replay: { folder: resolve(given.replayDir) } }),
      ...(given.teacher !== undefined && { teacher: resolve(given.teacher) }),
      split: splitOf(given),
      ...(given.layout !== undefined && { layout: given.layout }),
      ...(given.task && { task: given.task }),
      ...(trainer && { trainer }),
      recipe,
      seed,
      folder,
    }
  })
}

function splitOf({ split, holdout, validation, by }: Options): TrainOrder['split'] {
  if (split === undefined) {
    return {
      kind: 'rule',
      ...(holdout !== undefined && { holdout }),
      ...(validation !== undefined && { validation }),
      ...(by && { by }),
    }
  }
  if (holdout !== undefined || validation !== undefined || by !== undefined) {
    throw new UsageFailure(
      'Cannot divide the samples: --split says it all',
      'leave --holdout, --validation and --by out',
    )
  }
  return { kind: 'file', file: resolve(split) }
}

async function resumedOrder({ out }: Options): Promise<TrainOrder> {
  const { askedOf } = await import('@edgeloop/model-compiler/train')
  const order = (await askedOf(resolve(out))) as TrainOrder | undefined
  if (order?.kind !== 'train') {
    throw new Failure(
      `Cannot resume in "${out}": no run was begun there`,
      'name the folder that was given as --out',
    )
  }
  // It may have been moved since.
  return { ...order, folder: resolve(out) }
}

async function recipeParts(given: Options, memoryMibMax: number): Promise<readonly unknown[]> {
  const { partOfSetting } = await import('@edgeloop/model-compiler/train')
  return [
    { memoryMibMax },
    ...(given.recipe === undefined ? [] : [await recipeIn(given.recipe)]),
    ...(given.epochs === undefined ? [] : [{ epochs: given.epochs }]),
    ...(given.set ?? []).map(partOfSetting),
  ]
}

const recipeIn = (file: string): Promise<unknown> => objectIn(file, 'recipe')

async function labelsIn(file: string): Promise<readonly string[]> {
  const lines = (await readText(file, 'labels')).split('\n').map((line) => line.trim())
  return lines.filter((line) => line !== '')
}

/** `accuracy` as `testAccuracy`. */
const testName = (figure: string): string => `test${figure[0]!.toUpperCase()}${figure.slice(1)}`

const mean = (values: readonly number[]): number =>
  values.reduce((sum, one) => sum + one, 0) / values.length

/** The result as one line: figures on the held out samples, means where there are several seeds. */
function summaryOf(outcomes: readonly Outcome[]): Record<string, unknown> {
  const [first] = outcomes as readonly [Outcome, ...Outcome[]]
  const figures = Object.keys(first.result.test ?? {}).map((name) => [
    testName(name),
    mean(outcomes.map(({ result }) => result.test?.[name] ?? Number.NaN)),
  ])
  const before = Object.entries(first.result.before ?? {}).map(([name, value]) => [
    `${testName(name)}Before`,
    value,
  ])
  const { step, steps, bestStep, digest, dataWaitShare, outsideShare, peakMemoryBytes } =
    first.result
  return {
    ...Object.fromEntries([...figures, ...before]),
    imagesPerSecond: Math.round(mean(outcomes.map(({ result }) => result.imagesPerSecond))),
    seconds: Number(mean(outcomes.map(({ result }) => result.seconds)).toFixed(1)),
    ...(outcomes.length === 1
      ? {
          seed: first.order.seed,
          step,
          steps,
          bestStep,
          digest,
          dataWaitShare,
          outsideShare,
          peakMemoryBytes,
          model: join(first.out, 'model.onnx'),
        }
      : {
          seeds: outcomes.map(({ order }) => order.seed),
          models: outcomes.map(({ out }) => join(out, 'model.onnx')),
        }),
  }
}

function describe(outcomes: readonly Outcome[]): void {
  const names = Object.keys(outcomes[0]!.result.test ?? outcomes[0]!.result.validation ?? {})
  const shown = names.slice(0, 5)
  const cell = (value: number | undefined): string => (value === undefined ? '' : value.toFixed(4))
  console.log(
    formatTable(outcomes, [
      { title: 'MODEL', of: ({ out }) => join(out, 'model.onnx') },
      { title: 'SEED', of: ({ order }) => order.seed, right: true },
      ...shown.map((name) => ({
        title: name.toUpperCase(),
        of: ({ result }: Outcome) => cell((result.test ?? result.validation)?.[name]),
        right: true,
      })),
    ]),
  )
  const [{ result }] = outcomes as readonly [Outcome]
  const on = result.test ? 'held out samples' : 'validation samples'
  console.log(
    `\nFigures on ${on}; step ${result.bestStep} of ${result.steps} kept (${result.why}), ${Math.round(result.imagesPerSecond)} images/s.`,
  )
}
