import assert from 'node:assert/strict'
import { test } from 'node:test'
import { normal, seededRandom } from '../../../edge-agent/src/demo/random.ts'
import { chiSquare, psi, psiByChance } from './histogram-distance.ts'

const near = (actual: number, expected: number, off = 1e-6) =>
  assert.ok(Math.abs(actual - expected) <= off, `${actual} is not ${expected}`)

test('distances of small histograms, by hand', () => {
  near(chiSquare([6, 4], [0.5, 0.5]), 0.4)
  // Shares 0.25 and 0.75 against 0.5 each: 0.5 · ln 3, but for what is added to each bin.
  near(psi([2500, 7500], [5000, 5000]), 0.25 * Math.log(3), 1e-3)
  near(psi([], []), 0)
})

test('what chance does stays below the limit, whatever the counts; a shift does not (seed 5)', () => {
  const random = seededRandom(5)
  const draw = (counts: number, shift = 0): number[] => {
    const bins = new Array<number>(10).fill(0)
    for (let i = 0; i < counts; i++) {
      const bin = Math.floor(5 + 1.8 * normal(random) + shift)
      bins[Math.max(0, Math.min(9, bin))]!++
    }
    return bins
  }
  for (const counts of [60, 300, 3000]) {
    const reference = draw(20_000)
    const limit = psiByChance(10, counts, 20_000, 1)
    const above = Array.from({ length: 300 }, () => psi(draw(counts), reference)).filter(
      (found) => found > limit,
    )
    assert.ok(above.length <= 6, `${above.length} of 300 with ${counts} counts`)
    if (counts >= 300) assert.ok(psi(draw(counts, 1), reference) > limit)
  }
})
