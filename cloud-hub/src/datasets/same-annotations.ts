/**
 * Whether two lists of annotations say the same. A tool that labels were taken to keeps places in pixels, with some digits,
 * and its own order of kinds: what nobody has touched there is not newly said when it comes back. Pure.
 */
import type { SampleAnnotation } from '@edgeloop/protocol'

/**
 * Of a side of the picture; a thousandth of a pixel, which COCO's files are rounded to, of a picture of 64. No hand moves a box
 * by so little.
 */
const tolerance = 2e-5

/** @returns true where they differ in nothing but the order of kinds, and in places by what a file rounds away */
export function sayTheSame(
  ones: readonly SampleAnnotation[],
  others: readonly SampleAnnotation[],
): boolean {
  if (ones.length !== others.length) return false
  const [a, b] = [byKind(ones), byKind(others)]
  return a.every((one, at) => isSame(one, b[at]!))
}

/** Within a kind, tools keep the order. */
const byKind = (list: readonly SampleAnnotation[]): SampleAnnotation[] =>
  list.toSorted((one, other) => one.kind.localeCompare(other.kind))

function isSame(one: SampleAnnotation, other: SampleAnnotation): boolean {
  if (one.kind === 'box' && other.kind === 'box') {
    const isCrowd = (one.crowd ?? false) === (other.crowd ?? false)
    return one.label === other.label && isCrowd && areNear(one.box, other.box)
  }
  if (one.kind === 'polygon' && other.kind === 'polygon') {
    return (
      one.label === other.label &&
      one.points.length === other.points.length &&
      one.points.every((point, at) => areNear(point, other.points[at]!))
    )
  }
  return JSON.stringify(one) === JSON.stringify(other)
}

const areNear = (ones: readonly number[], others: readonly number[]): boolean =>
  ones.every((share, side) => Math.abs(share - (others[side] ?? Number.NaN)) <= tolerance)
