/** `detect` on still images: one answer per image, in order. */
import type { DetectOptions, Model, Reading } from '../models/model.ts'
import { type CanvasImage, ImageError, type ImageFile, listImages, readImage } from './images.ts'

/** What a model said of one image. Size in pixels; boxes and outlines as shares of it. */
export type ImageReading = Reading & {
  readonly source: string
  readonly width: number
  readonly height: number
}

export type DetectImagesOptions = {
  readonly model: Model
  /** Folders, whose images come in the order of their names, and files. */
  readonly images: readonly string[]
  readonly options: DetectOptions
}

/** Failures that the final error quotes; the rest is counted. */
const failuresShown = 3

/**
 * What a model says of every image. An image that cannot be read does not hold up the others.
 * @throws {ImageError} after the last image, when some had no answer; before the first, when there
 * are none
 */
export async function* detectImages(
  { model, images, options }: DetectImagesOptions,
  signal?: AbortSignal,
): AsyncGenerator<ImageReading, void, undefined> {
  const files = await listImages(images)
  const failures: string[] = []
  for await (const { source, canvas, image } of readAhead(files, model)) {
    signal?.throwIfAborted()
    if (image instanceof ImageError) {
      failures.push(image.message)
      continue
    }
    const reading = await model.read(canvas, image.view, options)
    yield { source, width: image.width, height: image.height, ...reading }
  }
  if (failures.length > 0) throw new ImageError(failureText(failures, files.length))
}

type Read = {
  readonly source: string
  readonly canvas: Uint8Array
  readonly image: CanvasImage | ImageError
}

/** Reads one image ahead: the next is decoded in sharp's threads while the model has this one. */
async function* readAhead(files: readonly ImageFile[], model: Model): AsyncGenerator<Read> {
  const canvases = [new Uint8Array(model.inputBytes), new Uint8Array(model.inputBytes)] as const
  const inputFor = (width: number, height: number) => model.inputFor(width, height)
  const read = async ({ source, file }: ImageFile, canvas: Uint8Array): Promise<Read> => {
    // A failure is a value, as nobody waits for this promise yet when it is made.
    const image = await readImage(file, inputFor, canvas).catch((error: ImageError) => error)
    return { source, canvas, image }
  }
  const [first] = files
  let next = first && read(first, canvases[0])
  for (let index = 1; next; index++) {
    const current = await next
    const file = files[index]
    next = file && read(file, canvases[index % 2 === 0 ? 0 : 1])
    yield current
  }
}

function failureText(failures: readonly string[], total: number): string {
  if (failures.length === 1) return failures[0] ?? ''
  const shown = failures.slice(0, failuresShown).join('; ')
  const rest = failures.length > failuresShown ? '; …' : ''
  return `${failures.length} of ${total} images have no answer: ${shown}${rest}`
}
