/**
 * Average precision of detections against ground truth, as COCO and Pascal VOC define it. Pure.
 */

/** A box in any unit, as long as truth and detections use the same: left, top, width, height. */
export type Box = readonly [number, number, number, number]

/** What is really in an image. */
export type Truth = {
  readonly image: string
  readonly label: string
  readonly box: Box
  /**
   * A box around many (COCO's `iscrowd`): nobody has to find it, and what is found within it, as often as it likes, is
   * neither right nor wrong.
   */
  readonly crowd?: boolean
}

/** What a detector said. */
export type Found = {
  readonly image: string
  readonly label: string
  readonly box: Box
  readonly score: number
}

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
  const counted = truths.reduce((sum, { crowd }) => sum + (crowd ? 0 : 1), 0)
  return areaUnderCurve(matchBoxes(truths, found, iouMin), counted, interpolation)
}

/** COCO's figures: mean over labels at IoU .5 and .75, and mean over IoU .5, .55 … .95 as well. */
export type MeanAveragePrecision = {
  readonly ap50: number
  readonly ap75: number
  readonly ap50to95: number
}

/** The overlaps whose mean is AP50:95. */
export const overlaps: readonly number[] = Array.from(
  { length: 10 },
  (_, at) => (50 + at * 5) / 100,
)

/** Mean over the labels that occur in the truth, 101 points. */
export function meanAveragePrecision(
  truths: readonly Truth[],
  found: readonly Found[],
): MeanAveragePrecision {
  const counted = new Set(truths.filter(({ crowd }) => !crowd).map(({ label }) => label))
  const truthsOf = Map.groupBy(truths, ({ label }) => label)
  const foundOf = Map.groupBy(found, ({ label }) => label)
  const at = (iouMin: number) =>
    mean(
      [...counted].map((label) =>
        averagePrecision(truthsOf.get(label) ?? [], foundOf.get(label) ?? [], iouMin, 101),
      ),
    )
  const each = overlaps.map(at)
  return { ap50: each[0]!, ap75: each[5]!, ap50to95: mean(each) }
}

/** A detection that counts, and the truth it found, if it did. */
export type Match = { readonly found: Found; readonly truth?: Truth }

/**
 * The detections of one label, best first, each with the truth it takes. What lies in a crowd and on nothing else is
 * left out.
 */
export function matchBoxes(
  truths: readonly Truth[],
  found: readonly Found[],
  iouMin: number,
): Match[] {
  const free = Map.groupBy(truths, ({ image }) => image)
  const taken = new Set<Truth>()
  return found
    .toSorted((a, b) => b.score - a.score)
    .flatMap((detection) => {
      const rivals = free.get(detection.image) ?? []
      const truth = bestMatch(detection, rivals, taken, iouMin)
      if (truth) taken.add(truth)
      else if (rivals.some((one) => one.crowd && isWithin(detection.box, one.box, iouMin)))
        return []
      return { found: detection, ...(truth && { truth }) }
    })
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
    if (truth.crowd || taken.has(truth)) continue
    const overlap = intersectionOverUnion(detection.box, truth.box)
    if (overlap >= bestOverlap) {
      best = truth
      bestOverlap = overlap
    }
  }
  return best
}

/** Whether enough of a detection lies in a crowd; how much of the crowd it covers does not matter. */
function isWithin(box: Box, crowd: Box, shareMin: number): boolean {
  return intersection(box, crowd) >= (shareMin - 1e-9) * box[2] * box[3]
}

function intersection(a: Box, b: Box): number {
  const width = Math.min(a[0] + a[2], b[0] + b[2]) - Math.max(a[0], b[0])
  const height = Math.min(a[1] + a[3], b[1] + b[3]) - Math.max(a[1], b[1])
  return width > 0 && height > 0 ? width * height : 0
}

/** Intersection over union of two boxes, 0..1. */
export function intersectionOverUnion(a: Box, b: Box): number {
  const both = intersection(a, b)
  return both > 0 ? both / (a[2] * a[3] + b[2] * b[3] - both) : 0
}

/**
 * Area under the precision-recall curve of matches, best first; NaN where there is no truth.
 * @param truths how many there are
 * @param countOf how often each match counts (default once): what a drawn set is made of
 */
export function areaUnderCurve(
  matches: readonly Match[],
  truths: number,
  interpolation: Interpolation,
  countOf: (match: Match) => number = () => 1,
): number {
  if (truths === 0) return Number.NaN
  const recalls: number[] = []
  const precisions: number[] = []
  let right = 0
  let all = 0
  for (const match of matches) {
    const count = countOf(match)
    if (count === 0) continue
    all += count
    if (match.truth) right += count
    recalls.push(right / truths)
    precisions.push(right / all)
  }
  // The best precision at this recall or beyond.
  for (let index = precisions.length - 2; index >= 0; index--) {
    precisions[index] = Math.max(precisions[index]!, precisions[index + 1]!)
  }
  if (interpolation === 'all') {
    const steps = recalls.map((recall, index) => recall - (recalls[index - 1] ?? 0))
    return steps.reduce((sum, step, index) => sum + step * precisions[index]!, 0)
  }
  let sum = 0
  let at = 0
  for (let step = 0; step < interpolation; step++) {
    const wanted = step / (interpolation - 1) - 1e-12
    while (at < recalls.length && recalls[at]! < wanted) at++
    sum += precisions[at] ?? 0
  }
  return sum / interpolation
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length
}
