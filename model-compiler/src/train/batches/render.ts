/** Makes the pixels of a plan: pictures decoded once and kept within a bound, put onto the canvas, changed, and turned into planes. */
import { join } from 'node:path'
import { inTurns } from '../../datasets/draft.ts'
import type { Picture } from '../../datasets/index.ts'
import {
  decodedPicture,
  decodeMask,
  type PictureSource,
  readImageFile,
} from '../../datasets/pictures.ts'
import { type CanvasSpec, contentOf, type PlaneWriter, planeWriter } from './canvas.ts'
import { blur } from './effects/blur.ts'
import { applyColour } from './effects/colour.ts'
import { cutOut } from './effects/cutout.ts'
import { compress } from './effects/jpeg.ts'
import { addNoise } from './effects/noise.ts'
import { fillOutline } from './outline.ts'
import type { Placement } from './placement.ts'
import type { ItemPlan } from './plan.ts'
import { drawIndexes, drawPicture, pixelsOf, workingSize } from './resample.ts'

/** A data set as a renderer sees it. */
export type RenderSource = {
  readonly pictures: PictureSource
  /** Where masks lie. */
  readonly folder: string
}

export type RenderOptions = {
  readonly sources: readonly RenderSource[]
  readonly canvas: CanvasSpec
  /** See `zoomMaxOf`. */
  readonly zoomMax: number
  /** What the values of the masks that are made mean. */
  readonly maskLabels?: readonly string[]
  /** Decoded pictures that are kept; beyond that one is decoded each time it is wanted. */
  readonly cacheBytesMax: number
}

/** As many threads as Node has for such work. */
const decodedTogether = 4

const keyOf = ({ set, digest }: Pick<Placement, 'set' | 'digest'>): string => `${set} ${digest}`

/** Index of pixels that belong to no class. */
export const noClass = 255

export class Renderer {
  readonly #options: RenderOptions
  readonly #write: PlaneWriter
  readonly #kept = new Map<string, Picture>()
  #keptBytes = 0
  /** What the batch at hand needs. */
  #ahead: ReadonlyMap<string, Picture> = new Map()
  readonly #canvas: Uint8Array
  readonly #second: Uint8Array
  readonly #covered: Uint8Array

  constructor(options: RenderOptions) {
    const { width, height, channels } = options.canvas
    this.#options = options
    this.#write = planeWriter(options.canvas)
    this.#canvas = new Uint8Array(width * height * channels)
    this.#second = new Uint8Array(width * height * channels)
    this.#covered = new Uint8Array(width * height)
  }

