/**
 * Evaluates a model on a data set as a box would run it: opened by the agent, fed through the agent's canvas, read by its
 * layout. What is measured is what a camera's owner gets.
 */
import { readFile, writeFile } from 'node:fs/promises'
import { basename, join, resolve } from 'node:path'
import { type Model, openModel, ortRuntime, readDescription } from '@edgeloop/edge-agent/detect'
import {
  type EvaluatedSample,
  type EvaluationReport,
  MapOverlap,
  type ReportOptions,
  reportClassification,
  reportDetection,
  reportSegmentation,
  type Truth,
} from '@edgeloop/model-compiler'
import {
  type Annotation,
  type Dataset,
  datasetFormats,
  digestsOf,
  nearCopies,
  openDataset,
  problemText,
  readHoldout,
  type Sample,
  type SplitName,
  splitDataset,
  splitNames,
} from '@edgeloop/model-compiler/datasets'
import { Failure } from '../failure.ts'
import { canvasesOf, detectSamples } from './detect-samples.ts'
import type { Evaluated, EvaluateOrder, EvaluateProgress } from './evaluate-order.ts'

/** Pixels of masks that belong to no class. */
const ignoredClass = 255
/** Most bytes of a file that says how samples are divided. */
const splitBytesMax = 256 * 1024 * 1024

type Tell = (progress: EvaluateProgress) => void

/** @throws {Failure | DatasetError | ModelError} saying what of model, labels or data does not fit */
export async function evaluateModel(order: EvaluateOrder, tell: Tell): Promise<Evaluated> {
  const dataset = await openData(order)
  const samples = await samplesOf(dataset, order)
  await using model = await openFor(order, dataset)
  const options: ReportOptions = {
    seed: order.seed,
    worst: order.worst,
    ...(order.rounds !== undefined && { rounds: order.rounds }),
  }
  const notes: string[] = []
  if (dataset.problems.total > 0) {
    const [first] = dataset.problems.kept
    notes.push(
      `${dataset.problems.total} things in the data set were left out${first ? `, the first: ${problemText(first)}` : ''}`,
    )
  }
  const given = { model, dataset, samples, options, notes, tell }
  const report = await evaluations[model.task](given)
  return {
    model: { file: order.file, digest: model.digest, layout: model.layout },
    data: { name: dataset.name, digest: dataset.digest },
    notes,
    report,
  }
}

type Given = {
  readonly model: Model
  readonly dataset: Dataset
  readonly samples: readonly Sample[]
  readonly options: ReportOptions
  readonly notes: string[]
  readonly tell: Tell
}

const evaluations: Readonly<Record<Model['task'], (given: Given) => Promise<EvaluationReport>>> = {
  classification: evaluateClassifier,
  detection: evaluateDetector,
  segmentation: evaluateSegmentation,
  embedding: async ({ model }) => {
    throw new Failure(
      `Cannot evaluate "${model.name}": an embedding says nothing that labels could be compared with`,
    )
  },
}

async function openData({ data }: EvaluateOrder): Promise<Dataset> {
  const format = datasetFormats.find((one) => one === data.format)
  if (data.format !== undefined && format === undefined) {
    throw new Failure(
      `Cannot read dataset "${data.folder}" as "${data.format}": formats are ${datasetFormats.join(', ')}`,
    )
  }
  return await openDataset(data.folder, {
    ...(format && { format }),
    ...(data.labels && { labels: data.labels }),
  })
}

async function samplesOf(
  dataset: Dataset,
  { part, data }: EvaluateOrder,
): Promise<readonly Sample[]> {
  if (!part) return dataset.samples
  if (part.kind === 'held-out') {
    const { groups: together } = await nearCopies(dataset)
    const holdout = readHoldout(part.holdout)
    const split = splitDataset(dataset, { holdout, together, seed: part.seed })
    const held = new Set(digestsOf(dataset, split, 'test'))
    return dataset.samples.filter(({ digest }) => held.has(digest))
  }
  const split = await readSplit(part.file)
  const wanted = splitNames.find((name) => name === part.part)
  if (!wanted) {
    throw new Failure(`Cannot evaluate part "${part.part}": parts are ${splitNames.join(', ')}`)
  }
  const samples = dataset.samples.filter(({ digest }) => split.get(digest) === wanted)
  if (samples.length === 0) {
    throw new Failure(
      `Cannot evaluate: none of the ${dataset.samples.length} samples of "${data.folder}" is in part ${wanted} of "${part.file}"`,
      'the split belongs to another data set, or that part is empty',
    )
  }
  return samples
}

