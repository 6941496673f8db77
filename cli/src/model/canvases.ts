/** Images on a model's canvas, read again and again: those that fit into memory are decoded once. */
import { type Model, readImage } from '@edgeloop/edge-agent/detect'
import type { SetImage } from './image-set.ts'

export type Canvas = {
  readonly image: SetImage
  /** height × width × 3 bytes; not to be changed. */
  readonly bytes: Uint8Array
  readonly view: ReturnType<Model['inputFor']>
  /** Of the image, in pixels. */
  readonly width: number
  readonly height: number
}

/** What decoded canvases may take; beyond that an image is decoded each time it is wanted. */
const cacheBytesMax = 128 * 1024 * 1024

export class Canvases {
  readonly images: readonly SetImage[]
  readonly #model: Pick<Model, 'inputBytes' | 'inputFor'>
  readonly #kept = new Map<SetImage, Canvas>()

  /** @param model says how large the canvas is and where an image lands on it; it is kept, and never run */
  constructor(model: Pick<Model, 'inputBytes' | 'inputFor'>, images: readonly SetImage[]) {
    this.#model = { inputBytes: model.inputBytes, inputFor: model.inputFor.bind(model) }
    this.images = images
  }

  /**
   * Every image in order; the next one is decoded while the reader works on one.
   * @throws {ImageError} naming an image that cannot be read
   */
  async *read(): AsyncGenerator<Canvas, void, undefined> {
    // A failure is a value, as nobody waits for this promise yet when it is made.
    const ahead = (image?: SetImage) =>
      image && this.#one(image).catch((error: Error): Error => error)
    let next = ahead(this.images[0])
    for (let at = 1; next; at++) {
      const current = await next
      if (current instanceof Error) throw current
      next = ahead(this.images[at])
      yield current
    }
  }

  async #one(image: SetImage): Promise<Canvas> {
    const known = this.#kept.get(image)
    if (known) return known
    const bytes = new Uint8Array(this.#model.inputBytes)
    const placed = await readImage(image.file, this.#model.inputFor, bytes)
    const canvas = { image, bytes, ...placed }
    if ((this.#kept.size + 1) * bytes.length <= cacheBytesMax) this.#kept.set(image, canvas)
    return canvas
  }
}
