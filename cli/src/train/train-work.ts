/** Trains as an order says: opens the data, divides them, opens or builds the model, and starts the run. */
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { availableParallelism, tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { openModel, ortRuntime, readDescription } from '@edgeloop/edge-agent/detect'
import type { ModelProto } from '@edgeloop/model-compiler'
import { readModelFile, writeModel } from '@edgeloop/model-compiler'
import {
  type Dataset,
  nearCopies,
  openDataset,
  problemText,
  readHoldout,
  type Split,
  type SplitName,
  splitDataset,
  splitNames,
} from '@edgeloop/model-compiler/datasets'
import {
  builders,
  buildNet,
  type CanvasSpec,
  classificationTask,
  compressedTask,
  compresses,
  type Detect,
  detectionTask,
  digestOf,
  partsOf,
  type Recipe,
  recipeDefault,
  recipeOf,
  recognizeHead,
  regressionTask,
  runExternally,
  segmentationTask,
  type Task,
  type TrainOrder,
  type TrainProgress,
  type TrainResult,
  train,
  type Wanted,
  wantedNet,
} from '@edgeloop/model-compiler/train'
import { Failure } from '../failure.ts'
import { detectSamples } from '../model/detect-samples.ts'
import { version } from '../version.ts'
import { canvasOf } from './model-canvas.ts'

type Tell = (progress: TrainProgress) => void

/** Below this many samples to learn from, none are set aside to choose among checkpoints. */
const validationFromSamples = 1000
const validationShareMax = 0.1
const validationSamplesMax = 2000
/** Of each batch, where older data are given and the recipe does not say. */
const replayShareDefault = 0.25
/** Most bytes of a file that says how samples are divided. */
const splitBytesMax = 256 * 1024 * 1024
/** What is written of problems in the data. */
const problemsTold = 3

/** @throws {Failure | TrainError | DatasetError | OnnxError} saying what of data, model or recipe does not fit */
export async function performTraining(
  order: TrainOrder,
  tell: Tell,
  pause: AbortSignal,
): Promise<TrainResult> {
  const dataset = await openDataset(order.data.folder, openOptions(order.data))
  const replay = order.replay && (await openDataset(order.replay.folder, openOptions(order.replay)))
  for (const text of warningsOf(dataset)) tell({ kind: 'warning', text })
  const split = await splitOf(order, dataset)
  const { task: plain, parent } = await taskOf(order, dataset, split)
  const asked = [...(replay ? [{ replayShare: replayShareDefault }] : []), ...order.recipe]
  const { compress, batch, threads } = recipeOf(recipeDefault, plain.defaults, ...asked)
  if (order.trainer && compresses(compress)) {
    throw new Failure(
      'Cannot compress with a trainer of others: only our own steps can round and prune',
      'train without recipe.compress, and fine-tune the result here with it',
    )
  }
  if (order.teacher !== undefined && compress.distill === 0) {
    throw new Failure(
      `Cannot learn from teacher "${order.teacher}": compress.distill is 0`,
      'say how much of the loss is the teacher’s: --set compress.distill=0.5',
    )
  }
  await using compressed = compresses(compress)
    ? await compressedTask(plain, {
        compression: compress,
        dataset,
        batch,
        threads: threads || availableParallelism(),
        digests: partsOf(dataset, split).train,
        ...(order.teacher !== undefined && { teacher: await readModelFile(order.teacher) }),
        tell: (text) => tell({ kind: 'warning', text }),
      })
    : undefined
  const task = compressed ?? plain
  const recipe = shortened(recipeOf(recipeDefault, task.defaults, ...asked), order.share)
  const given = {
    task,
    dataset,
    split,
    recipe,
    pause,
    seed: order.seed,
    folder: order.folder,
    ...(parent && { parent }),
    splitText: splitText(order),
    asked: order,
    code: { version },
    name: basename(order.folder),
    progress: tell,
  }
  if (order.trainer && replay) {
    throw new Failure(
      'Cannot replay an older data set with a trainer of others: its order has one data set',
      'leave --replay-dir out, or put both sets into one',
    )
  }
  const result = order.trainer
    ? await runExternally({ ...given, trainer: order.trainer })
    : await train({
        ...given,
        ...(replay && { replay }),
        ...(order.teacher !== undefined && { teacher: digestOf(await readFile(order.teacher)) }),
      })
  if (result.kind === 'ended') await describe(task, order)
  return result
}

/** A share of the epochs, or of the steps where the recipe says those; at least one step. */
function shortened(recipe: Recipe, share = 1): Recipe {
  const { epochs, steps } = recipe
  if (share === 1) return recipe
  if (steps !== null) return { ...recipe, steps: Math.max(1, Math.round(steps * share)) }
  return { ...recipe, epochs: Math.max(0.01, epochs * share) }
}

const openOptions = ({ format, labels }: TrainOrder['data']) => ({
  ...(format && { format }),
  ...(labels && { labels }),
})

function warningsOf({ name, problems }: Dataset): string[] {
  if (problems.total === 0) return []
  const told = problems.kept.slice(0, problemsTold).map(problemText)
  const rest = problems.total - told.length
  return [
    ...told.map((text) => `"${name}": ${text}`),
    ...(rest > 0 ? [`"${name}": ${rest} more things do not fit; dataset check lists them`] : []),
  ]
}

async function splitOf({ split, seed }: TrainOrder, dataset: Dataset): Promise<Split> {
  if (split.kind === 'file') return await readSplit(split.file)
  const holdout = readHoldout(split.holdout ?? '0.2')
  const held = typeof holdout === 'string' ? Number(holdout.slice('last:'.length)) : 0
  const left = dataset.samples.length * (typeof holdout === 'number' ? 1 - holdout : 1) - held
  const { groups: together } = await nearCopies(dataset)
  return splitDataset(dataset, {
    holdout,
    seed,
    together,
    validation: split.validation ?? validationShare(left),
    ...(split.by && { by: split.by }),
  })
}

/** Few samples are better learned from; of many, a small share tells one checkpoint from another. */
const validationShare = (samples: number): number =>
  samples < validationFromSamples ? 0 : Math.min(validationShareMax, validationSamplesMax / samples)

const splitText = ({ split, seed }: TrainOrder): string =>
  split.kind === 'file'
    ? `as ${basename(split.file)} says`
    : [
        split.holdout?.startsWith('last:')
          ? `the ${split.holdout.replace('last:', 'last ')} held out`
          : `${split.holdout ?? '0.2'} held out with seed ${seed}`,
        ...(split.by ? [`by ${split.by}`] : []),
      ].join(', ')

async function readSplit(file: string): Promise<Split> {
  try {
    const { size } = await stat(file)
    if (size > splitBytesMax) throw new Error(`it has ${size} bytes, allowed ${splitBytesMax}`)
    const pairs = Object.entries(JSON.parse(await readFile(file, 'utf8')) as object)
    const wrong = pairs.find(([, name]) => !splitNames.some((one) => one === name))
    if (wrong) throw new Error(`"${wrong[0].slice(0, 80)}" is ${JSON.stringify(wrong[1])}`)
    return new Map(pairs as [string, SplitName][])
  } catch (cause) {
    throw new Failure(
      `Cannot read split "${file}": ${(cause as Error).message}`,
      'it is JSON: the digest of each sample with train, validation or test',
      { cause },
    )
  }
}

type Made = {
  readonly task: Task
  readonly parent?: { readonly name: string; readonly digest: string }
}

/** What is learned, by what people said is in the samples, unless the order names it. */
async function taskOf(order: TrainOrder, dataset: Dataset, split: Split): Promise<Made> {
  const kind = order.task ?? kindOf(dataset)
  const wanted = wantedNet(order.model)
  if (wanted) refuseOtherNets(wanted, kind)
  const { seed } = order
  switch (kind) {
    case 'classification': {
      if (wanted) {
        const { model, canvas } = built(wanted, dataset, dataset.labels.length, seed)
        return { task: classificationTask({ model, dataset, canvas, seed, pretrained: false }) }
      }
      const { model, parent } = await fileOf(order)
      const { canvas, labels } = await canvasOf(order, model)
      return {
        task: classificationTask({
          model,
          dataset,
          canvas,
          seed,
          pretrained: true,
          ...(labels.length > 0 && { modelLabels: labels }),
        }),
        parent,
      }
    }
    case 'regression': {
      if (wanted) {
        const names = dataset.samples.flatMap(({ annotations }) =>
          annotations.flatMap((one) => (one.kind === 'number' ? one.name : [])),
        )
        const { model, canvas } = built(wanted, dataset, new Set(names).size, seed)
        return { task: regressionTask({ model, dataset, canvas, seed, pretrained: false }) }
      }
      const { model, parent } = await fileOf(order)
      // The agent has no layout for numbers; a vector is fed the same way.
      const { canvas } = await canvasOf({ layout: 'embedding', ...order }, model)
      return { task: regressionTask({ model, dataset, canvas, seed, pretrained: true }), parent }
    }
    case 'segmentation': {
      if (wanted) {
        const { model, canvas } = built(wanted, dataset, dataset.labels.length, seed)
        return { task: segmentationTask({ model, dataset, canvas, pretrained: false }) }
      }
      const { model, parent } = await fileOf(order)
      const { canvas } = await canvasOf({ layout: 'segmentation', ...order }, model)
      return { task: segmentationTask({ model, dataset, canvas, pretrained: true }), parent }
    }
    case 'detection':
      return await detectorOf(order, dataset, split)
  }
}

/** A net that ends with boxes or maps learns nothing else, and the others learn no such things. */
function refuseOtherNets({ name }: Wanted, kind: NonNullable<TrainOrder['task']>): void {
  const purposeOf = (one: string) => builders[one]!.task
  const fits = (one: string): boolean =>
    purposeOf(one) === kind ||
    (purposeOf(one) === undefined && (kind === 'classification' || kind === 'regression'))
  if (fits(name)) return
  throw new Failure(
    `Cannot train new:${name} for ${kind}: it is made for something else`,
    `nets for it are ${Object.keys(builders).filter(fits).join(', ') || 'none yet; give a file'}`,
  )
}

/** How our own detectors are fed and read. */
const ownDetector = { layout: 'yolox', fit: 'letterbox-topleft', pad: 114 } as const

async function detectorOf(order: TrainOrder, dataset: Dataset, split: Split): Promise<Made> {
  const wanted = wantedNet(order.model)
  const { seed } = order
  const learned = dataset.samples.flatMap(({ digest }) =>
    split.get(digest) === 'train' ? digest : [],
  )
  const common = { dataset, learned, seed }
  if (wanted) {
    const { model, canvas: stretched } = built(wanted, dataset, dataset.labels.length, seed)
    const canvas = { ...stretched, fit: ownDetector.fit, pad: ownDetector.pad }
    const detect = detector(dataset, canvas, model, { ...order, layout: ownDetector.layout })
    return { task: await detectionTask({ ...common, model, canvas, detect, pretrained: false }) }
  }
  const { model, parent } = await fileOf(order)
  const { canvas, labels } = await canvasOf(order, model)
  const task = await detectionTask({
    ...common,
    model,
    canvas,
    pretrained: true,
    ...(labels.length > 0 && { modelLabels: labels }),
    detect: detector(dataset, canvas, model, order),
  })
  return { task, parent }
}

/** Runs candidates as the agent would run them; each is read as `like`, whatever happens to its classes. */
const detector =
  (dataset: Dataset, canvas: CanvasSpec, like: ModelProto, order: TrainOrder): Detect =>
  async (proto, labels, samples, { onSample = () => {} }) => {
    const folder = await mkdtemp(join(tmpdir(), 'edgeloop-train-'))
    await using _ = { [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }) }
    const [file, description] = [join(folder, 'one.onnx'), join(folder, 'one.model.json')]
    await writeFile(file, writeModel(proto))
    const said = await descriptionOf({ canvas, labels, name: 'detection', model: like }, order)
    await writeFile(description, JSON.stringify(said))
    await using model = await openModel({ name: 'candidate', file, description }, ortRuntime)
    return await detectSamples(model, dataset, samples, onSample)
  }

