/**
 * How far two detectors say the same, for pictures that nobody has labelled: F1 of the boxes of one
 * against those of the other. Pure.
 */
import { type Found, intersectionOverUnion } from './average-precision.ts'

/**
 * F1 (0..1) of `found` against `reference`: within an image and label each box, best first, takes the free
 * reference it overlaps most, by at least `iouMin`. 1 where both say nothing.
 */
export function boxAgreement(
  reference: readonly Found[],
  found: readonly Found[],
  iouMin = 0.5,
): number {
  if (reference.length + found.length === 0) return 1
  const key = ({ image, label }: Found) => JSON.stringify([image, label])
  const free = Map.groupBy(reference, key)
  let hits = 0
  for (const box of found.toSorted((a, b) => b.score - a.score)) {
    const rivals = free.get(key(box)) ?? []
    let best = -1
    let bestOverlap = iouMin - 1e-9
    for (const [index, rival] of rivals.entries()) {
      const overlap = intersectionOverUnion(rival.box, box.box)
      if (overlap >= bestOverlap) {
        best = index
        bestOverlap = overlap
      }
    }
    if (best < 0) continue
    free.set(key(box), rivals.toSpliced(best, 1))
    hits++
  }
  return (2 * hits) / (reference.length + found.length)
}
