/**
 * Fetches one encoding of a model, piece by piece. Every piece is checked by the digest that the signed manifest has of
 * it before it is kept, so it does not matter who gives it: other boxes of the site are asked first, then the hub. What
 * is on the disk is a run of whole pieces; after a cut or a power cut they are checked again and the transfer goes on
 * behind the last good one.
 */
import { createHash } from 'node:crypto'
import { chunkBytes, type Encoding } from '@edgeloop/protocol'
import { type Backoff, waitMs } from '../link/backoff.ts'
import { digestOf } from './model-record.ts'
import type { UpdateDisk } from './update-disk.ts'

/** Who has artifacts: the hub, or another box. */
export interface ArtifactSource {
  /** `hub`, or the base address of a mirror. */
  readonly name: string
  /**
   * Bytes of an artifact from a place on. What comes is bounded and timed by the source, and believed by nobody.
   * @throws {Error} when it cannot be reached or breaks off; the signal's reason when that aborts
   */
  open(digest: string, from: number, signal: AbortSignal): Promise<SourceAnswer>
}

export type SourceAnswer =
  | { readonly kind: 'bytes'; readonly bytes: AsyncIterable<Uint8Array> }
  /** Too many ask; `afterMs`: when to come again, where it said so. */
  | { readonly kind: 'busy'; readonly afterMs?: number }
  | { readonly kind: 'absent'; readonly why: string }

/**
 * The hub itself cannot help. `integrity`: what it gives is not what was signed; `download`: it does not have it.
 */
export class TransferError extends Error {
  readonly code: 'integrity' | 'download'

  constructor(code: 'integrity' | 'download', text: string) {
    super(text)
    this.name = 'TransferError'
    this.code = code
  }
}

export type Progress = {
  /** Verified and on disk. */
  readonly done: number
  /** Came over the network in this transfer, whatever became of it. */
  readonly fromHub: number
  readonly fromMirrors: number
}

export type DownloadOptions = {
  readonly encoding: Encoding
  readonly disk: UpdateDisk
  /** Where it is put; its folder is there. */
  readonly path: string
  readonly hub: ArtifactSource
  readonly mirrors: readonly ArtifactSource[]
  /** Undefined: no limit. */
  readonly bytesPerSecondMax: number | undefined
  readonly told: (progress: Progress) => void
  /** A mirror gave wrong bytes, or too slowly, and is asked no more. */
  readonly onBadMirror: (name: string, why: string) => void
  readonly sleep: (ms: number, signal: AbortSignal) => Promise<void>
  readonly monotonicMs: () => number
  /** 0..1 */
  readonly random: () => number
  readonly signal: AbortSignal
}

/** So many bytes at most are lost by a power cut. */
const syncBytes = 1024 * 1024
/** The waits after failures of the hub. */
const backoff: Backoff = { firstMs: 1000, maxMs: 120_000 }
/** A hub that says when to come again is believed up to here. */
const retryAfterMsMax = 3_600_000
/** A mirror that fails so often in a row is asked no more. */
const mirrorFailuresMax = 2
/** Wrong pieces of the hub after which it is taken for changed, not for a bad wire. */
const wrongPiecesMax = 2
/** A mirror is slow that has given less than this after so long. */
const slow = { afterMs: 15_000, bytesPerSecond: 4096 } as const

/**
 * Resolves when the whole encoding is at `path`, verified and durable. It tries again for as long as the signal lets it.
 * @throws {TransferError} when the hub gives other bytes than were signed, or does not have them
 * @throws {Error} with code `ENOSPC` when the disk is full; the signal's reason when it aborts
 */
export async function download(options: DownloadOptions): Promise<void> {
  const transfer = new Transfer(options)
  await transfer.resume()
  await transfer.run()
}

class Transfer {
  readonly #options: DownloadOptions
  #mirrors: ArtifactSource[]
  /** Pieces on disk, in bytes. */
  #done = 0
  #unsynced = 0
  /** Of the piece that is coming, and who gave it. */
  #tail: Uint8Array[] = []
  #tailLength = 0
  #tailOf: ArtifactSource | undefined
  #fromHub = 0
  #fromMirrors = 0
  #hubFailures = 0
  #wrongPieces = 0
  readonly #mirrorFailures = new Map<ArtifactSource, number>()
  /** When the next byte may be asked for, by the limit of bytes per second. */
  #freeAtMs = 0

