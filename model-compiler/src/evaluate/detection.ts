/** How right a detector is: average precision by label, where a threshold would stand best, and what it takes for what. Pure. */
import {
  areaUnderCurve,
  type Found,
  intersectionOverUnion,
  type Match,
  matchBoxes,
  overlaps,
  type Truth,
} from './average-precision.ts'
import { type ScoreWorth, scoreWorth } from './calibration.ts'
import type { CurvePoint } from './curve.ts'

/** COCO counts the best hundred boxes of an image and label. */
const detectionsMax = 100
/** Overlap at which curves, thresholds and confusion are taken. */
const iouMin = 0.5

export type DetectionLabel = {
  readonly label: string
  readonly truths: number
  readonly found: number
  /** NaN where the label does not occur in the truth. */
  readonly ap50: number
  readonly ap75: number
  readonly ap: number
  /** Precision (y) over recall (x) at an overlap of a half. */
  readonly precisionRecall: readonly CurvePoint[]
  /** The score from which on F1 is best at an overlap of a half; undefined where nothing is right. */
  readonly best?: {
    readonly score: number
    readonly precision: number
    readonly recall: number
    readonly f1: number
  }
}

export type DetectionMetrics = {
  /** Means over the labels that occur in the truth. */
  readonly ap50: number
  readonly ap75: number
  readonly ap: number
  readonly perLabel: readonly DetectionLabel[]
  /**
   * `confusion[truth][found]` at `scoreMin`, labels in their order and then a last row and column for nothing: what was
   * found where nothing is, and what was not found.
   */
  readonly confusion: readonly (readonly number[])[]
  readonly scoreMin: number
  /** Of all labels, at an overlap of a half. */
  readonly worth: ScoreWorth
  /**
   * One of the three figures as if each image counted so often.
   * @param counts by place of the image in `images`
   */
  figure(name: 'ap50' | 'ap75' | 'ap', counts: ArrayLike<number>): number
}

/**
 * @param images which were looked at, also those in which nothing is and nothing was found
 * @param options.scoreMin what counts as found in the confusion (default: where F1 over all labels is best)
 */
export function detectionMetrics(
  labels: readonly string[],
  images: readonly string[],
  truths: readonly Truth[],
  found: readonly Found[],
  options: { readonly scoreMin?: number } = {},
): DetectionMetrics {
  const truthsOf = Map.groupBy(truths, ({ label }) => label)
  const foundOf = Map.groupBy(found, ({ label }) => label)
  const placeOf = new Map(images.map((image, at) => [image, at]))
  const rankings = labels.map((label) =>
    rank(label, truthsOf.get(label) ?? [], bestOfImages(foundOf.get(label) ?? []), placeOf),
  )
  const perLabel = rankings.map((ranking): DetectionLabel => {
    const curve = curveOf(ranking.at[0]!, ranking.total)
    const best = bestPoint(curve)
    return {
      label: ranking.label,
      truths: ranking.total,
      found: ranking.found,
      ap50: area(ranking, 0),
      ap75: area(ranking, 5),
      ap: meanArea(ranking),
      precisionRecall: curve,
      ...(best && { best }),
    }
  })
  const occurring = perLabel.filter(({ truths: count }) => count > 0)
  const scoreMin = options.scoreMin ?? bestScore(rankings)
  return {
    ap50: mean(occurring.map(({ ap50 }) => ap50)),
    ap75: mean(occurring.map(({ ap75 }) => ap75)),
    ap: mean(occurring.map(({ ap }) => ap)),
    perLabel,
    scoreMin,
    confusion: confusionOf(labels, truths, found, scoreMin),
    worth: worthOf(rankings),
    figure: (name, counts) => {
      const values = rankings.map((ranking) =>
        name === 'ap' ? meanArea(ranking, counts) : area(ranking, name === 'ap50' ? 0 : 5, counts),
      )
      return mean(values.filter((value) => Number.isFinite(value)))
    },
  }
}

/** What one label's detections are at each overlap, matched once, so that drawn sets only count them again. */
type Ranking = {
  readonly label: string
  readonly total: number
  readonly found: number
  readonly at: readonly (readonly Match[])[]
  /** Truths by place of the image. */
  readonly truthsAt: readonly (readonly [place: number, count: number])[]
  readonly placeOf: ReadonlyMap<string, number>
}

function rank(
  label: string,
  truths: readonly Truth[],
  found: readonly Found[],
  placeOf: ReadonlyMap<string, number>,
): Ranking {
  const counted = truths.filter(({ crowd }) => !crowd)
  const perImage = Map.groupBy(counted, ({ image }) => image)
  return {
    label,
    total: counted.length,
    found: found.length,
    placeOf,
    at: overlaps.map((overlap) => matchBoxes(truths, found, overlap)),
    truthsAt: [...perImage].map(([image, those]) => [placeOf.get(image) ?? -1, those.length]),
  }
}

