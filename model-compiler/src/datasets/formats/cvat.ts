/**
 * CVAT's XML, version 1.1: one file with all images of a task and their shapes in pixels; or, of a video task, tracks with a
 * shape for each frame, whose pictures are called by the frame's number. What a net cannot learn from (lines, points,
 * cuboids) is listed; a rotated box is read as what it spans.
 */
import { basename } from 'node:path'
import { XMLParser } from 'fast-xml-parser'
import type { Box, Point } from '../dataset.ts'
import { DatasetError } from '../dataset-error.ts'
import type { Draft, Read, Reading, Size } from '../draft.ts'
import type { FileTree } from '../file-tree.ts'
import { imagesAmong, stemOf } from '../image-names.ts'
import { Problems } from '../problems.ts'
import { finder } from './coco.ts'
import { crowdAttribute } from './cvat-text.ts'
import { unescaped } from './xml-text.ts'

/** Most bytes of one file: a task of ten thousand images has 20 MB. */
const xmlBytesMax = 256 * 1024 * 1024
const headBytes = 4096

const xmlFilesOf = ({ files }: FileTree): string[] => files.filter((file) => file.endsWith('.xml'))

/** Pascal VOC's files begin with `annotation`, one each. */
const looksLikeCvat = (head: string): boolean => /<annotations[\s>]/.test(head)

export async function isCvat(tree: FileTree): Promise<boolean> {
  // An XML for each image is another form: the first few tell.
  for (const file of xmlFilesOf(tree).slice(0, 3)) {
    if (looksLikeCvat(await tree.head(file, headBytes))) return true
  }
  return false
}

type Entry = Readonly<Record<string, unknown>>
type Shape = { readonly kind: string; readonly entry: Entry }

/** An image with its shapes, or a frame of a video with those of its tracks. */
type Frame = { readonly name: string; readonly size?: Size; readonly shapes: readonly Shape[] }

/** What a shape is that is read; others are listed. */
const drawn = ['box', 'polygon', 'tag'] as const
const others = ['polyline', 'points', 'cuboid', 'ellipse', 'skeleton', 'mask'] as const

/** @param labels the list wanted; else those of the task in their order */
export async function readCvat(tree: FileTree, labels?: readonly string[]): Promise<Reading> {
  const problems = new Problems()
  const find = finder(tree)
  const found = new Set<string>()
  const drafts: Draft[] = []
  const used = new Set<string>()
  for (const file of xmlFilesOf(tree)) {
    const text = await tree.text(file, xmlBytesMax)
    if (!looksLikeCvat(text.slice(0, headBytes))) continue
    const annotations = parseFile(text, tree.path(file))
    for (const label of labelsOf(annotations)) found.add(label)
    for (const { name: said, size, shapes } of framesOf(annotations, tree)) {
      const name = find(said, file)
      if (name === undefined) {
        const fault = `an image "${said.slice(0, 100)}", and there is no such file`
        problems.add({ kind: 'labels-without-image', file, text: fault })
        continue
      }
      if (used.has(name)) {
        problems.add({
          kind: 'same-bytes',
          file: name,
          text: `"${file}" speaks of it again; left out`,
        })
        continue
      }
      used.add(name)
      for (const { entry } of shapes) {
        if (typeof entry.label === 'string') found.add(unescaped(entry.label))
      }
      drafts.push({
        name,
        ...(size && { size }),
        annotations: (actual) =>
          shapes.flatMap((shape) => annotationOf(shape, size ?? actual, file, name, problems)),
      })
    }
  }
  for (const name of imagesAmong(tree.files)) {
    if (used.has(name)) continue
    problems.add({
      kind: 'image-without-labels',
      file: name,
      text: 'no XML speaks of it; left out',
    })
  }
  return { labels: labels ?? [...found], drafts, problems }
}

function parseFile(text: string, path: string): Entry {
  // Entities could unfold without end; CVAT writes no document type.
  if (text.includes('<!DOCTYPE')) {
    throw new DatasetError(
      `Cannot read labels "${path}": it has a document type, which is not read`,
    )
  }
  try {
    const parser = new XMLParser({
      processEntities: false,
      parseTagValue: false,
      parseAttributeValue: false,
      ignoreAttributes: false,
      attributeNamePrefix: '',
      textNodeName: 'text',
    })
    return (parser.parse(text, true) as { annotations?: Entry }).annotations ?? {}
  } catch (cause) {
    throw new DatasetError(`Cannot read labels "${path}": it is not XML`, undefined, { cause })
  }
}