function kindOf({ name, samples }: Dataset): NonNullable<TrainOrder['task']> {
  const kinds = new Set(samples.flatMap(({ annotations }) => annotations.map(({ kind }) => kind)))
  if (kinds.has('box') || kinds.has('polygon')) return 'detection'
  if (kinds.has('mask')) return 'segmentation'
  if (kinds.has('class')) return 'classification'
  if (kinds.has('number')) return 'regression'
  throw new Failure(
    `Cannot train on "${name}": none of its ${samples.length} samples is labelled`,
    'name the folder that holds the labels as well, or the format with --format',
  )
}

/** A new net for pictures as the data have them, where its name does not say otherwise. */
function built(
  { name, scale, size, channels }: Wanted,
  dataset: Dataset,
  classes: number,
  seed: number,
): { readonly model: ModelProto; readonly canvas: CanvasSpec } {
  const { pictures } = dataset
  const raw = pictures.kind === 'raw' ? pictures : undefined
  const { multiple = 1, size: side } = builders[name]!
  const fitting = (pixels: number) => Math.ceil(pixels / multiple) * multiple
  const height = size?.height ?? (raw ? fitting(raw.height) : side)
  const width = size?.width ?? (raw ? fitting(raw.width) : side)
  const colours = channels ?? raw?.channels ?? 3
  const model = buildNet(name, { classes, channels: colours, height, width, scale, seed })
  const canvas: CanvasSpec = {
    width,
    height,
    channels: colours,
    fit: 'stretch',
    order: 'rgb',
    pad: 0,
    // From bytes to 0..1.
    mean: Array(colours).fill(0),
    std: Array(colours).fill(255),
  }
  return { model, canvas }
}

