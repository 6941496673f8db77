/**
 * Segmentation: a score per class for every pixel. Read as the share of the frame that each class
 * covers, and the outlines of its largest parts.
 */
import type { InputView } from '../../cameras/camera.ts'
import type { ClassPicture } from '../model.ts'
import { outlinesOf } from '../outlines.ts'
import {
  type Expectation,
  floats,
  type Layout,
  type ModelShape,
  type Reader,
  shapeFits,
} from './layout.ts'
import { asSigned } from './presets.ts'

/** A map coarser than this share of the canvas is a detector's, not a picture of classes; none is finer than it. */
const coarsest = 1 / 8
/** Classes that cover less of the frame are left out. */
const shareMin = 0.001

export const segmentation: Layout = {
  name: 'segmentation',
  task: 'segmentation',
  preset: { channels: 'rgb', fit: 'stretch', pad: 0, ...asSigned },
  check: checkSegmentation,
}

type ClassMap = {
  readonly width: number
  readonly height: number
  /** Steps in the output from pixel to pixel, and from class to class. */
  readonly pixelStep: number
  readonly classStep: number
}

function checkSegmentation({ width, height, outputs }: ModelShape): Reader | Expectation {
  const [output] = outputs
  const [, a, b, c] = (output?.shape ?? []).map(Number)
  const isFine = (h?: number, w?: number): boolean =>
    h !== undefined &&
    w !== undefined &&
    h >= height * coarsest &&
    w >= width * coarsest &&
    h <= height &&
    w <= width
  const isMap =
    outputs.length === 1 && shapeFits(output?.shape ?? [], [1, undefined, undefined, undefined])
  // Classes are fewer than the pixels of a side: what is smallest tells where they are.
  const classesFirst = isMap && isFine(b, c) && !(isFine(a, b) && c! < a!)
  const classesLast = isMap && !classesFirst && isFine(a, b)
  const classes = classesFirst ? a! : c!
  if (!output || !(classesFirst || classesLast) || !(classes >= 2)) {
    return {
      expected: `one output [1, classes, rows, columns] or [1, rows, columns, classes] of at least ${Math.ceil(height * coarsest)}×${Math.ceil(width * coarsest)} pixels`,
    }
  }
  const map: ClassMap = classesFirst
    ? { height: b!, width: c!, pixelStep: 1, classStep: b! * c! }
    : { height: a!, width: b!, pixelStep: classes, classStep: 1 }
  return {
    classes,
    picture: (tensors, view) => classPicture(floats(tensors, output.name), map, classes, view),
    read(tensors, { labels, view, keepMax, wanted }) {
      const picture = classPicture(floats(tensors, output.name), map, classes, view)
      const pixels = picture.classes.length
      const counts = new Uint32Array(classes)
      for (const index of picture.classes) counts[index]!++
      const areas = [...counts]
        .map((count, index) => ({ index, share: count / pixels }))
        .filter(({ share, index }) => share >= shareMin && (wanted?.has(index) ?? true))
        .sort((x, y) => y.share - x.share)
        .slice(0, keepMax)
      return {
        areas: areas.map(({ index, share }) => ({
          label: labels[index] ?? '',
          share: Math.round(share * 1e4) / 1e4,
          polygons: outlinesOf(picture, index),
        })),
      }
    },
  }
}

/** The best class of every pixel that shows the frame; padding is cut off. */
function classPicture(
  data: Float32Array,
  { width, height, pixelStep, classStep }: ClassMap,
  classes: number,
  view: InputView,
): ClassPicture {
  const { content } = view
  const left = Math.round((content.left * width) / view.width)
  const top = Math.round((content.top * height) / view.height)
  const columns = Math.max(1, Math.round((content.width * width) / view.width))
  const rows = Math.max(1, Math.round((content.height * height) / view.height))
  const best = new Uint16Array(columns * rows)
  for (let y = 0, to = 0; y < rows; y++) {
    for (let x = 0; x < columns; x++, to++) {
      const row = Math.min(height - 1, top + y)
      const column = Math.min(width - 1, left + x)
      const at = (row * width + column) * pixelStep
      let bestScore = Number.NEGATIVE_INFINITY
      for (let index = 0; index < classes; index++) {
        const score = data[at + index * classStep]!
        if (score > bestScore) {
          bestScore = score
          best[to] = index
        }
      }
    }
  }
  return { width: columns, height: rows, classes: best }
}
