/** Blobs in a folder: `ab/abcd…`, written beside and renamed, so that a name always means whole bytes. */
import { createHash, randomUUID } from 'node:crypto'
import { constants, createReadStream } from 'node:fs'
import { copyFile, link, mkdir, open, opendir, readFile, rename, rm, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { Refusal } from '@edgeloop/protocol'
import type { Blobs, PutOptions } from './blobs.ts'

/** Opens the blobs kept in `folder`; what an earlier start had not finished is removed. */
export async function openFolderBlobs(folder: string): Promise<Blobs> {
  const incoming = join(folder, 'incoming')
  await rm(incoming, { recursive: true, force: true })
  await mkdir(incoming, { recursive: true })
  const placeOf = (digest: string) => join(folder, placeName(digest))

  async function put(
    digest: string,
    chunks: AsyncIterable<Uint8Array>,
    options: PutOptions,
  ): Promise<void> {
    const temporary = join(incoming, randomUUID())
    try {
      await receive(temporary, digest, chunks, options)
      const place = placeOf(digest)
      await mkdir(dirname(place), { recursive: true })
      await rename(temporary, place)
      await syncFolder(dirname(place))
    } finally {
      await rm(temporary, { force: true })
    }
  }

  async function read(digest: string): Promise<Uint8Array | undefined> {
    try {
      const bytes = await readFile(placeOf(digest))
      const found = createHash('sha256').update(bytes).digest('hex')
      if (found === digest) return bytes
      throw new Error(`Cannot read blob ${digest}: its bytes have changed on disk (now ${found})`)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
      throw error
    }
  }

  async function lay(digest: string, file: string): Promise<boolean> {
    const place = placeOf(digest)
    try {
      await link(place, file)
      return true
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      if (code === 'ENOENT' && (await sizeOf(digest)) === undefined) return false
      // Another disk, or one that knows no second names.
      if (code !== 'EXDEV' && code !== 'EPERM' && code !== 'EMLINK') throw error
      await copyFile(place, file, constants.COPYFILE_EXCL)
      return true
    }
  }

  async function sizeOf(digest: string): Promise<number | undefined> {
    try {
      return (await stat(placeOf(digest))).size
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
      throw error
    }
  }

  const part = (digest: string, from: number, through: number): AsyncIterable<Uint8Array> =>
    createReadStream(placeOf(digest), { start: from, end: through })

  const remove = (digest: string): Promise<void> => rm(placeOf(digest), { force: true })

  async function prune(before: number, signal: AbortSignal): Promise<number> {
    let removed = 0
    for await (const { file, storedAt } of stored(signal)) {
      if (storedAt >= before) continue
      await rm(file, { force: true })
      removed++
    }
    return removed
  }

  async function survey(before: number, signal: AbortSignal) {
    let count = 0
    let oldestKeptAt: number | null = null
    for await (const { storedAt } of stored(signal)) {
      if (storedAt < before) count++
      else oldestKeptAt = Math.min(storedAt, oldestKeptAt ?? storedAt)
    }
    return { count, oldestKeptAt }
  }

  async function* stored(signal: AbortSignal) {
    for await (const entry of await opendir(folder, { recursive: true })) {
      if (signal.aborted) return
      if (!entry.isFile() || entry.parentPath === incoming) continue
      const file = join(entry.parentPath, entry.name)
      const found = await stat(file).catch(() => undefined)
      if (found) yield { file, storedAt: found.mtimeMs }
    }
  }

  return { put, read, lay, sizeOf, part, remove, prune, survey }
}

/** Writes chunks to `file`, durably, where they have the digest and are not too many. */
async function receive(
  file: string,
  digest: string,
  chunks: AsyncIterable<Uint8Array>,
  { bytesMax, signal }: PutOptions,
): Promise<void> {
  await using handle = await open(file, 'wx')
  const hash = createHash('sha256')
  let sizeBytes = 0
  for await (const chunk of chunks) {
    signal?.throwIfAborted()
    sizeBytes += chunk.length
    if (sizeBytes > bytesMax) {
      throw new Refusal('tooLarge', `Cannot store more than ${bytesMax} bytes under one digest`)
    }
    hash.update(chunk)
    await handle.writeFile(chunk)
  }
  const found = hash.digest('hex')
  if (found !== digest) {
    throw new Refusal('digestDiffers', `Cannot store ${digest}: the bytes have digest ${found}`)
  }
  await handle.sync()
}

function placeName(digest: string): string {
  if (!/^[0-9a-f]{64}$/.test(digest)) throw new Error(`Cannot name a blob "${digest}"`)
  return join(digest.slice(0, 2), digest)
}

async function syncFolder(folder: string): Promise<void> {
  await using handle = await open(folder)
  await handle.sync()
}
