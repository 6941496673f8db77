/**
 * The pictures of one node-av frame: grey for the motion gate, scaled for the model, JPEG for
 * people. Scalers and their targets live as long as the camera, JPEG encoders as long as any camera of
 * the process; nothing is allocated per frame.
 */

import assert from 'node:assert/strict'
import type { Frame as AvFrame } from 'node-av/lib'
import { gateHeight, gateWidth, type InputView } from './camera.ts'
import { checkedView, paintCanvas, sizeWithin } from './canvas.ts'
import type { LibAv } from './node-av-input.ts'
import { type JpegEncoders, shareJpegEncoders } from './node-av-jpeg.ts'
import { Scaled } from './node-av-scaled.ts'
import type { PictureMask } from './picture-mask.ts'

export class NodeAvPictures implements Disposable {
  readonly #av: LibAv
  readonly #inputFor: (width: number, height: number) => InputView
  readonly #gate: Scaled
  #input: Scaled | undefined
  #view: InputView | undefined
  #isClosed = false
  readonly #jpegs: JpegEncoders

  readonly #mask: PictureMask | undefined

  constructor(
    av: LibAv,
    inputFor: (width: number, height: number) => InputView,
    mask: PictureMask | undefined,
  ) {
    this.#av = av
    this.#mask = mask
    this.#inputFor = inputFor
    this.#jpegs = shareJpegEncoders(av)
    this.#gate = new Scaled(av, gateWidth, gateHeight, av.AV_PIX_FMT_GRAY8, 'fast_bilinear', true)
    // 160 bytes are whole vectors at the alignment asked for, so no row is padded.
    assert.equal(this.#gate.stride, gateWidth)
  }

  gate(frame: AvFrame): Uint8Array {
    this.#assertOpen()
    const grey = this.#gate.scale(frame)
    this.#mask?.blank(grey, this.#gate.planes[0]!, frame)
    return grey.subarray(0, gateWidth * gateHeight)
  }

  input(frame: AvFrame, target: Uint8Array): InputView {
    this.#assertOpen()
    const view = this.#viewFor(frame.width, frame.height)
    const { width, height } = view.content
    const format = view.channels === 'rgb' ? this.#av.AV_PIX_FMT_RGB24 : this.#av.AV_PIX_FMT_BGR24
    if (!this.#input?.is(width, height, format)) {
      this.#input?.[Symbol.dispose]()
      this.#input = new Scaled(this.#av, width, height, format, 'area')
    }
    const pixels = this.#input.scale(frame)
    this.#mask?.blank(pixels, this.#input.planes[0]!, frame)
    paintCanvas(target, view, pixels, this.#input.stride)
    return view
  }

  jpeg(frame: AvFrame, options: { widthMax: number; quality: number }): Uint8Array {
    this.#assertOpen()
    const { width, height } = sizeWithin(frame.width, frame.height, options.widthMax)
    return this.#jpegs.encode(frame, { width, height, quality: options.quality }, this.#mask)
  }

  [Symbol.dispose](): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#gate[Symbol.dispose]()
    this.#input?.[Symbol.dispose]()
    this.#jpegs[Symbol.dispose]()
  }

  #assertOpen(): void {
    if (this.#isClosed) throw new Error('Cannot use a frame: its camera was closed')
  }

  #viewFor(width: number, height: number): InputView {
    const view = this.#inputFor(width, height)
    if (this.#view !== view) this.#view = checkedView(view)
    return view
  }
}
