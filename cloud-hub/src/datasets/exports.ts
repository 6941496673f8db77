/**
 * A frozen version as an archive in one of the formats of datasets. It is laid out and written in that form first, so
 * that what cannot be done is said before the first byte is sent; the files go when the last has been read.
 */
import { createReadStream } from 'node:fs'
import { mkdir, mkdtemp, opendir, rm, stat } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { type DatasetFormat, Refusal } from '@edgeloop/protocol'
import { type Pack, pack } from 'tar-stream'
import type { ExportOrder } from './dataset-work.ts'
import { runWork } from './run-work.ts'
import type { VersionDesk } from './versions.ts'

/** Exports at once: each has its own copy of what it sends. */
const exportsMax = 2

export type DatasetExports = {
  /**
   * @param signal ends it: whoever asked has gone
   * @throws {Refusal} notFound; tooManyRequests; badRequest where the format cannot carry it
   */
  open(
    dataset: string,
    version: number,
    format: DatasetFormat,
    signal: AbortSignal,
  ): Promise<Readable>
}

export function openDatasetExports(deps: {
  versions: VersionDesk
  /** Files are written in a new folder below this one. */
  folder: string
  /** The hub closes. */
  closing: AbortSignal
}): DatasetExports {
  const { versions, closing } = deps
  let open = 0
  return {
    open: async (dataset, version, format, asked) => {
      await versions.show(dataset, version)
      if (open >= exportsMax) {
        throw new Refusal(
          'tooManyRequests',
          `Cannot export now: ${exportsMax} exports are being sent; try again when one is done`,
        )
      }
      open++
      await mkdir(deps.folder, { recursive: true })
      const work = await mkdtemp(join(deps.folder, 'export-'))
      const done = async (): Promise<void> => {
        open--
        await rm(work, { recursive: true, force: true })
      }
      try {
        const folder = await write(dataset, version, format, work, closing)
        asked.throwIfAborted()
        const tar = Readable.from(tarOf(folder), { objectMode: false })
        tar.once('close', () => void done())
        return tar
      } catch (error) {
        await done()
        throw error
      }
    },
  }

  async function write(
    dataset: string,
    version: number,
    format: DatasetFormat,
    work: string,
    signal: AbortSignal,
  ): Promise<string> {
    const laid = await versions.layOut({ name: dataset, version, fold: null }, work, signal)
    if (format === 'frozen') return laid.folder
    const out = join(work, 'out')
    try {
      await runWork<ExportOrder, Record<string, never>>(
        { kind: 'export', folder: laid.folder, out, format },
        `export "${dataset}" ${version}`,
        () => {},
        signal,
      )
      return out
    } catch (cause) {
      if (signal.aborted) throw cause
      const text = (cause as Error).message
      throw new Refusal('badRequest', text.replaceAll(out, 'the archive'), { cause })
    }
  }
}

async function* tarOf(folder: string): AsyncGenerator<Buffer> {
  const tar = pack()
  const filled = fill(tar, folder)
  // Read below: an error ends the reading, and is thrown from there.
  filled.catch((error: Error) => tar.destroy(error))
  yield* tar as AsyncIterable<Buffer>
  await filled
}

async function fill(tar: Pack, folder: string): Promise<void> {
  for await (const entry of await opendir(folder, { recursive: true })) {
    if (!entry.isFile()) continue
    const file = join(entry.parentPath, entry.name)
    const { size } = await stat(file)
    await pipeline(createReadStream(file), tar.entry({ name: relative(folder, file), size }))
  }
  tar.finalize()
}
