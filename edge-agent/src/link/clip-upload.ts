/**
 * Clips that the hub has asked for, on their way to it: one at a time, part by part, each after what is more
 * urgent. The hub says where the next part begins, so that after a cut only one part is sent again.
 */
import { type FileHandle, open } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import {
  ClipReceived,
  type ClipRequest,
  clipPartBytes,
  deviceRoutes,
  pathOf,
} from '@edgeloop/protocol'
import { parse, parseJson } from '@edgeloop/protocol/check'
import type { Logger } from 'pino'
import type { ClipFolder } from '../clips/clip-folder.ts'
import { uploadBackoff, waitMs } from './backoff.ts'
import type { DeviceHttps } from './device-https.ts'
import type { UploadBudget } from './upload-budget.ts'

/** Clips that wait; what is asked for on top is left, and the hub asks again when somebody does. */
const waitingMax = 16
/** After so many failures in a row a clip is left. */
const failuresMax = 8

export type ClipUploadOptions = {
  readonly clips: Pick<ClipFolder, 'find' | 'keep'>
  readonly https: Pick<DeviceHttps, 'put'>
  readonly budget: UploadBudget
  /** Resolves when the hub is there and events do not wait. */
  readonly turn: () => Promise<void>
  readonly log: Logger
  readonly random: () => number
  readonly signal: AbortSignal
}

export class ClipUpload {
  readonly #options: ClipUploadOptions
  readonly #waiting = new Set<string>()
  #asked = Promise.withResolvers<void>()

  constructor(options: ClipUploadOptions) {
    this.#options = options
  }

  /** Takes what the hub wants with clips. */
  take({ act, clips }: ClipRequest): void {
    const { clips: folder, log } = this.#options
    if (act !== 'send') {
      for (const digest of clips) {
        folder.keep(digest, act === 'keep').catch((error: Error) => {
          log.warn({ digest }, `Cannot ${act} a clip: ${error.message}`)
        })
      }
      return
    }
    for (const digest of clips) if (this.#waiting.size < waitingMax) this.#waiting.add(digest)
    this.#asked.resolve()
  }

  /** Sends what is asked for until the signal aborts. */
  async run(): Promise<void> {
    const { signal, log } = this.#options
    const stop = (): void => this.#asked.resolve()
    signal.addEventListener('abort', stop, { once: true })
    while (!signal.aborted) {
      const [digest] = this.#waiting
      if (digest === undefined) {
        this.#asked = Promise.withResolvers()
        await this.#asked.promise
        continue
      }
      try {
        await this.#send(digest)
      } catch (error) {
        if (!signal.aborted)
          log.warn({ digest, why: (error as Error).message }, 'A clip was not sent')
      }
      this.#waiting.delete(digest)
    }
    signal.removeEventListener('abort', stop)
  }

  async #send(digest: string): Promise<void> {
    const { clips } = this.#options
    const found = clips.find(digest)
    // Held open: a clip that gives way meanwhile is sent all the same.
    const handle = found && (await open(found.file).catch(() => undefined))
    if (!found || !handle) {
      const bytes = Buffer.from('{}')
      await this.#put(pathOf(deviceRoutes.clipGone, { digest }), 'application/json', bytes)
      return
    }
    try {
      await this.#sendParts(digest, handle, found.sizeBytes)
    } finally {
      await handle.close()
    }
  }

  async #sendParts(digest: string, handle: FileHandle, sizeBytes: number): Promise<void> {
    const buffer = Buffer.alloc(Math.min(clipPartBytes, sizeBytes))
    let standstills = 0
    for (let from = 0; from < sizeBytes; ) {
      const { bytesRead } = await handle.read(buffer, 0, buffer.length, from)
      if (bytesRead === 0) throw new Error('its file is shorter than it was')
      const path = pathOf(deviceRoutes.clipPart, { digest, from })
      const type = deviceRoutes.clipPart.consumes
      const answer = await this.#put(path, type, buffer.subarray(0, bytesRead))
      const received = parse(ClipReceived, parseJson(Buffer.from(answer), 'answer'), 'answer')
      if (received.receivedBytes > from) standstills = 0
      else if (++standstills > failuresMax) throw new Error('the hub takes no more of it')
      from = received.receivedBytes
    }
  }

  /** @throws {Error} when the hub refuses it, or cannot take it again and again */
  async #put(path: string, type: string, bytes: Uint8Array): Promise<string> {
    const { https, budget, turn, random, signal } = this.#options
    for (let failures = 0; ; failures++) {
      await turn()
      await budget.take('snapshots', bytes.length, signal)
      const result = await https.put(path, type, bytes, signal)
      if (result.kind === 'stored') return result.answer ?? ''
      // Nobody waits for it any more: who still wants it asks again.
      const isUnwanted = result.kind === 'refused' || result.isUnknown
      if (isUnwanted || failures === failuresMax) throw new Error(result.why)
      await sleep(waitMs(uploadBackoff, failures, random()), undefined, { signal, ref: false })
    }
  }
}
