/**
 * COCO's form: one JSON for all images, their boxes and outlines, in pixels; masks written as runs become outlines. What we know beyond COCO (site and stream) is in `edgeloop` of an image.
 */
import { basename } from 'node:path'
import type { Box, Point } from '../dataset.ts'
import { DatasetError } from '../dataset-error.ts'
import type { Draft, Read, Reading, Size } from '../draft.ts'
import type { FileTree } from '../file-tree.ts'
import { foldersOf, imagesAmong } from '../image-names.ts'
import { Problems } from '../problems.ts'
import { readRunLengths, unpackMask } from './run-lengths.ts'
import { traceMask } from './trace-mask.ts'

/** Most bytes of a JSON: all annotations of COCO 2017 are 470 MB, and a string holds 512. */
const jsonBytesMax = 500_000_000

type Id = number | string

type Entry = Readonly<Record<string, unknown>>

/** What a file says, with places within it instead of lines. */
type CocoFile = {
  readonly file: string
  readonly images: readonly unknown[]
  readonly annotations: readonly unknown[]
  readonly categories: readonly unknown[]
}

const jsonFilesOf = ({ files }: FileTree): string[] => {
  const all = files.filter((file) => file.endsWith('.json') && basename(file) !== 'dataset.json')
  // COCO comes with captions and keypoints of the same images.
  const instances = all.filter((file) => basename(file).startsWith('instances'))
  return instances.length > 0 ? instances : all
}

/** How much of a file is looked at to tell whether it may be COCO. */
const headBytes = 65_536

