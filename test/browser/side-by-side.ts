/** Several shots of a page as one picture for the documents. */
import sharp from 'sharp'

const rowHeight = 480
const gap = 12

/** Puts shots beside each other at one height. */
export async function sideBySide(
  shots: readonly Buffer[],
  file: string,
): Promise<{ size: number }> {
  const scaled = await Promise.all(
    shots.map((shot) =>
      sharp(shot).resize({ height: rowHeight }).toBuffer({ resolveWithObject: true }),
    ),
  )
  let left = 0
  const composites = scaled.map(({ data, info }) => {
    const placed = { input: data, left, top: 0 }
    left += info.width + gap
    return placed
  })
  const background = { r: 0, g: 0, b: 0, alpha: 0 }
  return await sharp({ create: { width: left - gap, height: rowHeight, channels: 4, background } })
    .composite(composites)
    .webp({ quality: 82 })
    .toFile(file)
}
