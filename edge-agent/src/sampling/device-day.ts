/**
 * What a device has sent of its day's budget, of all its streams together. Written down before it counts, so that a
 * restart gives nothing back; a day ends as `advance()` says.
 */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fits } from '@edgeloop/protocol/check'
import { advance, type Budget, dayMs, firstSpent, hasRoom, pay, Spent } from './pace.ts'
import { writeWhole } from './sample-disk.ts'

export type DeviceDayOptions = {
  readonly folder: string
  readonly framesPerDay: number
  readonly bytesPerDay: number
  /** Wall clock, ms. */
  readonly now: () => number
  /** A clock that is never set, ms. */
  readonly monotonicMs: () => number
}

/** No stream is called so. */
const fileName = '.device.state'

export class DeviceDay {
  readonly #options: DeviceDayOptions
  readonly #budget: Budget
  #spent: Spent
  #measuredMs: number

  static async open(options: DeviceDayOptions): Promise<DeviceDay> {
    let known: unknown
    try {
      known = JSON.parse(await readFile(join(options.folder, fileName), 'utf8'))
    } catch {
      // There is none, or it is damaged: the day begins.
    }
    return new DeviceDay(options, fits(Spent, known) ? known : undefined)
  }

  private constructor(options: DeviceDayOptions, known: Spent | undefined) {
    const { framesPerDay, bytesPerDay, now, monotonicMs } = options
    this.#options = options
    this.#budget = { framesPerDay, bytesPerDay, randomShare: 0 }
    this.#measuredMs = monotonicMs()
    this.#spent = known
      ? advance(known, this.#budget, now(), 0)
      : firstSpent(this.#budget, now(), 0)
  }

  hasRoom(bytes: number): boolean {
    this.#passTime()
    return hasRoom(this.#spent, this.#budget, bytes)
  }

  /** A sample of so many bytes has left. A folder that cannot be written costs only what a restart then forgets. */
  async spend(bytes: number): Promise<void> {
    this.#passTime()
    this.#spent = pay(this.#spent, this.#budget, bytes, 'none')
    const { folder } = this.#options
    await writeWhole(folder, fileName, JSON.stringify(this.#spent)).catch(() => {})
  }

  /** How long this day lasts at most, ms. */
  endsInMs(): number {
    this.#passTime()
    return dayMs - (this.#options.now() % dayMs)
  }

  #passTime(): void {
    const { now, monotonicMs } = this.#options
    const nowMs = monotonicMs()
    this.#spent = advance(this.#spent, this.#budget, now(), nowMs - this.#measuredMs)
    this.#measuredMs = nowMs
  }
}
