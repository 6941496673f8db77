/**
 * What is done with pictures and archives of strangers, in a process of its own that `runInChild` ends when it exceeds
 * its limits. It is given files and leaves files; the hub keeps what is to be kept.
 */
import { createReadStream, createWriteStream } from 'node:fs'
import { open, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { pipeline } from 'node:stream/promises'
import { answerOrder } from '@edgeloop/model-compiler/child'
import {
  type Dataset,
  datasetFormats,
  exportDataset,
  foldDataset,
  frozenLines,
  growSplit,
  inspectDataset,
  nearCopies,
  openDataset,
  problemText,
  readHoldout,
  type Sample,
  type Split,
  type SplitName,
  splitDataset,
  writeThumbnails,
} from '@edgeloop/model-compiler/datasets'
import type { CanvasSpec } from '@edgeloop/model-compiler/train'
import {
  type AugmentationPreview,
  type DatasetFormat,
  fileFormOf,
  type PictureForm,
  type SampleAnnotation,
  type SplitRequest,
} from '@edgeloop/protocol'
import { sideLetters } from './side-letters.ts'
import { unpack } from './unpack.ts'

/** How far it is: a share (0..1) of all, and words. */
export type WorkProgress = { readonly share: number; readonly step: string }

export type ImportOrder = {
  readonly kind: 'import'
  /** The archive. */
  readonly archive: string
  /** An empty folder for what is in it. */
  readonly into: string
  readonly format?: DatasetFormat
  /** Gets a `ReadSample` a line. */
  readonly list: string
}

/** A sample of an archive, and where its picture lies. */
export type ReadSample = {
  readonly sample: Sample
  readonly form: PictureForm
  readonly place: BytePlace
  readonly masks: readonly { readonly digest: string; readonly place: BytePlace }[]
}

/** Bytes of a file; all of them where nothing is said. */
export type BytePlace = { readonly file: string; readonly from?: number; readonly bytes?: number }

export type Imported = {
  readonly labels: readonly string[]
  readonly samples: number
  readonly problems: number
  /** The first of them, a sentence each. */
  readonly problemTexts: readonly string[]
}

export type FreezeOrder = {
  readonly kind: 'freeze'
  readonly name: string
  readonly labels: readonly string[]
  /** A `Sample` a line, as JSON. */
  readonly list: string
  readonly asked: SplitRequest
  /** Digests that show the same, and stay on one side. */
  readonly together: readonly (readonly string[])[]
  /** JSON: side of each digest in the version that `asked.after` names. */
  readonly before?: string
  /** Gets the frozen list. */
  readonly frozen: string
}

export type Frozen = {
  readonly samples: number
  /** A letter (`sideLetters`) for each sample in the order of the list, for each fold. */
  readonly folds: readonly string[]
}

export type InspectOrder = {
  readonly kind: 'inspect'
  /** In the form `frozen`; its list need not be canonical. */
  readonly folder: string
  /** An empty folder for small pictures, `DIGEST.webp`, and a file that names who needs one, a digest a line. */
  readonly small: { readonly folder: string; readonly list: string }
}

export type Inspected = {
  readonly problems: readonly { readonly kind: string; readonly count: number }[]
  readonly listed: readonly {
    readonly kind: string
    readonly file: string
    readonly text: string
  }[]
  readonly copies: readonly (readonly string[])[]
  readonly complete: boolean
}

export type ExportOrder = {
  readonly kind: 'export'
  /** In the form `frozen`. */
  readonly folder: string
  /** Is made. */
  readonly out: string
  readonly format: DatasetFormat
}

export type PreviewOrder = {
  readonly kind: 'preview'
  /** In the form `frozen`; its list need not be canonical. */
  readonly folder: string
  readonly count: number
  readonly seed: number
  /** Keys of `augment` in a recipe. */
  readonly augment: unknown
}

export type WorkOrder = ImportOrder | FreezeOrder | InspectOrder | ExportOrder | PreviewOrder

const problemsTold = 20
/** Words are told this often, not for each of a million files. */
const tellEvery = 200
const beatMs = 5000

async function importArchive(
  order: ImportOrder,
  tell: (progress: WorkProgress) => void,
): Promise<Imported> {
  const { archive, into, format, list } = order
  await unpack(archive, into, {
    tell: ({ files }) => {
      if (files % tellEvery === 0) tell({ share: 0.2, step: `unpack: ${files} files` })
    },
  })
  const dataset = await saying(tell, 'read labels and pictures', async () =>
    openDataset(await rootOf(into), format === undefined ? {} : { format: known(format) }),
  )
  const placeOf = await placesOf(dataset, `${into}.raw`)
  let told = 0
  const lines = async function* () {
    for (const sample of dataset.samples) {
      if (++told % tellEvery === 0) tell({ share: 0.9, step: `look at sample ${told}` })
      yield `${JSON.stringify(await placeOf(sample))}\n`
    }
  }
  await pipeline(lines, createWriteStream(list))
  const { kept, total } = dataset.problems
  return {
    labels: dataset.labels,
    samples: dataset.samples.length,
    problems: total,
    problemTexts: kept.slice(0, problemsTold).map(problemText),
  }
}

/** @throws {Error} for a format that only people have heard of */
function known(format: string): (typeof datasetFormats)[number] {
  const found = datasetFormats.find((one) => one === format)
  if (found) return found
  throw new Error(`Cannot read the format "${format}": known are ${datasetFormats.join(', ')}`)
}

/** Says every few seconds that work goes on, for work that says nothing itself. */
async function saying<T>(
  tell: (progress: WorkProgress) => void,
  step: string,
  work: () => Promise<T>,
): Promise<T> {
  const say = () => tell({ share: 0.5, step })
  say()
  const beat = setInterval(say, beatMs)
  try {
    return await work()
  } finally {
    clearInterval(beat)
  }
}

/** An archive of a folder holds that folder, and nothing beside it: what is in it is meant. */
async function rootOf(folder: string): Promise<string> {
  const entries = (await readdir(folder, { withFileTypes: true })).filter(
    ({ name }) => !name.startsWith('.') && name !== '__MACOSX',
  )
  const [only] = entries
  return entries.length === 1 && only?.isDirectory()
    ? await rootOf(join(folder, only.name))
    : folder
}

/** @param raw file that plain pixels are written to, where the format has no files */
async function placesOf(
  dataset: Dataset,
  raw: string,
): Promise<(sample: Sample) => Promise<ReadSample>> {
  const { pictures } = dataset
  if (pictures.kind === 'raw') {
    const { width, height, channels, data, places } = pictures
    await writeFile(raw, data)
    const bytes = width * height * channels
    const form = channels === 1 ? 'raw-grey' : 'raw-rgb'
    return async (sample) => ({
      sample,
      form,
      masks: [],
      place: { file: raw, from: places.get(sample.digest)! * bytes, bytes },
    })
  }
  const { folder, files } = pictures
  return async (sample) => {
    const file = join(folder, files.get(sample.digest)!)
    await using handle = await open(file)
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(16), 0, 16, 0)
    const form = fileFormOf(buffer.subarray(0, bytesRead))
    if (form === undefined) throw new Error(`Cannot take "${sample.name}": its format is not known`)
    const masks = sample.annotations.flatMap((one) =>
      one.kind === 'mask' ? [{ digest: one.digest, place: { file: join(folder, one.file) } }] : [],
    )
    return { sample, form, masks, place: { file } }
  }
}

