/** Answers to questions about the log: one at a time, and none twice. */
import { deviceRoutes, type LogAnswer, type LogRequest, pathOf } from '@edgeloop/protocol'
import type { DeviceHttps } from './device-https.ts'
import type { UploadBudget } from './upload-budget.ts'

/** Questions that wait behind the one that is being answered; a further one is left, and the hub says so. */
const waitingMax = 8

export class LogUpload {
  readonly #read: (request: LogRequest) => LogAnswer
  readonly #https: Pick<DeviceHttps, 'put'>
  readonly #budget: UploadBudget
  readonly #signal: AbortSignal
  readonly #waiting: LogRequest[] = []
  #sending = false

  constructor(
    read: (request: LogRequest) => LogAnswer,
    https: Pick<DeviceHttps, 'put'>,
    budget: UploadBudget,
    signal: AbortSignal,
  ) {
    this.#read = read
    this.#https = https
    this.#budget = budget
    this.#signal = signal
  }

  /** Sends what is asked for, as it is when its turn comes; the hub does not wait for long. */
  answer(request: LogRequest): void {
    if (this.#signal.aborted || this.#waiting.length >= waitingMax) return
    this.#waiting.push(request)
    if (!this.#sending) void this.#send()
  }

  async #send(): Promise<void> {
    this.#sending = true
    try {
      for (let next = this.#waiting.shift(); next; next = this.#waiting.shift()) {
        const bytes = Buffer.from(JSON.stringify(this.#read(next)))
        const path = pathOf(deviceRoutes.logPut, { requestId: next.requestId })
        await this.#budget.take('live', bytes.length, this.#signal)
        // A hub that does not take it asks again.
        await this.#https.put(path, 'application/json', bytes, this.#signal)
      }
    } catch {
      // Aborted: the agent stops.
      this.#waiting.length = 0
    } finally {
      this.#sending = false
    }
  }
}