async function readSplit(file: string): Promise<ReadonlyMap<string, SplitName>> {
  try {
    const text = await readFile(file, 'utf8')
    if (text.length > splitBytesMax) throw new Error(`it has more than ${splitBytesMax} bytes`)
    const pairs = Object.entries(JSON.parse(text) as Record<string, unknown>)
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

/** Opened as the agent opens it; where nobody names its labels, the data set's are its own if there are as many. */
async function openFor(order: EvaluateOrder, dataset: Dataset): Promise<Model> {
  const { file, folder, layout, labels, description } = order
  const source = {
    name: basename(file),
    file: resolve(file),
    ...(layout !== undefined && { layout }),
    ...(labels !== undefined && { labels }),
    ...(description !== undefined && { description }),
  }
  try {
    return await openModel(source, ortRuntime)
  } catch (refused) {
    const known = await readDescription(file, description)
    const isNamed = labels !== undefined || known.labels !== undefined
    if (isNamed || dataset.labels.length === 0) throw refused
    const other = join(folder, 'evaluated.model.json')
    await writeFile(other, JSON.stringify({ ...known, labels: dataset.labels }))
    // As many labels as classes by chance, or none at all: the first words say more.
    return await openModel({ ...source, description: other }, ortRuntime).catch(() => {
      throw refused
    })
  }
}

const canvases = ({ model, dataset, samples, tell }: Given, chosen = samples) =>
  canvasesOf(model, dataset, chosen, (done, total) => tell({ done, total }))

const evaluated = ({ digest, name, stream, site }: Sample): EvaluatedSample => ({
  digest,
  name,
  ...(stream !== undefined && { stream }),
  ...(site !== undefined && { site }),
})

async function evaluateClassifier(given: Given): Promise<EvaluationReport> {
  const { model, samples, options, notes } = given
  const indexOf = new Map(model.labels.map((label, at) => [label, at]))
  const labelled = samples.flatMap((sample) => {
    const label = sample.annotations.find((one) => one.kind === 'class')?.label
    const index = label === undefined ? undefined : indexOf.get(label)
    return index === undefined ? [] : { sample, index }
  })
  noteLeftOut(given, labelled.length, 'class', notes)
  const classes = model.labels.length
  const scores = new Float32Array(labelled.length * classes)
  const output = model.signature.outputs[0]!.name
  let at = 0
  const chosen = labelled.map(({ sample }) => sample)
  for await (const { bytes, sample } of canvases(given, chosen)) {
    // All scores with all their digits, which a reading does not have.
    const outputs = await model.run(model.tensorsOf(bytes))
    const row = Float32Array.from(outputs[output]!.data as Float32Array)
    const wrong = row.find((value) => !Number.isFinite(value))
    if (wrong !== undefined) {
      throw new Failure(`Cannot evaluate: for "${sample.name}" the model gives the score ${wrong}`)
    }
    scores.set(row, at++ * classes)
  }
  return reportClassification(
    {
      labels: model.labels,
      scores,
      samples: chosen.map(evaluated),
      truth: Int32Array.from(labelled, ({ index }) => index),
    },
    options,
  )
}

async function evaluateDetector(given: Given): Promise<EvaluationReport> {
  const { model, samples, options, notes } = given
  const known = new Set(model.labels)
  const truths = samples.flatMap((sample) =>
    sample.annotations.flatMap((annotation): Truth | [] => boxOf(annotation, sample.digest) ?? []),
  )
  const counted = truths.filter(({ label }) => known.has(label))
  if (counted.length === 0)
    refuseLabels(
      given,
      truths.map(({ label }) => label),
      'box',
    )
  if (counted.length < truths.length) {
    notes.push(`${truths.length - counted.length} boxes have labels that the model does not know`)
  }
  const found = await detectSamples(model, given.dataset, samples, (done, total) =>
    given.tell({ done, total }),
  )
  return reportDetection(
    {
      truths: counted,
      found,
      samples: samples.map(evaluated),
      // Labels that neither side has are not worth a row.
      labels: model.labels.filter(
        (label) =>
          model.labels.length <= labelsShown ||
          counted.some((truth) => truth.label === label) ||
          found.some((one) => one.label === label),
      ),
    },
    options,
  )
}

const labelsShown = 10

function boxOf(annotation: Annotation, image: string): Truth | undefined {
  if (annotation.kind === 'box') {
    const { label, box, crowd } = annotation
    return { image, label, box, ...(crowd && { crowd }) }
  }
  if (annotation.kind !== 'polygon') return undefined
  const xs = annotation.points.map(([x]) => x)
  const ys = annotation.points.map(([, y]) => y)
  const [left, top] = [Math.min(...xs), Math.min(...ys)]
  const box = [left, top, Math.max(...xs) - left, Math.max(...ys) - top] as const
  return { image, label: annotation.label, box }
}

async function evaluateSegmentation(given: Given): Promise<EvaluationReport> {
  const { model, dataset, samples, options, notes } = given
  const indexOf = new Map(model.labels.map((label, at) => [label, at]))
  const masked = samples.filter(({ annotations }) =>
    annotations.some(
      (one) => one.kind === 'mask' && one.labels.some((label) => indexOf.has(label)),
    ),
  )
  noteLeftOut(given, masked.length, 'mask', notes)
  const overlaps: MapOverlap[] = []
  for await (const { bytes, view, sample } of canvases(given, masked)) {
    const said = await model.classPicture(bytes, view)
    const annotation = sample.annotations.find((one) => one.kind === 'mask')!
    const mask = await dataset.mask(annotation)
    // A value without a label of the model's is nothing that it could have said.
    const classOf = annotation.labels.map((label) => indexOf.get(label) ?? ignoredClass)
    const overlap = new MapOverlap(ignoredClass)
    overlap.add(nearest(mask, said, classOf), said.classes)
    overlaps.push(overlap)
  }
  return reportSegmentation(
    {
      labels: model.labels,
      overlaps,
      samples: masked.map(evaluated),
      empty: () => new MapOverlap(ignoredClass),
    },
    options,
  )
}

/** The mask at another size, each pixel with the class of the nearest. */
function nearest(
  mask: { readonly width: number; readonly height: number; readonly data: Uint8Array },
  to: { readonly width: number; readonly height: number },
  classOf: readonly number[],
): Uint16Array {
  const result = new Uint16Array(to.width * to.height)
  for (let y = 0; y < to.height; y++) {
    const row = Math.floor(((y + 0.5) * mask.height) / to.height) * mask.width
    for (let x = 0; x < to.width; x++) {
      const value = mask.data[row + Math.floor(((x + 0.5) * mask.width) / to.width)]!
      result[y * to.width + x] = classOf[value] ?? ignoredClass
    }
  }
  return result
}

function noteLeftOut(given: Given, left: number, kind: Annotation['kind'], notes: string[]): void {
  const { samples } = given
  if (left === 0) {
    const labels = samples.flatMap(({ annotations }) =>
      annotations.flatMap((one) =>
        one.kind === kind ? ('labels' in one ? one.labels : 'label' in one ? one.label : []) : [],
      ),
    )
    refuseLabels(given, labels, kind)
  }
  if (left < samples.length) {
    notes.push(`${samples.length - left} samples have no ${kind} that the model knows`)
  }
}

function refuseLabels(
  { model, dataset }: Given,
  labels: readonly string[],
  kind: Annotation['kind'],
): never {
  const own = [...new Set(labels)]
  const some = (names: readonly string[]) =>
    names.slice(0, 5).join(', ') + (names.length > 5 ? ` and ${names.length - 5} more` : '')
  if (own.length === 0) {
    throw new Failure(
      `Cannot evaluate "${model.name}" on "${dataset.name}": no sample has a ${kind}, and layout ${model.layout} is for ${model.task}`,
    )
  }
  throw new Failure(
    `Cannot evaluate "${model.name}" on "${dataset.name}": none of its labels (${some(own)}) is one of the model's (${some(model.labels)})`,
    'give the labels the model was trained with (--labels)',
  )
}
