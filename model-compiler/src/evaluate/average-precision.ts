/**
 * Average precision of detections against ground truth, as COCO and Pascal VOC define it. Pure.
 */

/** A box in any unit, as long as truth and detections use the same: left, top, width, height. */
export type Box = readonly [number, number, number, number]

/** What is really in an image. */
export type Truth = { readonly image: string; readonly label: string; readonly box: Box }

/** What a detector said. */
export type Found = Truth & { readonly score: number }

/**
 * How the area under the precision-recall curve is taken: every step of it, or the best precision at
 * 101 (COCO) or 11 (VOC 2007) equally spaced recalls.
 */
export type Interpolation = 'all' | 101 | 11

/**
 * Average precision of one label at an overlap of at least `iouMin`, 0..1; NaN where there is no truth.
 *
 * Within an image each detection, best first, takes the free truth it overlaps most; a second
 * detection of a taken truth is false.
 */
export function averagePrecision(
  truths: readonly Truth[],
  found: readonly Found[],
  iouMin: number,
  interpolation: Interpolation,
): number {
  const free = Map.groupBy(truths, ({ image }) => image)
  const taken = new Set<Truth>()
  const hits = found
    .toSorted((a, b) => b.score - a.score)
    .map((detection) => {
      const match = bestMatch(detection, free.get(detection.image) ?? [], taken, iouMin)
      if (match) taken.add(match)
      return match !== undefined
    })
  return areaUnderCurve(hits, truths.length, interpolation)
}

/** COCO's figures: mean over labels at IoU .5, and mean over IoU .5, .55 … .95 as well. */
export type MeanAveragePrecision = { readonly ap50: number; readonly ap50to95: number }

/** Mean over the labels that occur in the truth, 101 points. */
export function meanAveragePrecision(
  truths: readonly Truth[],
  found: readonly Found[],
): MeanAveragePrecision {
  const truthsOf = Map.groupBy(truths, ({ label }) => label)
  const foundOf = Map.groupBy(found, ({ label }) => label)
  const at = (iouMin: number) =>
    mean(
      [...truthsOf].map(([label, those]) =>
        averagePrecision(those, foundOf.get(label) ?? [], iouMin, 101),
      ),
    )
  const overlaps = Array.from({ length: 10 }, (_, step) => 0.5 + step * 0.05)
  return { ap50: at(0.5), ap50to95: mean(overlaps.map(at)) }
}

function bestMatch(
  detection: Found,
  truths: readonly Truth[],
  taken: ReadonlySet<Truth>,
  iouMin: number,
): Truth | undefined {
  let best: Truth | undefined
  // A hair below, so that an overlap that is exactly the limit is not lost to rounding.
  let bestOverlap = iouMin - 1e-9
  for (const truth of truths) {
    if (taken.has(truth)) continue
    const overlap = intersectionOverUnion(detection.box, truth.box)
    if (overlap >= bestOverlap) {
      best = truth
      bestOverlap = overlap
    }
  }
  return best
}

/** Intersection over union of two boxes, 0..1. */
export function intersectionOverUnion(a: Box, b: Box): number {
  const width = Math.min(a[0] + a[2], b[0] + b[2]) - Math.max(a[0], b[0])
  const height = Math.min(a[1] + a[3], b[1] + b[3]) - Math.max(a[1], b[1])
  if (!(width > 0 && height > 0)) return 0
  const intersection = width * height
  return intersection / (a[2] * a[3] + b[2] * b[3] - intersection)
}

function areaUnderCurve(
  hits: readonly boolean[],
  truths: number,
  interpolation: Interpolation,
): number {
  if (truths === 0) return Number.NaN
  const recalls: number[] = []
  const precisions: number[] = []
  let right = 0
  for (const [index, hit] of hits.entries()) {
    if (hit) right++
    recalls.push(right / truths)
    precisions.push(right / (index + 1))
  }
  // The best precision at this recall or beyond.
  for (let index = precisions.length - 2; index >= 0; index--) {
    precisions[index] = Math.max(precisions[index]!, precisions[index + 1]!)
  }
  if (interpolation === 'all') {
    const steps = recalls.map((recall, index) => recall - (recalls[index - 1] ?? 0))
    return steps.reduce((sum, step, index) => sum + step * precisions[index]!, 0)
  }
  const points = Array.from({ length: interpolation }, (_, step) => step / (interpolation - 1))
  return mean(
    points.map((point) => precisions[recalls.findIndex((recall) => recall >= point - 1e-12)] ?? 0),
  )
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length
}
