/**
 * Tasks of Label Studio, as it exports them: a JSON list, each with the picture it is about, and what people said in per cent
 * of its size. Of several annotations of a task that of the ground truth counts, else the last that was not cancelled;
 * predictions are nobody's word. A rotated box is read as what it spans.
 */
import { basename } from 'node:path'
import type { Box, Point } from '../dataset.ts'
import { DatasetError } from '../dataset-error.ts'
import type { Draft, Read, Reading } from '../draft.ts'
import type { FileTree } from '../file-tree.ts'
import { imageEndings, imagesAmong } from '../image-names.ts'
import { Problems } from '../problems.ts'
import { type Find, finder } from './coco.ts'
import { turned } from './cvat.ts'
import { crowdNote } from './label-studio-text.ts'

const jsonBytesMax = 256 * 1024 * 1024
const headBytes = 65_536

type Entry = Readonly<Record<string, unknown>>

const jsonFilesOf = ({ files }: FileTree): string[] =>
  files.filter((file) => file.endsWith('.json'))

/** A list of things that have data, and something that was said of them. */
const looksLikeTasks = (head: string): boolean =>
  /^\s*\[\s*\{/.test(head) &&
  /"data"\s*:\s*\{/.test(head) &&
  /"(?:annotations|predictions|completions)"\s*:\s*\[/.test(head)

export async function isLabelStudio(tree: FileTree): Promise<boolean> {
  for (const file of jsonFilesOf(tree)) {
    if (looksLikeTasks(await tree.head(file, headBytes))) return true
  }
  return false
}

/** @param labels the list wanted; else the labels that occur, in the order in which they do */
export async function readLabelStudio(
  tree: FileTree,
  labels?: readonly string[],
): Promise<Reading> {
  const problems = new Problems()
  const find = finder(tree)
  const found = new Set<string>()
  const drafts: Draft[] = []
  const used = new Set<string>()
  for (const file of jsonFilesOf(tree)) {
    for (const [at, task] of tasksOf(
      await tree.text(file, jsonBytesMax),
      tree.path(file),
    ).entries()) {
      const fault = (kind: 'unreadable-label' | 'labels-without-image', text: string): void =>
        problems.add({ kind, file, text: `task ${at + 1} ${text}` })
      const data = isEntry(task) && isEntry(task.data) ? task.data : undefined
      const said = data && pictureOf(data)
      if (!isEntry(task) || said === undefined || !data) {
        fault('unreadable-label', 'names no picture in its data')
        continue
      }
      const name = fileOf(said, file, find)
      if (name === undefined) {
        fault(
          'labels-without-image',
          `is about "${said.slice(0, 100)}", and there is no such image`,
        )
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
      const result = resultOf(task)
      if (!result) {
        const text = 'nobody said what is in it; left out'
        problems.add({ kind: 'image-without-labels', file: name, text })
        continue
      }
      const read = result.flatMap((one, index) =>
        annotationsOf(one, file, (kind, text) =>
          problems.add({ kind, file, text: `task ${at + 1}, result ${index + 1} ${text}` }),
        ),
      )
      for (const one of read) if ('label' in one) found.add(one.label)
      drafts.push({ name, ...placeAndTime(data), annotations: () => read })
    }
  }
  for (const name of imagesAmong(tree.files)) {
    if (used.has(name)) continue
    problems.add({
      kind: 'image-without-labels',
      file: name,
      text: 'no task is about it; left out',
    })
  }
  return { labels: labels ?? [...found], drafts, problems }
}

const isEntry = (value: unknown): value is Entry =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** None where the file is of something else: a project is exported with other files. */
function tasksOf(text: string, path: string): readonly unknown[] {
  try {
    const tasks: unknown = JSON.parse(text)
    return Array.isArray(tasks) ? tasks : []
  } catch (cause) {
    throw new DatasetError(`Cannot read labels "${path}": it is not JSON`, undefined, { cause })
  }
}

/** Where the picture of a task is: projects call it what they like. */
function pictureOf(data: Entry): string | undefined {
  const texts = [data.image, ...Object.values(data)].filter((one) => typeof one === 'string')
  return texts.find((text) =>
    imageEndings.some((ending) => bare(text).toLowerCase().endsWith(ending)),
  )
}

/** The path of an address: `/data/local-files/?d=photos/a.jpg`, `s3://photos/a.jpg`, `https://…/a.jpg?token=…`. */
function bare(address: string): string {
  const [, local] = /[?&]d=([^&]+)/.exec(address) ?? []
  const path = local ?? address.replace(/^[a-z0-9+.-]+:\/\//i, '').replace(/[?#].*$/, '')
  try {
    return decodeURIComponent(path)
  } catch {
    return path
  }
}

/** Its upload puts eight characters before the name of a file. */
function fileOf(address: string, json: string, find: Find): string | undefined {
  const path = bare(address)
  const name = basename(path)
  return find(path, json) ?? find(name, json) ?? find(name.replace(/^[0-9a-f]{8}-/, ''), json)
}

/** What counts of what was said; undefined where nobody has said anything. */
function resultOf({ annotations, completions }: Entry): readonly unknown[] | undefined {
  const all = [annotations, completions].flatMap((list) => (Array.isArray(list) ? list : []))
  const said = all.filter(isEntry).filter((one) => one.was_cancelled !== true)
  const chosen = said.find((one) => one.ground_truth === true) ?? said.at(-1)
  return chosen && (Array.isArray(chosen.result) ? chosen.result : [])
}

function placeAndTime({ edgeloop }: Entry): Pick<Draft, 'site' | 'stream' | 'capturedAt'> {
  const { site, stream, capturedAt } = isEntry(edgeloop) ? edgeloop : {}
  const time = typeof capturedAt === 'string' ? Date.parse(capturedAt) : Number.NaN
  return {
    ...(typeof site === 'string' && { site }),
    ...(typeof stream === 'string' && { stream }),
    ...(!Number.isNaN(time) && { capturedAt: time }),
  }
}

function annotationsOf(
  one: unknown,
  file: string,
  fault: (kind: 'unreadable-label' | 'not-carried', text: string) => void,
): Read[] {
  const value = isEntry(one) && isEntry(one.value) ? one.value : undefined
  if (!isEntry(one) || !value) {
    fault('unreadable-label', 'has no value')
    return []
  }
  const at = { file }
  const texts = (list: unknown): string[] =>
    (Array.isArray(list) ? list : []).filter((each) => typeof each === 'string' && each !== '')
  const number = (key: string): number => (typeof value[key] === 'number' ? value[key] : Number.NaN)
  switch (one.type) {
    case 'rectanglelabels': {
      const [label] = texts(value.rectanglelabels)
      if (label === undefined) break
      const box = boxOf(value, number, one)
      const { text } = isEntry(one.meta) ? one.meta : {}
      const crowd = texts([text].flat()).includes(crowdNote)
      return [{ kind: 'box', label, box, ...(crowd && { crowd }), at }]
    }
    case 'polygonlabels': {
      const [label] = texts(value.polygonlabels)
      if (label === undefined || !Array.isArray(value.points)) break
      const points = value.points.map((pair): Point => {
        const [x, y] = Array.isArray(pair) ? pair : []
        return [Number(x) / 100, Number(y) / 100]
      })
      return [{ kind: 'polygon', label, points, at }]
    }
    case 'choices':
      return texts(value.choices).map((label): Read => ({ kind: 'class', label, at }))
    case 'number':
      return [
        { kind: 'number', name: String(one.from_name ?? 'number'), value: number('number'), at },
      ]
    default:
      fault('not-carried', `is of the kind "${String(one.type).slice(0, 40)}", which is not read`)
      return []
  }
  fault('unreadable-label', 'has no label')
  return []
}

/** Turned around its upper left corner, in pixels: shares of a picture that is not square would shear. */
function boxOf(value: Entry, number: (key: string) => number, one: Entry): Box {
  const [x, y] = [number('x') / 100, number('y') / 100]
  const [width, height] = [number('width') / 100, number('height') / 100]
  const degrees = typeof value.rotation === 'number' ? value.rotation : 0
  if (degrees === 0) return [x, y, width, height]
  const [across, down] = [Number(one.original_width) || 1, Number(one.original_height) || 1]
  const radians = (degrees * Math.PI) / 180
  const [a, b] = [(width * across) / 2, (height * down) / 2]
  const middle = [
    x * across + a * Math.cos(radians) - b * Math.sin(radians),
    y * down + a * Math.sin(radians) + b * Math.cos(radians),
  ] as const
  const [left, top, right, bottom] = turned(
    [middle[0] - a, middle[1] - b, middle[0] + a, middle[1] + b],
    degrees,
  )
  return [left / across, top / down, (right - left) / across, (bottom - top) / down]
}