export async function isCoco(tree: FileTree): Promise<boolean> {
  for (const file of jsonFilesOf(tree)) {
    const head = await tree.head(file, headBytes)
    if (/"(?:images|annotations|categories)"\s*:\s*\[/.test(head)) return true
  }
  return false
}

/** @param labels the list wanted; else the categories in the order of their numbers */
export async function readCoco(tree: FileTree, labels?: readonly string[]): Promise<Reading> {
  const problems = new Problems()
  const find = finder(tree)
  const names = new Map<Id, string>()
  const drafts: Draft[] = []
  const used = new Set<string>()
  const parsed: CocoFile[] = []
  for (const file of jsonFilesOf(tree)) {
    const read = parseFile(await tree.text(file, jsonBytesMax), tree.path(file), file, problems)
    if (read) parsed.push(read)
  }
  for (const read of parsed) {
    const own = categoriesOf(read, problems)
    for (const [id, name] of own) if (!names.has(id)) names.set(id, name)
    for (const draft of draftsOf(read, own, find, problems)) {
      if (used.has(draft.name)) {
        const text = `"${read.file}" speaks of it again; left out`
        problems.add({ kind: 'same-bytes', file: draft.name, text })
      } else drafts.push(draft)
      used.add(draft.name)
    }
  }
  for (const name of imagesAmong(tree.files)) {
    if (used.has(name)) continue
    const text = 'no JSON speaks of it; left out'
    problems.add({ kind: 'image-without-labels', file: name, text })
  }
  const byId = [...names].sort(([a], [b]) =>
    typeof a === 'number' && typeof b === 'number' ? a - b : 0,
  )
  return { labels: labels ?? [...new Set(byId.map(([, name]) => name))], drafts, problems }
}

function parseFile(
  text: string,
  path: string,
  file: string,
  problems: Problems,
): CocoFile | undefined {
  let data: unknown
  try {
    data = JSON.parse(text)
  } catch (cause) {
    throw new DatasetError(`Cannot read labels "${path}": it is not JSON`, undefined, { cause })
  }
  const { images, annotations, categories } = (data ?? {}) as Record<string, unknown>
  if (!Array.isArray(images)) {
    problems.add({ kind: 'unreadable-label', file, text: 'it has no list of images; not read' })
    return undefined
  }
  const list = (value: unknown) => (Array.isArray(value) ? value : [])
  return { file, images, annotations: list(annotations), categories: list(categories) }
}

const isEntry = (value: unknown): value is Entry =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
const isId = (value: unknown): value is Id => typeof value === 'number' || typeof value === 'string'

function categoriesOf({ file, categories }: CocoFile, problems: Problems): Map<Id, string> {
  const names = new Map<Id, string>()
  for (const [at, category] of categories.entries()) {
    if (
      isEntry(category) &&
      isId(category.id) &&
      typeof category.name === 'string' &&
      category.name !== ''
    ) {
      names.set(category.id, category.name)
    } else {
      const text = `categories[${at}] has no id and name`
      problems.add({ kind: 'unreadable-label', file, text })
    }
  }
  return names
}

export type Find = (name: string, json: string) => string | undefined

/** Where a `file_name` lies: as it is said, or wherever a path ends with it; of several the one in a folder the JSON is named after. */
export function finder(tree: FileTree): Find {
  const byName = Map.groupBy(imagesAmong(tree.files), (file) => basename(file))
  return (name, json) => {
    const said = name.replaceAll('\\', '/').replace(/^\.\//, '')
    const candidates = (byName.get(basename(said)) ?? []).filter(
      (file) => file === said || file.endsWith(`/${said}`) || said.endsWith(`/${file}`),
    )
    const named = candidates.find((file) => foldersOf(file).some((folder) => json.includes(folder)))
    return candidates.find((file) => file === said) ?? named ?? candidates[0]
  }
}

function* draftsOf(
  { file, images, annotations }: CocoFile,
  names: ReadonlyMap<Id, string>,
  find: Find,
  problems: Problems,
): Generator<Draft> {
  const byImage = new Map<Id, { readonly at: number; readonly entry: Entry }[]>()
  const ids = new Set(images.flatMap((image) => (isEntry(image) && isId(image.id) ? image.id : [])))
  for (const [at, entry] of annotations.entries()) {
    if (!isEntry(entry) || !isId(entry.image_id)) {
      const text = `annotations[${at}] names no image`
      problems.add({ kind: 'unreadable-label', file, text })
    } else if (!ids.has(entry.image_id)) {
      const text = `annotations[${at}] is of image ${String(entry.image_id).slice(0, 40)}, which is not in the list`
      problems.add({ kind: 'labels-without-image', file, text })
    } else {
      const those = byImage.get(entry.image_id)
      if (those) those.push({ at, entry })
      else byImage.set(entry.image_id, [{ at, entry }])
    }
  }
  for (const [at, image] of images.entries()) {
    if (!isEntry(image) || !isId(image.id) || typeof image.file_name !== 'string') {
      const text = `images[${at}] has no id and file_name`
      problems.add({ kind: 'unreadable-label', file, text })
      continue
    }
    const name = find(image.file_name, file)
    if (name === undefined) {
      const text = `images[${at}] is "${image.file_name.slice(0, 100)}", and there is no such image`
      problems.add({ kind: 'labels-without-image', file, text })
      continue
    }
    const [width, height] = [Number(image.width), Number(image.height)]
    const size = width > 0 && height > 0 ? { width, height } : undefined
    const entries = byImage.get(image.id) ?? []
    yield {
      name,
      ...(size && { size }),
      ...placeAndTime(image),
      annotations: (actual) =>
        entries.flatMap((entry) => annotationsOf(entry, size ?? actual, names, file, problems)),
    }
  }
}

function placeAndTime(image: Entry): Pick<Draft, 'site' | 'stream' | 'capturedAt'> {
  const { site, stream } = isEntry(image.edgeloop) ? image.edgeloop : {}
  const capturedAt = timeOf(image.date_captured)
  return {
    ...(typeof site === 'string' && { site }),
    ...(typeof stream === 'string' && { stream }),
    ...(capturedAt !== undefined && { capturedAt }),
  }
}

/** COCO's times say no zone: they are taken for UTC, so that they are the same on every machine. */
function timeOf(text: unknown): number | undefined {
  if (typeof text !== 'string') return undefined
  const parts = /^(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d(?:\.\d+)?)(Z|[+-]\d\d:?\d\d)?$/.exec(
    text.trim(),
  )
  if (!parts) return undefined
  const at = Date.parse(`${parts[1]}T${parts[2]}${parts[3] ?? 'Z'}`)
  return Number.isNaN(at) ? undefined : at
}

function annotationsOf(
  { at, entry }: { readonly at: number; readonly entry: Entry },
  { width, height }: Size,
  names: ReadonlyMap<Id, string>,
  file: string,
  problems: Problems,
): Read[] {
  const what = `annotations[${at}]`
  const fault = (text: string) => {
    problems.add({ kind: 'unreadable-label', file, text: `${what} ${text}` })
    return []
  }
  const label = isId(entry.category_id) ? names.get(entry.category_id) : undefined
  if (label === undefined) {
    return fault(
      `is of category ${String(entry.category_id).slice(0, 40)}, which is not in the list`,
    )
  }
  const place = { file }
  const crowd = entry.iscrowd === 1 || entry.iscrowd === true
  const found: Read[] = []
  const { bbox, segmentation } = entry
  if (
    Array.isArray(bbox) &&
    bbox.length === 4 &&
    bbox.every((value) => typeof value === 'number')
  ) {
    const [x, y, w, h] = bbox as unknown as Box
    const box: Box = [x / width, y / height, w / width, h / height]
    found.push({ kind: 'box', label, box, ...(crowd && { crowd }), at: place })
  } else if (bbox !== undefined) fault('has a bbox that is not four numbers')
  for (const ring of Array.isArray(segmentation) && !crowd ? segmentation : []) {
    const points = pointsOf(ring, width, height)
    if (points) found.push({ kind: 'polygon', label, points, at: place })
    else fault('has an outline that is not pairs of numbers')
  }
  if (isEntry(segmentation)) {
    const mask = maskOf(segmentation, { width, height })
    if ('problem' in mask) {
      // The box says all that is kept of a crowd.
      if (!crowd || found.length === 0) {
        problems.add({ kind: mask.kind, file, text: `${what} ${mask.problem}` })
      }
    } else {
      const { left, top, across, down } = mask
      const box: Box = [left / width, top / height, across / width, down / height]
      if (found.length === 0)
        found.push({ kind: 'box', label, box, ...(crowd && { crowd }), at: place })
      const rings = crowd ? [] : mask.rings()
      if (!rings) {
        const text = `${what} has a mask that is too ragged for outlines; its box is read`
        problems.add({ kind: 'not-carried', file, text })
      }
      for (const ring of rings ?? []) {
        const points = ring.map(([x, y]): Point => [x / width, y / height])
        found.push({ kind: 'polygon', label, points, at: place })
      }
    }
  }
  if (found.length === 0) return fault('has neither a box nor an outline')
  return found
}

function pointsOf(ring: unknown, width: number, height: number): Point[] | undefined {
  if (!Array.isArray(ring) || ring.length < 6 || ring.length % 2 === 1) return undefined
  if (!ring.every((value) => typeof value === 'number')) return undefined
  const numbers = ring as readonly number[]
  return Array.from(
    { length: numbers.length / 2 },
    (_, at): Point => [numbers[2 * at]! / width, numbers[2 * at + 1]! / height],
  )
}

/** Corners of one outline that any store of ours takes. */
const ringCornersMax = 10_000

/** What a mask spans in pixels, and its outlines; undefined where there would be too many corners. */
type Mask = {
  readonly left: number
  readonly top: number
  readonly across: number
  readonly down: number
  rings(): readonly (readonly (readonly [number, number])[])[] | undefined
}

function maskOf(
  given: Entry,
  { width, height }: Size,
): Mask | { readonly problem: string; readonly kind: 'unreadable-label' | 'not-carried' } {
  const read = readRunLengths(given)
  if ('problem' in read) return { ...read, kind: 'unreadable-label' }
  if (read.width !== width || read.height !== height) {
    const problem = `has a mask of ${read.width}×${read.height} pixels for an image of ${width}×${height}`
    return { problem, kind: 'unreadable-label' }
  }
  const part = unpackMask(read)
  if (!part) {
    return { problem: 'has a mask that is too large to be unpacked', kind: 'not-carried' }
  }
  if (part.width === 0) return { problem: 'has an empty mask', kind: 'unreadable-label' }
  return {
    left: part.x,
    top: part.y,
    across: part.width,
    down: part.height,
    rings: () => {
      const rings = traceMask(part)
      return rings?.some(({ length }) => length > ringCornersMax) ? undefined : rings
    },
  }
}
