/** A folder of images as a camera: one frame per image, in the order of their names. */
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import sharp from 'sharp'
import { BufferedFrame, type Pictures } from './buffered-frame.ts'
import {
  type Camera,
  type CameraCounts,
  CameraError,
  type CameraInfo,
  type CameraOptions,
  type Frame,
  gateHeight,
  gateWidth,
  type InputView,
} from './camera.ts'
import { checkedView, sizeWithin } from './canvas.ts'
import { pace, waitFor } from './pace.ts'
import type { Source } from './source.ts'

const extensions = /\.(jpe?g|png|webp|gif|avif|tiff?)$/i

/** Images per second where `analysisFps` is left out and the folder is played as if live. */
const fpsDefault = 1

/** An image with more pixels than this is damaged or a trap: refused by its header, never decoded. */
const pixelsMax = 100_000_000

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
    const size = await sizeOf(path)
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
        const pictures = await this.#picture(path)
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
  async #picture(path: string): Promise<Omit<Pictures, 'frame' | 'at'> | undefined> {
    const size = await sizeOf(path)
    if (size === undefined) return undefined
    const { width, height } = size
    const view = checkedView(this.#options.inputFor(width, height))
    try {
      const [gate, content] = await Promise.all([
        upright(path).resize(gateWidth, gateHeight, { fit: 'fill' }).greyscale().raw().toBuffer(),
        upright(path)
          .resize(view.content.width, view.content.height, { fit: 'fill', kernel: 'linear' })
          .raw()
          .toBuffer(),
      ])
      return {
        width,
        height,
        gate,
        view,
        content: inOrder(content, view),
        jpeg: async ({ widthMax, quality }) => {
          const to = sizeWithin(width, height, widthMax)
          return upright(path)
            .resize(to.width, to.height, { fit: 'fill' })
            .jpeg({ quality })
            .toBuffer()
        },
      }
    } catch {
      return undefined
    }
  }
}

/** As a person sees it: turned by its EXIF note, on black where transparent, three channels. */
const upright = (path: string) =>
  sharp(path, { limitInputPixels: pixelsMax, failOn: 'error' })
    .autoOrient()
    .flatten()
    .toColourspace('srgb')

async function sizeOf(path: string) {
  try {
    const { autoOrient, format } = await sharp(path, { limitInputPixels: pixelsMax }).metadata()
    return { width: autoOrient.width, height: autoOrient.height, format: format as string }
  } catch {
    return undefined
  }
}

function inOrder(rgb: Buffer, view: InputView): Buffer {
  if (view.channels === 'rgb') return rgb
  for (let i = 0; i < rgb.length; i += 3) {
    const red = rgb[i]!
    rgb[i] = rgb[i + 2]!
    rgb[i + 2] = red
  }
  return rgb
}
