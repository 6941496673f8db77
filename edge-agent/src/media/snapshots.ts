/**
 * Pictures of events. A track's best picture is often replaced by a better one before any event names
 * it, so pictures wait in memory and are written when an event is about to name them.
 */
import { createHash, randomUUID } from 'node:crypto'
import { rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

/** Most bytes of pictures waiting in memory; beyond it the oldest is written although it may not be named. */
const waitingBytesMax = 4 * 1024 * 1024

/** Pictures of one media process, by the SHA-256 of their bytes. */
export class Snapshots {
  readonly #folder: string
  readonly #announce: (digest: string, sizeBytes: number) => void
  readonly #waiting = new Map<string, Uint8Array>()
  #waitingBytes = 0

  /** @param announce told when a picture is complete in `folder` as `DIGEST.jpg` */
  constructor(folder: string, announce: (digest: string, sizeBytes: number) => void) {
    this.#folder = folder
    this.#announce = announce
  }

  /**
   * Keeps a picture in memory.
   * @returns its digest
   * @throws {Error} when memory is full and the folder cannot be written
   */
  async hold(jpeg: Uint8Array): Promise<string> {
    const digest = createHash('sha256').update(jpeg).digest('hex')
    if (!this.#waiting.has(digest)) {
      this.#waiting.set(digest, jpeg)
      this.#waitingBytes += jpeg.length
    }
    while (this.#waitingBytes > waitingBytesMax) {
      const [oldest] = this.#waiting.keys()
      if (oldest === undefined) break
      await this.publish(oldest)
    }
    return digest
  }

  /**
   * Writes a picture that waits, whole or not at all, and announces it; does nothing where it is
   * written already.
   * @throws {Error} when the folder cannot be written
   */
  async publish(digest: string): Promise<void> {
    const jpeg = this.#take(digest)
    if (!jpeg) return
    const part = join(this.#folder, `.${randomUUID()}.part`)
    try {
      await writeFile(part, jpeg)
      await rename(part, join(this.#folder, `${digest}.jpg`))
    } catch (cause) {
      await rm(part, { force: true }).catch(() => {})
      const why = (cause as Error).message
      throw new Error(`Cannot keep a snapshot in "${this.#folder}": ${why}`, { cause })
    }
    this.#announce(digest, jpeg.length)
  }

  /** A picture that no event will name any more. */
  drop(digest: string): void {
    this.#take(digest)
  }

  #take(digest: string): Uint8Array | undefined {
    const jpeg = this.#waiting.get(digest)
    if (this.#waiting.delete(digest)) this.#waitingBytes -= jpeg?.length ?? 0
    return jpeg
  }
}
