/** What a camera's compression does to a picture: it is written as JPEG and read again. */
import sharp from 'sharp'

/** @param quality 1 to 100 */
export async function compress(
  canvas: Uint8Array,
  width: number,
  height: number,
  channels: 1 | 3,
  quality: number,
): Promise<void> {
  const jpeg = await sharp(canvas, { raw: { width, height, channels } })
    .jpeg({ quality })
    .toBuffer()
  const image = sharp(jpeg)
  canvas.set(await (channels === 1 ? image.toColourspace('b-w') : image).raw().toBuffer())
}