  /**
   * Decodes what a batch needs, several pictures at a time: while they are decoded for the first time, nothing else keeps
   * the machine busy. They stay until the next batch is prepared, whatever the cache has room for.
   */
  async prepare(plans: readonly ItemPlan[]): Promise<void> {
    const wanted = new Map<string, Placement>()
    for (const { placements, over } of plans) {
      for (const placement of [...placements, ...(over?.placements ?? [])]) {
        wanted.set(keyOf(placement), placement)
      }
    }
    const ahead = new Map<string, Picture>()
    await inTurns([...wanted], decodedTogether, async ([key, placement]) => {
      ahead.set(key, await this.#picture(placement))
    })
    this.#ahead = ahead
  }

  /**
   * @param planes of this item: channels × height × width
   * @param mask of this item, where masks are made: height × width
   * @throws {DatasetError} naming a file that cannot be decoded
   */
  async render(plan: ItemPlan, planes: Float32Array, mask?: Uint8Array): Promise<void> {
    this.#write(await this.canvas(plan), planes)
    if (mask) await this.#renderMask(plan, mask)
  }

  /** The bytes on the canvas; they are overwritten by the next item. */
  async canvas(plan: ItemPlan): Promise<Uint8Array> {
    const { width, height, channels, pad } = this.#options.canvas
    const canvas = this.#canvas
    await this.#draw(plan.placements, canvas)
    if (plan.over) {
      await this.#draw(plan.over.placements, this.#second)
      mix(canvas, this.#second, plan.over.share)
    }
    if (plan.colour) applyColour(canvas, channels, plan.colour)
    if (plan.blurSigma !== undefined) blur(canvas, width, height, channels, plan.blurSigma)
    if (plan.noise) addNoise(canvas, plan.noise.sigma, plan.noise.seed)
    if (plan.jpegQuality !== undefined) {
      await compress(canvas, width, height, channels, plan.jpegQuality)
    }
    const changed = plan.colour ?? plan.blurSigma ?? plan.noise ?? plan.jpegQuality
    if (changed !== undefined) this.#clearAround(plan)
    for (const area of plan.cutouts ?? []) cutOut(canvas, width * channels, channels, area, pad)
    return canvas
  }

  /** What no picture covers is as on a box: the padding, which no light changes. */
  #clearAround({ placements, over }: ItemPlan): void {
    const { canvas } = this.#options
    const covered = this.#covered.fill(0)
    for (const placement of [...placements, ...(over?.placements ?? [])]) {
      const { left, top, right, bottom } = pixelsOf(placement, canvas)
      for (let row = top; row < bottom; row++) {
        covered.fill(1, row * canvas.width + left, row * canvas.width + right)
      }
    }
    for (let at = covered.indexOf(0); at !== -1; at = covered.indexOf(0, at + 1)) {
      this.#canvas.fill(canvas.pad, at * canvas.channels, (at + 1) * canvas.channels)
    }
  }

  async #draw(placements: readonly Placement[], canvas: Uint8Array): Promise<void> {
    canvas.fill(this.#options.canvas.pad)
    for (const placement of placements) {
      drawPicture(await this.#picture(placement), placement, canvas, this.#options.canvas)
    }
  }

  async #renderMask({ placements, outlines = [] }: ItemPlan, mask: Uint8Array): Promise<void> {
    const { canvas, maskLabels = [], sources } = this.#options
    // Where outlines are what is known, the rest is background, if there is such a label.
    const background = maskLabels.indexOf('background')
    mask.fill(noClass)
    for (const placement of placements) {
      if (placement.mask) {
        const { file, labels } = placement.mask
        const indexes = await this.#mask(join(sources[placement.set]!.folder, file))
        const translate = new Uint8Array(256).fill(noClass)
        for (const [value, label] of labels.entries()) {
          const index = maskLabels.indexOf(label)
          if (index >= 0 && value < noClass) translate[value] = index
        }
        drawIndexes(indexes, placement, mask, canvas, translate)
      } else if (background >= 0) {
        const all = { width: 1, height: 1, channels: 1, data: new Uint8Array(1) } as const
        const unmoved = { ...placement, from: { x: 0, y: 0, width: 1, height: 1 } }
        drawIndexes(all, unmoved, mask, canvas, new Uint8Array(256).fill(background))
      }
    }
    for (const { index, points } of outlines) fillOutline(mask, canvas, points, index)
  }

  async #picture({ digest, set, width, height }: Placement): Promise<Picture> {
    const { sources, canvas, zoomMax } = this.#options
    const { pictures } = sources[set]!
    if (pictures.kind === 'raw' && pictures.channels === canvas.channels) {
      return await decodedPicture(pictures, digest)
    }
    return await this.#once(keyOf({ set, digest }), async () => {
      const size = workingSize(contentOf(canvas, width, height), { width, height }, zoomMax)
      return inChannels(await decodedPicture(pictures, digest, size), canvas.channels)
    })
  }

  #mask(file: string): Promise<Picture> {
    return this.#once(file, async () => await decodeMask(await readImageFile(file), file))
  }

  async #once(key: string, make: () => Promise<Picture>): Promise<Picture> {
    const known = this.#kept.get(key) ?? this.#ahead.get(key)
    if (known) return known
    const made = await make()
    // What came first stays: with a shuffled order nothing is gained by throwing it out for what comes next.
    if (this.#keptBytes + made.data.length <= this.#options.cacheBytesMax) {
      this.#keptBytes += made.data.length
      this.#kept.set(key, made)
    }
    return made
  }
}

function mix(canvas: Uint8Array, other: Uint8Array, share: number): void {
  for (let at = 0; at < canvas.length; at++) {
    canvas[at] = canvas[at]! * (1 - share) + other[at]! * share + 0.5
  }
}

/** Grey as three equal channels, or colours as ITU-R BT.601 says how bright they seem. */
export function inChannels(picture: Picture, channels: 1 | 3): Picture {
  if (picture.channels === channels) return picture
  const { width, height, data } = picture
  const made = new Uint8Array(width * height * channels)
  if (channels === 3) {
    for (let at = 0, to = 0; at < data.length; at++, to += 3) made.fill(data[at]!, to, to + 3)
  } else {
    for (let at = 0, from = 0; at < made.length; at++, from += 3) {
      made[at] = 0.299 * data[from]! + 0.587 * data[from + 1]! + 0.114 * data[from + 2]! + 0.5
    }
  }
  return { width, height, channels, data: made }
}
