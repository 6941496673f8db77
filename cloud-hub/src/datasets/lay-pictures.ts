/**
 * Lays pictures of samples down as files for a process that works on them. A set of plain pixels all of one size stays
 * plain pixels; where they are mixed with files of an image format, they become files too, of the same pixels.
 */
import { writeFile } from 'node:fs/promises'
import type { PictureForm } from '@edgeloop/protocol'
import type { Blobs } from '../blobs/blobs.ts'
import type { Store } from '../store/store.ts'
import { showable } from './picture-form.ts'

/** Digests in one query. */
const queryDigestsMax = 1000

export type PictureLayer = {
  /** How the pictures lie then. */
  readonly pictures:
    | { readonly kind: 'files' }
    | {
        readonly kind: 'raw'
        readonly width: number
        readonly height: number
        readonly channels: 1 | 3
      }
  /** @throws {Error} when it is gone */
  picture(digest: string, file: string): Promise<void>
}

/** @param digests of all pictures and masks that will be laid */
export async function pictureLayer(
  store: Store,
  files: Blobs,
  digests: readonly string[],
): Promise<PictureLayer> {
  const raw = new Map<string, { form: PictureForm; width: number; height: number }>()
  let others = 0
  for (let at = 0; at < digests.length; at += queryDigestsMax) {
    const rows = await store.writer
      .selectFrom('sample')
      .select(['digest', 'form', 'width', 'height'])
      .where('digest', 'in', digests.slice(at, at + queryDigestsMax))
      .execute()
    for (const { digest, form, width, height } of rows) {
      if (form.startsWith('raw-')) raw.set(digest, { form: form as PictureForm, width, height })
      else others++
    }
  }
  const [one] = raw.values()
  const isSame = [...raw.values()].every(
    ({ form, width, height }) => form === one?.form && width === one.width && height === one.height,
  )
  const staysRaw = one !== undefined && others === 0 && isSame
  return {
    pictures: staysRaw
      ? {
          ...{ kind: 'raw', width: one.width, height: one.height },
          channels: one.form === 'raw-grey' ? 1 : 3,
        }
      : { kind: 'files' },
    picture: async (digest, file) => {
      const pixels = staysRaw ? undefined : raw.get(digest)
      if (pixels) {
        const bytes = await files.read(digest)
        if (bytes) return await writeFile(file, showable(bytes, pixels).bytes, { flag: 'wx' })
      } else if (await files.lay(digest, file)) return
      throw new Error(`Cannot lay out the picture ${digest}: it is gone`)
    },
  }
}
