/** Pascal VOC: an XML file per image, boxes in pixels from 1 with both ends included. */
import { XMLParser } from 'fast-xml-parser'
import type { Box } from '../../evaluate/average-precision.ts'
import { DatasetError } from '../dataset-error.ts'
import type { Reading, Size } from '../draft.ts'
import type { FileTree } from '../file-tree.ts'
import { imagesAmong, stemOf } from '../image-names.ts'
import { Problems } from '../problems.ts'
import { unescaped } from './xml-text.ts'

/** What one file says. */
export type VocFile = {
  readonly size: Size | undefined
  /** Left, top, right and bottom in pixels from 0, the far ends excluded. */
  readonly objects: readonly { readonly label: string; readonly corners: Box }[]
  /** Objects that could not be read, as sentences. */
  readonly faults: readonly string[]
}

type VocObject = {
  readonly name?: unknown
  readonly bndbox?: Readonly<Record<'xmin' | 'ymin' | 'xmax' | 'ymax', unknown>>
}

/** @throws {DatasetError} when the file as a whole is none of VOC; the message does not name it */
export function readVocFile(text: string): VocFile {
  // Entities could unfold without end; no tool of this format writes a document type.
  if (text.includes('<!DOCTYPE')) {
    throw new DatasetError('it has a document type, which is not read')
  }
  let annotation: unknown
  try {
    const parser = new XMLParser({ processEntities: false, parseTagValue: false })
    annotation = parser.parse(text, true).annotation ?? {}
  } catch (cause) {
    throw new DatasetError('it is not XML', undefined, { cause })
  }
  const { size, object } = annotation as {
    size?: { width?: unknown; height?: unknown }
    object?: VocObject | VocObject[]
  }
  const [width, height] = [Number(size?.width), Number(size?.height)]
  const objects: { label: string; corners: Box }[] = []
  const faults: string[] = []
  for (const [index, entry] of [object ?? []].flat().entries()) {
    const { name, bndbox } = (entry ?? {}) as VocObject
    const [xmin, ymin, xmax, ymax] = [bndbox?.xmin, bndbox?.ymin, bndbox?.xmax, bndbox?.ymax].map(
      (value) => (typeof value === 'string' && value.trim() !== '' ? Number(value) : Number.NaN),
    ) as [number, number, number, number]
    const label = typeof name === 'string' ? unescaped(name) : ''
    if (label === '' || !(xmax >= xmin) || !(ymax >= ymin)) {
      faults.push(`object ${index + 1} has no name, or no box whose ends are in order`)
    } else objects.push({ label, corners: [xmin - 1, ymin - 1, xmax, ymax] })
  }
  return { size: width > 0 && height > 0 ? { width, height } : undefined, objects, faults }
}

/** @param size of the image the corners are in */
export const vocBox = ([left, top, right, bottom]: Box, { width, height }: Size): Box => [
  left / width,
  top / height,
  (right - left) / width,
  (bottom - top) / height,
]

export const isVoc = (tree: FileTree): boolean => vocFilesOf(tree).length > 0

/** XML files that are named like an image. */
export function vocFilesOf({ files }: FileTree): string[] {
  const stems = new Set(imagesAmong(files).map(stemOf))
  return files.filter((file) => file.endsWith('.xml') && stems.has(stemOf(file)))
}

/** @param labels the list wanted; else the labels that occur, by code units */
export async function readVoc(tree: FileTree, labels?: readonly string[]): Promise<Reading> {
  const problems = new Problems()
  const images = imagesAmong(tree.files)
  const fileOf = new Map(
    tree.files.filter((file) => file.endsWith('.xml')).map((file) => [stemOf(file), file]),
  )
  const stems = new Set(images.map(stemOf))
  for (const [stem, file] of fileOf) {
    if (!stems.has(stem)) {
      problems.add({ kind: 'labels-without-image', file, text: 'there is no image of this name' })
    }
  }
  const seen = new Set<string>()
  const drafts: Reading['drafts'][number][] = []
  for (const name of images) {
    const file = fileOf.get(stemOf(name))
    if (file === undefined) {
      problems.add({
        kind: 'image-without-labels',
        file: name,
        text: 'nobody said what is in it; left out',
      })
      continue
    }
    const read = await vocOf(tree, file, problems)
    if (read === undefined) continue
    for (const { label } of read.objects) seen.add(label)
    drafts.push({
      name,
      ...(read.size && { size: read.size }),
      annotations: (size) =>
        read.objects.map(({ label, corners }) => ({
          kind: 'box',
          label,
          box: vocBox(corners, read.size ?? size),
          at: { file },
        })),
    })
  }
  return { labels: labels ?? [...seen].sort(), drafts, problems }
}

async function vocOf(
  tree: FileTree,
  file: string,
  problems: Problems,
): Promise<VocFile | undefined> {
  try {
    const read = readVocFile(await tree.text(file))
    for (const text of read.faults) problems.add({ kind: 'unreadable-label', file, text })
    return read
  } catch (error) {
    if (!(error instanceof DatasetError)) throw error
    problems.add({
      kind: 'unreadable-label',
      file,
      text: `${error.message}; its image is left out`,
    })
    return undefined
  }
}