async function freeze(
  { name, labels, list, asked, together, before, frozen }: FreezeOrder,
  tell: (progress: WorkProgress) => void,
): Promise<Frozen> {
  tell({ share: 0, step: 'read the samples' })
  const samples: Sample[] = []
  for await (const line of createInterface({ input: createReadStream(list) })) {
    samples.push(JSON.parse(line) as Sample)
  }
  tell({ share: 0.3, step: 'split' })
  const { folds, seed = 1, holdout, validation, by, stratify } = asked
  const shared = {
    seed,
    together,
    ...(by !== undefined && { by }),
    ...(stratify !== undefined && { stratify }),
  }
  const dealt = before === undefined ? undefined : await readSides(before)
  const splits = dealt
    ? [
        growSplit({ name, samples }, dealt, {
          ...shared,
          ...(typeof holdout === 'number' && { holdout }),
          ...(validation !== undefined && { validation }),
        }),
      ]
    : folds === undefined
      ? [
          splitDataset(
            { name, samples },
            {
              ...shared,
              ...(holdout !== undefined && {
                holdout: typeof holdout === 'string' ? readHoldout(holdout) : holdout,
              }),
              ...(validation !== undefined && { validation }),
            },
          ),
        ]
      : foldDataset({ name, samples }, { ...shared, folds })
  tell({ share: 0.8, step: 'write the frozen list' })
  const lines = function* () {
    for (const line of frozenLines(labels, samples)) yield `${line}\n`
  }
  await pipeline(lines, createWriteStream(frozen))
  return {
    samples: samples.length,
    folds: splits.map((split) =>
      samples.map(({ digest }) => sideLetters[split.get(digest) ?? 'none']).join(''),
    ),
  }
}

