/** A frame whose pictures were made before it was handed out: by ffmpeg in its process, or by sharp. */
import type { Frame, InputView } from './camera.ts'
import { paintCanvas } from './canvas.ts'
import { type RgbPicture, resampleOnto } from './resample.ts'

export type Pictures = {
  readonly frame: number
  readonly at: number
  readonly width: number
  readonly height: number
  /** 160×90 grey levels. */
  readonly gate: Uint8Array
  readonly view: InputView
  /** The frame scaled to `view.content` in the view's channel order, rows without gaps. */
  readonly content: Buffer
  /** Where `content` was made before the model was known that looks at it: how the model takes it, and what of. */
  readonly anew?: {
    readonly inputFor: () => InputView
    readonly from: RgbPicture
  }
  readonly jpeg: Frame['jpeg']
  /** Called once, when the frame is disposed of: its buffers may be used again. */
  readonly release?: () => void
}

export class BufferedFrame implements Frame {
  readonly frame: number
  readonly at: number
  readonly width: number
  readonly height: number
  #pictures: Pictures | undefined

  constructor(pictures: Pictures) {
    this.#pictures = pictures
    this.frame = pictures.frame
    this.at = pictures.at
    this.width = pictures.width
    this.height = pictures.height
  }

  gate(): Uint8Array {
    return this.#held().gate
  }

  input(target: Uint8Array): InputView {
    const { view, content, anew } = this.#held()
    const wanted = anew?.inputFor() ?? view
    if (anew && !isSame(wanted, view)) {
      resampleOnto(target, wanted, anew.from)
      return wanted
    }
    paintCanvas(target, view, content, view.content.width * 3)
    return view
  }

  jpeg(options: { widthMax: number; quality: number }): Promise<Uint8Array> {
    return this.#held().jpeg(options)
  }

  [Symbol.dispose](): void {
    const pictures = this.#pictures
    this.#pictures = undefined
    pictures?.release?.()
  }

  #held(): Pictures {
    if (this.#pictures === undefined) {
      throw new Error(`Cannot use frame ${this.frame}: it was disposed of`)
    }
    return this.#pictures
  }
}

function isSame(a: InputView, b: InputView): boolean {
  if (a === b) return true
  const [one, other] = [a.content, b.content]
  return (
    a.width === b.width &&
    a.height === b.height &&
    a.channels === b.channels &&
    a.pad === b.pad &&
    one.left === other.left &&
    one.top === other.top &&
    one.width === other.width &&
    one.height === other.height
  )
}
