/**
 * Program of the process that decodes pictures of boxes: it is given a file, looks whether all of it can be decoded,
 * and answers with a small picture. Whoever sent the file may have taken a box over, so what happens here happens
 * to nobody else.
 */
import sharp from 'sharp'
import type { PictureAnswer, PictureQuestion } from './picture-check.ts'

/** Of a small picture, px: a card of a grid on a screen with two pixels to one. */
const thumbnail = { width: 360, height: 270, fit: 'inside', withoutEnlargement: true } as const

sharp.cache(false)
sharp.concurrency(1)
process.on('disconnect', () => process.exit())
process.on('message', (question: PictureQuestion) => {
  void look(question).then((answer) => process.send?.(answer))
})

async function look({ file, width, height, pixelsMax }: PictureQuestion): Promise<PictureAnswer> {
  try {
    const picture = sharp(file, { limitInputPixels: pixelsMax, failOn: 'error' })
    const found = await picture.metadata()
    if (found.format !== 'jpeg') return { fault: `it is ${found.format} and no JPEG` }
    if (found.width !== width || found.height !== height) {
      return { fault: `it is ${found.width}×${found.height} and not ${width}×${height}` }
    }
    // Decoded in full: a scaled one is made of a part of the data.
    await picture.clone().raw().toBuffer()
    return { thumbnail: await picture.resize(thumbnail).webp({ quality: 72 }).toBuffer() }
  } catch (error) {
    return { fault: (error as Error).message.slice(0, 200) }
  }
}
