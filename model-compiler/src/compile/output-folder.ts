/**
 * Where results go: all of them at once or none. They are written into a folder beside the one that was asked for,
 * which takes its place in the end; whatever ends the work before that leaves the place as it was.
 */
import { chmod, mkdir, mkdtemp, readdir, rename, rm } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { OnnxError } from '../onnx/read.ts'

/** A folder that holds this may be replaced: it is the result of an earlier compilation. */
export const manifestName = 'manifest.json'

export type OutputFolder = AsyncDisposable & {
  /** Write here. */
  readonly draft: string
  /** Puts everything in its place; what an earlier compilation left there is replaced. */
  commit(): Promise<void>
}

/**
 * Makes the draft; disposing of it without `commit` removes it.
 * @param place the folder that was asked for
 * @throws {OnnxError} when something else is there that would be lost
 */
export async function openOutputFolder(place: string): Promise<OutputFolder> {
  const folder = resolve(place)
  await refuseStrangers(folder)
  await mkdir(dirname(folder), { recursive: true })
  const draft = await mkdtemp(join(dirname(folder), `.${basename(folder)}.`))
  // A temporary folder is for us alone; a result is for whom the user says.
  await chmod(draft, 0o777 & ~process.umask())
  return {
    draft,
    async commit() {
      // Asked again: a compilation takes minutes.
      const there = await refuseStrangers(folder)
      const old = `${draft}.old`
      if (there) await rename(folder, old)
      try {
        await rename(draft, folder)
      } catch (error) {
        if (there) await rename(old, folder)
        throw error
      }
      if (there) await rm(old, { recursive: true, force: true })
    },
    [Symbol.asyncDispose]: () => rm(draft, { recursive: true, force: true }),
  }
}

/** @returns whether there is a folder */
async function refuseStrangers(folder: string): Promise<boolean> {
  const entries = await readdir(folder).catch((cause: NodeJS.ErrnoException) => {
    if (cause.code === 'ENOENT') return undefined
    const why = cause.code === 'ENOTDIR' ? 'it is a file' : cause.message
    throw new OnnxError(`Cannot write to "${folder}": ${why}; name a folder`, { cause })
  })
  if (entries && entries.length > 0 && !entries.includes(manifestName)) {
    throw new OnnxError(
      `Cannot write to "${folder}": it holds other files (${entries.slice(0, 3).join(', ')}); name a new folder`,
    )
  }
  return entries !== undefined
}