async function fileOf({ model: file }: TrainOrder) {
  const model = await readModelFile(file)
  return { model, parent: { name: basename(file), digest: digestOf(writeModel(model)) } }
}

/** What the agent needs to know to run the model; it finds this beside it. */
async function describe(task: Task, order: TrainOrder): Promise<void> {
  // It has no layout for numbers.
  if (task.name === 'regression') return
  const description = await descriptionOf(task, order)
  const file = join(order.folder, 'model.model.json')
  await writeFile(file, `${JSON.stringify(description, null, 2)}\n`)
}

async function descriptionOf(
  { canvas, labels, name, model }: Pick<Task, 'canvas' | 'labels' | 'name' | 'model'>,
  { layout, model: file }: TrainOrder,
) {
  const { fit, order, mean, std, pad, width, height } = canvas
  const triple = (values: readonly number[]) =>
    values.length === 1 ? Array(3).fill(values[0]) : [...values]
  const isFile = wantedNet(file) === undefined
  const known = isFile ? (await readDescription(file)).layout : undefined
  const own = { classification: 'classifier', detection: ownDetector.layout }
  return {
    layout: layout ?? known ?? own[name as keyof typeof own] ?? name,
    labels: [...labels],
    ...(name === 'detection' && {
      strides: recognizeHead(model).levels.map(({ stride }) => stride),
    }),
    input: { width, height, fit, channels: order, mean: triple(mean), std: triple(std), pad },
  }
}
