/**
 * The large picture of a stream that detects on a small one. Its camera is opened when a picture is wanted
 * and let go soon after; meanwhile only key frames are decoded, unless somebody watches live.
 */
import type { Camera, Frame } from '../cameras/camera.ts'
import { pictureOf } from '../privacy/redactor.ts'

/** The camera stays open this long after the last picture: tracks often want another one. */
const lingerMs = 10_000
/** Who waits for a picture gives up after this long, and has the small one. */
const pictureTimeoutMs = 8_000
/** After a failure the camera is left alone for this long. */
const retryMs = 15_000
/** A live picture this old means that the small source has to show what is there. */
const freshMs = 2_000

export type LargePicture = {
  readonly jpeg: Uint8Array
  /** When it was captured, ms since the epoch. */
  readonly at: number
}

export type LargeSourceOptions = {
  readonly open: (signal: AbortSignal) => Promise<Camera>
  readonly jpeg: { readonly widthMax: number; readonly quality: number }
  /** Told every frame while the source is watched. */
  readonly show: (frame: Frame) => Promise<void>
  readonly warn: (text: string) => void
  /** A clock that is never set, ms. */
  readonly monotonicMs: () => number
}

export class LargeSource implements AsyncDisposable {
  readonly #options: LargeSourceOptions
  readonly #closing = new AbortController()
  #running: Promise<void> | undefined
  #wanted: PromiseWithResolvers<LargePicture | undefined> | undefined
  #isWatched = false
  #usedMs = Number.NEGATIVE_INFINITY
  #shownMs = Number.NEGATIVE_INFINITY
  #failedMs = Number.NEGATIVE_INFINITY

  constructor(options: LargeSourceOptions) {
    this.#options = options
  }

  /** True while its frames are shown live, so that the small ones need not be. */
  get isShowing(): boolean {
    return this.#isWatched && this.#options.monotonicMs() - this.#shownMs < freshMs
  }

  /** Whether somebody looks at the stream now. */
  watch(isWatched: boolean): void {
    this.#isWatched = isWatched
    if (isWatched) this.#start()
  }

  /**
   * A picture of the next frame that can be had; all who ask meanwhile get the same one.
   * @returns undefined where the camera cannot be opened or is too slow
   */
  picture(): Promise<LargePicture | undefined> {
    if (this.#wanted === undefined) {
      const wanted = Promise.withResolvers<LargePicture | undefined>()
      const timer = setTimeout(() => wanted.resolve(undefined), pictureTimeoutMs)
      this.#wanted = wanted
      void wanted.promise.finally(() => {
        clearTimeout(timer)
        if (this.#wanted === wanted) this.#wanted = undefined
      })
      this.#start()
    }
    return this.#wanted?.promise ?? Promise.resolve(undefined)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort(new Error('The stream was closed'))
    this.#wanted?.resolve(undefined)
    await this.#running
  }

  #start(): void {
    const { monotonicMs, warn } = this.#options
    this.#usedMs = monotonicMs()
    if (this.#running !== undefined || this.#closing.signal.aborted) return
    if (monotonicMs() - this.#failedMs < retryMs) {
      this.#wanted?.resolve(undefined)
      return
    }
    this.#running = this.#run()
      .catch((error: Error) => {
        if (this.#closing.signal.aborted) return
        this.#failedMs = monotonicMs()
        warn(`The large picture is not to be had, the small one stands in: ${error.message}`)
      })
      .finally(() => {
        this.#running = undefined
        this.#wanted?.resolve(undefined)
      })
  }

  async #run(): Promise<void> {
    const { open, jpeg, show, monotonicMs } = this.#options
    await using camera = await open(this.#closing.signal)
    for await (const taken of camera.frames()) {
      using frame = taken
      const nowMs = monotonicMs()
      if (this.#wanted !== undefined) {
        this.#usedMs = nowMs
        const picture = await pictureOf(frame, jpeg)
        this.#wanted?.resolve(picture && { jpeg: picture, at: frame.at })
        this.#wanted = undefined
      }
      if (this.#isWatched) {
        this.#usedMs = nowMs
        await show(frame)
        this.#shownMs = nowMs
      }
      if (camera.keyFrames) camera.keyFrames.only = !this.#isWatched
      if (nowMs - this.#usedMs > lingerMs) return
    }
  }
}
