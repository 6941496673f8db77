/**
 * The disk of a simulated box, in memory: what a real one does in order, without the time that it takes. Power cuts are
 * not its business; test/faults/crash-points.test.ts enumerates them.
 */
import { createHash } from 'node:crypto'
import type { UpdateDisk } from '../../edge-agent/src/update/update-disk.ts'

const freeBytes = 1e9
/** From here on bytes are kept once for all boxes: a fleet has one model, not thousands. */
const sharedBytesMin = 16 * 1024
const shared = new Map<string, Uint8Array>()

export class MemoryDisk implements UpdateDisk {
  readonly #files = new Map<string, Uint8Array>()

  /** No file lies anywhere: models of simulated boxes are not opened. */
  at(path: string): string {
    return `memory/${path}`
  }

  async read(path: string): Promise<Uint8Array | undefined> {
    return this.#files.get(path)
  }

  async readPart(path: string, from: number, lengthBytes: number): Promise<Uint8Array | undefined> {
    return this.#files.get(path)?.subarray(from, from + lengthBytes)
  }

  async size(path: string): Promise<number | undefined> {
    return this.#files.get(path)?.length
  }

  async write(path: string, bytes: Uint8Array, from = 0): Promise<void> {
    const before = this.#files.get(path)?.subarray(0, from) ?? new Uint8Array()
    // Copied: whoever wrote it may use its bytes again.
    const whole = new Uint8Array(from + bytes.length)
    whole.set(before)
    whole.set(bytes, from)
    this.#files.set(path, whole)
  }

  async sync(path: string): Promise<void> {
    const bytes = this.#files.get(path)
    if (!bytes || bytes.length < sharedBytesMin) return
    const digest = createHash('sha256').update(bytes).digest('hex')
    const known = shared.get(digest)
    if (known) this.#files.set(path, known)
    else shared.set(digest, bytes)
  }

  async rename(from: string, to: string): Promise<void> {
    const bytes = this.#files.get(from)
    if (!bytes) throw new Error(`Cannot rename "${from}": there is no such file`)
    this.#files.set(to, bytes)
    this.#files.delete(from)
  }

  async remove(path: string): Promise<void> {
    this.#files.delete(path)
  }

  async makeFolder(): Promise<void> {}

  async syncFolder(): Promise<void> {}

  async list(path: string): Promise<readonly string[]> {
    const names = [...this.#files.keys()]
      .filter((file) => file.startsWith(`${path}/`))
      .map((file) => file.slice(path.length + 1).split('/')[0]!)
    return [...new Set(names)].sort()
  }

  async freeBytes(): Promise<number> {
    return freeBytes
  }
}
