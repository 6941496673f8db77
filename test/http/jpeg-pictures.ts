/** Test pictures as JPEGs, as a camera would send them: full range, BT.601, half the chroma. */
import sharp from 'sharp'
import { drawTestPictures, pictureBytes } from '../rtsp/test-picture.ts'

export type JpegOptions = {
  readonly width: number
  readonly height: number
  readonly count: number
  /** Number drawn in the first picture. */
  readonly firstNumber?: number
}

/** JPEGs of consecutive test pictures. */
export async function jpegPictures(options: JpegOptions): Promise<Uint8Array[]> {
  const { width, height, count, firstNumber = 0 } = options
  const draw = drawTestPictures({ width, height, seed: 1, matrix: 'bt601' })
  const picture = Buffer.alloc(pictureBytes(width, height))
  const jpegs: Uint8Array[] = []
  for (let n = 0; n < count; n++) {
    draw(picture, firstNumber + n)
    const raw = { width, height, channels: 3 } as const
    jpegs.push(
      await sharp(toRgb(picture, width, height), { raw })
        .jpeg({ quality: 85 })
        .toBuffer(),
    )
  }
  return jpegs
}

/** ITU-R BT.601, limited range I420 to RGB. */
function toRgb(picture: Uint8Array, width: number, height: number): Buffer {
  const rgb = Buffer.alloc(width * height * 3)
  const [uAt, vAt] = [width * height, (width * height * 5) / 4]
  const level = (value: number) => Math.min(255, Math.max(0, Math.round(value)))
  for (let y = 0, at = 0; y < height; y++) {
    for (let x = 0; x < width; x++, at += 3) {
      const luma = (picture[y * width + x]! - 16) * (255 / 219)
      const chroma = (y >> 1) * (width / 2) + (x >> 1)
      const u = (picture[uAt + chroma]! - 128) * (255 / 224)
      const v = (picture[vAt + chroma]! - 128) * (255 / 224)
      rgb[at] = level(luma + 1.402 * v)
      rgb[at + 1] = level(luma - 0.344136 * u - 0.714136 * v)
      rgb[at + 2] = level(luma + 1.772 * u)
    }
  }
  return rgb
}
