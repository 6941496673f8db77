/**
 * YOLO's form: a text per image, each line a class by number, then centre and size of a box or the points of an outline,
 * as shares. What the numbers mean is in `data.yaml` or a list beside the labels.
 */
import { basename, dirname } from 'node:path'
import { parse as parseYaml } from 'yaml'
import type { Box } from '../../evaluate/average-precision.ts'
import { DatasetError } from '../dataset-error.ts'
import type { Draft, Read, Reading } from '../draft.ts'
import type { FileTree } from '../file-tree.ts'
import { foldersOf, imagesAmong, stemOf } from '../image-names.ts'
import { boxAround } from '../outlines.ts'
import { Problems } from '../problems.ts'

/** A line: `points` where it is an outline, of which `box` is what it spans. */
export type YoloEntry = {
  readonly line: number
  readonly index: number
  readonly box: Box
  readonly points?: readonly (readonly [number, number])[]
}

export type YoloFile = {
  readonly entries: readonly YoloEntry[]
  readonly faults: readonly { readonly line: number; readonly text: string }[]
}

/** Files that list classes, which YOLO's tools put beside the labels. */
const listNames: ReadonlySet<string> = new Set(['classes.txt', 'obj.names', 'names.txt'])
/** Most classes: a number far beyond is a file of something else. */
const classesMax = 100_000

export function readYoloFile(text: string): YoloFile {
  const entries: YoloEntry[] = []
  const faults: { line: number; text: string }[] = []
  for (const [at, row] of text.split('\n').entries()) {
    const trimmed = row.trim()
    if (trimmed === '') continue
    const entry = readLine(trimmed, at + 1)
    if (entry) entries.push(entry)
    else {
      const shown = trimmed.slice(0, 60)
      faults.push({ line: at + 1, text: `"${shown}" is not "class x y width height"` })
    }
  }
  return { entries, faults }
}

function readLine(row: string, line: number): YoloEntry | undefined {
  const [index = Number.NaN, ...numbers] = row.split(/\s+/).map(Number)
  const known = Number.isInteger(index) && index >= 0 && index < classesMax
  if (!known || numbers.length < 4 || !numbers.every(Number.isFinite)) return undefined
  if (numbers.length === 4) {
    const [x = 0, y = 0, width = 0, height = 0] = numbers
    return { line, index, box: [x - width / 2, y - height / 2, width, height] }
  }
  // Five numbers are a box with a score, as a model writes it; that is no label.
  if (numbers.length < 6 || numbers.length % 2 === 1) return undefined
  const points = Array.from(
    { length: numbers.length / 2 },
    (_, at) => [numbers[2 * at]!, numbers[2 * at + 1]!] as const,
  )
  return { line, index, box: boxAround(points), points }
}

/** Texts that are labels of an image; in a folder `labels` where there is one. A text that is named like no image is a licence or a list. */
export function yoloFilesOf({ files }: FileTree): string[] {
  const stems = new Set(imagesAmong(files).map(stemOf))
  return labelTexts(files).filter((file) => stems.has(stemOf(file)))
}

function labelTexts(files: readonly string[]): readonly string[] {
  const texts = files.filter((file) => file.endsWith('.txt') && !listNames.has(basename(file)))
  const inLabels = texts.filter((file) => foldersOf(file).includes('labels'))
  return inLabels.length > 0 ? inLabels : texts
}

export const isYolo = (tree: FileTree): boolean => yoloFilesOf(tree).length > 0

/**
 * What the classes of YOLO's files are called, where a file above them says so.
 * @throws {DatasetError} when that file cannot be read
 */
