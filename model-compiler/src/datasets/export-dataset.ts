/** Writes a data set in any form that it can be read in; what a form does not carry is listed. */
import { mkdir, readdir, rename, rm, writeFile } from 'node:fs/promises'
import { basename, dirname, extname, join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { gzip } from 'node:zlib'
import sharp from 'sharp'
import type { Annotation, Dataset, Sample } from './dataset.ts'
import { DatasetError } from './dataset-error.ts'
import { cocoText } from './formats/coco-text.ts'
import { cvatText } from './formats/cvat-text.ts'
import { classOf } from './formats/folders.ts'
import { writeFrozen } from './formats/frozen.ts'
import { labelStudioInterface, labelStudioText } from './formats/label-studio-text.ts'
import { vocText } from './formats/voc-text.ts'
import { yoloConfiguration, yoloText } from './formats/yolo-text.ts'
import { imageEndings, imagesAmong } from './image-names.ts'
import type { DatasetFormat } from './open-dataset.ts'
import { Problems } from './problems.ts'

export type ExportOptions = {
  readonly format: DatasetFormat
  readonly signal?: AbortSignal
  readonly onSample?: (done: number, total: number) => void
}

export type Exported = {
  readonly samples: number
  /** What the form does not carry. */
  readonly lost: Problems
}

/** What of a sample each form keeps; masks keep their index picture, and folders exactly one class. */
const carried: Readonly<Record<DatasetFormat, readonly Annotation['kind'][]>> = {
  coco: ['box', 'polygon'],
  yolo: ['box', 'polygon'],
  voc: ['box'],
  cvat: ['box', 'polygon', 'class'],
  'label-studio': ['box', 'polygon', 'class', 'number'],
  folders: ['class'],
  masks: ['mask'],
  idx: ['class'],
  frozen: ['class', 'box', 'polygon', 'mask', 'number'],
}

/**
 * @param folder must be empty or not there; it appears when it is whole
 * @throws {DatasetError} when there is something in it, or the samples cannot be of that form at all
 */
export async function exportDataset(
  dataset: Dataset,
  folder: string,
  options: ExportOptions,
): Promise<Exported> {
  const refuse = (why: string, hint?: string, cause?: unknown) =>
    new DatasetError(`Cannot write dataset "${dataset.name}" to "${folder}": ${why}`, hint, {
      cause,
    })
  const there = await readdir(folder).catch((cause: NodeJS.ErrnoException) => {
    if (cause.code === 'ENOENT') return []
    throw refuse(cause.code === 'ENOTDIR' ? 'it is a file' : cause.message, undefined, cause)
  })
  if (there.length > 0) throw refuse('it is not empty', 'name a folder that is not there yet')
  const draft = `${resolve(folder)}.${process.pid}.draft`
  const lost = new Problems()
  try {
    await mkdir(draft, { recursive: true })
    const writing: Writing = { dataset, folder: draft, lost, refuse, ...options }
    const samples = await write(writing)
    if (samples === 0) throw refuse(`no sample is carried by the form ${options.format}`)
    await rename(draft, folder)
    return { samples, lost }
  } catch (cause) {
    await rm(draft, { recursive: true, force: true })
    const { code, message } = cause as NodeJS.ErrnoException
    if (cause instanceof DatasetError || code === undefined || options.signal?.aborted) throw cause
    throw refuse(code === 'ENOSPC' ? 'the disk is full' : message, undefined, cause)
  }
}

type Writing = ExportOptions & {
  readonly dataset: Dataset
  readonly folder: string
  readonly lost: Problems
  readonly refuse: (why: string, hint?: string) => DatasetError
}

/** @returns how many samples were written */
async function write(writing: Writing): Promise<number> {
  const { format, dataset, folder, signal, onSample } = writing
  if (format === 'frozen') {
    const wrote = (done: number) => onSample?.(done, dataset.samples.length)
    await writeFrozen(dataset, folder, { wrote, ...(signal && { signal }) })
    return dataset.samples.length
  }
  if (format === 'idx') return await writeIdx(writing)
  const names = new Names()
  const written: Written[] = []
  for (const [at, sample] of dataset.samples.entries()) {
    signal?.throwIfAborted()
    const place = placeOf(writing, sample)
    onSample?.(at + 1, dataset.samples.length)
    if (place === undefined) continue
    listLost(writing, sample)
    const { bytes, ending } = await imageOf(dataset, sample)
    const stem = names.take(stemFor(sample.name))
    const file = `${place}/${stem}${ending}`
    await put(folder, file, bytes)
    written.push({ sample, stem, file })
    await writeLabels(writing, { sample, stem, file })
  }
  if (format === 'coco') {
    await put(folder, 'annotations/instances.json', cocoText(dataset.labels, written))
  }
  if (format === 'cvat') {
    await put(folder, 'annotations.xml', cvatText(dataset.name, dataset.labels, written))
  }
  if (format === 'label-studio') {
    await put(folder, 'tasks.json', labelStudioText(written))
    await put(folder, 'interface.xml', labelStudioInterface(dataset.labels))
  }
  if (format === 'yolo') await put(folder, 'data.yaml', yoloConfiguration(dataset.labels))
  if (format === 'masks')
    await put(folder, 'masks/classes.txt', `${maskLabels(dataset).join('\n')}\n`)
  return written.length
}

type Written = { readonly sample: Sample; readonly stem: string; readonly file: string }

/** The folder that the image of a sample goes to; undefined where the form has no place for it. */
function placeOf({ format, dataset, lost, refuse }: Writing, sample: Sample): string | undefined {
  const leaveOut = (text: string) => {
    lost.add({ kind: 'not-carried', file: sample.name, text: `${text}; left out` })
    return undefined
  }
  if (format === 'voc') return 'JPEGImages'
  if (format === 'masks') {
    const masks = sample.annotations.filter(({ kind }) => kind === 'mask')
    return masks.length === 1 ? 'images' : leaveOut('it has no mask')
  }
  if (format !== 'folders') return 'images'
  const classes = sample.annotations.filter(({ kind }) => kind === 'class')
  const [first] = classes
  if (first?.kind !== 'class' || classes.length > 1) {
    return leaveOut(`it has ${classes.length} classes, and lies in one folder`)
  }
  // Names of folders, of which two must not become one.
  const folders = dataset.labels.map(safe)
  if (new Set(folders.map((folder) => folder.toLowerCase())).size < folders.length) {
    throw refuse('two of its labels would be the same folder')
  }
  const folder = safe(first.label)
  if (imagesAmong([`${folder}/a.png`]).length === 0 || classOf(`${folder}/a.png`) !== folder) {
    throw refuse(`a folder "${folder}" is not read as a class`, 'give the label another name')
  }
  if (folder !== first.label) {
    const text = `its label "${first.label}" becomes the folder "${folder}"`
    lost.add({ kind: 'not-carried', file: sample.name, text })
  }
  return folder
}

async function writeLabels({ format, dataset, folder }: Writing, { sample, stem, file }: Written) {
  if (format === 'yolo') await put(folder, `labels/${stem}.txt`, yoloText(sample, dataset.labels))
  if (format === 'voc')
    await put(folder, `Annotations/${stem}.xml`, vocText(sample, basename(file)))
  const mask = format === 'masks' && sample.annotations.find(({ kind }) => kind === 'mask')
  if (mask && mask.kind === 'mask') {
    await put(folder, `masks/${stem}.png`, await indexPicture(dataset, mask))
  }
}

/** Every mask in one list of labels: the first's, where all have the same. */
const maskLabels = ({ labels, samples }: Dataset): readonly string[] => {
  const lists = samples.flatMap(({ annotations }) =>
    annotations.flatMap((annotation) => (annotation.kind === 'mask' ? [annotation.labels] : [])),
  )
  const [first] = lists
  return first && lists.every((list) => list.join('\n') === first.join('\n')) ? first : labels
}

async function indexPicture(
  dataset: Dataset,
  mask: Extract<Annotation, { kind: 'mask' }>,
): Promise<Uint8Array> {
  const { width, height, data } = await dataset.mask(mask)
  const wanted = maskLabels(dataset)
  const translate = new Uint8Array(256).fill(255)
  for (const [value, label] of mask.labels.entries()) {
    const index = wanted.indexOf(label)
    if (index >= 0 && value < 255) translate[value] = index
  }
  return await sharp(
    data.map((value) => translate[value]!),
    { raw: { width, height, channels: 1 } },
  )
    .toColourspace('b-w')
    .png()
    .toBuffer()
}

function listLost({ format, lost }: Writing, sample: Sample): void {
  const kinds = new Set(sample.annotations.map(({ kind }) => kind))
  const others = [...kinds].filter((kind) => !carried[format].includes(kind))
  const said =
    format !== 'coco' &&
    format !== 'label-studio' &&
    (sample.stream ?? sample.site ?? sample.capturedAt) !== undefined
  const what = [...others, ...(said ? ['where and when it was taken'] : [])]
  if (what.length === 0) return
  const text = `${format} does not carry: ${what.join(', ')}`
  lost.add({ kind: 'not-carried', file: sample.name, text })
}

/** The image as a file: as it is, or raw pixels as PNG. */
async function imageOf(
  dataset: Dataset,
  sample: Sample,
): Promise<{ readonly bytes: Uint8Array; readonly ending: string }> {
  const bytes = await dataset.bytes(sample)
  if (dataset.pictures.kind === 'files')
    return { bytes, ending: await endingOf(sample.name, bytes) }
  const { width, height, channels } = dataset.pictures
  const image = sharp(bytes, { raw: { width, height, channels } })
  const png = await (channels === 1 ? image.toColourspace('b-w') : image).png().toBuffer()
  return { bytes: png, ending: '.png' }
}

/** The name's own, where it is one of an image; else what the bytes are, as for samples that were named by a hub. */
async function endingOf(name: string, bytes: Uint8Array): Promise<string> {
  const own = extname(name).toLowerCase()
  if ((imageEndings as readonly string[]).includes(own)) return own
  const { format } = await sharp(bytes).metadata()
  return { jpeg: '.jpg', heif: '.avif' }[format as string] ?? `.${format}`
}

/** Of a path only what is a name on every system is kept: it may come from anywhere. */
const safe = (part: string): string =>
  part.replace(/[^\p{L}\p{N}._ -]/gu, '_').replace(/^\.+/, '_') || '_'

/** `images/train/a.jpg` becomes `train-a`: one folder, whatever the source had. */
function stemFor(name: string): string {
  const ending = extname(name)
  const image = (imageEndings as readonly string[]).includes(ending.toLowerCase())
  const parts = (image ? name.slice(0, -ending.length) : name).split('/').map(safe)
  const below = parts.slice(parts.findLastIndex((part) => /^(images|JPEGImages)$/i.test(part)) + 1)
  return below.join('-').slice(0, 150) || 'image'
}

/** Names that are not taken yet, also where upper and lower case are the same. */
class Names {
  readonly #taken = new Set<string>()

  take(wanted: string): string {
    let name = wanted
    for (let number = 2; this.#taken.has(name.toLowerCase()); number++) name = `${wanted}-${number}`
    this.#taken.add(name.toLowerCase())
    return name
  }
}

async function put(folder: string, name: string, content: string | Uint8Array): Promise<void> {
  const file = join(folder, name)
  await mkdir(dirname(file), { recursive: true })
  await writeFile(file, content)
}

/** All pictures are of one size and kind, and each has one class. */
async function writeIdx({
  dataset,
  folder,
  lost,
  refuse,
  signal,
  onSample,
}: Writing): Promise<number> {
  const [first] = dataset.samples
  if (!first) return 0
  const { width, height } = first
  const classes = dataset.samples.map(({ annotations }) =>
    annotations.filter(({ kind }) => kind === 'class'),
  )
  if (dataset.labels.length > 256)
    throw refuse(`idx numbers 256 labels, it has ${dataset.labels.length}`)
  const pictures: Uint8Array[] = []
  const labels: number[] = []
  let depth = 0
  for (const [at, sample] of dataset.samples.entries()) {
    signal?.throwIfAborted()
    const [label] = classes[at]!
    if (label?.kind !== 'class' || classes[at]!.length > 1) {
      const text = `it has ${classes[at]!.length} classes; left out`
      lost.add({ kind: 'not-carried', file: sample.name, text })
      continue
    }
    if (sample.width !== width || sample.height !== height) {
      throw refuse(
        `idx is of one size, and "${sample.name}" has ${sample.width}×${sample.height} pixels, not ${width}×${height}`,
      )
    }
    const picture = await dataset.picture(sample, signal)
    depth ||= picture.channels
    if (picture.channels !== depth) throw refuse('some of its pictures are grey, others are not')
    pictures.push(picture.data)
    labels.push(dataset.labels.indexOf(label.label))
    onSample?.(at + 1, dataset.samples.length)
  }
  const sizes = [pictures.length, height, width, ...(depth === 3 ? [3] : [])]
  const packed = promisify(gzip)
  const file = (dimensions: number) =>
    `train-${dimensions === 1 ? 'labels' : 'images'}-idx${dimensions}-ubyte.gz`
  await put(folder, file(sizes.length), await packed(Buffer.concat([idxHead(sizes), ...pictures])))
  await put(
    folder,
    file(1),
    await packed(Buffer.concat([idxHead([labels.length]), Uint8Array.from(labels)])),
  )
  return pictures.length
}

function idxHead(sizes: readonly number[]): Buffer {
  const head = Buffer.alloc(4 + 4 * sizes.length)
  head.set([0, 0, 8, sizes.length])
  for (const [axis, size] of sizes.entries()) head.writeUInt32BE(size, 4 + 4 * axis)
  return head
}
