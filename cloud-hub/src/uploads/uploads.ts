/**
 * Files that come from people in parts: a large one outlives a slow line that way, and no request is long. They
 * lie in the hub's data folder until somebody makes something of them, and are gone with the next start.
 */
import { createHash, randomUUID } from 'node:crypto'
import { mkdir, open, rm, truncate } from 'node:fs/promises'
import { join } from 'node:path'
import { Refusal, type Upload, uploadPartBytesMax } from '@edgeloop/protocol'

/** Uploads at once, of everybody. */
export const uploadsMax = 16
/** What is not used by then is dropped. */
export const uploadKeptMs = 3_600_000
/** Of as many as there may be, one that was silent for so long makes room: somebody gave it up. */
export const uploadSilentMs = 120_000

export type Uploads = AsyncDisposable & {
  /** @throws {Refusal} tooManyRequests while there are as many as there may be */
  begin(sizeBytes: number, by: string): Promise<Upload>
  /**
   * Adds the part that begins at `offset`. A part that came before and was not answered may come again.
   * @throws {Refusal} notFound for another user's upload; conflict where another part is next; tooLarge
   */
  take(uploadId: string, by: string, offset: number, bytes: Uint8Array): Promise<Upload>
  /**
   * Lends the whole file with its digest and drops it afterwards.
   * @throws {Refusal} notFound; conflict where parts are missing
   */
  use<T>(
    uploadId: string,
    by: string,
    work: (file: string, digest: string) => Promise<T>,
  ): Promise<T>
}

type Entry = {
  readonly upload: Omit<Upload, 'receivedBytes'>
  readonly by: string
  readonly file: string
  readonly hash: ReturnType<typeof createHash>
  receivedBytes: number
  heardAt: number
  /** One part at a time. */
  busy: boolean
}

export async function openUploads(deps: { folder: string; clock: () => number }): Promise<Uploads> {
  const { folder, clock } = deps
  const entries = new Map<string, Entry>()
  await rm(folder, { recursive: true, force: true })
  await mkdir(folder, { recursive: true, mode: 0o700 })

  const shown = ({ upload, receivedBytes }: Entry): Upload => ({ ...upload, receivedBytes })

  async function drop(entry: Entry): Promise<void> {
    entries.delete(entry.upload.uploadId)
    await rm(entry.file, { force: true })
  }

  /** Lets nobody else work on an upload meanwhile. */
  async function alone<T>(uploadId: string, by: string, work: (entry: Entry) => Promise<T>) {
    const entry = entries.get(uploadId)
    if (entry?.by !== by) {
      throw new Refusal('notFound', `Cannot find upload "${uploadId}": begin it anew`)
    }
    if (entry.busy) throw new Refusal('conflict', 'Cannot take this part: another one is coming in')
    entry.busy = true
    try {
      return await work(entry)
    } finally {
      entry.busy = false
    }
  }

  return {
    begin: async (sizeBytes, by) => {
      for (const entry of entries.values()) {
        if (entry.busy) continue
        const isOld = Date.parse(entry.upload.expiresAt) <= clock()
        const isGivenUp = entries.size >= uploadsMax && clock() - entry.heardAt >= uploadSilentMs
        if (isOld || isGivenUp) await drop(entry)
      }
      if (entries.size >= uploadsMax) {
        throw new Refusal(
          'tooManyRequests',
          `Cannot begin an upload: ${uploadsMax} are open; try again when one is done`,
        )
      }
      const uploadId = randomUUID()
      const entry: Entry = {
        upload: {
          uploadId,
          sizeBytes,
          partBytesMax: uploadPartBytesMax,
          expiresAt: new Date(clock() + uploadKeptMs).toISOString(),
        },
        by,
        file: join(folder, uploadId),
        hash: createHash('sha256'),
        receivedBytes: 0,
        heardAt: clock(),
        busy: false,
      }
      entries.set(uploadId, entry)
      return shown(entry)
    },
    take: (uploadId, by, offset, bytes) =>
      alone(uploadId, by, async (entry) => {
        const { sizeBytes } = entry.upload
        if (offset + bytes.length <= entry.receivedBytes) return shown(entry)
        if (offset !== entry.receivedBytes) {
          throw new Refusal(
            'conflict',
            `Cannot take a part at ${offset}: the next one begins at ${entry.receivedBytes}`,
          )
        }
        if (offset + bytes.length > sizeBytes) {
          throw new Refusal(
            'tooLarge',
            `Cannot take ${bytes.length} bytes at ${offset}: ${sizeBytes} were announced`,
          )
        }
        try {
          await using handle = await open(entry.file, 'a')
          await handle.writeFile(bytes)
        } catch (error) {
          // A disk that was full may have taken a piece of it.
          await truncate(entry.file, offset).catch(() => {})
          throw error
        }
        entry.heardAt = clock()
        entry.hash.update(bytes)
        entry.receivedBytes += bytes.length
        return shown(entry)
      }),
    use: (uploadId, by, work) =>
      alone(uploadId, by, async (entry) => {
        const { receivedBytes, upload } = entry
        if (receivedBytes < upload.sizeBytes) {
          throw new Refusal(
            'conflict',
            `Cannot use the upload: ${receivedBytes} of ${upload.sizeBytes} bytes have come`,
          )
        }
        try {
          return await work(entry.file, entry.hash.copy().digest('hex'))
        } finally {
          await drop(entry)
        }
      }),
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }),
  }
}