export async function yoloNames(
  tree: FileTree,
  labelFile: string,
): Promise<readonly string[] | undefined> {
  const above = [...foldersOf(labelFile).keys()].map((depth) =>
    foldersOf(labelFile).slice(0, depth).join('/'),
  )
  // The nearest folder above is asked first.
  for (const folder of [...above, dirname(labelFile)].toReversed()) {
    const wanted = folder === '.' ? '' : folder
    const here = tree.files.filter((file) => foldersOf(file).join('/') === wanted)
    const list = here.find((file) => listNames.has(basename(file)))
    if (list) return (await tree.text(list)).trim().split(/\s*\n\s*/)
    for (const file of here.filter((name) => /\.ya?ml$/.test(name))) {
      const names = namesIn(await tree.text(file), tree.path(file))
      if (names) return names
    }
  }
  return undefined
}

/** `names:` of a YOLO configuration: a list, or names by number. */
function namesIn(text: string, what: string): string[] | undefined {
  let data: unknown
  try {
    // Anchors that unfold to more than a list of classes would are no configuration.
    data = parseYaml(text, { maxAliasCount: 100, logLevel: 'error' })
  } catch (cause) {
    throw new DatasetError(`Cannot read "${what}": it is not YAML`, undefined, { cause })
  }
  const names = (data as { names?: unknown } | null)?.names
  if (names === null || typeof names !== 'object') return undefined
  const list: string[] = []
  for (const [key, name] of Object.entries(names)) {
    const index = Number(key)
    if (!Number.isInteger(index) || index < 0 || index >= classesMax) {
      throw new DatasetError(
        `Cannot read "${what}": names has "${key}", which is no number of a class`,
      )
    }
    list[index] = String(name)
  }
  return Array.from(list, (name) => name ?? '')
}

/** @param labels the list wanted; names of the folder are found in it, and where it has none they are its numbers */
export async function readYolo(tree: FileTree, labels?: readonly string[]): Promise<Reading> {
  const problems = new Problems()
  const images = imagesAmong(tree.files)
  const stems = new Set(images.map(stemOf))
  const texts = labelTexts(tree.files)
  const fileOf = new Map(texts.map((file) => [stemOf(file), file]))
  for (const file of texts) {
    if (stems.has(stemOf(file)) || !foldersOf(file).includes('labels')) continue
    const text = 'there is no image of this name'
    problems.add({ kind: 'labels-without-image', file, text })
  }
  const [first] = yoloFilesOf(tree)
  const names = first === undefined ? undefined : await yoloNames(tree, first)
  const drafts: Draft[] = []
  const read: { entries: readonly YoloEntry[]; file: string; name: string }[] = []
  let highest = -1
  for (const name of images) {
    const file = fileOf.get(stemOf(name))
    // YOLO's tools take an image without a text for one in which nothing is.
    if (file === undefined) {
      const text = 'there is no text of its name: taken for an image in which nothing is'
      problems.add({ kind: 'image-without-labels', file: name, text })
      drafts.push({ name, annotations: () => [] })
      continue
    }
    try {
      const { entries, faults } = readYoloFile(await tree.text(file))
      for (const fault of faults) problems.add({ kind: 'unreadable-label', file, ...fault })
      for (const { index } of entries) highest = Math.max(highest, index)
      read.push({ entries, file, name })
    } catch (error) {
      if (!(error instanceof DatasetError)) throw error
      const text = `${error.message}; its image is left out`
      problems.add({ kind: 'unreadable-label', file, text })
    }
  }
  const known = names ?? labels ?? Array.from({ length: highest + 1 }, (_, at) => String(at))
  for (const { entries, file, name } of read) {
    drafts.push({
      name,
      annotations: () => entries.flatMap((entry) => annotationsOf(entry, known, file)),
    })
  }
  const order = new Map(images.map((name, at) => [name, at]))
  drafts.sort((a, b) => order.get(a.name)! - order.get(b.name)!)
  return { labels: labels ?? known.filter((name) => name !== ''), drafts, problems }
}

function annotationsOf(
  { line, index, box, points }: YoloEntry,
  names: readonly string[],
  file: string,
): Read[] {
  const label = names[index] || `class ${index}`
  const at = { file, line }
  return [
    { kind: 'box', label, box, at },
    ...(points ? [{ kind: 'polygon', label, points, at } as const] : []),
  ]
}