const readSides = async (file: string): Promise<Split> =>
  new Map(Object.entries(JSON.parse(await readFile(file, 'utf8')) as Record<string, SplitName>))

async function inspect(
  { folder, small }: InspectOrder,
  tell: (progress: WorkProgress) => void,
): Promise<Inspected> {
  const dataset = await saying(tell, 'read the list', () =>
    openDataset(folder, { format: 'frozen' }),
  )
  const told = (step: string, from: number) => (done: number, total: number) => {
    if (done % tellEvery === 0 || done === total) {
      tell({ share: from + (0.4 * done) / total, step: `${step} ${done} of ${total}` })
    }
  }
  const { problems } = await inspectDataset(dataset, {
    pixels: true,
    onPicture: told('look at picture', 0),
  })
  const { groups, complete } = await nearCopies(dataset, {
    onPicture: told('compare picture', 0.4),
  })
  const wanted = (await readFile(small.list, 'utf8')).split('\n')
  await writeThumbnails(dataset, new Set(wanted), small.folder, {
    onPicture: told('make small picture', 0.8),
  })
  return {
    problems: [...problems.counts].map(([kind, count]) => ({ kind, count })),
    listed: problems.kept.map(({ kind, file, text }) => ({ kind, file, text })),
    copies: groups,
    complete,
  }
}

async function exportFrozen(
  { folder, out, format }: ExportOrder,
  tell: (progress: WorkProgress) => void,
): Promise<Record<string, never>> {
  const dataset = await openDataset(folder, { format: 'frozen' })
  await exportDataset(dataset, out, {
    format: known(format),
    onSample: (done, total) => {
      if (done % tellEvery === 0) tell({ share: done / total, step: `write sample ${done}` })
    },
  })
  return {}
}

/** As the demo's detectors see a picture; the model that is trained may see it in another shape. */
const previewCanvas: CanvasSpec = {
  width: 320,
  height: 240,
  channels: 3,
  fit: 'letterbox-center',
  order: 'rgb',
  mean: [0, 0, 0],
  std: [1, 1, 1],
  pad: 114,
}

async function preview({
  folder,
  count,
  seed,
  augment,
}: PreviewOrder): Promise<AugmentationPreview> {
  // The door of training brings the runtime of models, which no other work here needs.
  const { augmentationOf, previewAugmentation } = await import('@edgeloop/model-compiler/train')
  const asked = augmentationOf(augment)
  const dataset = await openDataset(folder, { format: 'frozen' })
  const options = { canvas: previewCanvas, augment: asked, count, seed }
  const made = await previewAugmentation(dataset, options)
  return {
    pictures: made.map(({ jpeg, width, height, annotations, sample }) => ({
      jpeg: Buffer.from(jpeg).toString('base64'),
      width,
      height,
      digest: sample.digest,
      name: sample.name,
      annotations: annotations.filter(({ kind }) => kind !== 'mask') as SampleAnnotation[],
    })),
  }
}

type Result = Imported | Frozen | Inspected | AugmentationPreview | Record<string, never>

answerOrder<WorkOrder, WorkProgress, Result>((order, tell) => {
  if (order.kind === 'preview') return preview(order)
  if (order.kind === 'export') return exportFrozen(order, tell)
  if (order.kind === 'import') return importArchive(order, tell)
  return order.kind === 'freeze' ? freeze(order, tell) : inspect(order, tell)
})
