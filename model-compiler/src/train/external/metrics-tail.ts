/** Reads `metrics.jsonl` while it grows. Bounded: a line too long, or of another form, is counted and passed over. */
import { type FileHandle, open } from 'node:fs/promises'
import { fits } from '@edgeloop/protocol/check'
import { lineBytesMax, MetricLine } from './contract.ts'

const chunkBytes = 256 * 1024
/** More of one look are left for the next. */
const chunksMax = 16

export class MetricsTail {
  /** Lines that were no metrics. */
  passedOver = 0
  readonly #file: string
  #offset = 0
  #rest = ''
  #isTooLong = false

  constructor(file: string) {
    this.#file = file
  }

  /** The lines that came since the last look. */
  async read(): Promise<MetricLine[]> {
    // Opened each time, never followed: the trainer may replace it, also by a link to elsewhere.
    const handle = await openPlain(this.#file)
    if (!handle) return []
    try {
      const found: MetricLine[] = []
      const buffer = Buffer.alloc(chunkBytes)
      for (let chunk = 0; chunk < chunksMax; chunk++) {
        const { bytesRead } = await handle.read(buffer, 0, chunkBytes, this.#offset)
        if (bytesRead === 0) break
        this.#offset += bytesRead
        found.push(...this.#take(buffer.toString('latin1', 0, bytesRead)))
      }
      return found
    } finally {
      await handle.close()
    }
  }

  #take(text: string): MetricLine[] {
    const lines = `${this.#rest}${text}`.split('\n')
    this.#rest = lines.pop() ?? ''
    const found = lines.flatMap((line) => {
      if (this.#isTooLong) {
        this.#isTooLong = false
        this.passedOver++
        return []
      }
      return this.#line(line)
    })
    if (this.#rest.length > lineBytesMax) {
      this.#rest = ''
      this.#isTooLong = true
    }
    return found
  }

  #line(line: string): MetricLine[] {
    if (line.trim() === '') return []
    try {
      if (line.length > lineBytesMax) throw new RangeError('too long')
      const value: unknown = JSON.parse(Buffer.from(line, 'latin1').toString('utf8'))
      if (fits(MetricLine, value)) return [value]
    } catch {
      // Counted below: a trainer that writes nonsense is still training.
    }
    this.passedOver++
    return []
  }
}

/** Undefined where it is not there, or no plain file. */
async function openPlain(file: string): Promise<FileHandle | undefined> {
  const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK } = await import('node:fs').then((fs) => fs.constants)
  // A pipe would block whoever opens it.
  const handle = await open(file, O_RDONLY | (O_NOFOLLOW ?? 0) | (O_NONBLOCK ?? 0)).catch(
    () => undefined,
  )
  if (handle && !(await handle.stat()).isFile()) {
    await handle.close()
    return undefined
  }
  return handle
}
