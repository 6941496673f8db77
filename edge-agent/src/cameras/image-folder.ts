/** A folder of images as a camera: one frame per image, in the order of their names. */
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { BufferedFrame, type Pictures } from './buffered-frame.ts'
import {
  type Camera,
  type CameraCounts,
  CameraError,
  type CameraInfo,
  type CameraOptions,
  type Frame,
} from './camera.ts'
import { pace, waitFor } from './pace.ts'
import { type PictureMask, pictureMask } from './picture-mask.ts'
import type { Source } from './source.ts'
import { stillPictures, stillSize } from './still-picture.ts'

const extensions = /\.(jpe?g|png|webp|gif|avif|tiff?)$/i

/** Images per second where `analysisFps` is left out and the folder is played as if live. */
const fpsDefault = 1

/**
 * Opens a folder whose files end in jpg, jpeg, png, webp, gif, avif, tif or tiff. An image that
 * cannot be decoded is skipped and counted as damaged.
 * @throws {CameraError} unreadable: no image in it, or none that can be decoded
 */
export async function openImageFolder(
  source: Source & { kind: 'folder' },
  options: CameraOptions,
  now: () => number,
): Promise<Camera> {
  const names = (await readdir(source.path)).filter((name) => extensions.test(name)).sort()
  const paths = names.map((name) => join(source.path, name))
  for (const path of paths) {
    options.signal.throwIfAborted()
    const size = await stillSize(path)
    if (size !== undefined) return new ImageFolder(source, options, now, paths, size)
  }
  throw new CameraError(
    'unreadable',
    `Cannot open camera ${source.name}: ${paths.length === 0 ? 'no image in the folder' : 'none of its images can be decoded'}; put JPEG, PNG or WebP files there`,
  )
}

class ImageFolder implements Camera {
  readonly info: CameraInfo
  readonly #source: Source
  readonly #options: CameraOptions
  readonly #now: () => number
  readonly #paths: readonly string[]
  readonly #closing = new AbortController()
  readonly #mask: PictureMask | undefined
  #decoded = 0
  #damaged = 0

  constructor(
    source: Source,
    options: CameraOptions,
    now: () => number,
    paths: readonly string[],
    size: { width: number; height: number; format: string },
  ) {
    this.#source = source
    this.#options = options
    this.#now = now
    this.#paths = paths
    this.#mask = pictureMask(options.masks)
    this.info = {
      decoder: 'sharp',
      codec: size.format,
      width: size.width,
      height: size.height,
      fps: undefined,
    }
  }

  get counts(): CameraCounts {
    return { decoded: this.#decoded, damaged: this.#damaged }
  }

  async *frames(): AsyncGenerator<Frame> {
    const { analysisFps = fpsDefault, pace: manner, loop } = this.#options
    const signal = AbortSignal.any([this.#options.signal, this.#closing.signal])
    const clock = pace(manner === 'live', this.#now)
    do {
      let usable = 0
      for (const path of this.#paths) {
        signal.throwIfAborted()
        const pictures = await this.#pictures(path)
        signal.throwIfAborted()
        if (pictures === undefined) {
          this.#damaged++
          continue
        }
        usable++
        const frame = this.#decoded++
        const positionMs = (frame * 1000) / analysisFps
        await waitFor(clock, positionMs, signal)
        using picked = new BufferedFrame({ ...pictures, frame, at: clock.at(positionMs) })
        yield picked
      }
      if (usable === 0) {
        throw new CameraError(
          'unreadable',
          `Cannot read camera ${this.#source.name}: none of its images can be decoded any more`,
        )
      }
    } while (loop)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort(new Error('The camera was closed'))
  }

  /** Everything a frame may be asked for, or undefined where the file is no image. */
  async #pictures(path: string): Promise<Omit<Pictures, 'frame' | 'at'> | undefined> {
    const size = await stillSize(path)
    return size && stillPictures(path, size, this.#options.inputFor, this.#mask)
  }
}
