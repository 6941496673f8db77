/**
 * Lays pictures of samples down as files for a process that works on them. A set of plain pixels all of one size stays
 * plain pixels; where they are mixed with files of an image format, they become files too, of the same pixels.
 */
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { PictureForm, SampleAnnotation } from '@edgeloop/protocol'
import type { Blobs } from '../blobs/blobs.ts'
import type { Store } from '../store/store.ts'
import { showable } from './picture-form.ts'

type Laid = {
  readonly digest: string
  readonly annotations: readonly SampleAnnotation[]
}

/**
 * Lays pictures and masks into a folder in the form `frozen`, but for its list.
 * @throws {Error} when one is gone
 */
export async function layFrozen(
  deps: { readonly store: Store; readonly files: Blobs },
  given: {
    readonly name: string
    readonly labels: readonly string[]
    readonly samples: readonly Laid[]
  },
  folder: string,
  signal: AbortSignal,
): Promise<void> {
  const { name, labels, samples } = given
  await mkdir(join(folder, 'blobs'), { recursive: true })
  const masks = samples.flatMap(({ annotations }) =>
    annotations.flatMap((one) => (one.kind === 'mask' ? [one.digest] : [])),
  )
  const digests = [...new Set([...samples.map(({ digest }) => digest), ...masks])]
  const lay = await pictureLayer(deps.store, deps.files, digests)
  for (const digest of digests) {
    signal.throwIfAborted()
    const shelf = join(folder, 'blobs', digest.slice(0, 2))
    await mkdir(shelf, { recursive: true })
    await lay.picture(digest, join(shelf, digest))
  }
  const head = { name, labels, pictures: lay.pictures }
  await writeFile(join(folder, 'dataset.json'), `${JSON.stringify(head)}\n`)
}

/** Digests in one query. */
const queryDigestsMax = 1000

type PictureLayer = {
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
async function pictureLayer(
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
          kind: 'raw',
          width: one.width,
          height: one.height,
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
