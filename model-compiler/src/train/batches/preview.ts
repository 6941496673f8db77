/** What an augmentation makes of a data set's pictures, for a person to look at before a run. */
import sharp from 'sharp'
import type { Annotation, Dataset, Sample } from '../../datasets/index.ts'
import { TrainError } from '../run/train-error.ts'
import type { Augmentation } from './augmentation.ts'
import type { CanvasSpec } from './canvas.ts'
import { BatchPlanner, type Mixed, zoomMaxOf } from './plan.ts'
import { Renderer } from './render.ts'

export type PreviewOptions = {
  readonly canvas: CanvasSpec
  readonly augment: Augmentation
  /** Pictures; at most 64. */
  readonly count: number
  readonly seed: number
  /** Of these samples alone; else of all. */
  readonly digests?: readonly string[]
  readonly signal?: AbortSignal
}

export type PreviewPicture = {
  /** JPEG of the canvas. */
  readonly jpeg: Uint8Array
  readonly width: number
  readonly height: number
  /** What is to be seen, as shares of the canvas. */
  readonly annotations: readonly Annotation[]
  readonly mixed?: Mixed
  /** The first picture that is in it. */
  readonly sample: Sample
}

const countMax = 64
/** Decoded pictures of a mosaic are needed more than once, and no longer. */
const cacheBytesMax = 64 * 1024 * 1024

/**
 * The pictures of the first batch of a run with this seed.
 * @throws {TrainError} for a count that is none; {DatasetError} naming a picture that cannot be decoded
 */
export async function previewAugmentation(
  dataset: Dataset,
  options: PreviewOptions,
): Promise<PreviewPicture[]> {
  const { canvas, augment, count, seed, digests, signal } = options
  if (!Number.isInteger(count) || count < 1 || count > countMax) {
    throw new TrainError(`Cannot preview ${count} pictures: from 1 to ${countMax} are made`)
  }
  const wanted = digests && new Set(digests)
  const pool = wanted ? dataset.samples.filter(({ digest }) => wanted.has(digest)) : dataset.samples
  if (pool.length === 0)
    throw new TrainError(`Cannot preview "${dataset.name}": no sample was given`)
  const planner = new BatchPlanner({
    pools: [pool],
    replayShare: 0,
    batch: count,
    canvas,
    augment,
    seed,
    order: 'shuffled',
    mixingEndsAt: Number.POSITIVE_INFINITY,
  })
  const { pictures, folder } = dataset
  const renderer = new Renderer({
    sources: [{ pictures, folder }],
    canvas,
    zoomMax: zoomMaxOf(augment),
    cacheBytesMax,
  })
  const { width, height, channels } = canvas
  const made: PreviewPicture[] = []
  for (const { plan, annotations, mixed, sample } of planner.batch(0)) {
    signal?.throwIfAborted()
    const bytes = await renderer.canvas(plan)
    const jpeg = await sharp(bytes, { raw: { width, height, channels } })
      .jpeg({ quality: 88 })
      .toBuffer()
    made.push({ jpeg, width, height, annotations, ...(mixed && { mixed }), sample })
  }
  return made
}
