/** Where a model's class names come from: `coco`, a list, or a file with one name per line. */
import { readFile } from 'node:fs/promises'
import { ModelError } from '../runtimes/runtime.ts'
import { cocoLabels } from './coco-labels.ts'

/** Longest label the protocol carries, in characters. */
const labelLengthMax = 100

/** Class names and how an error speaks of where they came from, such as `labels file "x.txt"`. */
export type Labels = { readonly names: readonly string[]; readonly from: string }

/**
 * @param wish `coco` or the path of a file with one label per line
 * @throws {ModelError} when the file cannot be read or holds no such list
 */
export async function readLabels(wish: string): Promise<Labels> {
  if (wish === 'coco') return { names: cocoLabels, from: 'coco' }
  const from = `labels file "${wish}"`
  let text: string
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(await readFile(wish))
  } catch (cause) {
    throw new ModelError(`Cannot read ${from}: ${reasonOf(cause)}; give a file or coco`, { cause })
  }
  return { names: parseLabels(text, from), from }
}

/**
 * One label per line; spaces around it and empty lines at the end do not count.
 * @throws {ModelError} naming the line that is no label
 */
export function parseLabels(text: string, from: string): string[] {
  const lines = text
    .replace(/^\uFEFF/, '')
    .trimEnd()
    .split('\n')
  return checkedLabels(
    lines.map((line) => line.trim()),
    from,
    'line',
  )
}

/** @throws {ModelError} when an entry is empty or too long for a label */
export function checkedLabels(names: readonly string[], from: string, unit = 'entry'): string[] {
  return names.map((name, index) => {
    const at = `Cannot read ${from}: ${unit} ${index + 1}`
    if (/^<(!doctype|html)/i.test(name)) throw new ModelError(`${at} begins an HTML page`)
    if (name === '') throw new ModelError(`${at} is empty, where a label was expected`)
    if (name.length > labelLengthMax) {
      const shown = name.slice(0, 20)
      throw new ModelError(`${at} "${shown}…" is longer than ${labelLengthMax} characters`)
    }
    return name
  })
}

function reasonOf(cause: unknown): string {
  const code = (cause as NodeJS.ErrnoException).code
  if (code === 'ENOENT') return 'there is no such file'
  if (code === 'EISDIR') return 'it is a folder'
  if (cause instanceof TypeError) return 'it is not UTF-8 text'
  return (cause as Error).message
}
