/**
 * What each place of a batch will show, decided before a pixel is touched: a pure function of the samples, the
 * augmentation, the seed, the step and the place.
 */
import type { Annotation, Sample } from '../../datasets/index.ts'
import type { Augmentation } from './augmentation.ts'
import { type Area, type CanvasSpec, contentOf } from './canvas.ts'
import { below, type Draws, drawsAt, logUniform, shuffledPlaces, uniform } from './draws.ts'
import { type ColourMatrix, drawColour } from './effects/colour.ts'
import { drawCutouts } from './effects/cutout.ts'
import { type Placement, placeAnnotations } from './placement.ts'

/** What happens to the pixels of one place. */
export type ItemPlan = {
  readonly placements: readonly Placement[]
  /** Laid over it, with this share. */
  readonly over?: { readonly placements: readonly Placement[]; readonly share: number }
  readonly colour?: ColourMatrix
  readonly blurSigma?: number
  readonly noise?: { readonly sigma: number; readonly seed: number }
  readonly jpegQuality?: number
  readonly cutouts?: readonly Area[]
  /** Outlines that become class indexes, in pixels of the canvas; the later over the earlier. */
  readonly outlines?: readonly {
    readonly index: number
    readonly points: readonly (readonly [number, number])[]
  }[]
}

/** The second picture of a mixture, where its classes and numbers have a share in the truth. */
export type Mixed = { readonly share: number; readonly annotations: readonly Annotation[] }

export type PlannedItem = {
  readonly plan: ItemPlan
  readonly sample: Sample
  readonly annotations: readonly Annotation[]
  readonly mixed?: Mixed
}

/** Samples of one data set that batches are made of. */
export type Pool = readonly Sample[]

export type PlanOptions = {
  /** What is learned, and what is replayed of older data. */
  readonly pools: readonly [Pool] | readonly [Pool, Pool]
  /** Of each batch, from the second pool. */
  readonly replayShare: number
  readonly batch: number
  readonly canvas: CanvasSpec
  readonly augment: Augmentation
  readonly seed: number
  /** `listed`: every sample once, in its order; the last batch is filled up from the beginning. */
  readonly order: 'shuffled' | 'listed'
  /** From this step on neither mosaic nor mixup. */
  readonly mixingEndsAt: number
  /** Class indexes of masks; undefined where none are wanted. */
  readonly maskLabels?: readonly string[]
}

/** Plans batches; keeps the order of the epoch it is in, which any other instance would find the same. */
export class BatchPlanner {
  readonly #options: PlanOptions
  /** By pool: the epoch and its order. */
  readonly #orders: { epoch: number; places: Uint32Array }[] = []

  constructor(options: PlanOptions) {
    this.#options = options
  }

  batch(step: number): PlannedItem[] {
    const { batch, pools, replayShare } = this.#options
    const replayed = pools.length > 1 ? Math.round(batch * replayShare) : 0
    const fresh = batch - replayed
    return Array.from({ length: batch }, (_, place) => {
      const [set, position] =
        place < fresh
          ? ([0, step * fresh + place] as const)
          : ([1, step * replayed + place - fresh] as const)
      return this.#item(this.#sampleAt(set, position), set, step, place)
    })
  }

  #sampleAt(set: 0 | 1, position: number): Sample {
    const pool = this.#options.pools[set]!
    const epoch = Math.floor(position / pool.length)
    const place = position % pool.length
    if (this.#options.order === 'listed') return pool[place]!
    const known = this.#orders[set]
    if (known?.epoch !== epoch) {
      const places = shuffledPlaces(pool.length, this.#options.seed + set, epoch)
      this.#orders[set] = { epoch, places }
    }
    return pool[this.#orders[set]!.places[place]!]!
  }

  #item(sample: Sample, set: 0 | 1, step: number, place: number): PlannedItem {
    const { canvas, augment, seed, mixingEndsAt, pools, maskLabels } = this.#options
    const draws = drawsAt(seed, step, place)
    const pool = pools[set]!
    const mixing = step < mixingEndsAt
    const other = () => pool[below(draws, pool.length)]!
    const picture = (first: Sample) => {
      if (mixing && draws() < augment.mosaic)
        return this.#mosaic([first, other(), other(), other()], set, draws)
      return this.#single(first, set, draws)
    }
    const placed = picture(sample)
    let annotations = placed.annotations
    let over: ItemPlan['over']
    let mixed: Mixed | undefined
    if (mixing && draws() < augment.mixup) {
      const share = mixShare(draws, augment.mixupAlpha)
      const second = picture(other())
      over = { placements: second.placements, share }
      // Boxes are all there to be found; of classes and numbers each picture has its share.
      const shaped = (annotation: Annotation) =>
        annotation.kind === 'box' || annotation.kind === 'polygon'
      annotations = [...annotations, ...second.annotations.filter(shaped)]
      mixed = { share, annotations: second.annotations.filter((annotation) => !shaped(annotation)) }
    }
    const colour = drawColour(draws, augment)
    const blurSigma = draws() < augment.blur ? uniform(draws, 0.1, augment.blurSigma) : undefined
    const noisy = draws() < augment.noise
    const noise = noisy
      ? { sigma: uniform(draws, 0, augment.noiseSigma), seed: below(draws, 2 ** 31) }
      : undefined
    const jpegQuality =
      draws() < augment.jpeg ? Math.round(uniform(draws, augment.jpegQuality, 95)) : undefined
    const cutouts = draws() < augment.cutout ? drawCutouts(draws, augment, canvas) : undefined
    const outlines = maskLabels && outlinesOf(annotations, maskLabels, canvas)
    return {
      plan: {
        placements: placed.placements,
        ...(over && { over }),
        ...(colour && { colour }),
        ...(blurSigma !== undefined && { blurSigma }),
        ...(noise && { noise }),
        ...(jpegQuality !== undefined && { jpegQuality: Math.max(jpegQuality, 1) }),
        ...(cutouts && { cutouts }),
        ...(outlines && { outlines }),
      },
      sample,
      annotations,
      ...(mixed && { mixed }),
    }
  }

  #single(sample: Sample, set: 0 | 1, draws: Draws): Placed {
    const { canvas, augment } = this.#options
    const from = drawCrop(draws, augment.crop)
    const content = contentOf(canvas, sample.width * from.width, sample.height * from.height)
    const to = moved(draws, resized(draws, content, augment), canvas, augment)
    return this.#placed(sample, set, from, to, { x: 0, y: 0, ...sides(canvas) }, draws)
  }

