/**
 * Checkpoints on disk. Each is one file that appears whole or not at all and ends with the digest of what stands before,
 * so that a power cut in the middle of writing costs the newest one at most. A few of the newest are kept.
 *
 *     "EDGELOOP CHECKPOINT 1\n" | length of facts (4 bytes) | facts (JSON) | vectors (float32, one after another) | SHA-256
 *
 * All numbers are little-endian, as every machine that a runtime exists for has them.
 */
import { createHash } from 'node:crypto'
import { mkdir, open, readdir, readFile, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { TrainError } from './train-error.ts'

/** What is not a vector: counters, best figures, seconds. */
export type Facts = Readonly<Record<string, unknown>>
export type Vectors = Readonly<Record<string, Float32Array>>

export type Checkpoint<F extends Facts> = {
  readonly step: number
  /** SHA-256 of the file's content. */
  readonly digest: string
  readonly facts: F
  readonly vectors: Vectors
}

const magic = new TextEncoder().encode('EDGELOOP CHECKPOINT 1\n')
const digestBytes = 32
const namePattern = /^step-(\d{9})\.checkpoint$/
const nameOf = (step: number): string => `step-${String(step).padStart(9, '0')}.checkpoint`

/** Errors of a system whose disk, quota or limit is used up. */
const fullCodes = new Set(['ENOSPC', 'EDQUOT', 'EFBIG'])

/** Whether an error says that there is no room for more bytes. */
export const isDiskFull = (error: unknown): boolean =>
  fullCodes.has((error as NodeJS.ErrnoException | null)?.code ?? '')

export class CheckpointFolder<F extends Facts> {
  readonly #folder: string
  readonly #keep: number

  /** @param keep how many of the newest stay */
  constructor(folder: string, keep = 2) {
    this.#folder = folder
    this.#keep = keep
  }

  /**
   * Writes one, then removes those that are too old.
   * @returns its digest
   * @throws {TrainError} when there is no room; the one before is intact
   */
  async write(step: number, facts: F, vectors: Vectors): Promise<string> {
    await mkdir(this.#folder, { recursive: true })
    const lengths = Object.entries(vectors).map(([name, { length }]) => ({ name, length }))
    const text = new TextEncoder().encode(JSON.stringify({ step, facts, vectors: lengths }))
    const length = new Uint8Array(4)
    new DataView(length.buffer).setUint32(0, text.length, true)
    const parts = [magic, length, text, ...Object.values(vectors).map(bytesOf)]
    const hash = createHash('sha256')
    for (const part of parts) hash.update(part)
    const digest = hash.digest()
    const place = join(this.#folder, nameOf(step))
    const draft = `${place}.draft`
    try {
      await writeWhole(draft, [...parts, digest])
      await rename(draft, place)
      await settle(this.#folder)
    } catch (cause) {
      await rm(draft, { force: true }).catch(() => {})
      if (!isDiskFull(cause)) throw cause
      const last = (await this.#steps()).at(-1)
      throw new TrainError(
        `Cannot write the checkpoint of step ${step} to "${this.#folder}": there is no room for it`,
        last === undefined
          ? 'make room and begin again'
          : `make room and resume: the checkpoint of step ${last} is intact`,
        { cause },
      )
    }
    for (const old of (await this.#steps()).slice(0, -this.#keep)) {
      await rm(join(this.#folder, nameOf(old)), { force: true })
    }
    return digest.toString('hex')
  }

  /**
   * The newest that is whole; what is torn is passed over.
   * @param torn is told of each that is
   */
  async newest(torn: (file: string) => void = () => {}): Promise<Checkpoint<F> | undefined> {
    for (const step of (await this.#steps()).toReversed()) {
      const file = join(this.#folder, nameOf(step))
      const checkpoint = readCheckpoint<F>(await readFile(file))
      if (checkpoint) return checkpoint
      torn(file)
    }
    return undefined
  }

  /** Steps of which there is one, ascending. */
  async #steps(): Promise<readonly number[]> {
    const names = await readdir(this.#folder).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return []
      throw error
    })
    return names
      .flatMap((name) => {
        const step = namePattern.exec(name)?.[1]
        return step === undefined ? [] : [Number(step)]
      })
      .sort((a, b) => a - b)
  }
}

const bytesOf = (vector: Float32Array): Uint8Array =>
  new Uint8Array(vector.buffer, vector.byteOffset, vector.byteLength)

async function writeWhole(file: string, parts: readonly Uint8Array[]): Promise<void> {
  await using handle = await open(file, 'w')
  for (const part of parts) {
    for (let at = 0; at < part.length; ) {
      at += (await handle.write(part, at)).bytesWritten
    }
  }
  await handle.sync()
}

/** After a power cut the new name is there as well. */
async function settle(folder: string): Promise<void> {
  await using handle = await open(folder, 'r')
  await handle.sync()
}

/** @returns undefined where bytes are missing or are not those that were written */
function readCheckpoint<F extends Facts>(bytes: Buffer): Checkpoint<F> | undefined {
  const head = magic.length + 4
  if (bytes.length < head + digestBytes) return undefined
  const content = bytes.subarray(0, -digestBytes)
  const digest = createHash('sha256').update(content).digest()
  if (
    !digest.equals(bytes.subarray(-digestBytes)) ||
    !content.subarray(0, magic.length).equals(magic)
  )
    return undefined
  // From here on it is what `write` wrote.
  const length = content.readUInt32LE(magic.length)
  const { step, facts, vectors } = JSON.parse(content.toString('utf8', head, head + length)) as {
    readonly step: number
    readonly facts: F
    readonly vectors: readonly { readonly name: string; readonly length: number }[]
  }
  let at = head + length
  const read = vectors.map(({ name, length: count }) => {
    const vector = new Float32Array(count)
    content.copy(new Uint8Array(vector.buffer), 0, at, at + count * 4)
    at += count * 4
    return [name, vector] as const
  })
  return { step, digest: digest.toString('hex'), facts, vectors: Object.fromEntries(read) }
}
