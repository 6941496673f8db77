/** Small pictures of samples for grids and lists. Written as files, because whoever asks wants to keep them. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import sharp from 'sharp'
import type { Dataset } from './dataset.ts'
import { DatasetError } from './dataset-error.ts'
import { inTurns } from './draft.ts'

/** Both sides of a small picture, px: a card of a grid on a screen with two pixels to one. */
export const thumbnailSize = { width: 360, height: 270 } as const

/** Pictures decoded at once. */
const atOnce = 4

/**
 * Writes `folder/DIGEST.webp` for each of `digests` whose picture is larger than a small one. A picture that cannot be
 * read gets none: the inspection says so.
 * @returns how many were written
 */
export async function writeThumbnails(
  dataset: Dataset,
  digests: ReadonlySet<string>,
  folder: string,
  options: { onPicture?: (done: number, total: number) => void; signal?: AbortSignal } = {},
): Promise<number> {
  const { onPicture, signal } = options
  const wanted = dataset.samples.filter(({ digest }) => digests.has(digest))
  let done = 0
  let written = 0
  await inTurns(wanted, atOnce, async (sample) => {
    const { width, height } = sample
    if (width > thumbnailSize.width || height > thumbnailSize.height) {
      try {
        const picture = await dataset.picture(sample, signal)
        const webp = await sharp(picture.data, {
          raw: { width: picture.width, height: picture.height, channels: picture.channels },
        })
          .resize({ ...thumbnailSize, fit: 'inside' })
          .webp({ quality: 72 })
          .toBuffer()
        await writeFile(join(folder, `${sample.digest}.webp`), webp)
        written++
      } catch (error) {
        if (!(error instanceof DatasetError)) throw error
      }
    }
    onPicture?.(++done, wanted.length)
  })
  return written
}
