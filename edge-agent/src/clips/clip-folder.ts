/**
 * The clips of a box: files named by their digest, of which the oldest give way to a number of days, a number
 * of bytes and a disk that fills up. Those that somebody wants kept outlive their days and give way last.
 */
import { open, readdir, rm, stat, utimes } from 'node:fs/promises'
import { join } from 'node:path'
import type { Logger } from 'pino'
import { freeBytesMin, freeBytesOf } from './clip-file.ts'

/** A part that nobody has written to for this long was left behind: a clip is never open for longer. */
const partMsMax = 15 * 60_000
const lookIntervalMs = 10 * 60_000

export type KeptClip = {
  readonly digest: string
  readonly sizeBytes: number
  /** When it was finished, ms. */
  readonly at: number
  /** An event in it was marked as important. */
  readonly isKept: boolean
}

/**
 * Which clips must go. Pure.
 * @param freeBytes of the disk, before anything has gone
 */
export function clipsToRemove(
  clips: readonly KeptClip[],
  bounds: { now: number; keptMs: number; bytesMax: number; freeBytes: number },
): KeptClip[] {
  const byAge = [...clips].sort((a, b) => Number(a.isKept) - Number(b.isKept) || a.at - b.at)
  let bytes = clips.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)
  let free = bounds.freeBytes
  return byAge.filter(({ at, isKept, sizeBytes }) => {
    const isOld = !isKept && at < bounds.now - bounds.keptMs
    // Twice what a new clip demands, so that one can be written.
    if (!isOld && bytes <= bounds.bytesMax && free >= 2 * freeBytesMin) return false
    bytes -= sizeBytes
    free += sizeBytes
    return true
  })
}

export type ClipFolderOptions = {
  readonly folder: string
  readonly bytesMax: number
  readonly keptDays: number
  readonly log: Logger
  readonly now: () => number
  readonly free?: (folder: string) => Promise<number>
}

const dayMs = 86_400_000

export class ClipFolder implements AsyncDisposable {
  readonly #options: ClipFolderOptions
  readonly #clips = new Map<string, KeptClip>()
  readonly #timer: NodeJS.Timeout
  /** One look after the other. */
  #looking: Promise<void> = Promise.resolve()

  /** Opens the folder, which must exist; what an earlier start had not finished is removed. */
  static async open(options: ClipFolderOptions): Promise<ClipFolder> {
    const folder = new ClipFolder(options)
    await folder.#read()
    await folder.#prune()
    return folder
  }

  private constructor(options: ClipFolderOptions) {
    this.#options = options
    this.#timer = setInterval(() => this.#look(), lookIntervalMs).unref()
  }

  get figures(): { readonly clips: number; readonly bytes: number } {
    let bytes = 0
    for (const { sizeBytes } of this.#clips.values()) bytes += sizeBytes
    return { clips: this.#clips.size, bytes }
  }

  /** The file of a clip and its size; undefined where it has given way or never was. */
  find(digest: string): { readonly file: string; readonly sizeBytes: number } | undefined {
    const clip = this.#clips.get(digest)
    return clip && { file: this.#fileOf(digest), sizeBytes: clip.sizeBytes }
  }

  /** Takes a clip that is complete in the folder. */
  add(digest: string, sizeBytes: number): void {
    const { now } = this.#options
    this.#clips.set(digest, { digest, sizeBytes, at: now(), isKept: false })
    this.#look()
  }

  /** Keeps a clip beyond its days, or no longer. @returns false where there is none */
  async keep(digest: string, isKept: boolean): Promise<boolean> {
    const clip = this.#clips.get(digest)
    if (!clip) return false
    this.#clips.set(digest, { ...clip, isKept })
    const marker = this.#markerOf(digest)
    if (isKept) await (await open(marker, 'w', 0o600)).close()
    else await rm(marker, { force: true })
    return true
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer)
    await this.#looking
  }

  #look(): void {
    this.#looking = this.#looking
      .then(() => this.#prune())
      .catch((error: Error) => this.#options.log.warn(`Cannot look after clips: ${error.message}`))
  }

  async #read(): Promise<void> {
    const { folder, now } = this.#options
    const names = new Set(await readdir(folder))
    for (const name of names) {
      const file = join(folder, name)
      if (name.endsWith('.part')) await rm(file, { force: true })
      const [, digest, kind] = /^([0-9a-f]{64})\.(mp4|keep)$/.exec(name) ?? []
      if (digest === undefined) continue
      if (kind === 'keep' && !names.has(`${digest}.mp4`)) await rm(file, { force: true })
      if (kind !== 'mp4') continue
      const { size, mtimeMs } = await stat(file)
      // A clock that was wrong then would keep it for ever.
      if (mtimeMs > now() + dayMs) await utimes(file, now() / 1000, now() / 1000)
      const at = Math.min(mtimeMs, now())
      this.#clips.set(digest, { digest, sizeBytes: size, at, isKept: names.has(`${digest}.keep`) })
    }
  }

  async #prune(): Promise<void> {
    const { folder, bytesMax, keptDays, now, log, free = freeBytesOf } = this.#options
    for (const name of await readdir(folder)) {
      if (!name.endsWith('.part')) continue
      const found = await stat(join(folder, name)).catch(() => undefined)
      if (found && found.mtimeMs < now() - partMsMax) await rm(join(folder, name), { force: true })
    }
    const bounds = { now: now(), keptMs: keptDays * dayMs, bytesMax, freeBytes: await free(folder) }
    const going = clipsToRemove([...this.#clips.values()], bounds)
    for (const { digest } of going) {
      this.#clips.delete(digest)
      await rm(this.#fileOf(digest), { force: true })
      await rm(this.#markerOf(digest), { force: true })
    }
    if (going.length > 0) log.info({ clips: going.length }, 'The oldest clips gave way')
  }

  #fileOf(digest: string): string {
    return join(this.#options.folder, `${digest}.mp4`)
  }

  #markerOf(digest: string): string {
    return join(this.#options.folder, `${digest}.keep`)
  }
}
