/**
 * One clip on its way to disk. Packets are taken at once and written behind the caller's back; the file gets its
 * name, the digest of its bytes, when it is whole and durable. What is cut off leaves a `.part` that the next
 * look at the folder removes.
 */
import { createHash, randomUUID } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { type FileHandle, open, rename, rm, statfs } from 'node:fs/promises'
import { join } from 'node:path'
import { clipBytesMax } from '@edgeloop/protocol'
import { type Coding, sampleOf } from './h264.ts'
import { durationOf, head, headBytes, type Sample, tail } from './mp4.ts'
import type { RingPacket } from './packet-ring.ts'

/** Bytes that may wait for a slow disk; with more the clip is given up. */
const waitingBytesMax = 32 * 1024 * 1024
/** Free bytes below which no clip is written: what is left is for events. */
export const freeBytesMin = 256 * 1024 * 1024
/** The disk is asked again how much is free after so many bytes. */
const freeCheckBytes = 16 * 1024 * 1024
/** Room for the table behind the samples: it is smaller. */
const tailBytesMax = 1024 * 1024

export type Clip = {
  readonly digest: string
  readonly sizeBytes: number
  /** When its first and its last picture arrived, ms since the epoch. */
  readonly startedAt: number
  readonly endedAt: number
  readonly durationMs: number
  readonly width: number
  readonly height: number
}

export type ClipFileOptions = {
  readonly folder: string
  readonly coding: Coding
  /** Free bytes of the disk that holds the folder. */
  readonly free?: (folder: string) => Promise<number>
}

export const freeBytesOf = async (folder: string): Promise<number> => {
  const { bavail, bsize } = await statfs(folder)
  return bavail * bsize
}

export class ClipFile {
  readonly #options: ClipFileOptions
  readonly #part: string
  readonly #samples: Sample[] = []
  #waiting: Uint8Array[] = []
  #waitingBytes = 0
  #bytes = 0
  #checkedBytes = Number.NEGATIVE_INFINITY
  #first: RingPacket | undefined
  #last: RingPacket | undefined
  #handle: FileHandle | undefined
  #failure: Error | undefined
  #writing: Promise<void> | undefined

  constructor(options: ClipFileOptions) {
    this.#options = options
    this.#part = join(options.folder, `.${randomUUID()}.part`)
  }

  /** True where another packet would make it larger than a clip may be. */
  isFull(packet: RingPacket): boolean {
    return headBytes + this.#bytes + packet.data.length + tailBytesMax > clipBytesMax
  }

  /** Takes the next packet; the first is a key frame. @returns false once the clip cannot be written */
  write(packet: RingPacket): boolean {
    if (this.#failure !== undefined) return false
    const data = sampleOf(packet)
    this.#first ??= packet
    this.#last = packet
    this.#samples.push({
      sizeBytes: data.length,
      isKey: packet.isKey,
      decodeMs: packet.steadyMs - this.#first.steadyMs,
      delayMs: packet.shownMs - packet.decodeMs,
    })
    this.#bytes += data.length
    this.#waiting.push(data)
    this.#waitingBytes += data.length
    if (this.#waitingBytes > waitingBytesMax) {
      this.#failure = new Error(`the disk is too slow: ${waitingBytesMax} bytes wait for it`)
      return false
    }
    this.#writing ??= this.#write().finally(() => {
      this.#writing = undefined
    })
    return true
  }

  /**
   * Ends the clip and gives it its name.
   * @throws {Error} where it could not be written; nothing is left of it then
   */
  async finish(): Promise<Clip> {
    const { folder, coding } = this.#options
    try {
      await this.#writing
      const [first, last, handle] = [this.#first, this.#last, this.#handle]
      if (this.#failure !== undefined) throw this.#failure
      if (!first || !last || !handle) throw new Error('it has no picture')
      await handle.write(tail(coding, this.#samples, first.at))
      await handle.write(head(this.#bytes), 0, headBytes, 0)
      await handle.sync()
      const { size } = await handle.stat()
      await handle.close()
      this.#handle = undefined
      const digest = await digestOf(this.#part)
      await rename(this.#part, join(folder, `${digest}.mp4`))
      await using named = await open(folder)
      await named.sync()
      return {
        digest,
        sizeBytes: size,
        width: coding.width,
        height: coding.height,
        startedAt: first.at,
        endedAt: last.at,
        durationMs: Math.round(durationOf(this.#samples)),
      }
    } catch (cause) {
      await this.#handle?.close().catch(() => {})
      await rm(this.#part, { force: true }).catch(() => {})
      throw new Error(`Cannot keep a clip in "${folder}": ${(cause as Error).message}`, { cause })
    }
  }

  /** Writes until nothing waits. Never rejects: a failure is told by the next call. */
  async #write(): Promise<void> {
    try {
      if (this.#handle === undefined) {
        await this.#checkFree()
        this.#handle = await open(this.#part, 'wx', 0o600)
        await this.#handle.write(head(0))
      }
      while (this.#waiting.length > 0 && this.#failure === undefined) {
        if (this.#bytes - this.#checkedBytes > freeCheckBytes) await this.#checkFree()
        const some = this.#waiting
        this.#waiting = []
        const sizeBytes = some.reduce((sum, { length }) => sum + length, 0)
        const { bytesWritten } = await this.#handle.write(Buffer.concat(some))
        if (bytesWritten < sizeBytes) throw new Error('the disk is full')
        this.#waitingBytes -= sizeBytes
      }
    } catch (error) {
      this.#failure = error as Error
    }
  }

  async #checkFree(): Promise<void> {
    const { folder, free = freeBytesOf } = this.#options
    this.#checkedBytes = this.#bytes
    const bytes = await free(folder)
    if (bytes >= freeBytesMin) return
    throw new Error(
      `only ${Math.floor(bytes / 1e6)} MB of its disk are free, and the last ${Math.round(freeBytesMin / 1e6)} MB are for events`,
    )
  }
}

async function digestOf(file: string): Promise<string> {
  const hash = createHash('sha256')
  for await (const chunk of createReadStream(file, { highWaterMark: 1024 * 1024 }))
    hash.update(chunk)
  return hash.digest('hex')
}
