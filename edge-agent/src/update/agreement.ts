/** How far two models say the same of a frame. Pure. */
import type { Detection } from '@edgeloop/protocol'
import type { Reading } from '../models/model.ts'

/** Boxes of one label that overlap by so much (intersection over union) are of the same thing. */
export const iouMin = 0.5

export type Agreement = {
  /** Detections of both that count by themselves. */
  readonly detections: number
  /** Those that the other model has too. */
  readonly common: number
}

/**
 * What a model said, as detections: a class and an area are one that covers the frame. Embeddings of two models cannot
 * be compared, and give none.
 */
export function asDetections({ detections, classes, areas }: Reading): readonly Detection[] {
  if (detections) return detections
  const best = classes?.[0]
  if (best) return [{ ...best, box: [0, 0, 1, 1] }]
  return areas?.map(({ label, share }) => ({ label, score: share, box: [0, 0, 1, 1] })) ?? []
}

/**
 * Looks for every detection of either among those of the other. A detection counts by itself from `firm` on; as a
 * partner also below, so that a score that moves a little across the threshold is no disagreement.
 */
export function agreementOf(one: Reading, other: Reading, firm: number): Agreement {
  const [a, b] = [asDetections(one), asDetections(other)]
  const [there, back] = [foundIn(a, b, firm), foundIn(b, a, firm)]
  return { detections: there.asked + back.asked, common: there.found + back.found }
}

/** Each detection takes the best partner that is left, the surest first. */
function foundIn(
  asking: readonly Detection[],
  among: readonly Detection[],
  firm: number,
): { asked: number; found: number } {
  const taken = new Set<Detection>()
  const sure = asking.filter(({ score }) => score >= firm).toSorted((a, b) => b.score - a.score)
  for (const { label, box } of sure) {
    let best: Detection | undefined
    let bestIou = iouMin
    for (const partner of among) {
      if (partner.label !== label || taken.has(partner)) continue
      const iou = iouOf(box, partner.box)
      if (iou < bestIou) continue
      best = partner
      bestIou = iou
    }
    if (best) taken.add(best)
  }
  return { asked: sure.length, found: taken.size }
}

function iouOf(a: readonly number[], b: readonly number[]): number {
  const [ax = 0, ay = 0, aw = 0, ah = 0] = a
  const [bx = 0, by = 0, bw = 0, bh = 0] = b
  const width = Math.min(ax + aw, bx + bw) - Math.max(ax, bx)
  const height = Math.min(ay + ah, by + bh) - Math.max(ay, by)
  if (width <= 0 || height <= 0) return 0
  const common = width * height
  return common / (aw * ah + bw * bh - common)
}