const isEntry = (value: unknown): value is Entry => typeof value === 'object' && value !== null
const listOf = (value: unknown): Entry[] => [value ?? []].flat().filter(isEntry)
const entryOf = (value: unknown): Entry => (isEntry(value) ? value : {})

/** Labels that a task, a job or a project declares. */
function labelsOf({ meta }: Entry): string[] {
  const task = Object.values(entryOf(meta)).filter(isEntry)
  return task
    .flatMap(({ labels }) => listOf(entryOf(labels).label))
    .flatMap(({ name }) => (typeof name === 'string' && name !== '' ? [unescaped(name)] : []))
}

function* framesOf(annotations: Entry, tree: FileTree): Generator<Frame> {
  for (const image of listOf(annotations.image)) {
    const size = sizeOf(image)
    if (typeof image.name !== 'string') continue
    yield {
      name: unescaped(image.name),
      ...(size && { size }),
      shapes: [...drawn, ...others].flatMap((kind) =>
        listOf(image[kind]).map((entry) => ({ kind, entry })),
      ),
    }
  }
  const byFrame = new Map<number, Shape[]>()
  for (const track of listOf(annotations.track)) {
    for (const kind of [...drawn, ...others]) {
      for (const entry of listOf(track[kind])) {
        const frame = Number(entry.frame)
        if (!Number.isInteger(frame) || entry.outside === '1') continue
        const shape = { kind, entry: { label: track.label, ...entry } }
        byFrame.set(frame, [...(byFrame.get(frame) ?? []), shape])
      }
    }
  }
  if (byFrame.size === 0) return
  // Every picture of a video has been looked at, also where nothing is.
  for (const file of imagesAmong(tree.files)) {
    const [, number] = /(?:^|\/)frame_(\d+)$/.exec(stemOf(file)) ?? []
    if (number !== undefined) yield { name: file, shapes: byFrame.get(Number(number)) ?? [] }
  }
}

function sizeOf(entry: Entry): Size | undefined {
  const [width, height] = [Number(entry.width), Number(entry.height)]
  return width > 0 && height > 0 ? { width, height } : undefined
}

function annotationOf(
  { kind, entry }: Shape,
  { width, height }: Size,
  file: string,
  image: string,
  problems: Problems,
): Read[] {
  const fault = (problem: 'unreadable-label' | 'not-carried', text: string): Read[] => {
    problems.add({ kind: problem, file, text: `a ${kind} of "${basename(image)}" ${text}` })
    return []
  }
  const label = typeof entry.label === 'string' ? unescaped(entry.label) : ''
  const at = { file }
  if (label === '') return fault('unreadable-label', 'has no label')
  if (kind === 'tag') return [{ kind: 'class', label, at }]
  if (kind === 'polygon') {
    const points = String(entry.points ?? '')
      .split(';')
      .map((pair): Point => {
        const [x = Number.NaN, y = Number.NaN] = pair.split(',').map(Number)
        return [x / width, y / height]
      })
    return [{ kind: 'polygon', label, points, at }]
  }
  if (kind !== 'box') return fault('not-carried', 'is not read')
  const corners = ['xtl', 'ytl', 'xbr', 'ybr'].map((key) =>
    typeof entry[key] === 'string' && entry[key] !== '' ? Number(entry[key]) : Number.NaN,
  ) as [number, number, number, number]
  if (!corners.every(Number.isFinite)) {
    return fault('unreadable-label', 'has corners that are no numbers')
  }
  const [left, top, right, bottom] = turned(corners, Number(entry.rotation ?? 0) || 0)
  const box: Box = [left / width, top / height, (right - left) / width, (bottom - top) / height]
  const crowd = listOf(entry.attribute).some(
    ({ name, text }) => name === crowdAttribute && /^true$/i.test(String(text ?? '')),
  )
  return [{ kind: 'box', label, box, ...(crowd && { crowd }), at }]
}

/** What a box spans that was turned around its middle, by degrees. */
export function turned(
  [left, top, right, bottom]: readonly [number, number, number, number],
  degrees: number,
): [number, number, number, number] {
  if (degrees === 0) return [left, top, right, bottom]
  const [x, y] = [(left + right) / 2, (top + bottom) / 2]
  const [a, b] = [(right - left) / 2, (bottom - top) / 2]
  const [cos, sin] = [Math.cos((degrees * Math.PI) / 180), Math.sin((degrees * Math.PI) / 180)]
  const across = Math.abs(a * cos) + Math.abs(b * sin)
  const down = Math.abs(a * sin) + Math.abs(b * cos)
  return [x - across, y - down, x + across, y + down]
}
