/**
 * ROC and precision-recall curves of a yes-or-no question. Answers with equal scores come in together: no threshold
 * can tell them apart, so the curve takes one step over all of them. Pure.
 */

/** What one threshold gives: everything scored at least `score` counts as yes. */
export type CurvePoint = { readonly x: number; readonly y: number; readonly score: number }

export type Curve = {
  /** ROC: false over true positive rate. Precision-recall: precision over recall. */
  readonly points: readonly CurvePoint[]
  /** Area: ROC by trapezoids (ties count half); precision-recall as average precision, in steps. NaN where undefined. */
  readonly area: number
}

/** True positive rate over false positive rate, from nothing to everything. */
export function rocCurve(
  isPositive: ArrayLike<number | boolean>,
  scores: ArrayLike<number>,
): Curve {
  const steps = stepsOf(isPositive, scores)
  const { positives, negatives } = steps.total
  const points: CurvePoint[] = [{ x: 0, y: 0, score: Number.POSITIVE_INFINITY }]
  let area = 0
  for (const { right, wrong, score } of steps.each) {
    const before = points.at(-1)!
    const point = { x: wrong / negatives, y: right / positives, score }
    area += (point.x - before.x) * (point.y + before.y) * 0.5
    points.push(point)
  }
  return { points, area: positives > 0 && negatives > 0 ? area : Number.NaN }
}

/** Precision over recall, from the surest answers to all of them. */
export function precisionRecallCurve(
  isPositive: ArrayLike<number | boolean>,
  scores: ArrayLike<number>,
): Curve {
  const steps = stepsOf(isPositive, scores)
  const { positives } = steps.total
  const points: CurvePoint[] = []
  let area = 0
  let recall = 0
  for (const { right, wrong, score } of steps.each) {
    const point = { x: right / positives, y: right / (right + wrong), score }
    area += (point.x - recall) * point.y
    recall = point.x
    points.push(point)
  }
  return { points, area: positives > 0 ? area : Number.NaN }
}

type Steps = {
  /** After each group of equal scores, best first: how many of both kinds lie at or above it. */
  readonly each: readonly {
    readonly right: number
    readonly wrong: number
    readonly score: number
  }[]
  readonly total: { readonly positives: number; readonly negatives: number }
}

function stepsOf(isPositive: ArrayLike<number | boolean>, scores: ArrayLike<number>): Steps {
  if (isPositive.length !== scores.length) {
    throw new RangeError(
      `Cannot draw a curve: ${isPositive.length} truths and ${scores.length} scores`,
    )
  }
  const order = Uint32Array.from({ length: scores.length }, (_, at) => at)
  order.sort((a, b) => scores[b]! - scores[a]!)
  const each: { right: number; wrong: number; score: number }[] = []
  let right = 0
  let wrong = 0
  for (const [place, at] of order.entries()) {
    if (isPositive[at]) right++
    else wrong++
    const next = order[place + 1]
    if (next === undefined || scores[next] !== scores[at]) {
      each.push({ right, wrong, score: scores[at]! })
    }
  }
  return { each, total: { positives: right, negatives: wrong } }
}

/** At most about `most` points of a curve, its ends among them: more cannot be seen in a picture. */
export function thinned<Point>(points: readonly Point[], most = 120): readonly Point[] {
  if (points.length <= most) return points
  const step = (points.length - 1) / (most - 1)
  return Array.from({ length: most }, (_, at) => points[Math.round(at * step)]!)
}
