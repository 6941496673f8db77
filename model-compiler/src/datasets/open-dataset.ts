/** Opens a folder as a data set, in whatever form it is. */
import { basename, resolve } from 'node:path'
import type { Dataset, Sample } from './dataset.ts'
import { DatasetError } from './dataset-error.ts'
import { type Reading, samplesOf } from './draft.ts'
import { FileTree } from './file-tree.ts'
import { isCoco, readCoco } from './formats/coco.ts'
import { isCvat, readCvat } from './formats/cvat.ts'
import { isFolders, isMasks, readFolders, readMasks } from './formats/folders.ts'
import { isFrozen, readFrozen } from './formats/frozen.ts'
import { isIdx, readIdxSet } from './formats/idx.ts'
import { isLabelStudio, readLabelStudio } from './formats/label-studio.ts'
import { isVoc, readVoc } from './formats/voc.ts'
import { isYolo, readYolo } from './formats/yolo.ts'
import { datasetDigest } from './frozen-list.ts'
import {
  decodedPicture,
  decodeMask,
  type PictureSource,
  pictureBytes,
  readImageFile,
} from './pictures.ts'
import type { Problems } from './problems.ts'

export const datasetFormats = [
  'coco',
  'yolo',
  'voc',
  'cvat',
  'label-studio',
  'folders',
  'masks',
  'idx',
  'frozen',
] as const
export type DatasetFormat = (typeof datasetFormats)[number]

export type OpenOptions = {
  /** Else the folder is looked at. */
  readonly format?: DatasetFormat
  /** The list wanted, in the order of a model's outputs; annotations of other labels are left out, with a problem. */
  readonly labels?: readonly string[]
  /** What it is called; else as the folder. */
  readonly name?: string
  readonly signal?: AbortSignal
}

/** How the images and labels of a form are found; idx and our own form, which hold more than files, are apart. */
const readers = {
  coco: readCoco,
  yolo: readYolo,
  voc: readVoc,
  cvat: readCvat,
  'label-studio': readLabelStudio,
  folders: readFolders,
  masks: readMasks,
} satisfies Partial<
  Record<DatasetFormat, (tree: FileTree, labels?: readonly string[]) => Promise<Reading>>
>

/** In the order in which a folder is asked for them. */
const signs: readonly (readonly [DatasetFormat, (tree: FileTree) => boolean | Promise<boolean>])[] =
  [
    ['frozen', isFrozen],
    ['idx', isIdx],
    // Its lists are called as COCO's are.
    ['label-studio', isLabelStudio],
    ['coco', isCoco],
    ['cvat', isCvat],
    ['voc', isVoc],
    ['yolo', isYolo],
    ['masks', isMasks],
    ['folders', isFolders],
  ]

/**
 * Every image is read once for its digest and size; pixels are decoded when somebody asks.
 * @throws {DatasetError} when the folder holds no data set, or none with a sample; single images and labels that
 * cannot be used are in `problems` instead
 */
export async function openDataset(folder: string, options: OpenOptions = {}): Promise<Dataset> {
  const { labels, signal, name = basename(resolve(folder)) } = options
  const tree = await FileTree.open(folder, signal)
  const format = options.format ?? (await formatOf(tree))
  if (format === undefined) {
    throw new DatasetError(
      `Cannot read dataset "${folder}": it holds the labels of no format that is known (${datasetFormats.join(', ')})`,
      'labels lie beside the images, or in folders of their own: see docs/training.md',
    )
  }
  if (format === 'frozen') {
    const read = await readFrozen(tree, labels, signal)
    return datasetOf({ ...read, folder, name: options.name ?? read.name })
  }
  if (format === 'idx') {
    const { problems, pictures, ...read } = await readIdxSet(tree, labels, signal)
    problems.addAll(tree.problems)
    return datasetOf({ name, ...read, problems, pictures, folder })
  }
  const reading = await readers[format](tree, labels)
  reading.problems.addAll(tree.problems)
  const { samples, files } = await samplesOf(tree, reading, signal)
  const { problems } = reading
  if (samples.length === 0) {
    const [first] = problems.kept
    throw new DatasetError(
      `Cannot read dataset "${folder}" as ${format}: it has no sample${first ? `; ${first.file}: ${first.text}` : ''}`,
    )
  }
  const pictures = { kind: 'files', folder, files } as const
  return datasetOf({ name, labels: reading.labels, samples, problems, pictures, folder })
}

async function formatOf(tree: FileTree): Promise<DatasetFormat | undefined> {
  for (const [format, fits] of signs) if (await fits(tree)) return format
  return undefined
}

export type DatasetParts = {
  readonly name: string
  readonly labels: readonly string[]
  readonly samples: readonly Sample[]
  readonly problems: Problems
  readonly pictures: PictureSource
  /** Where masks lie. */
  readonly folder: string
}

/** A data set of samples that are known already. */
export function datasetOf(parts: DatasetParts): Dataset {
  const { pictures, labels, samples, folder } = parts
  return {
    ...parts,
    digest: datasetDigest(labels, samples),
    picture: async (sample, signal) => {
      signal?.throwIfAborted()
      return await decodedPicture(pictures, sample.digest)
    },
    mask: async ({ file }, signal) => {
      signal?.throwIfAborted()
      const path = resolve(folder, file)
      return await decodeMask(await readImageFile(path), path)
    },
    bytes: async (sample, signal) => {
      signal?.throwIfAborted()
      return await pictureBytes(pictures, sample.digest)
    },
  }
}
