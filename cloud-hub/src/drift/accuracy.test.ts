import assert from 'node:assert/strict'
import { test } from 'node:test'
import { seededRandom } from '../../../edge-agent/src/demo/random.ts'
import { estimateAccuracy, type LabelledFrame } from './accuracy.ts'

const box = [0.1, 0.1, 0.2, 0.2]
const elsewhere = [0.6, 0.6, 0.2, 0.2]

/** Frames with one detection each, right as often as its score says. */
function frames(count: number, seed: number, probability = 1): LabelledFrame[] {
  const random = seededRandom(seed)
  return Array.from({ length: count }, () => {
    const score = 0.4 + 0.6 * random()
    const isRight = random() < score
    return {
      detections: [{ label: 'cup', score, box }],
      annotations: [{ kind: 'box' as const, label: 'cup', box: isRight ? box : elsewhere }],
      probability,
    }
  })
}
const scoresAt = (bin: number, count: number) =>
  Array.from({ length: 20 }, (_, i) => (i === bin ? count : 0))

test('what scores were worth is weighed by those of now, and the interval holds it (seeds 1 to 60)', () => {
  let held = 0
  for (let seed = 1; seed <= 60; seed++) {
    // All of them between 0.5 and 0.55 now, where about 0.55 are right between 0.5 and 0.6.
    const estimate = estimateAccuracy(frames(400, seed), scoresAt(10, 500), 500)
    assert.ok(estimate)
    if (estimate.low <= 0.55 && estimate.high >= 0.55) held++
    assert.ok(Math.abs(estimate.there - 0.7) < 0.12, String(estimate.there))
  }
  assert.ok(held >= 54, `${held} of 60`)
})

test('nothing is said where too little is known', () => {
  assert.equal(estimateAccuracy(frames(20, 1), scoresAt(10, 500), 500), null)
  // Nobody labelled anything with such scores.
  assert.equal(estimateAccuracy(frames(400, 1), scoresAt(4, 500), 500), null)
  assert.equal(estimateAccuracy(frames(400, 1), scoresAt(10, 500), 0), null)
})

test('only the best detections count, and frames that are rarely kept stand for more', () => {
  const mixed = scoresAt(18, 100).map((count, bin) => (bin === 8 ? 900 : count))
  const best = estimateAccuracy(frames(400, 2), mixed, 100)
  const all = estimateAccuracy(frames(400, 2), mixed, 1000)
  assert.ok(best && all && best.precision > all.precision + 0.3)
  const wrong = frames(200, 3).map((frame) => ({ ...frame, annotations: [] }))
  const even = estimateAccuracy([...frames(200, 3), ...wrong], scoresAt(14, 100), 100)
  const rare = estimateAccuracy([...frames(200, 3, 0.1), ...wrong], scoresAt(14, 100), 100)
  assert.ok(even && rare && rare.precision > even.precision + 0.2)
})
