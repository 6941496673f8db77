/**
 * What is really in the pictures of a batch, in the form that the step graph reads: as many slots for boxes as the run
 * has chosen, the same at every step, because a step graph has fixed shapes.
 */
import type { Annotation, Box } from '../../datasets/dataset.ts'
import type { Head } from './head.ts'

/** Slots of a picture that are offered; a run takes the first that is enough. */
export const slotSizes = [16, 64, 128] as const

/** Shorter sides are nothing that a map could show: such a box is neither right nor wrong to find. */
const sideMin = 2

/** Boxes of N pictures in G slots, row by row. */
export type Truths = {
  readonly slots: number
  /** [N, G, 4]: left, top, right, bottom in pixels of the canvas. */
  readonly boxes: Float32Array
  /** [N, G, 1]: 1 where the slot holds a box that is to be found. */
  readonly present: Float32Array
  /** [N, G, 1]: 1 where the slot holds an area that is neither right nor wrong to find anything in. */
  readonly crowd: Float32Array
  /** [N, G, K]: 1 at the class. */
  readonly classes: Float32Array
}

/** The slots that a run needs whose fullest picture has this many boxes; the largest where none is enough. */
export function slotsFor(boxesMax: number): number {
  return slotSizes.find((size) => size >= boxesMax) ?? slotSizes.at(-1)!
}

/** A box with its label: one that somebody drew, or the one around an outline; undefined for what is no place. */
export function boxAround(
  annotation: Annotation,
): { readonly label: string; readonly box: Box; readonly crowd?: boolean } | undefined {
  if (annotation.kind === 'box') {
    const { label, box, crowd } = annotation
    return { label, box, ...(crowd && { crowd }) }
  }
  if (annotation.kind !== 'polygon') return undefined
  const xs = annotation.points.map(([x]) => x)
  const ys = annotation.points.map(([, y]) => y)
  const [left, top] = [Math.min(...xs), Math.min(...ys)]
  return {
    label: annotation.label,
    box: [left, top, Math.max(...xs) - left, Math.max(...ys) - top],
  }
}

/**
 * Puts the boxes of a batch into slots. Boxes are cut at the edges of the canvas; where there are more than slots, the
 * largest are kept.
 * @param pictures annotations per picture, as shares of the canvas
 * @param labels those of the head's classes, in order; boxes of others are left out
 */
export function packTruths(
  pictures: readonly (readonly Annotation[])[],
  labels: readonly string[],
  canvas: Pick<Head, 'width' | 'height'>,
  slots: number,
): Truths {
  const { width, height } = canvas
  const count = pictures.length * slots
  const boxes = new Float32Array(count * 4)
  const present = new Float32Array(count)
  const crowd = new Float32Array(count)
  const classes = new Float32Array(count * labels.length)
  for (const [picture, annotations] of pictures.entries()) {
    const kept = annotations
      .flatMap((one) => {
        const known = boxAround(one)
        const index = known ? labels.indexOf(known.label) : -1
        if (!known || index < 0) return []
        const [x, y, w, h] = known.box
        const corners = [
          Math.max(0, x * width),
          Math.max(0, y * height),
          Math.min(width, (x + w) * width),
          Math.min(height, (y + h) * height),
        ] as const
        const sides = [corners[2] - corners[0], corners[3] - corners[1]] as const
        if (!(sides[0] > 0 && sides[1] > 0)) return []
        const ignored = known.crowd === true || Math.min(...sides) < sideMin
        return [{ corners, index, ignored, area: sides[0] * sides[1] }]
      })
      .toSorted((a, b) => Number(a.ignored) - Number(b.ignored) || b.area - a.area)
      .slice(0, slots)
    for (const [at, { corners, index, ignored }] of kept.entries()) {
      const slot = picture * slots + at
      boxes.set(corners, slot * 4)
      if (ignored) crowd[slot] = 1
      else {
        present[slot] = 1
        classes[slot * labels.length + index] = 1
      }
    }
  }
  return { slots, boxes, present, crowd, classes }
}
