/** Finds the description of a model: the file named, or the one beside it, `NAME.model.yaml`. */
import { readFile } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { ModelError } from '../runtimes/runtime.ts'
import type { Description } from './description.ts'

/** What stands instead of `.onnx` in the name of a description beside its model; the first that is there counts. */
export const descriptionEndings = ['.model.yaml', '.model.yml', '.model.json'] as const

/**
 * The description of a model: the file named, else the one beside the model, else an empty one.
 * Paths in it are made absolute.
 * @throws {ModelError} when the file named is not there, or a file is no description
 */
export async function readDescription(modelFile: string, named?: string): Promise<Description> {
  if (named !== undefined) return await describe(named, await readFile(named).catch(refuse(named)))
  for (const ending of descriptionEndings) {
    const beside = modelFile.replace(/\.onnx$/i, '') + ending
    const bytes = await readFile(beside).catch((cause: NodeJS.ErrnoException) => {
      return cause.code === 'ENOENT' ? undefined : refuse(beside)(cause)
    })
    if (bytes) return await describe(beside, bytes)
  }
  return {}
}

async function describe(file: string, bytes: Uint8Array): Promise<Description> {
  // Schemas and their compiler cost every inference thread 20 MB, and few models have a description.
  const { parseDescription } = await import('./description.ts')
  const description = parseDescription(bytes, `description "${file}"`)
  const { labels } = description
  if (typeof labels !== 'string' || labels === 'coco') return description
  return { ...description, labels: resolve(dirname(file), labels) }
}

function refuse(file: string) {
  return (cause: NodeJS.ErrnoException): never => {
    const known: Record<string, string> = {
      ENOENT: 'there is no such file',
      EISDIR: 'it is a folder',
    }
    const reason = known[cause.code ?? ''] ?? cause.message
    throw new ModelError(`Cannot read description "${file}": ${reason}`, { cause })
  }
}
