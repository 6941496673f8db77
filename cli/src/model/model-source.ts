/**
 * A model file as the compiler takes it: whole, checked, and in one file. Weights that lie beside it are brought in, since
 * the agent opens nothing that reads other files.
 */
import { mkdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { readDescription } from '@edgeloop/edge-agent/detect'
import {
  modelSizeBytesMax,
  readModel,
  readModelFile,
  verify,
  writeModelFile,
} from '@edgeloop/model-compiler'
import { Failure } from '../failure.ts'

export type ModelSource = AsyncDisposable & {
  /** What to open; `named` where nothing lies beside it. */
  readonly file: string
  readonly bytes: Uint8Array
  /** File that describes it, where that is not the one beside `file`. */
  readonly description?: string
}

/**
 * Reads and checks a model. Where tensors lie in other files of its folder, one file with everything is made below
 * `folder`, and taken away with the source.
 * @param named a description file that was asked for
 * @throws {OnnxError | Failure} when there is none, it is no model, or it and its tensors are too large
 */
export async function openModelSource(
  file: string,
  folder: string,
  named?: string,
): Promise<ModelSource> {
  const description = named === undefined ? {} : { description: named }
  const bytes = await wholeFile(file)
  const model = readModel(bytes, { name: file })
  if (!model.graph?.initializer.some(({ externalData }) => externalData.length > 0)) {
    verify(model, { name: file })
    return { file, bytes, ...description, [Symbol.asyncDispose]: async () => {} }
  }
  const aside = join(folder, `.${basename(file)}.whole`)
  const clean = () => rm(aside, { recursive: true, force: true })
  try {
    await mkdir(aside, { recursive: true })
    const whole = join(aside, basename(file))
    await writeModelFile(await readModelFile(file), whole, {
      from: dirname(file),
      beside: 'never',
    })
    const made = await readFile(whole)
    verify(readModel(made, { name: file }), { name: file })
    // What lies beside the original describes this one too.
    const said = join(aside, 'description.json')
    await writeFile(said, JSON.stringify(await readDescription(file, named)))
    return { file: whole, bytes: made, description: said, [Symbol.asyncDispose]: clean }
  } catch (error) {
    await clean()
    throw error
  }
}

/** The runtime's own words for a file that is none help nobody. */
async function wholeFile(file: string): Promise<Uint8Array> {
  try {
    const { size } = await stat(file)
    if (size > modelSizeBytesMax) {
      throw new Failure(
        `Cannot read model "${file}": it has ${size} bytes, at most ${modelSizeBytesMax} are read`,
      )
    }
    return await readFile(file)
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    const known: Record<string, string> = {
      ENOENT: 'there is no such file',
      EISDIR: 'it is a folder',
    }
    if (code === undefined || !known[code]) throw cause
    throw new Failure(`Cannot read model "${file}": ${known[code]}`, undefined, { cause })
  }
}
