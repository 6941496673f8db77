/** Pictures of a data set by digest: files, decoded by libvips, or raw pixels in shared memory. */
import { readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import sharp from 'sharp'
import type { Picture } from './dataset.ts'
import { DatasetError } from './dataset-error.ts'

/**
 * Where pictures are, in a form that goes to a worker thread. Raw ones lie one behind the other; give them in shared
 * memory, so that no thread copies them.
 */
export type PictureSource =
  | {
      readonly kind: 'files'
      readonly folder: string
      /** Path within the folder by digest. */
      readonly files: ReadonlyMap<string, string>
    }
  | {
      readonly kind: 'raw'
      readonly width: number
      readonly height: number
      readonly channels: 1 | 3
      readonly data: Uint8Array
      /** Which of the pictures it is, by digest. */
      readonly places: ReadonlyMap<string, number>
    }

/** Most bytes of an image file. */
export const imageBytesMax = 64 * 1024 * 1024
/** Most pixels of an image: a small file must not unfold to all memory. */
export const pixelsMax = 100_000_000

const formats: ReadonlySet<string> = new Set(['jpeg', 'png', 'webp', 'gif', 'tiff', 'heif'])

/** The bytes that a digest is of. */
export async function pictureBytes(source: PictureSource, digest: string): Promise<Uint8Array> {
  if (source.kind === 'raw') return rawPicture(source, digest).data
  return await readImageFile(join(source.folder, fileOf(source, digest)))
}

/**
 * @param size brought to this size, proportions or not; raw pixels stay as they are
 * @throws {DatasetError} naming the file
 */
export async function decodedPicture(
  source: PictureSource,
  digest: string,
  size?: { readonly width: number; readonly height: number },
): Promise<Picture> {
  if (source.kind === 'raw') return rawPicture(source, digest)
  const file = join(source.folder, fileOf(source, digest))
  return await decodePicture(await readImageFile(file), file, size)
}

type RawSource = Extract<PictureSource, { kind: 'raw' }>

function rawPicture({ width, height, channels, data, places }: RawSource, digest: string): Picture {
  const place = places.get(digest)
  if (place === undefined)
    throw new DatasetError(`Cannot read picture ${digest}: it is not in the set`)
  const size = width * height * channels
  return { width, height, channels, data: data.subarray(place * size, (place + 1) * size) }
}

function fileOf({ files }: Extract<PictureSource, { kind: 'files' }>, digest: string): string {
  const file = files.get(digest)
  if (file === undefined)
    throw new DatasetError(`Cannot read picture ${digest}: it is not in the set`)
  return file
}

/** @throws {DatasetError} when it is gone or larger than any image should be */
export async function readImageFile(file: string): Promise<Buffer> {
  try {
    const { size } = await stat(file)
    if (size > imageBytesMax) throw new Error(`${size} bytes, allowed ${imageBytesMax}`)
    return await readFile(file)
  } catch (cause) {
    throw new DatasetError(`Cannot read image "${file}": ${(cause as Error).message}`, undefined, {
      cause,
    })
  }
}

/** Upright and without transparency, as the agent sees it; grey has three equal channels. */
export async function decodePicture(
  bytes: Uint8Array,
  what: string,
  size?: { readonly width: number; readonly height: number },
): Promise<Picture> {
  try {
    const image = sharp(bytes, { limitInputPixels: pixelsMax, failOn: 'error' }).autoOrient()
    if (size) {
      // As in the agent: a JPEG decoded at a fraction of its size first would blur what small objects need.
      const { width, height } = size
      image.resize(width, height, { fit: 'fill', kernel: 'linear', fastShrinkOnLoad: false })
    }
    const { data, info } = await image
      .flatten({ background: '#000' })
      .toColourspace('srgb')
      .raw()
      .toBuffer({ resolveWithObject: true })
    return { width: info.width, height: info.height, channels: 3, data }
  } catch (cause) {
    throw new DatasetError(`Cannot read image "${what}": ${imageFault(bytes, cause)}`, undefined, {
      cause,
    })
  }
}

/**
 * A picture of class indexes: one channel whose values are classes.
 * @throws {DatasetError} naming the file; colours are refused, as they are no class indexes
 */
export async function decodeMask(bytes: Uint8Array, what: string): Promise<Picture> {
  try {
    const options = { limitInputPixels: pixelsMax, failOn: 'error' } as const
    const { channels, isPalette } = await sharp(bytes, options).metadata()
    if (channels !== 1 || isPalette) {
      throw new Error('it has colours; masks hold one channel of class indexes')
    }
    const image = sharp(bytes, options).toColourspace('b-w').raw()
    const { data, info } = await image.toBuffer({ resolveWithObject: true })
    return { width: info.width, height: info.height, channels: 1, data }
  } catch (cause) {
    throw new DatasetError(`Cannot read mask "${what}": ${imageFault(bytes, cause)}`, undefined, {
      cause,
    })
  }
}

/**
 * The size of an image as a person sees it, read from its head.
 * @throws {Error} whose message says what it is instead, without naming it
 */
export async function imageSize(
  bytes: Uint8Array,
): Promise<{ readonly width: number; readonly height: number }> {
  try {
    const { autoOrient, format } = await sharp(bytes, { limitInputPixels: pixelsMax }).metadata()
    if (!formats.has(format)) throw new Error(`it is of the form ${format}`)
    return { width: autoOrient.width, height: autoOrient.height }
  } catch (cause) {
    throw new Error(imageFault(bytes, cause), { cause })
  }
}

/** Why bytes are no image, in a few words: what downloads leave behind instead is named. */
function imageFault(bytes: Uint8Array, cause: unknown): string {
  if (bytes.length === 0) return 'it is empty'
  const head = Buffer.from(bytes.subarray(0, 256)).toString('latin1').trimStart().toLowerCase()
  if (head.startsWith('<!doctype html') || head.startsWith('<html')) {
    return 'it is a web page (HTML), no image'
  }
  const [reason = ''] = (cause as Error).message.split('\n')
  return reason
}