  /** Four pictures, each with a corner in one point near the middle. */
  #mosaic(samples: readonly Sample[], set: 0 | 1, draws: Draws): Placed {
    const { canvas, augment } = this.#options
    const centre = {
      x: Math.round(uniform(draws, 0.3, 0.7) * canvas.width),
      y: Math.round(uniform(draws, 0.3, 0.7) * canvas.height),
    }
    const parts = samples.map((sample, quarter) => {
      const [right, below] = [quarter % 2 === 1, quarter >= 2]
      const from = drawCrop(draws, augment.crop)
      const content = contentOf(canvas, sample.width * from.width, sample.height * from.height)
      const { width, height } = resized(draws, content, augment)
      const to = {
        x: right ? centre.x : centre.x - width,
        y: below ? centre.y : centre.y - height,
        width,
        height,
      }
      const clip = {
        x: right ? centre.x : 0,
        y: below ? centre.y : 0,
        width: right ? canvas.width - centre.x : centre.x,
        height: below ? canvas.height - centre.y : centre.y,
      }
      return this.#placed(sample, set, from, to, clip, draws)
    })
    return {
      placements: parts.flatMap(({ placements }) => placements),
      annotations: parts.flatMap(({ annotations }) => annotations),
    }
  }

  #placed(sample: Sample, set: 0 | 1, from: Area, to: Area, clip: Area, draws: Draws): Placed {
    const { canvas, augment, maskLabels } = this.#options
    const { digest, width, height, annotations } = sample
    const mask = maskLabels && annotations.find((annotation) => annotation.kind === 'mask')
    const placement: Placement = {
      digest,
      set,
      width,
      height,
      from,
      to,
      clip,
      mirrored: draws() < augment.flip,
      upsideDown: draws() < augment.flipVertical,
      ...(mask && { mask: { file: mask.file, labels: mask.labels } }),
    }
    return {
      placements: [placement],
      annotations: placeAnnotations(annotations, placement, canvas),
    }
  }
}

type Placed = {
  readonly placements: readonly Placement[]
  readonly annotations: readonly Annotation[]
}

const sides = ({ width, height }: CanvasSpec) => ({ width, height })

/** Which part of a picture is shown, as shares of it. */
function drawCrop(draws: Draws, crop: number): Area {
  const [width, height] = [1 - crop * draws(), 1 - crop * draws()]
  return { x: (1 - width) * draws(), y: (1 - height) * draws(), width, height }
}

type Sizes = Pick<Augmentation, 'scale' | 'aspect' | 'shift'>

function resized(draws: Draws, content: Area, { scale: [least, most], aspect }: Sizes): Area {
  const size = logUniform(draws, least, most)
  const stretch = Math.sqrt(logUniform(draws, 1 / (1 + aspect), 1 + aspect))
  return {
    ...content,
    width: Math.max(1, content.width * size * stretch),
    height: Math.max(1, (content.height * size) / stretch),
  }
}

/** A picture whose size was drawn lies anywhere that it fits, or anywhere that it covers all. */
function moved(
  draws: Draws,
  area: Area,
  canvas: CanvasSpec,
  { scale, aspect, shift }: Sizes,
): Area {
  const free = scale[0] !== 1 || scale[1] !== 1 || aspect > 0
  const at = (place: number, length: number, all: number) => {
    const [share, push] = [draws(), uniform(draws, -shift, shift)]
    return (free ? share * (all - length) : place) + push * all
  }
  const x = at(area.x, area.width, canvas.width)
  return { ...area, x, y: at(area.y, area.height, canvas.height) }
}

/**
 * The second picture's share, at most a half: the smaller of two shares of a beta distribution with both parameters
 * alpha (Jöhnk's method; for large alpha, where it rejects nearly all, a half).
 */
function mixShare(draws: Draws, alpha: number): number {
  for (let attempt = 0; attempt < 100; attempt++) {
    const [a, b] = [draws() ** (1 / alpha), draws() ** (1 / alpha)]
    if (a + b <= 1 && a + b > 0) return Math.min(a, b) / (a + b)
  }
  return 0.5
}

function outlinesOf(
  annotations: readonly Annotation[],
  labels: readonly string[],
  { width, height }: CanvasSpec,
): NonNullable<ItemPlan['outlines']> {
  return annotations.flatMap((annotation) => {
    if (annotation.kind !== 'polygon') return []
    const index = labels.indexOf(annotation.label)
    const points = annotation.points.map(([x, y]) => [x * width, y * height] as const)
    return index < 0 ? [] : [{ index, points }]
  })
}

/** The largest that anything becomes on the canvas, against the size it has untouched; 1: nothing is resized at all. */
export function zoomMaxOf({ crop, scale, aspect, shift }: Augmentation): number {
  if (crop === 0 && scale[0] === 1 && scale[1] === 1 && aspect === 0 && shift === 0) return 1
  return Math.max(1, (scale[1] * Math.sqrt(1 + aspect)) / (1 - crop)) * 1.0001
}
