/** `detect` on still images: one answer per image, in order. */
import type { Detection } from '@edgeloop/protocol'
import type { DetectOptions, Model } from '../models/model.ts'
import { ImageError, listImages, readImage } from './images.ts'

/** What was found in one image. Size in pixels; boxes as shares of it. */
export type ImageDetections = {
  readonly source: string
  readonly width: number
  readonly height: number
  readonly detections: readonly Detection[]
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
 * Detections of every image. An image that cannot be read does not hold up the others.
 * @throws {ImageError} after the last image, when some had no answer; before the first, when there
 * are none
 */
export async function* detectImages(
  { model, images, options }: DetectImagesOptions,
  signal?: AbortSignal,
): AsyncGenerator<ImageDetections, void, undefined> {
  const canvas = new Uint8Array(model.inputBytes)
  const inputFor = (width: number, height: number) => model.inputFor(width, height)
  const files = await listImages(images)
  const failures: string[] = []
  for (const { source, file } of files) {
    signal?.throwIfAborted()
    const image = await readImage(file, inputFor, canvas).catch((error: unknown) => {
      if (!(error instanceof ImageError)) throw error
      failures.push(error.message)
    })
    if (!image) continue
    const detections = await model.detect(canvas, image.view, options)
    yield { source, width: image.width, height: image.height, detections }
  }
  if (failures.length > 0) throw new ImageError(failureText(failures, files.length))
}

function failureText(failures: readonly string[], total: number): string {
  if (failures.length === 1) return failures[0] ?? ''
  const shown = failures.slice(0, failuresShown).join('; ')
  const rest = failures.length > failuresShown ? '; …' : ''
  return `${failures.length} of ${total} images have no answer: ${shown}${rest}`
}
