/**
 * The `Camera` behind which a camera speaks HTTP: MJPEG, or JPEG snapshots. Every picture stands by
 * itself, so only those that are looked at are decoded: by node-av where it is installed, else by sharp.
 */
import { BufferedFrame } from './buffered-frame.ts'
import type { Camera, CameraCounts, CameraInfo, CameraOptions, Frame } from './camera.ts'
import { cameraFault } from './camera-fault.ts'
import { softwareOnly } from './hardware-decode.ts'
import { httpPictures } from './http-pictures.ts'
import { NodeAvFrame } from './node-av-camera.ts'
import { NodeAvPictures } from './node-av-frame.ts'
import type { LibAv } from './node-av-input.ts'
import { NodeAvJpegDecoder } from './node-av-jpeg-decoder.ts'
import { pickFrames } from './pick-frames.ts'
import { type PictureMask, pictureMask } from './picture-mask.ts'
import type { Source } from './source.ts'
import { type StillSize, stillPictures, stillSize } from './still-picture.ts'

/** Snapshots per second that are asked for where `analysisFps` is left out. */
const snapshotFpsDefault = 5

/**
 * Opens a camera and waits for its first picture.
 * @param av node-av, or undefined to decode with sharp
 * @param now ms since the epoch
 * @throws {CameraError} refused or unreadable
 */
export async function openHttpCamera(
  av: LibAv | undefined,
  source: Source & { kind: 'http' },
  options: CameraOptions,
  now: () => number,
): Promise<Camera> {
  const camera = new HttpCamera(av, source, options, now)
  try {
    await camera.start()
    return camera
  } catch (error) {
    await camera[Symbol.asyncDispose]()
    options.signal.throwIfAborted()
    throw error
  }
}

/** A picture that came and was picked; a newer one takes its place. */
type Shot = { readonly jpeg: Uint8Array; readonly frame: number; readonly at: number }
type Sized = Shot & { readonly size: StillSize }

class HttpCamera implements Camera {
  #info: CameraInfo | undefined
  readonly #av: LibAv | undefined
  readonly #source: Source & { kind: 'http' }
  readonly #options: CameraOptions
  readonly #now: () => number
  readonly #closing = new AbortController()
  readonly #signal: AbortSignal
  readonly #mask: PictureMask | undefined
  readonly #pictures: NodeAvPictures | undefined
  readonly #decoder: NodeAvJpegDecoder | undefined
  #came = 0
  #damaged = 0
  #usableAt = performance.now()
  #newest: Shot | undefined
  #first: Sized | undefined
  #wake = Promise.withResolvers<void>()
  #reading: Promise<void> | undefined
  #failure: { readonly error: unknown } | undefined
  #taken = false

  constructor(
    av: LibAv | undefined,
    source: Source & { kind: 'http' },
    options: CameraOptions,
    now: () => number,
  ) {
    this.#av = av
    this.#source = source
    this.#options = options
    this.#now = now
    this.#signal = AbortSignal.any([options.signal, this.#closing.signal])
    this.#mask = pictureMask(options.masks)
    this.#pictures = av && new NodeAvPictures(av, options.inputFor, this.#mask)
    this.#decoder = av && new NodeAvJpegDecoder(av)
  }

  get info(): CameraInfo {
    if (this.#info === undefined) throw new Error('Cannot describe a camera before it is open')
    return this.#info
  }

  /** Every picture that came counts as decoded, looked at or not: they stand for the camera's rate. */
  get counts(): CameraCounts {
    return { decoded: this.#came, damaged: this.#damaged }
  }

  /** Waits for the first picture that is one. */
  async start(): Promise<void> {
    this.#reading = this.#read()
    this.#first = await this.#next('open', this.#options.openTimeoutMs)
    const { width, height } = this.#first.size
    const decoder = this.#av === undefined ? 'sharp' : 'node-av'
    this.#info = {
      decoder,
      codec: 'mjpeg',
      width,
      height,
      fps: undefined,
      ...softwareOnly(this.#options.hardwareDecode, 'JPEG pictures are decoded one by one'),
    }
  }

  async *frames(): AsyncGenerator<Frame> {
    if (this.#taken) throw new Error('Cannot take the frames of a camera twice: open it again')
    this.#taken = true
    const blindMaxMs = 2 * this.#options.stallTimeoutMs
    for (;;) {
      const shot = this.#first ?? (await this.#next('read', blindMaxMs))
      this.#first = undefined
      // Closed while the heading of the picture was read: the decoder may be gone.
      this.#signal.throwIfAborted()
      using frame = await this.#decode(shot)
      this.#signal.throwIfAborted()
      if (frame !== undefined) yield frame
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort(new Error('The camera was closed'))
    await this.#reading
    this.#pictures?.[Symbol.dispose]()
    this.#decoder?.[Symbol.dispose]()
  }

  /** Takes in pictures as they come; a slow viewer sees the newest. */
  async #read(): Promise<void> {
    const { analysisFps, openTimeoutMs, stallTimeoutMs } = this.#options
    const isPicked = pickFrames(analysisFps)
    const began = performance.now()
    try {
      const pictures = httpPictures(this.#source, {
        intervalMs: 1000 / (analysisFps ?? snapshotFpsDefault),
        openTimeoutMs,
        stallTimeoutMs,
        signal: this.#signal,
      })
      for await (const jpeg of pictures) {
        const frame = this.#came++
        // Before the first usable picture each is looked at: the one picked might be broken.
        if (!isPicked(performance.now() - began) && this.#info !== undefined) continue
        this.#newest = { jpeg, frame, at: this.#now() }
        this.#wake.resolve()
      }
    } catch (error) {
      this.#failure = { error }
      this.#wake.resolve()
    }
  }

  /**
   * The newest picture that has not been taken, once there is one whose heading can be read.
   * @param blindMaxMs pictures come but none is one for this long: the camera sends garbage
   */
  async #next(act: 'open' | 'read', blindMaxMs: number): Promise<Sized> {
    for (;;) {
      this.#signal.throwIfAborted()
      const shot = this.#newest
      this.#newest = undefined
      if (shot !== undefined) {
        const size = await stillSize(shot.jpeg)
        if (size?.format === 'jpeg') {
          this.#usableAt = performance.now()
          return { ...shot, size }
        }
        this.#damaged++
        if (performance.now() - this.#usableAt <= blindMaxMs) continue
        throw cameraFault('garbage', act, this.#source.name, 'its pictures are no JPEGs')
      }
      if (this.#failure !== undefined) throw this.#failure.error
      await this.#wake.promise
      this.#wake = Promise.withResolvers()
    }
  }

  /** The picture as a frame; undefined where it cannot be decoded. */
  async #decode({ jpeg, frame, at, size }: Sized): Promise<Frame | undefined> {
    if (this.#decoder !== undefined && this.#pictures !== undefined) {
      if (this.#decoder.decode(jpeg)) {
        return new NodeAvFrame(this.#decoder, this.#pictures, frame, at)
      }
    } else {
      const pictures = await stillPictures(jpeg, size, this.#options.inputFor, this.#mask)
      if (pictures !== undefined) return new BufferedFrame({ ...pictures, frame, at })
    }
    this.#damaged++
    return undefined
  }
}
