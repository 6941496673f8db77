/**
 * What boxes fetch: bytes that are published, whole or from a place on, no faster than the hub's line should be used and by no
 * more of them at once than it serves well. Who comes too many is told when to come again; who reads too slowly is cut off.
 */
import { Readable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { Refusal } from '@edgeloop/protocol'
import type { Blobs } from '../blobs/blobs.ts'
import { byteRange } from '../http/byte-range.ts'
import type { PublishedFiles } from './artifacts.ts'

export type DownloadLimits = {
  /** Of all transfers together; 0: no limit. */
  readonly bytesPerSecond: number
  /** Of those to one device; 0: no limit. */
  readonly deviceBytesPerSecond: number
  /** Transfers at once. */
  readonly max: number
}

/** Transfers of one device at once: the one that goes on, and one that does not know yet that it was cut. */
const perDeviceMax = 2
/** Bytes that are handed over at a time. */
const pieceBytes = 16 * 1024
/** A piece that a reader does not take for so long ends its transfer. */
const stallMs = 60_000
/** What may be sent at once after a pause. */
const burstMs = 250
/** After how many seconds to come again: from, and how many more by chance. */
const comeAgainS = { full: [5, 25], device: [2, 8] } as const

export type Download = {
  readonly status: 200 | 206 | 416
  readonly headers: Readonly<Record<string, string | number>>
  /** Undefined where only the head was asked for, or no byte fits. */
  readonly body: Readable | undefined
}

export type Downloads = {
  /** Transfers that go on. */
  readonly open: number
  /**
   * @param asked.head true: nothing is sent
   * @throws {Refusal} notFound for what is not published; tooManyRequests, unavailable with when to come again
   */
  begin(
    deviceId: string,
    digest: string,
    asked: { readonly head: boolean; readonly range?: string; readonly ifRange?: string },
  ): Promise<Download>
}

export function openDownloads(deps: {
  fileOf: PublishedFiles
  files: Pick<Blobs, 'part'>
  limits: DownloadLimits
  /** Told of bytes that were handed over, by what they are, and of those that were sent away. */
  metrics: {
    readonly artifactBytes: { inc(labels: { codec: string }, bytes: number): void }
    readonly artifactsRefused: { inc(labels: { reason: string }): void }
  }
  random?: () => number
  stallMs?: number
}): Downloads {
  const { fileOf, files, limits, metrics, random = Math.random } = deps
  const all = new Pace(limits.bytesPerSecond)
  /** Of devices that fetch something now, or did so a moment ago. */
  const devices = new Map<string, { transfers: number; readonly pace: Pace }>()
  let transfers = 0

  function refuse(reason: keyof typeof comeAgainS, why: string): never {
    const [from, more] = comeAgainS[reason]
    const retryAfterS = from + Math.round(random() * more)
    metrics.artifactsRefused.inc({ reason })
    throw new Refusal(reason === 'full' ? 'unavailable' : 'tooManyRequests', why, { retryAfterS })
  }

  /** Takes a place; the function gives it back. */
  function enter(deviceId: string): { pace: Pace; leave: () => void } {
    const device = devices.get(deviceId) ?? {
      transfers: 0,
      pace: new Pace(limits.deviceBytesPerSecond),
    }
    if (device.transfers >= perDeviceMax) {
      refuse('device', `Cannot begin a transfer: ${perDeviceMax} to this device go on already`)
    }
    if (transfers >= limits.max) {
      refuse('full', `Cannot begin a transfer: ${limits.max} go on already`)
    }
    device.transfers++
    transfers++
    devices.set(deviceId, device)
    let left = false
    return {
      pace: device.pace,
      leave: () => {
        if (left) return
        left = true
        transfers--
        device.transfers--
        if (device.transfers === 0) devices.delete(deviceId)
      },
    }
  }

  function send(
    deviceId: string,
    {
      digest,
      kind,
      from,
      through,
    }: { digest: string; kind: string; from: number; through: number },
  ): Readable {
    const { pace, leave } = enter(deviceId)
    const closed = new AbortController()
    let stalled: NodeJS.Timeout | undefined
    async function* pieces(): AsyncGenerator<Uint8Array> {
      for await (const part of files.part(digest, from, through)) {
        for (let at = 0; at < part.length; at += pieceBytes) {
          const piece = part.subarray(at, at + pieceBytes)
          await pace.take(piece.length, closed.signal)
          await all.take(piece.length, closed.signal)
          stalled = setTimeout(() => {
            metrics.artifactsRefused.inc({ reason: 'slow' })
            body.destroy(new Error('Cannot go on sending: the device does not take it'))
          }, deps.stallMs ?? stallMs)
          yield piece
          clearTimeout(stalled)
          metrics.artifactBytes.inc({ codec: kind }, piece.length)
        }
      }
    }
    const body = Readable.from(pieces(), { objectMode: false, highWaterMark: pieceBytes })
    body.once('close', () => {
      clearTimeout(stalled)
      closed.abort()
      leave()
    })
    return body
  }

  return {
    get open() {
      return transfers
    },
    begin: async (deviceId, digest, { head, range: header, ifRange }) => {
      const file = await fileOf(digest)
      if (!file) throw new Refusal('notFound', `Cannot find ${digest}: no such bytes are published`)
      const { kind, sizeBytes } = file
      const etag = `"${digest}"`
      // What a half of something else was fetched of is sent from its beginning (RFC 9110, 13.1.5).
      const range =
        ifRange !== undefined && ifRange !== etag ? 'whole' : byteRange(header, sizeBytes)
      const headers = {
        'accept-ranges': 'bytes',
        'cache-control': 'private, max-age=31536000, immutable',
        etag,
      }
      if (range === 'unsatisfiable') {
        const none = { ...headers, 'content-range': `bytes */${sizeBytes}`, 'content-length': 0 }
        return { status: 416, headers: none, body: undefined }
      }
      const { from, through } = range === 'whole' ? { from: 0, through: sizeBytes - 1 } : range
      return {
        status: range === 'whole' ? 200 : 206,
        headers: {
          ...headers,
          'content-length': through - from + 1,
          ...(range !== 'whole' && { 'content-range': `bytes ${from}-${through}/${sizeBytes}` }),
        },
        body: head ? undefined : send(deviceId, { digest, kind, from, through }),
      }
    },
  }
}

/** A rate, kept by letting each byte wait for those before it. */
class Pace {
  readonly #bytesPerSecond: number
  #freeAtMs = 0

  constructor(bytesPerSecond: number) {
    this.#bytesPerSecond = bytesPerSecond
  }

  /** Resolves when so many bytes may go. @throws {Error} when the signal aborts */
  async take(bytes: number, signal: AbortSignal): Promise<void> {
    if (this.#bytesPerSecond === 0) return
    const now = performance.now()
    const freeAtMs = Math.max(now - burstMs, this.#freeAtMs)
    this.#freeAtMs = freeAtMs + (bytes / this.#bytesPerSecond) * 1000
    const waitMs = this.#freeAtMs - now
    if (waitMs >= 1) await sleep(waitMs, undefined, { signal })
  }
}
