/** How far numbers lie from the truth. Pure. */

export type RegressionMetrics = {
  readonly mse: number
  readonly rmse: number
  readonly mae: number
  /** 1 − squared errors over squared distances from the mean truth; NaN where all truths are equal. */
  readonly r2: number
  /** Mean of said − truth: what it is wrong by in one direction. */
  readonly bias: number
}

/**
 * @param counts how often each counts (default once)
 * @throws {RangeError} when there are not as many of both
 */
export function regressionMetrics(
  truth: ArrayLike<number>,
  said: ArrayLike<number>,
  counts?: ArrayLike<number>,
): RegressionMetrics {
  if (truth.length !== said.length) {
    throw new RangeError(`Cannot compare ${truth.length} truths with ${said.length} numbers`)
  }
  let total = 0
  let sum = 0
  for (let at = 0; at < truth.length; at++) {
    const count = counts?.[at] ?? 1
    total += count
    sum += count * truth[at]!
  }
  const mean = sum / total
  let squares = 0
  let absolutes = 0
  let errors = 0
  let spread = 0
  for (let at = 0; at < truth.length; at++) {
    const count = counts?.[at] ?? 1
    const error = said[at]! - truth[at]!
    squares += count * error * error
    absolutes += count * Math.abs(error)
    errors += count * error
    spread += count * (truth[at]! - mean) ** 2
  }
  const mse = squares / total
  return {
    mse,
    rmse: Math.sqrt(mse),
    mae: absolutes / total,
    bias: errors / total,
    r2: spread > 0 ? 1 - squares / spread : Number.NaN,
  }
}
