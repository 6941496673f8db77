/** Outlines and the boxes around them: the readers give both, and a writer must not take them for two things. Pure. */
import type { Annotation, Box, Point } from './dataset.ts'

/** What the points span. */
export function boxAround(points: readonly Point[]): Box {
  let [left, top, right, bottom] = [
    ...[Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY],
    ...[Number.NEGATIVE_INFINITY, Number.NEGATIVE_INFINITY],
  ] as [number, number, number, number]
  for (const [x, y] of points) {
    left = Math.min(left, x)
    top = Math.min(top, y)
    right = Math.max(right, x)
    bottom = Math.max(bottom, y)
  }
  return [left, top, right - left, bottom - top]
}

/** One thing in a picture: its box, and the outlines of its parts where they are known. */
export type Outlined = {
  readonly label: string
  readonly box: Box
  readonly crowd: boolean
  readonly outlines: readonly (readonly Point[])[]
}

/** Shares that differ by less are the same place: half a pixel of a large image. */
const same = 5e-4

const spans = (a: Box, b: Box): boolean =>
  Math.abs(a[0] - b[0]) <= same &&
  Math.abs(a[1] - b[1]) <= same &&
  Math.abs(a[0] + a[2] - b[0] - b[2]) <= same &&
  Math.abs(a[1] + a[3] - b[1] - b[3]) <= same

const within = (inner: Box, outer: Box): boolean =>
  inner[0] >= outer[0] - same &&
  inner[1] >= outer[1] - same &&
  inner[0] + inner[2] <= outer[0] + outer[2] + same &&
  inner[1] + inner[3] <= outer[1] + outer[3] + same

/**
 * Boxes with the outlines that belong to them: the one that spans the box, else all of that label within it if they
 * span it together. An outline without a box stands for itself.
 */
export function outlinedOf(annotations: readonly Annotation[]): Outlined[] {
  const free = new Set(
    annotations.flatMap((annotation) =>
      annotation.kind === 'polygon'
        ? [
            {
              label: annotation.label,
              points: annotation.points,
              box: boxAround(annotation.points),
            },
          ]
        : [],
    ),
  )
  const found: Outlined[] = []
  for (const annotation of annotations) {
    if (annotation.kind !== 'box') continue
    const { label, box, crowd = false } = annotation
    const near = [...free].filter((outline) => outline.label === label && within(outline.box, box))
    const whole = near.find((outline) => spans(outline.box, box))
    const parts = whole ? [whole] : near
    const together =
      parts.length > 0 && spans(boxAround(parts.flatMap(({ points }) => points)), box)
    const outlines = together ? parts : []
    for (const outline of outlines) free.delete(outline)
    found.push({ label, box, crowd, outlines: outlines.map(({ points }) => points) })
  }
  for (const { label, box, points } of free)
    found.push({ label, box, crowd: false, outlines: [points] })
  return found
}
