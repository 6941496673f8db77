/** Still images: which there are in a folder, and how one comes onto a model's canvas. */
import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import sharp, { type Sharp } from 'sharp'
import type { InputView } from '../cameras/camera.ts'

/** Endings of files in a folder that count as images, in lower case. */
export const imageEndings = [
  '.jpg',
  '.jpeg',
  '.png',
  '.webp',
  '.gif',
  '.tif',
  '.tiff',
  '.avif',
] as const

/** Most pixels of an image: a small file must not unfold to all memory. */
const pixelsMax = 100_000_000

export type ImageFile = {
  /** As results speak of it: the name within its folder, or the path that was given. */
  readonly source: string
  readonly file: string
}

/** An image or a folder of them cannot be read; the message says which and why. */
export class ImageError extends Error {
  constructor(text: string, options?: ErrorOptions) {
    super(text, options)
    this.name = 'ImageError'
  }
}

/**
 * The images of a folder in the order of their names, or the files given, in their order.
 * @throws {ImageError} when there is nothing there, or a folder holds no images
 */
export async function listImages(paths: readonly string[]): Promise<ImageFile[]> {
  const found: ImageFile[] = []
  for (const path of paths) {
    const entry = await stat(path).catch((cause: NodeJS.ErrnoException) => {
      const reason = cause.code === 'ENOENT' ? 'there is no such file or folder' : cause.message
      throw new ImageError(`Cannot read images of "${path}": ${reason}`, { cause })
    })
    found.push(...(entry.isDirectory() ? await imagesIn(path) : [{ source: path, file: path }]))
  }
  return found
}

async function imagesIn(folder: string): Promise<ImageFile[]> {
  const names = (await readdir(folder)).filter((name) =>
    imageEndings.some((ending) => name.toLowerCase().endsWith(ending)),
  )
  if (names.length === 0) {
    const endings = imageEndings.join(' ')
    throw new ImageError(`Cannot read images of "${folder}": no file there ends in ${endings}`)
  }
  // By code units, so that the order is the same on every machine.
  return names.sort().map((name) => ({ source: name, file: join(folder, name) }))
}

/** An image on a canvas. Size in pixels, as a person sees the image: after EXIF rotation. */
export type CanvasImage = {
  readonly width: number
  readonly height: number
  readonly view: InputView
}

/** Size of an image in pixels, upright, as its head says it. @throws {ImageError} naming the file */
export async function imageSize(file: string): Promise<{ width: number; height: number }> {
  try {
    const { autoOrient } = await sharp(file, { limitInputPixels: pixelsMax }).metadata()
    return { width: autoOrient.width, height: autoOrient.height }
  } catch (cause) {
    throw unreadable(file, cause)
  }
}

/**
 * Reads an image, turned upright as its EXIF data say, and writes it onto a canvas.
 * @param file where it is, or its bytes
 * @param inputFor where an image of this size lands
 * @param canvas height × width × 3 bytes
 * @throws {ImageError} naming the file
 */
export async function readImage(
  file: string | Uint8Array,
  inputFor: (width: number, height: number) => InputView,
  canvas: Uint8Array,
): Promise<CanvasImage> {
  try {
    const { autoOrient } = await sharp(file, { limitInputPixels: pixelsMax }).metadata()
    const { width, height } = autoOrient
    const view = inputFor(width, height)
    const image = sharp(file, { limitInputPixels: pixelsMax, failOn: 'error' }).autoOrient()
    drawRgb(await scaledRgb(image, view), view, canvas)
    return { width, height, view }
  } catch (cause) {
    throw unreadable(file, cause)
  }
}

function unreadable(file: string | Uint8Array, cause: unknown): ImageError {
  const [reason = ''] = (cause as Error).message.split('\n')
  const name = typeof file === 'string' ? ` "${file}"` : ''
  return new ImageError(`Cannot read image${name}: ${reason}`, { cause })
}

/** Decoded pixels, row by row: RGB, or one byte of brightness each. */
export type PixelImage = {
  readonly width: number
  readonly height: number
  readonly channels: 1 | 3
  readonly data: Uint8Array
}

/** Writes a decoded image onto a canvas, as `readImage` does it with a file. */
export async function placeImage(
  { width, height, channels, data }: PixelImage,
  inputFor: (width: number, height: number) => InputView,
  canvas: Uint8Array,
): Promise<CanvasImage> {
  const view = inputFor(width, height)
  const image = sharp(data, { raw: { width, height, channels }, limitInputPixels: pixelsMax })
  drawRgb(await scaledRgb(image, view), view, canvas)
  return { width, height, view }
}

/**
 * A picture of class indexes: PNG with one channel whose values are classes, scaled to a size without mixing.
 * @throws {ImageError} naming the file; colours are refused, as they are no class indexes
 */
export async function readClassMask(
  file: string,
  width: number,
  height: number,
): Promise<Uint8Array> {
  try {
    const { channels, isPalette } = await sharp(file, {
      limitInputPixels: pixelsMax,
    }).metadata()
    if (channels !== 1 || isPalette) {
      throw new Error('it has colours; masks hold one channel of class indexes')
    }
    return await sharp(file, { limitInputPixels: pixelsMax, failOn: 'error' })
      .resize(width, height, { fit: 'fill', kernel: 'nearest' })
      .toColourspace('b-w')
      .raw()
      .toBuffer()
  } catch (cause) {
    const [reason = ''] = (cause as Error).message.split('\n')
    throw new ImageError(`Cannot read mask "${file}": ${reason}`, { cause })
  }
}

/** The image at the size of the view's content, as height × width × 3 bytes RGB. */
async function scaledRgb(image: Sharp, { content }: InputView): Promise<Uint8Array> {
  return await image
    .flatten({ background: '#000' })
    .toColourspace('srgb')
    .resize(content.width, content.height, {
      fit: 'fill',
      kernel: 'linear',
      // A JPEG decoded at a fraction of its size first would blur what small objects need.
      fastShrinkOnLoad: false,
    })
    .raw()
    .toBuffer()
}

/** Puts an RGB picture of the size of the view's content onto the canvas, padding around it. */
function drawRgb(rgb: Uint8Array, view: InputView, canvas: Uint8Array): void {
  const { content } = view
  const [first, third] = view.channels === 'rgb' ? [0, 2] : [2, 0]
  canvas.fill(view.pad)
  for (let row = 0, from = 0; row < content.height; row++) {
    let to = ((content.top + row) * view.width + content.left) * 3
    for (let column = 0; column < content.width; column++, from += 3, to += 3) {
      canvas[to] = rgb[from + first]!
      canvas[to + 1] = rgb[from + 1]!
      canvas[to + 2] = rgb[from + third]!
    }
  }
}
