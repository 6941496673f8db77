/** Fetches a frozen version of a dataset from a hub as a folder, in any form; it appears when it is whole. */
import { createWriteStream } from 'node:fs'
import { mkdir, readdir, rename, rm } from 'node:fs/promises'
import { dirname, join, resolve, sep } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { DatasetFormat } from '@edgeloop/protocol'
import { extract } from 'tar-stream'
import { Failure } from '../failure.ts'
import { connectHub, type HubOptions } from '../hub-client.ts'

export type ExportedFromHub = {
  readonly dataset: string
  readonly version: number
  readonly samples: number
  readonly format: DatasetFormat
  readonly folder: string
  readonly files: number
}

/** @throws {Failure} when nothing is frozen, the form cannot carry it, or the folder is there already */
export async function exportFromHub(
  dataset: string,
  given: HubOptions & { to: DatasetFormat; out: string; version?: number },
  signal: AbortSignal,
): Promise<ExportedFromHub> {
  const { to: format, out: folder } = given
  const there = await readdir(folder).catch(() => [])
  if (there.length > 0) {
    throw new Failure(
      `Cannot export to "${folder}": it is not empty`,
      'name a folder that is not there yet',
    )
  }
  const hub = await connectHub(given)
  const versions = await hub.call('datasetVersionList', { params: { dataset } })
  const chosen =
    given.version === undefined
      ? versions[0]
      : versions.find(({ version }) => version === given.version)
  if (!chosen) {
    const which = given.version === undefined ? '' : ` version ${given.version}`
    throw new Failure(
      `Cannot export "${dataset}": there is no frozen${which} of it`,
      `freeze what is in it now: ./edgeloop dataset freeze ${dataset}`,
    )
  }
  const { version, samples } = chosen
  const tar = await hub.stream('datasetExport', {
    params: { dataset, version },
    query: { format },
    signal,
  })
  const draft = `${resolve(folder)}.${process.pid}.draft`
  try {
    await mkdir(draft, { recursive: true })
    const files = await unpackTar(Readable.fromWeb(tar as never), draft)
    await rm(folder, { recursive: true, force: true })
    await rename(draft, folder)
    return { dataset, version, samples, format, folder, files }
  } catch (error) {
    await rm(draft, { recursive: true, force: true })
    throw error
  }
}

/** @returns how many files it held */
async function unpackTar(from: Readable, into: string): Promise<number> {
  const tar = extract()
  let files = 0
  const reading = pipeline(from, tar)
  for await (const entry of tar) {
    const { name, type } = entry.header
    const file = join(into, name)
    if (type !== 'file' || !file.startsWith(into + sep)) {
      throw new Failure(`Cannot unpack what the hub sent: "${name}" is no file of it`)
    }
    await mkdir(dirname(file), { recursive: true })
    await pipeline(entry, createWriteStream(file))
    files++
  }
  await reading
  return files
}
