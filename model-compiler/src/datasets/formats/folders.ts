/** A folder per class, as ImageFolder reads it; and pictures of class indexes, which lie in `masks/` beside `images/`. */
import { basename, extname } from 'node:path'
import { DatasetError } from '../dataset-error.ts'
import type { Draft, Reading } from '../draft.ts'
import { digestOfFile, type FileTree } from '../file-tree.ts'
import { foldersOf, imagesAmong, isImageFolder, stemOf } from '../image-names.ts'
import { Problems } from '../problems.ts'
import { yoloNames } from './yolo.ts'

/** Folders that say what images are for, not what is in them. */
const splitFolders: ReadonlySet<string> = new Set(['train', 'val', 'valid', 'validation', 'test'])

/** The class of an image: the folder it lies in. */
export function classOf(name: string): string | undefined {
  const folder = foldersOf(name).at(-1)
  return folder === undefined || isImageFolder(folder) || splitFolders.has(folder)
    ? undefined
    : folder
}

export const isFolders = ({ files }: FileTree): boolean =>
  new Set(imagesAmong(files).flatMap((name) => classOf(name) ?? [])).size >= 2

/** @param labels the list wanted; else the folders by code units */
export async function readFolders(tree: FileTree, labels?: readonly string[]): Promise<Reading> {
  const problems = new Problems()
  const drafts: Draft[] = []
  const seen = new Set<string>()
  for (const name of imagesAmong(tree.files)) {
    const label = classOf(name)
    if (label === undefined) {
      const text = 'it lies in no folder of a class; left out'
      problems.add({ kind: 'image-without-labels', file: name, text })
      continue
    }
    if (labels && !labels.includes(label)) {
      const text = `label "${label.slice(0, 60)}" is not in the list; left out`
      problems.add({ kind: 'unknown-label', file: name, text })
      continue
    }
    seen.add(label)
    drafts.push({ name, annotations: () => [{ kind: 'class', label }] })
  }
  return { labels: labels ?? [...seen].sort(), drafts, problems }
}

/** The mask of each image by the image's name: `masks/…/NAME.png`. */
export function masksOf({ files }: FileTree): Map<string, string> {
  const masks = files.filter(
    (file) => foldersOf(file).includes('masks') && extname(file).toLowerCase() === '.png',
  )
  const byStem = new Map(masks.map((file) => [stemOf(file), file]))
  return new Map(
    imagesAmong(files).flatMap((name) => {
      const mask = byStem.get(stemOf(name))
      return mask === undefined ? [] : [[name, mask] as const]
    }),
  )
}

export const isMasks = (tree: FileTree): boolean => masksOf(tree).size > 0

/** @param labels what the indexes mean, in their order; else a list of classes above the masks says it */
export async function readMasks(tree: FileTree, labels?: readonly string[]): Promise<Reading> {
  const problems = new Problems()
  const masks = masksOf(tree)
  const [first] = masks.values()
  const names = labels ?? (first === undefined ? undefined : await yoloNames(tree, first))
  if (!names) {
    throw new DatasetError(
      `Cannot read dataset "${tree.folder}": nothing says what the indexes of its masks mean`,
      'give the labels in the order of the indexes, or put a classes.txt beside the masks',
    )
  }
  const drafts: Draft[] = []
  for (const name of imagesAmong(tree.files)) {
    const file = masks.get(name)
    if (file === undefined) {
      const text = `there is no mask ${basename(stemOf(name))}.png; left out`
      problems.add({ kind: 'image-without-labels', file: name, text })
      continue
    }
    const digest = await digestOfFile(tree.path(file))
    drafts.push({ name, annotations: () => [{ kind: 'mask', labels: names, file, digest }] })
  }
  return { labels: names, drafts, problems }
}
