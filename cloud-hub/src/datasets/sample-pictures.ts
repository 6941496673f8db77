/**
 * The pictures of samples, under their digest. They come in packs: one request carries as many small pictures as fit,
 * and what is there already need not come again. A row says that the bytes are there.
 */
import { opendir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import {
  fileFormOf,
  type PackedPicture,
  type PictureForm,
  type PicturePack,
  PicturePack as PicturePackSchema,
  Refusal,
  samplePictureBytesMax,
  splitPack,
} from '@edgeloop/protocol'
import { Misfit, parse, parseJson } from '@edgeloop/protocol/check'
import type { Blobs } from '../blobs/blobs.ts'
import { digestOf, only } from '../blobs/bytes.ts'
import type { Store } from '../store/store.ts'
import { formFault, showable } from './picture-form.ts'

/** Digests in one query. */
const queryDigestsMax = 1000
const thumbnailBytesMax = 256 * 1024

/** Pictures that are written at once: each waits for the disk. */
const writesAtOnce = 8

/** A picture on its way to a browser. */
export type ShownPicture = { readonly type: string; readonly bytes: Uint8Array }

export type SamplePictures = {
  /** Those of `digests` whose pictures are not here. */
  missing(digests: readonly string[]): Promise<string[]>
  /** Takes a pack. @throws {Refusal} badRequest, digestDiffers */
  take(pack: Uint8Array): Promise<{ stored: number }>
  /** Keeps bytes that came some other way. @throws {Refusal} as `take` */
  keep(pictures: readonly PackedPicture[]): Promise<void>
  /** Those of `digests` that nobody has made a small picture of. */
  withoutThumbnail(digests: readonly string[]): Promise<string[]>
  /** Keeps small pictures, `DIGEST.webp` of what they show; what else is in the folder, or is no such picture, is left. */
  keepThumbnails(folder: string, signal: AbortSignal): Promise<void>
  /** @throws {Refusal} notFound */
  show(digest: string, size: 'whole' | 'small'): Promise<ShownPicture>
}

export function openSamplePictures(deps: {
  store: Store
  /** Kept for as long as a dataset needs them. */
  files: Blobs
  clock: () => number
}): SamplePictures {
  const { store, files, clock } = deps

  async function keep(pictures: readonly PackedPicture[]): Promise<void> {
    let next = 0
    const lane = async (): Promise<void> => {
      for (let at = next++; at < pictures.length; at = next++) await write(pictures[at]!)
    }
    await Promise.all(Array.from({ length: writesAtOnce }, lane))
    const rows = pictures.map(({ digest, width, height, form = '', bytes }) => ({
      digest,
      form,
      width,
      height,
      size_bytes: bytes.length,
      added_at: clock(),
    }))
    if (rows.length === 0) return
    await store.writer
      .insertInto('sample')
      .values(rows)
      .onConflict((on) => on.column('digest').doNothing())
      .execute()
  }

  async function write({ bytes, ...picture }: PackedPicture): Promise<void> {
    const fault = formFault(bytes, picture)
    if (fault !== undefined) {
      throw new Refusal('badRequest', `Cannot keep the picture ${picture.digest}: ${fault}`)
    }
    await files.put(picture.digest, only(bytes), { bytesMax: samplePictureBytesMax })
  }

  return {
    missing: async (digests) => {
      const here = await store.writer
        .selectFrom('sample')
        .select('digest')
        .where('digest', 'in', [...digests])
        .execute()
      const known = new Set(here.map(({ digest }) => digest))
      return digests.filter((digest) => !known.has(digest))
    },

    take: async (pack) => {
      const pictures = readPack(pack)
      await keep(pictures)
      return { stored: pictures.length }
    },

    keep,

    withoutThumbnail: async (digests) => {
      const found: string[] = []
      for (let at = 0; at < digests.length; at += queryDigestsMax) {
        const rows = await store.writer
          .selectFrom('sample')
          .select('digest')
          .where('digest', 'in', digests.slice(at, at + queryDigestsMax))
          .where('thumbnail', '=', '')
          .execute()
        found.push(...rows.map(({ digest }) => digest))
      }
      return found
    },

    keepThumbnails: async (folder, signal) => {
      for await (const { name } of await opendir(folder)) {
        signal.throwIfAborted()
        const [, sample] = /^([0-9a-f]{64})\.webp$/.exec(name) ?? []
        if (sample === undefined) continue
        const bytes = await readFile(join(folder, name))
        // Made by a process that has read pictures of strangers: what it leaves is looked at, too.
        if (bytes.length > thumbnailBytesMax || fileFormOf(bytes) !== 'image/webp') continue
        const thumbnail = digestOf(bytes)
        await files.put(thumbnail, only(bytes), { bytesMax: thumbnailBytesMax })
        await store.writer
          .updateTable('sample')
          .set({ thumbnail })
          .where('digest', '=', sample)
          .execute()
      }
    },

    show: async (digest, size) => {
      const row = await store.reader
        .selectFrom('sample')
        .select(['form', 'width', 'height', 'thumbnail'])
        .where('digest', '=', digest)
        .executeTakeFirst()
      const small = size === 'small' && row !== undefined && row.thumbnail !== ''
      const bytes = row && (await files.read(small ? row.thumbnail : digest))
      if (!bytes) throw new Refusal('notFound', `Cannot find the picture ${digest}`)
      if (small) return { type: 'image/webp', bytes }
      return showable(bytes, { ...row, form: (row.form || 'image/png') as PictureForm })
    },
  }
}

/**
 * Takes a pack apart, as `writePack` made it.
 * @throws {Refusal} badRequest when it is anything else
 */
export function readPack(pack: Uint8Array): PackedPicture[] {
  const parts = splitPack(pack)
  if (!parts) throw new Refusal('badRequest', 'Cannot read the pack: its head is cut off')
  let head: PicturePack
  try {
    const json = parseJson(parts.head, 'the head of the pack')
    head = parse(PicturePackSchema, json, 'the head of the pack')
  } catch (error) {
    if (error instanceof Misfit) throw new Refusal('badRequest', error.message)
    throw error
  }
  let at = 0
  const pictures = head.map(({ sizeBytes, ...picture }) => {
    const bytes = parts.rest.subarray(at, at + sizeBytes)
    at += sizeBytes
    return { ...picture, bytes }
  })
  if (at === parts.rest.length) return pictures
  throw new Refusal(
    'badRequest',
    `Cannot read the pack: its head speaks of ${at} bytes of pictures, and ${parts.rest.length} have come`,
  )
}
