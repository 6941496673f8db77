/**
 * What an augmentation makes of the pictures of a dataset, for somebody who chooses one before a run. Made in a child
 * from a few of its samples; one at a time, because each decodes pictures.
 */
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type AugmentationPreview, augmentationPictures, Refusal } from '@edgeloop/protocol'
import type { Blobs } from '../blobs/blobs.ts'
import type { Store } from '../store/store.ts'
import type { PreviewOrder } from './dataset-work.ts'
import type { DatasetDesk } from './datasets.ts'
import { layFrozen } from './lay-pictures.ts'
import { runWork } from './run-work.ts'
import { withWorkFolder } from './work-folder.ts'

/** Samples that pictures are made of: a mosaic takes four. */
const samplesMax = 64

const limits = { memoryBytesMax: 1024 ** 3, timeoutMs: 60_000, silenceMs: 60_000 }

export type AugmentationPreviews = {
  /**
   * @param given.augment keys of `augment` in a recipe, as JSON
   * @throws {Refusal} notFound; badRequest naming the key that is wrong; tooManyRequests
   */
  make(
    dataset: string,
    given: { readonly count?: number; readonly seed?: number; readonly augment?: string },
  ): Promise<AugmentationPreview>
}

export function openAugmentationPreviews(deps: {
  store: Store
  datasets: DatasetDesk
  files: Blobs
  /** Work is done in a new folder below this one. */
  folder: string
  /** The hub closes. */
  closing: AbortSignal
}): AugmentationPreviews {
  const { store, datasets, files, folder, closing } = deps
  let busy = false
  return {
    make: async (dataset, { count = augmentationPictures.default, seed = 1, augment = '{}' }) => {
      const { labels } = await datasets.show(dataset)
      const asked = read(augment)
      if (busy) {
        throw new Refusal(
          'tooManyRequests',
          'Cannot preview now: another preview is being made; try again in a moment',
        )
      }
      busy = true
      try {
        return await withWorkFolder(folder, 'preview', async (work) => {
          const { samples } = await datasets.samples(dataset, { limit: samplesMax })
          if (samples.length === 0) return { pictures: [] }
          const laid = join(work, 'data')
          await mkdir(laid)
          const lines = samples.map(({ capturedAt, problems, ...sample }) => JSON.stringify(sample))
          const list = [JSON.stringify({ labels }), ...lines].map((line) => `${line}\n`)
          await writeFile(join(laid, 'samples.jsonl'), list.join(''))
          await layFrozen({ store, files }, { name: dataset, labels, samples }, laid, closing)
          return await runWork<PreviewOrder, AugmentationPreview>(
            { kind: 'preview', folder: laid, count, seed, augment: asked },
            `preview an augmentation of "${dataset}"`,
            () => {},
            closing,
            limits,
          ).catch((cause: Error) => {
            closing.throwIfAborted()
            const text = cause.message.replaceAll(laid, 'the dataset')
            throw new Refusal('badRequest', text, { cause })
          })
        })
      } finally {
        busy = false
      }
    },
  }
}

function read(augment: string): unknown {
  try {
    return JSON.parse(augment) as unknown
  } catch (cause) {
    const text = `Cannot read the augmentation: ${(cause as Error).message}`
    throw new Refusal('badRequest', text, { cause })
  }
}
