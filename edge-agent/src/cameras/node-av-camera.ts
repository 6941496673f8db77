/** The `Camera` behind which node-av works: the default where it is installed. */
import type { Frame as AvFrame } from 'node-av/lib'
import type { Camera, CameraCounts, CameraInfo, CameraOptions, Frame, InputView } from './camera.ts'
import { softwareOnly } from './hardware-decode.ts'
import { KeyFrameSelection } from './key-frames.ts'
import { NodeAvPictures } from './node-av-frame.ts'
import { type LibAv, NodeAvInput } from './node-av-input.ts'
import { pace, waitFor } from './pace.ts'
import { pickFrames } from './pick-frames.ts'
import { pictureMask } from './picture-mask.ts'
import type { NodeAvSource } from './source.ts'
import { timeline } from './timeline.ts'

/**
 * Opens a clip or a live camera and decodes its first picture.
 * @param now ms since the epoch
 * @throws {CameraError} refused or unreadable
 */
export async function openNodeAvCamera(
  av: LibAv,
  source: NodeAvSource,
  options: CameraOptions,
  now: () => number,
): Promise<Camera> {
  const keyFrames = new KeyFrameSelection()
  const input = await NodeAvInput.open(av, source, options, keyFrames, now)
  return new NodeAvCamera(av, source, options, now, input, keyFrames)
}

class NodeAvCamera implements Camera {
  readonly info: CameraInfo
  readonly keyFrames: KeyFrameSelection
  readonly #av: LibAv
  readonly #source: NodeAvSource
  readonly #options: CameraOptions
  readonly #now: () => number
  readonly #pictures: NodeAvPictures
  readonly #closing = new AbortController()
  /** Aborted by the caller or by closing. */
  readonly #signal: AbortSignal
  readonly #interrupt: () => void
  #input: NodeAvInput
  /** From inputs that earlier passes of a loop have closed. */
  #before = { decoded: 0, damaged: 0 }
  #taken = false
  #running: Promise<unknown> = Promise.resolve()
  #closed: Promise<void> | undefined

  constructor(
    av: LibAv,
    source: NodeAvSource,
    options: CameraOptions,
    now: () => number,
    input: NodeAvInput,
    keyFrames: KeyFrameSelection,
  ) {
    this.keyFrames = keyFrames
    this.#av = av
    this.#source = source
    this.#options = options
    this.#now = now
    this.#input = input
    this.#pictures = new NodeAvPictures(av, options.inputFor, pictureMask(options.masks))
    this.info = {
      decoder: 'node-av',
      codec: input.codec,
      width: input.width,
      height: input.height,
      fps: input.fps,
      ...softwareOnly(
        options.hardwareDecode,
        'node-av has no hardware here; it takes the decoder ffmpeg',
      ),
    }
    this.#signal = AbortSignal.any([options.signal, this.#closing.signal])
    this.#interrupt = () => this.#input.interrupt()
    options.signal.addEventListener('abort', this.#interrupt)
  }

  get counts(): CameraCounts {
    return {
      decoded: this.#before.decoded + this.#input.decoded,
      damaged: this.#before.damaged + this.#input.damaged,
    }
  }

  async *frames(): AsyncGenerator<Frame> {
    if (this.#taken) throw new Error('Cannot take the frames of a camera twice: open it again')
    this.#taken = true
    const live = this.#source.kind === 'live'
    const position = timeline(this.info.fps)
    const isPicked = pickFrames(this.#options.analysisFps)
    const clock = pace(!live && this.#options.pace === 'live', this.#now)
    let number = 0
    let newPass = false
    for (;;) {
      this.#signal.throwIfAborted()
      const more = this.#input.next()
      if (!(typeof more === 'boolean' ? more : await this.#track(more))) {
        if (!this.#options.loop) return
        await this.#track(this.#startOver())
        newPass = true
        continue
      }
      const positionMs = position(this.#input.stampMs, newPass)
      newPass = false
      const frame = number++
      if (!live) await waitFor(clock, positionMs, this.#signal)
      if (this.#input.spoilt || !isPicked(positionMs)) continue
      const at = live ? this.#now() : clock.at(positionMs)
      using picked = new NodeAvFrame(this.#input, this.#pictures, frame, at)
      yield picked
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#closed ??= this.#close()
    return this.#closed
  }

  async #close(): Promise<void> {
    this.#options.signal.removeEventListener('abort', this.#interrupt)
    this.#closing.abort(new Error('The camera was closed'))
    this.#input.interrupt()
    // Whatever is pending ends soon and has its own reader for its error.
    await this.#running.catch(() => {})
    this.#pictures[Symbol.dispose]()
    await this.#input[Symbol.asyncDispose]()
  }

  /** Remembers what is under way in native code, so that closing can wait for it. */
  async #track<T>(work: Promise<T>): Promise<T> {
    this.#running = work
    try {
      return await work
    } catch (error) {
      // Interrupted by us: not the camera's fault.
      this.#signal.throwIfAborted()
      throw error
    }
  }

  async #startOver(): Promise<void> {
    const next = await NodeAvInput.open(
      this.#av,
      this.#source,
      this.#options,
      this.keyFrames,
      this.#now,
    )
    const last = this.#input
    this.#before = this.counts
    this.#input = next
    await last[Symbol.asyncDispose]()
  }
}

/** Whoever holds the one decoded picture of a camera. */
export type PictureHolder = { readonly frame: AvFrame; release(): void }

/** A view of the camera's one decoded picture; it holds nothing of its own. */
export class NodeAvFrame implements Frame {
  readonly frame: number
  readonly at: number
  readonly width: number
  readonly height: number
  readonly #input: PictureHolder
  readonly #pictures: NodeAvPictures
  /** Scaled once, however many look at it: nobody scales another frame before this one has ended. */
  #grey: Uint8Array | undefined
  #disposed = false

  constructor(input: PictureHolder, pictures: NodeAvPictures, frame: number, at: number) {
    this.#input = input
    this.#pictures = pictures
    this.frame = frame
    this.at = at
    this.width = input.frame.width
    this.height = input.frame.height
  }

  gate(): Uint8Array {
    const picture = this.#picture()
    this.#grey ??= this.#pictures.gate(picture)
    return this.#grey
  }

  input(target: Uint8Array): InputView {
    return this.#pictures.input(this.#picture(), target)
  }

  async jpeg(options: { widthMax: number; quality: number }): Promise<Uint8Array> {
    return this.#pictures.jpeg(this.#picture(), options)
  }

  [Symbol.dispose](): void {
    if (this.#disposed) return
    this.#disposed = true
    this.#input.release()
  }

  #picture() {
    if (this.#disposed) throw new Error(`Cannot use frame ${this.frame}: it was disposed of`)
    return this.#input.frame
  }
}
