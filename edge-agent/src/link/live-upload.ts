/** Live pictures: only the newest of each stream is worth sending, and none is worth waiting for. */
import { deviceRoutes, liveFrameBytesMax, pathOf } from '@edgeloop/protocol'
import type { DeviceHttps } from './device-https.ts'
import type { UploadBudget } from './upload-budget.ts'

export class LiveUpload {
  /** The newest picture of each stream that is being sent or waits: one entry per stream. */
  readonly #newest = new Map<string, Uint8Array | undefined>()
  readonly #https: Pick<DeviceHttps, 'put'>
  readonly #budget: UploadBudget
  readonly #signal: AbortSignal
  /** Pictures replaced by a newer one, too large, or not taken by the hub. */
  dropped = 0

  constructor(https: Pick<DeviceHttps, 'put'>, budget: UploadBudget, signal: AbortSignal) {
    this.#https = https
    this.#budget = budget
    this.#signal = signal
  }

  /** Sends the picture, or keeps it in place of one that waits behind another of the same stream. */
  show(streamId: string, bytes: Uint8Array): void {
    if (this.#signal.aborted || bytes.length > liveFrameBytesMax) {
      this.dropped++
      return
    }
    const sending = this.#newest.has(streamId)
    if (this.#newest.get(streamId)) this.dropped++
    this.#newest.set(streamId, bytes)
    if (!sending) void this.#send(streamId)
  }

  async #send(streamId: string): Promise<void> {
    const path = pathOf(deviceRoutes.livePut, { streamId })
    try {
      for (let bytes = this.#newest.get(streamId); bytes; bytes = this.#newest.get(streamId)) {
        await this.#budget.take('live', bytes.length, this.#signal)
        // While it waited a newer one may have come.
        const newest = this.#newest.get(streamId) ?? bytes
        this.#newest.set(streamId, undefined)
        const type = deviceRoutes.livePut.consumes
        const result = await this.#https.put(path, type, newest, this.#signal)
        if (result.kind !== 'stored') this.dropped++
      }
    } catch {
      // Aborted: nobody is there to look.
      this.dropped++
    } finally {
      this.#newest.delete(streamId)
    }
  }
}
