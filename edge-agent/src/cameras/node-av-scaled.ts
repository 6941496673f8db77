/** One swscale context with its target picture, both reused for every frame. */
import type { AVPixelFormat } from 'node-av/constants'
import type { Frame as AvFrame, SoftwareScaleContext } from 'node-av/lib'
import type { LibAv } from './node-av-input.ts'
import type { Plane } from './picture-mask.ts'

/** Bytes: rows start where the widest vectors that swscale uses on x86 and ARM may be loaded. */
const alignment = 32

/** One scaler with its target. It follows the source when that changes its size or colours. */
export class Scaled implements Disposable {
  readonly stride: number
  readonly target: AvFrame
  readonly #scaler: SoftwareScaleContext
  readonly #width: number
  readonly #height: number
  readonly #format: AVPixelFormat
  /** Every plane of the picture with its size in it. */
  readonly planes: readonly (Plane & { readonly pixels: Buffer })[]

  constructor(
    av: LibAv,
    width: number,
    height: number,
    format: AVPixelFormat,
    flags: 'area' | 'fast_bilinear',
    fullRange = false,
  ) {
    this.#width = width
    this.#height = height
    this.#format = format
    this.target = new av.Frame()
    this.target.alloc()
    this.target.width = width
    this.target.height = height
    this.target.format = format
    if (fullRange) this.target.colorRange = av.AVCOL_RANGE_JPEG
    av.FFmpegError.throwIfError(this.target.getBuffer(alignment), 'allocate a picture')
    // Taken once: every look at `data` makes new external buffers, which the collector pays for.
    const data = this.target.data ?? []
    if (data[0] === undefined) throw new Error('Cannot allocate a picture: it has no planes')
    this.planes = data.map((pixels, i) => ({
      pixels,
      ...planeSize(width, height, i),
      stride: this.target.linesize[i] ?? width,
      bytesPerPixel: format === av.AV_PIX_FMT_RGB24 || format === av.AV_PIX_FMT_BGR24 ? 3 : 1,
    }))
    this.stride = this.planes[0]!.stride
    this.#scaler = new av.SoftwareScaleContext()
    // Not initialized with a size: then swscale takes size, format and colour space from each frame.
    this.#scaler.allocContext()
    this.#scaler.setOption('sws_flags', flags)
  }

  is(width: number, height: number, format: AVPixelFormat): boolean {
    return this.#width === width && this.#height === height && this.#format === format
  }

  /** The first plane of the scaled picture; overwritten by the next call. */
  scale(frame: AvFrame): Buffer {
    const code = this.#scaler.scaleFrameSync(this.target, frame)
    if (code < 0) {
      throw new Error(
        `Cannot scale a ${frame.width}×${frame.height} picture to ${this.#width}×${this.#height}: swscale answers ${code}`,
      )
    }
    return this.planes[0]!.pixels
  }

  [Symbol.dispose](): void {
    this.#scaler.freeContext()
    this.target.free()
  }
}

/** The formats we scale to have one plane, or colours at half size in two more. */
const planeSize = (width: number, height: number, plane: number) =>
  plane === 0 ? { width, height } : { width: (width + 1) >> 1, height: (height + 1) >> 1 }