  constructor(options: DownloadOptions) {
    this.#options = options
    const { random } = options
    this.#mirrors = options.mirrors
      .map((source) => ({ source, key: random() }))
      .sort((one, other) => one.key - other.key)
      .map(({ source }) => source)
  }

  /** Finds the good pieces of an earlier run. */
  async resume(): Promise<void> {
    const { disk, path, encoding } = this.#options
    for (const digest of encoding.chunks) {
      const length = Math.min(chunkBytes, encoding.lengthBytes - this.#done)
      const piece = await disk.readPart(path, this.#done, length)
      if (piece?.length !== length || digestOf(piece) !== digest) break
      this.#done += length
    }
    this.#tell()
  }

  async run(): Promise<void> {
    const { encoding, hub, signal, disk, path } = this.#options
    while (this.#done < encoding.lengthBytes) {
      signal.throwIfAborted()
      const mirror = this.#mirrors[0]
      if (mirror) await this.#fromMirror(mirror)
      else await this.#from(hub)
    }
    if ((await disk.size(path)) !== encoding.lengthBytes) {
      // Something lay behind the good pieces; the last of them is written again, which cuts the file there.
      const from = Math.floor((encoding.lengthBytes - 1) / chunkBytes) * chunkBytes
      const piece = await disk.readPart(path, from, encoding.lengthBytes - from)
      await disk.write(path, piece as Uint8Array, from)
    }
    await disk.sync(path)
    await disk.syncFolder(path.slice(0, path.lastIndexOf('/')))
    if ((await this.#wholeDigest()) !== encoding.digest) {
      throw new TransferError(
        'integrity',
        `Every piece of ${encoding.digest} is what its manifest says, and the whole is not`,
      )
    }
  }

  async #wholeDigest(): Promise<string> {
    const { disk, path, encoding } = this.#options
    const hash = createHash('sha256')
    for (let from = 0; from < encoding.lengthBytes; from += syncBytes) {
      hash.update((await disk.readPart(path, from, syncBytes)) ?? new Uint8Array())
    }
    return hash.digest('hex')
  }

  async #fromMirror(mirror: ArtifactSource): Promise<void> {
    const before = this.#done
    let why: string | undefined
    try {
      const answer = await this.#open(mirror)
      if (answer.kind === 'bytes') why = await this.#take(mirror, answer.bytes)
      else why = answer.kind === 'busy' ? 'it is busy' : answer.why
      if (why === undefined) return
    } catch (error) {
      this.#options.signal.throwIfAborted()
      if (error instanceof DiskError) throw error.cause
      why = (error as Error).message
    }
    if (why === wrongPiece || why === tooSlow) return this.#dropMirror(mirror, why)
    const failures = this.#done > before ? 1 : (this.#mirrorFailures.get(mirror) ?? 0) + 1
    this.#mirrorFailures.set(mirror, failures)
    if (failures >= mirrorFailuresMax) this.#mirrors = this.#mirrors.filter((m) => m !== mirror)
  }

  #dropMirror(mirror: ArtifactSource, why: string): void {
    this.#mirrors = this.#mirrors.filter((other) => other !== mirror)
    this.#options.onBadMirror(mirror.name, why)
  }

