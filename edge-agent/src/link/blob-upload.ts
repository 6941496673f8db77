/**
 * Snapshots on their way to the hub. The queue is the folder itself: files named by the digest of
 * their bytes, which another process completes and announces. Bounded in number and bytes; when it is
 * full the oldest gives way and is counted. What a restart finds in the folder is sent first.
 */
import { createHash } from 'node:crypto'
import { readdir, readFile, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { deviceRoutes, pathOf } from '@edgeloop/protocol'
import type { Logger } from 'pino'
import { uploadBackoff, waitMs } from './backoff.ts'
import type { DeviceHttps } from './device-https.ts'
import type { UploadBudget } from './upload-budget.ts'

/** Most snapshots that wait, so that a folder of tiny ones stays manageable. */
export const snapshotsMax = 10_000
/** How often losses are logged at most. */
const logIntervalMs = 60_000

export type BlobUploadOptions = {
  readonly folder: string
  readonly bytesMax: number
  readonly countMax?: number
  readonly https: Pick<DeviceHttps, 'put'>
  readonly budget: UploadBudget
  /** Resolves when it is the turn of snapshots: the hub is there and events do not wait. */
  readonly turn: (signal: AbortSignal) => Promise<void>
  readonly log: Logger
  readonly random: () => number
  readonly signal: AbortSignal
}

export type BlobFigures = {
  readonly waiting: number
  readonly waitingBytes: number
  readonly sent: number
  /** Gave way, or refused by the hub. */
  readonly dropped: number
}

export class BlobUpload {
  /** Digests in the order in which they are sent, with their sizes. */
  readonly #queue = new Map<string, number>()
  readonly #options: BlobUploadOptions
  #waitingBytes = 0
  #sending: string | undefined
  #sent = 0
  #dropped = 0
  #loggedAt = Number.NEGATIVE_INFINITY
  #offered = Promise.withResolvers<void>()

  /** Finds what an earlier start has left in the folder. */
  static async open(options: BlobUploadOptions): Promise<BlobUpload> {
    const upload = new BlobUpload(options)
    for (const { digest, sizeBytes } of await leftIn(options.folder)) {
      upload.offer(digest, sizeBytes)
    }
    return upload
  }

  private constructor(options: BlobUploadOptions) {
    this.#options = options
  }

  get figures(): BlobFigures {
    return {
      waiting: this.#queue.size,
      waitingBytes: this.#waitingBytes,
      sent: this.#sent,
      dropped: this.#dropped,
    }
  }

  /** Takes a snapshot that is complete in the folder as `DIGEST.jpg`. */
  offer(digest: string, sizeBytes: number): void {
    if (this.#queue.has(digest)) return
    this.#queue.set(digest, sizeBytes)
    this.#waitingBytes += sizeBytes
    const { bytesMax, countMax = snapshotsMax } = this.#options
    for (const oldest of this.#queue.keys()) {
      if (this.#waitingBytes <= bytesMax && this.#queue.size <= countMax) break
      if (oldest !== this.#sending) this.#drop(oldest, 'there is no room for it')
    }
    this.#offered.resolve()
  }

  /** Sends until the signal aborts. */
  async run(): Promise<void> {
    const { signal, random } = this.#options
    let failures = 0
    while (!signal.aborted) {
      try {
        const [digest] = this.#queue.keys()
        if (digest === undefined) {
          await this.#more()
          continue
        }
        const why = await this.#sendOne(digest)
        if (why === undefined) {
          failures = 0
          continue
        }
        this.#options.log.debug({ digest, why }, 'A snapshot could not be sent')
        await sleep(waitMs(uploadBackoff, failures++, random()), undefined, { signal, ref: false })
      } catch (error) {
        if (!signal.aborted) throw error
      }
    }
  }

  /** @returns why it has to be tried again, or undefined when it is done */
  async #sendOne(digest: string): Promise<string | undefined> {
    const { folder, https, budget, turn, signal } = this.#options
    await turn(signal)
    this.#sending = digest
    try {
      const bytes = await readFile(join(folder, `${digest}.jpg`)).catch(() => undefined)
      if (!bytes || createHash('sha256').update(bytes).digest('hex') !== digest) {
        this.#drop(digest, bytes ? 'its file is damaged' : 'its file is gone')
        return undefined
      }
      await budget.take('snapshots', bytes.length, signal)
      const path = pathOf(deviceRoutes.blobPut, { digest })
      const result = await https.put(path, deviceRoutes.blobPut.consumes, bytes, signal)
      if (result.kind === 'later') return result.why
      if (result.kind === 'refused') this.#drop(digest, result.why)
      else await this.#done(digest)
      return undefined
    } finally {
      this.#sending = undefined
    }
  }

  async #done(digest: string): Promise<void> {
    this.#sent++
    this.#forget(digest)
    // A file that cannot be removed is sent once more after the next start, and stored once.
    await rm(join(this.#options.folder, `${digest}.jpg`), { force: true }).catch(() => {})
  }

  #drop(digest: string, why: string): void {
    this.#dropped++
    this.#forget(digest)
    rm(join(this.#options.folder, `${digest}.jpg`), { force: true }).catch(() => {})
    const now = performance.now()
    if (now - this.#loggedAt < logIntervalMs) return
    this.#loggedAt = now
    this.#options.log.warn({ digest, why, dropped: this.#dropped }, 'A snapshot was given up')
  }

  #forget(digest: string): void {
    this.#waitingBytes -= this.#queue.get(digest) ?? 0
    this.#queue.delete(digest)
  }

  async #more(): Promise<void> {
    this.#offered = Promise.withResolvers()
    if (this.#queue.size > 0) return
    const { signal } = this.#options
    const stop = () => this.#offered.resolve()
    signal.addEventListener('abort', stop, { once: true })
    await this.#offered.promise
    signal.removeEventListener('abort', stop)
  }
}

/** Complete snapshots, oldest first. Parts that a killed process left behind are removed. */
async function leftIn(folder: string): Promise<{ digest: string; sizeBytes: number }[]> {
  const found: { digest: string; sizeBytes: number; atMs: number }[] = []
  for (const name of await readdir(folder)) {
    const file = join(folder, name)
    if (name.endsWith('.part')) await rm(file, { force: true })
    const digest = /^([0-9a-f]{64})\.jpg$/.exec(name)?.[1]
    if (digest === undefined) continue
    const { size, mtimeMs } = await stat(file)
    found.push({ digest, sizeBytes: size, atMs: mtimeMs })
  }
  return found.sort((a, b) => a.atMs - b.atMs)
}
