import assert from 'node:assert/strict'
import { test } from 'node:test'
import { curveOf, labelsFor, labelsRatio, overSeeds, type Point } from './label-curves.ts'

/** AP50 that follows from labels, `better` times as fast for ours; each seed lies a little beside it. */
function pointsOf(better: number): Point[] {
  return [1, 2, 3, 4, 5].flatMap((seed) =>
    (['ours', 'random'] as const).flatMap((how) =>
      [6, 12, 24, 48].map((budget): Point => {
        const worth = how === 'ours' ? budget * better : budget
        const ap50 = 0.4 + 0.5 * Math.min(1, Math.log2(1 + worth) / Math.log2(97)) + seed / 1000
        return { seed, how, budget, labels: budget, bytes: budget * 1000, ap50, ap50Before: 0.4 }
      }),
    ),
  )
}
const seeds = [1, 2, 3, 4, 5]

test('labelsFor() reads a curve between its points, and says where it does not come so far', () => {
  const curve = [
    { labels: 0, ap50: 0.2 },
    { labels: 10, ap50: 0.6 },
    { labels: 20, ap50: 0.8 },
  ]
  assert.equal(labelsFor(curve, 0.1), 0)
  assert.ok(Math.abs(labelsFor(curve, 0.4)! - 5) < 1e-9)
  assert.equal(labelsFor(curve, 0.8), 20)
  assert.equal(labelsFor(curve, 0.9), undefined)
})

test('labelsRatio() is one where both are alike, a half where ours are worth twice as much', () => {
  assert.equal(labelsRatio(pointsOf(1), seeds), 1)
  const half = labelsRatio(pointsOf(2), seeds)
  assert.ok(Math.abs(half - 0.5) < 0.02, `${half}`)
  const at24 = labelsRatio(pointsOf(2), seeds, 24)
  assert.ok(Math.abs(at24 - 0.5) < 0.02, `${at24}`)
})

test('labelsRatio() counts twice the most where ours do not come so far', () => {
  assert.equal(labelsRatio(pointsOf(0.5), seeds), 2)
})

test('overSeeds() gives an interval around what all seeds say, wider where they differ', () => {
  const alike = overSeeds(seeds, (some) => labelsRatio(pointsOf(2), some))
  assert.ok(alike.high - alike.low < 0.02)
  const mean = (some: readonly number[]) => some.reduce((sum, one) => sum + one, 0) / some.length
  const { mean: middle, low, high } = overSeeds(seeds, mean)
  assert.equal(middle, 3)
  assert.ok(low >= 1 && low < 2.5 && high > 3.5 && high <= 5)
  const drawn = curveOf(pointsOf(1), 'random', [2, 2, 2])
  assert.ok(drawn[0]?.labels === 0 && Math.abs(drawn[0].ap50 - 0.4) < 1e-9)
})
