/**
 * Which streams somebody is looking at right now, and the way their pictures take. Pictures are made
 * only while they are wanted, never faster than asked, and the newest one counts: what cannot leave
 * at once is dropped.
 */
import { encodeLiveFrame, type LiveHeader, type LiveRequest } from '@edgeloop/protocol'

/** Messages on their way out of the process, of all streams together; more are dropped. */
const inFlightMax = 4
/** A frame may come this share of an interval early and still be in time. */
const earlyShare = 0.1
const quality = 70

type Want = { readonly widthMax: number; readonly intervalMs: number; shownAt: number }

/** A header without what the tap itself knows. */
export type LiveFrame = Omit<LiveHeader, 'deviceId' | 'streamId'>

/** @param send hands a message on and settles when it has left */
export class LiveTap {
  readonly #deviceId: string
  readonly #send: (streamId: string, bytes: Uint8Array) => Promise<void>
  readonly #now: () => number
  #wants = new Map<string, Want>()
  #untilAt = 0
  #inFlight = 0

  constructor(
    deviceId: string,
    now: () => number,
    send: (streamId: string, bytes: Uint8Array) => Promise<void>,
  ) {
    this.#deviceId = deviceId
    this.#now = now
    this.#send = send
  }

  /** Takes the hub's request, which replaces the last one. */
  request({ until, streams }: LiveRequest): void {
    this.#untilAt = Date.parse(until)
    this.#wants = new Map(
      streams.map(({ streamId, widthMax, fpsMax }) => {
        const shownAt = this.#wants.get(streamId)?.shownAt ?? Number.NEGATIVE_INFINITY
        return [streamId, { widthMax, intervalMs: 1000 / fpsMax, shownAt }]
      }),
    )
  }

  /** How a picture of the frame at `at` is wanted; undefined where it is not. */
  wanted(streamId: string, at: number): { widthMax: number; quality: number } | undefined {
    const want = this.#wants.get(streamId)
    if (!want || this.#now() > this.#untilAt || this.#inFlight >= inFlightMax) return undefined
    const sinceMs = at - want.shownAt
    if (sinceMs >= 0 && sinceMs < want.intervalMs * (1 - earlyShare)) return undefined
    return { widthMax: want.widthMax, quality }
  }

  /** Whether somebody looks at this stream now, whenever the next picture is due. */
  isWatched(streamId: string): boolean {
    return this.#wants.has(streamId) && this.#now() <= this.#untilAt
  }

  /** Sends a picture that was wanted. */
  show(streamId: string, frame: LiveFrame, jpeg: Uint8Array): void {
    const want = this.#wants.get(streamId)
    if (!want) return
    want.shownAt = Date.parse(frame.at)
    this.#inFlight++
    const bytes = encodeLiveFrame({ ...frame, deviceId: this.#deviceId, streamId }, jpeg)
    void this.#send(streamId, bytes).finally(() => {
      this.#inFlight--
    })
  }
}