function bestOfImages(found: readonly Found[]): Found[] {
  return [...Map.groupBy(found, ({ image }) => image).values()].flatMap((those) =>
    those.length <= detectionsMax
      ? those
      : those.toSorted((a, b) => b.score - a.score).slice(0, detectionsMax),
  )
}

function area(ranking: Ranking, overlap: number, counts?: ArrayLike<number>): number {
  const matches = ranking.at[overlap]!
  if (!counts) return areaUnderCurve(matches, ranking.total, 101)
  const total = ranking.truthsAt.reduce(
    (sum, [place, count]) => sum + count * (counts[place] ?? 0),
    0,
  )
  return areaUnderCurve(
    matches,
    total,
    101,
    ({ found }) => counts[ranking.placeOf.get(found.image) ?? -1] ?? 0,
  )
}

const meanArea = (ranking: Ranking, counts?: ArrayLike<number>): number =>
  mean(overlaps.map((_, at) => area(ranking, at, counts)))

function curveOf(matches: readonly Match[], truths: number): CurvePoint[] {
  const points: CurvePoint[] = []
  let right = 0
  for (const [place, { found, truth }] of matches.entries()) {
    if (truth) right++
    // No threshold stands between equal scores.
    if (matches[place + 1]?.found.score === found.score) continue
    points.push({ x: right / truths, y: right / (place + 1), score: found.score })
  }
  return truths > 0 ? points : []
}

function bestPoint(curve: readonly CurvePoint[]): DetectionLabel['best'] {
  let best: DetectionLabel['best']
  for (const { x: recall, y: precision, score } of curve) {
    const f1 = (2 * precision * recall) / (precision + recall)
    if (f1 > (best?.f1 ?? 0)) best = { score, precision, recall, f1 }
  }
  return best
}

/** The score from which on F1 over all labels together is best at an overlap of a half; 0.5 where nothing is right. */
function bestScore(rankings: readonly Ranking[]): number {
  const matches = rankings
    .flatMap(({ at }) => at[0]!)
    .toSorted((a, b) => b.found.score - a.found.score)
  const truths = rankings.reduce((sum, { total }) => sum + total, 0)
  return bestPoint(curveOf(matches, truths))?.score ?? 0.5
}

function worthOf(rankings: readonly Ranking[]): ScoreWorth {
  const matches = rankings.flatMap(({ at }) => at[0]!)
  return scoreWorth(
    matches.map(({ found }) => found.score),
    matches.map(({ truth }) => truth !== undefined),
    matches.map(({ found }) => found.image),
  )
}

/** Boxes take partners by overlap alone, best score first, so that a cow that was called a horse shows as that. */
function confusionOf(
  labels: readonly string[],
  truths: readonly Truth[],
  found: readonly Found[],
  scoreMin: number,
): number[][] {
  const nothing = labels.length
  const indexOf = new Map(labels.map((label, at) => [label, at]))
  const counts = Array.from({ length: nothing + 1 }, () => new Array<number>(nothing + 1).fill(0))
  const truthsOf = Map.groupBy(truths, ({ image }) => image)
  const taken = new Set<Truth>()
  const sure = found.filter(({ score }) => score >= scoreMin).sort((a, b) => b.score - a.score)
  for (const detection of sure) {
    const column = indexOf.get(detection.label)
    if (column === undefined) continue
    const here = truthsOf.get(detection.image) ?? []
    const partner = partnerOf(detection, here, taken)
    if (partner) taken.add(partner)
    else if (isInCrowd(detection, here)) continue
    const row = partner ? (indexOf.get(partner.label) ?? nothing) : nothing
    counts[row]![column]!++
  }
  for (const truth of truths) {
    const row = indexOf.get(truth.label)
    if (row !== undefined && !truth.crowd && !taken.has(truth)) counts[row]![nothing]!++
  }
  return counts
}

/** Whether a detection lies in a crowd of its label: neither right nor wrong. */
export function isInCrowd(detection: Found, truths: readonly Truth[]): boolean {
  const crowds = truths.filter(({ crowd, label }) => crowd && label === detection.label)
  return matchBoxes(crowds, [detection], iouMin).length === 0
}

/** Of its own label where one overlaps enough, else of another. */
function partnerOf(
  detection: Found,
  truths: readonly Truth[],
  taken: ReadonlySet<Truth>,
): Truth | undefined {
  const near = truths
    .filter((truth) => !truth.crowd && !taken.has(truth))
    .map((truth) => ({ truth, overlap: intersectionOverUnion(detection.box, truth.box) }))
    .filter(({ overlap }) => overlap >= iouMin - 1e-9)
    .sort((a, b) => b.overlap - a.overlap)
  return (near.find(({ truth }) => truth.label === detection.label) ?? near[0])?.truth
}

const mean = (values: readonly number[]): number =>
  values.reduce((sum, value) => sum + value, 0) / values.length