  async #from(hub: ArtifactSource): Promise<void> {
    const { encoding, sleep, random, signal } = this.#options
    const before = this.#done
    let afterMs = 0
    try {
      const answer = await this.#open(hub)
      if (answer.kind === 'absent') {
        throw new TransferError(
          'download',
          `The hub does not have ${encoding.digest}: ${answer.why}`,
        )
      }
      if (answer.kind === 'busy') afterMs = Math.min(answer.afterMs ?? 0, retryAfterMsMax)
      else if ((await this.#take(hub, answer.bytes)) === wrongPiece) {
        if (++this.#wrongPieces >= wrongPiecesMax) {
          throw new TransferError(
            'integrity',
            `The hub gives other bytes for ${encoding.digest} than were signed, from byte ${this.#done} on`,
          )
        }
      }
    } catch (error) {
      signal.throwIfAborted()
      if (error instanceof DiskError) throw error.cause
      if (error instanceof TransferError) throw error
    }
    if (this.#done === encoding.lengthBytes) return
    this.#hubFailures = this.#done > before ? 0 : this.#hubFailures + 1
    await sleep(afterMs + waitMs(backoff, this.#hubFailures, random()), signal)
  }

  #open(source: ArtifactSource): Promise<SourceAnswer> {
    // What one has begun, another may have begun with other bytes.
    if (this.#tailOf !== source) this.#dropTail()
    this.#tailOf = source
    const { encoding, signal } = this.#options
    return source.open(encoding.digest, this.#done + this.#tailLength, signal)
  }

  /** Takes what comes until it ends. Gives what was wrong with it, or undefined. */
  async #take(
    source: ArtifactSource,
    bytes: AsyncIterable<Uint8Array>,
  ): Promise<string | undefined> {
    const { encoding, hub, monotonicMs } = this.#options
    const startMs = monotonicMs()
    let came = 0
    for await (const part of bytes) {
      came += part.length
      if (source === hub) this.#fromHub += part.length
      else this.#fromMirrors += part.length
      for (let at = 0; at < part.length; ) {
        const left = this.#pieceLength - this.#tailLength
        // More than was promised: nobody listens to the rest.
        if (left === 0) return undefined
        const some = part.subarray(at, at + left)
        this.#tail.push(Uint8Array.from(some))
        this.#tailLength += some.length
        at += some.length
        if (this.#tailLength === this.#pieceLength && !(await this.#keepPiece())) return wrongPiece
      }
      if (this.#done === encoding.lengthBytes) return undefined
      await this.#pace(part.length)
      const elapsedMs = monotonicMs() - startMs
      const isSlow = elapsedMs > slow.afterMs && (came * 1000) / elapsedMs < slow.bytesPerSecond
      if (source !== hub && isSlow && !this.#isLimited) return tooSlow
    }
    return undefined
  }

  get #pieceLength(): number {
    return Math.min(chunkBytes, this.#options.encoding.lengthBytes - this.#done)
  }

  get #isLimited(): boolean {
    const { bytesPerSecondMax } = this.#options
    return bytesPerSecondMax !== undefined && bytesPerSecondMax < 2 * slow.bytesPerSecond
  }

  /** False where it is not the piece that was signed. */
  async #keepPiece(): Promise<boolean> {
    const { disk, path, encoding } = this.#options
    const piece = Buffer.concat(this.#tail)
    this.#dropTail()
    if (digestOf(piece) !== encoding.chunks[this.#done / chunkBytes]) return false
    try {
      await disk.write(path, piece, this.#done)
      this.#unsynced += piece.length
      if (this.#unsynced >= syncBytes) {
        await disk.sync(path)
        this.#unsynced = 0
      }
    } catch (cause) {
      throw new DiskError(cause)
    }
    this.#done += piece.length
    this.#tell()
    return true
  }

  #dropTail(): void {
    this.#tail = []
    this.#tailLength = 0
  }

  /** Waits until the limit of bytes per second allows more; what is not read is not sent. */
  async #pace(lengthBytes: number): Promise<void> {
    const { bytesPerSecondMax, monotonicMs, sleep, signal } = this.#options
    if (bytesPerSecondMax === undefined) return
    const now = monotonicMs()
    this.#freeAtMs = Math.max(this.#freeAtMs, now) + (lengthBytes / bytesPerSecondMax) * 1000
    await sleep(this.#freeAtMs - now, signal)
  }

  #tell(): void {
    this.#options.told({
      done: this.#done,
      fromHub: this.#fromHub,
      fromMirrors: this.#fromMirrors,
    })
  }
}

const wrongPiece = 'it gives other bytes than were signed'
const tooSlow = 'it is too slow'

/** The disk, not the network, is at fault. */
class DiskError extends Error {
  constructor(cause: unknown) {
    super('the disk does not take it', { cause })
  }
}

/**
 * The smallest encoding that can be decoded with what is here.
 * @param bases digests of files that are here
 */
export function chooseEncoding(
  encodings: readonly Encoding[],
  bases: ReadonlySet<string>,
): Encoding | undefined {
  return encodings
    .filter(({ baseDigest }) => baseDigest === undefined || bases.has(baseDigest))
    .toSorted(
      (one, other) => one.lengthBytes - other.lengthBytes || one.digest.localeCompare(other.digest),
    )[0]
}
