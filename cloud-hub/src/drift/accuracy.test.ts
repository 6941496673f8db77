import assert from 'node:assert/strict'
import { test } from 'node:test'
import { reportDetection } from '@edgeloop/model-compiler'
import { normal, seededRandom } from '../../../edge-agent/src/demo/random.ts'
import { estimateAccuracy, fittedOnFrames, fittedOnTest, type LabelledFrame } from './accuracy.ts'

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
const estimated = (
  labelled: readonly LabelledFrame[],
  scores: readonly number[],
  objects: number,
) => {
  const fitted = fittedOnFrames(labelled)
  return fitted && estimateAccuracy(fitted, scores, objects)
}
const scoresAt = (bin: number, count: number) =>
  Array.from({ length: 20 }, (_, i) => (i === bin ? count : 0))

test('what scores were worth is weighed by those of now, and the interval holds it (seeds 1 to 60)', () => {
  let held = 0
  for (let seed = 1; seed <= 60; seed++) {
    // All of them between 0.5 and 0.55 now, where about 0.55 are right between 0.5 and 0.6.
    const estimate = estimated(frames(400, seed), scoresAt(10, 500), 500)
    assert.ok(estimate)
    if (estimate.low <= 0.55 && estimate.high >= 0.55) held++
    assert.ok(Math.abs(estimate.there - 0.7) < 0.12, String(estimate.there))
  }
  assert.ok(held >= 54, `${held} of 60`)
})

test('nothing is said where too little is known', () => {
  assert.equal(estimated(frames(20, 1), scoresAt(10, 500), 500), null)
  // Nobody labelled anything with such scores.
  assert.equal(estimated(frames(400, 1), scoresAt(4, 500), 500), null)
  assert.equal(estimated(frames(400, 1), scoresAt(10, 500), 0), null)
})

test('only the best detections count, and frames that are rarely kept stand for more', () => {
  const mixed = scoresAt(18, 100).map((count, bin) => (bin === 8 ? 900 : count))
  const best = estimated(frames(400, 2), mixed, 100)
  const all = estimated(frames(400, 2), mixed, 1000)
  assert.ok(best && all && best.precision > all.precision + 0.3)
  const wrong = frames(200, 3).map((frame) => ({ ...frame, annotations: [] }))
  const even = estimated([...frames(200, 3), ...wrong], scoresAt(14, 100), 100)
  const rare = estimated([...frames(200, 3, 0.1), ...wrong], scoresAt(14, 100), 100)
  assert.ok(even && rare && rare.precision > even.precision + 0.2)
})

/** Scores of a detector in a world in which a score is the chance to be right; `doubt` is taken from their logits. */
const scoreIn = (random: () => number, doubt: number): number =>
  1 / (1 + Math.exp(-(1.2 + 1.1 * normal(random) - doubt)))

/** The report of a version on test samples of such a world; boxes of one image are right or wrong together now and then. */
function testReport(images: number, seed: number) {
  const random = seededRandom(seed)
  const found: { image: string; label: string; score: number; box: typeof at }[] = []
  const truths: { image: string; label: string; box: typeof at }[] = []
  for (let image = 0; image < images; image++) {
    const luck = random()
    for (let k = 0; k < 4; k++) {
      const there = [k / 4, 0.1, 0.2, 0.2] as const
      const score = scoreIn(random, 0)
      const name = String(image)
      found.push({ image: name, label: 'cup', score, box: there })
      const draw = random() < 0.3 ? luck : random()
      const box = draw < score ? there : ([k / 4, 0.7, 0.2, 0.2] as const)
      truths.push({ image: name, label: 'cup', box })
    }
  }
  const samples = Array.from({ length: images }, (_, i) => ({ digest: String(i), name: String(i) }))
  return reportDetection({ labels: ['cup'], samples, truths, found }, { rounds: 0, worst: 0 })
}
const at = [0, 0, 0, 0] as const as readonly [number, number, number, number]

/** What a stream shows now: a sketch's histogram, and what share of it is right in truth. */
function streamNow(doubt: number, seed: number) {
  const random = seededRandom(seed)
  const bins = new Array<number>(20).fill(0)
  let right = 0
  for (let i = 0; i < 2000; i++) {
    const score = scoreIn(random, doubt)
    bins[Math.min(19, Math.floor(score * 20))]!++
    right += score / 2000
  }
  return { bins, right }
}

test('from the test samples of a version: it falls as scores do, and nine intervals of ten hold the truth (seeds 1 to 60)', () => {
  for (const doubt of [0, 1]) {
    let held = 0
    let width = 0
    for (let seed = 1; seed <= 60; seed++) {
      const fitted = fittedOnTest(testReport(150, seed), 'parts/3')
      const { bins, right } = streamNow(doubt, 1000 + seed)
      const estimate = fitted && estimateAccuracy(fitted, bins, 2000)
      assert.ok(estimate)
      if (estimate.low <= right && right <= estimate.high) held++
      width += (estimate.high - estimate.low) / 60
      if (doubt === 1) assert.ok(estimate.precision < estimate.there - 0.08)
      assert.match(estimate.from, /^600 detections in the 150 test samples of parts\/3$/)
    }
    assert.ok(held >= 54, `${held} of 60 with ${doubt} less`)
    // Not by saying nothing.
    assert.ok(width < 0.16, `${width} wide with ${doubt} less`)
  }
})

test('nothing is said where too little was tested, or an earlier version reported no scores', () => {
  assert.equal(fittedOnTest(testReport(9, 1), 'parts/3'), null)
  assert.equal(fittedOnTest({ samples: 200 }, 'parts/3'), null)
})
