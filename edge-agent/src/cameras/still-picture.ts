/** A still as sharp shows it: an image of a folder, or a JPEG that a camera sent. */
import sharp from 'sharp'
import type { Pictures } from './buffered-frame.ts'
import { type CameraOptions, gateHeight, gateWidth, type InputView } from './camera.ts'
import { checkedView, sizeWithin } from './canvas.ts'
import type { PictureMask } from './picture-mask.ts'

/** An image with more pixels than this is damaged or a trap: refused by its header, never decoded. */
const pixelsMax = 100_000_000

export type StillSize = {
  readonly width: number
  readonly height: number
  /** As sharp calls it: `jpeg`, `png`, … */
  readonly format: string
}

/** Size of an image as a person sees it, from its header; undefined where it is none, or a trap. */
export async function stillSize(still: string | Uint8Array): Promise<StillSize | undefined> {
  try {
    const { autoOrient, format } = await sharp(still, { limitInputPixels: pixelsMax }).metadata()
    return { width: autoOrient.width, height: autoOrient.height, format: format as string }
  } catch {
    return undefined
  }
}

/**
 * Everything a frame may be asked for, or undefined where the image cannot be decoded.
 * @param still a file, or the bytes of one
 * @param mask what must not be seen
 */
export async function stillPictures(
  still: string | Uint8Array,
  { width, height }: StillSize,
  inputFor: CameraOptions['inputFor'],
  mask: PictureMask | undefined,
): Promise<Omit<Pictures, 'frame' | 'at'> | undefined> {
  const view = checkedView(inputFor(width, height))
  try {
    const whole = mask === undefined ? () => upright(still) : await masked(still, mask)
    const [gate, content] = await Promise.all([
      whole().resize(gateWidth, gateHeight, { fit: 'fill' }).greyscale().raw().toBuffer(),
      whole()
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
        return whole().resize(to.width, to.height, { fit: 'fill' }).jpeg({ quality }).toBuffer()
      },
    }
  } catch {
    return undefined
  }
}

/** As a person sees it: turned by its EXIF note, on black where transparent, three channels. */
const upright = (still: string | Uint8Array) =>
  sharp(still, { limitInputPixels: pixelsMax, failOn: 'error' })
    .autoOrient()
    .flatten()
    .toColourspace('srgb')

/** The image with its mask, as pixels: blanked before anything is scaled, so that nothing can mix. */
async function masked(still: string | Uint8Array, mask: PictureMask) {
  const { data, info } = await upright(still).raw().toBuffer({ resolveWithObject: true })
  const { width, height, channels } = info
  const plane = { width, height, stride: width * channels, bytesPerPixel: channels }
  mask.blank(data, plane, info)
  return () => sharp(data, { raw: { width, height, channels } })
}

/** Turns the pixels of a picture into the view's channel order, in place. */
export function inOrder(rgb: Buffer, view: InputView): Buffer {
  if (view.channels === 'rgb') return rgb
  for (let i = 0; i < rgb.length; i += 3) {
    const red = rgb[i]!
    rgb[i] = rgb[i + 2]!
    rgb[i + 2] = red
  }
  return rgb
}
