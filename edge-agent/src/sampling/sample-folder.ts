/**
 * The samples of a box that the hub does not have yet. Bounded in number and bytes; when it is full, what is worth
 * least gives way, of equals the oldest. What a restart finds is there again; what is damaged goes.
 */
import { createHash } from 'node:crypto'
import { readdir, readFile, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Logger } from 'pino'
import { type KeptSample, readSample } from './sample-disk.ts'

export type SampleFolderOptions = {
  /** Must exist. */
  readonly folder: string
  readonly bytesMax: number
  readonly countMax?: number
  readonly log: Logger
}

/** Most samples that wait, so that a folder of tiny ones stays manageable. */
export const samplesMax = 5_000
const logIntervalMs = 60_000

export class SampleFolder {
  readonly #options: SampleFolderOptions
  readonly #samples = new Map<string, KeptSample>()
  #bytes = 0
  #dropped = 0
  #loggedAt = Number.NEGATIVE_INFINITY
  #came = Promise.withResolvers<void>()
  #revision = 0
  /** Samples that are being read, one after the other. */
  #adding: Promise<void> = Promise.resolve()

  static async open(options: SampleFolderOptions): Promise<SampleFolder> {
    const folder = new SampleFolder(options)
    await folder.#read()
    return folder
  }

  private constructor(options: SampleFolderOptions) {
    this.#options = options
  }

  get figures(): { readonly samples: number; readonly bytes: number; readonly dropped: number } {
    return { samples: this.#samples.size, bytes: this.#bytes, dropped: this.#dropped }
  }

  /** What is there, best first. */
  get samples(): KeptSample[] {
    return [...this.#samples.values()].sort(
      (a, b) => b.use - a.use || a.capturedAt.localeCompare(b.capturedAt),
    )
  }

  /** Takes a sample that is complete in the folder. */
  add(digest: string): Promise<void> {
    this.#adding = this.#adding.then(async () => {
      const sample = await readSample(this.#options.folder, digest)
      if (!sample || this.#samples.has(digest)) return
      this.#samples.set(digest, sample)
      this.#bytes += sample.sizeBytes
      await this.#giveWay()
      this.#revision++
      this.#came.resolve()
    })
    return this.#adding
  }

  /** Its bytes; undefined where they are not what they were. */
  async bytesOf(digest: string): Promise<Uint8Array | undefined> {
    const bytes = await readFile(this.#file(digest, 'jpg')).catch(() => undefined)
    if (bytes && createHash('sha256').update(bytes).digest('hex') === digest) return bytes
    return undefined
  }

  /** It is not needed any more. */
  async remove(digest: string): Promise<void> {
    const sample = this.#samples.get(digest)
    if (sample) this.#bytes -= sample.sizeBytes
    this.#samples.delete(digest)
    // The record first: without it the picture is nothing and goes at the next start.
    for (const kind of ['json', 'jpg'] as const) {
      await rm(this.#file(digest, kind), { force: true }).catch(() => {})
    }
  }

  /** Grows with every sample that comes. */
  get revision(): number {
    return this.#revision
  }

  /** Resolves when a sample has come since that revision, or when the signal aborts. */
  async change(since: number, signal: AbortSignal): Promise<void> {
    if (this.#revision !== since) return
    this.#came = Promise.withResolvers()
    const stop = (): void => this.#came.resolve()
    signal.addEventListener('abort', stop, { once: true })
    if (signal.aborted) stop()
    await this.#came.promise
    signal.removeEventListener('abort', stop)
  }

  async #giveWay(): Promise<void> {
    const { bytesMax, countMax = samplesMax } = this.#options
    const worst = this.samples.reverse()
    for (const { digest } of worst) {
      if (this.#bytes <= bytesMax && this.#samples.size <= countMax) return
      this.#dropped++
      await this.remove(digest)
      this.#tell()
    }
  }

  #tell(): void {
    const now = performance.now()
    if (now - this.#loggedAt < logIntervalMs) return
    this.#loggedAt = now
    const { folder, log } = this.#options
    log.warn({ folder, dropped: this.#dropped }, 'Samples gave way: there is no room for them')
  }

  async #read(): Promise<void> {
    const { folder, log } = this.#options
    const names = await readdir(folder)
    let damaged = 0
    for (const name of names) {
      const [, digest, kind] = /^([0-9a-f]{64})\.(jpg|json)$/.exec(name) ?? []
      if (name.endsWith('.part')) await rm(join(folder, name), { force: true })
      if (digest === undefined) continue
      if (kind === 'jpg') {
        // Without its record nobody knows what it is.
        if (!names.includes(`${digest}.json`)) await rm(join(folder, name), { force: true })
        continue
      }
      const sample = await readSample(folder, digest)
      const file = await stat(this.#file(digest, 'jpg')).catch(() => undefined)
      if (sample && file?.size === sample.sizeBytes) {
        this.#samples.set(digest, sample)
        this.#bytes += sample.sizeBytes
        continue
      }
      damaged++
      await this.remove(digest)
    }
    if (damaged > 0) log.warn({ folder, damaged }, 'Damaged samples were removed')
    await this.#giveWay()
  }

  #file(digest: string, kind: 'jpg' | 'json'): string {
    return join(this.#options.folder, `${digest}.${kind}`)
  }
}
