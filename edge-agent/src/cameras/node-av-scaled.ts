/** One swscale context with its target picture, both reused for every frame. */
import type { AVPixelFormat } from 'node-av/constants'
import type { Frame as AvFrame, SoftwareScaleContext } from 'node-av/lib'
import type { LibAv } from './node-av-input.ts'

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
  readonly #pixels: Buffer

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
    const [pixels] = this.target.data ?? []
    if (pixels === undefined) throw new Error('Cannot allocate a picture: it has no planes')
    this.#pixels = pixels
    this.stride = this.target.linesize[0] ?? width
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
    return this.#pixels
  }

  [Symbol.dispose](): void {
    this.#scaler.freeContext()
    this.target.free()
  }
}
