import assert from 'node:assert/strict'
import { test } from 'node:test'
import { normal, seededRandom } from '../../../edge-agent/src/demo/random.ts'
import {
  type EvidenceName,
  evidenceMin,
  gathered,
  scoreStep,
  sketchesToTell,
  soughtShares,
  trafficStep,
  type UsualRange,
} from './evidence.ts'

type Random = () => number

function poisson(mean: number, random: Random): number {
  const limit = Math.exp(-mean)
  let [count, product] = [0, random()]
  while (product > limit) {
    count++
    product *= random()
  }
  return count
}

/** Mean number of objects in a frame, minute by minute, in worlds whose counts vary each in its way. */
const worlds: Readonly<Record<string, (random: Random, share: number) => number>> = {
  'objects that come by themselves': (random, share) => poisson(8 * share, random) / 3,
  'objects that come in groups': (random, share) => {
    let objects = 0
    for (let n = poisson(8 * share, random); n > 0; n--) objects += 1 + poisson(1, random)
    return objects / 4
  },
  'a rate that goes up and down': (random, share) =>
    poisson(12 * share * Math.exp(0.3 * normal(random) - 0.045), random) / 5,
}

/** As the hub learns it: mean and variance of the root, over two hours. */
function learnt(minutes: readonly number[]): UsualRange {
  const roots = minutes.map(Math.sqrt)
  const mean = roots.reduce((a, b) => a + b, 0) / roots.length
  const squares = roots.reduce((sum, root) => sum + (root - mean) ** 2, 0)
  const variance = squares / (roots.length - 1)
  const error = 2 * Math.sqrt(variance / roots.length)
  return { low: mean - error, high: mean + error, variance }
}

/** @returns after how many sketches there is enough evidence; undefined where there is none within `most` */
function until(most: number, step: () => number): number | undefined {
  let sum = 0
  for (let n = 1; n <= most; n++) {
    sum = gathered(sum, step())
    if (sum >= evidenceMin) return n
  }
  return undefined
}

for (const [name, draw] of Object.entries(worlds)) {
  test(`${name}: a fall to a tenth and a rise to four times are told in five sketches nine times of ten, and in 1,500 quiet hours nothing is (seed 3)`, () => {
    const random = seededRandom(3)
    const usual = learnt(Array.from({ length: 120 }, () => draw(random, 1)))
    for (const sought of ['fewer', 'more'] as const) {
      const share = soughtShares[sought]
      const step = (now: number) => trafficStep(draw(random, now), usual, share)
      assert.equal(
        until(90_000, () => step(1)),
        undefined,
        sought,
      )
      const now = sought === 'fewer' ? 0.1 : 4
      const after = Array.from({ length: 300 }, () => until(60, () => step(now)) ?? 60).sort(
        (a, b) => a - b,
      )
      const [half = 0, most = 0] = [after[150], after[270]]
      assert.ok(most <= 5, `${sought}: ${most}, of nine in ten`)
      assert.ok(half >= 3)
      if (sought === 'fewer') assert.ok(Math.abs(half - sketchesToTell(usual, now)) <= 1.5)
    }
  })
}

test('where little comes by, more sketches are needed, and that is known before', () => {
  const random = seededRandom(4)
  const draw = (share: number): number => poisson(1.5 * share, random) / 3
  const usual = learnt(Array.from({ length: 120 }, () => draw(1)))
  const needed = sketchesToTell(usual, 0.1)
  assert.ok(needed > 8, String(needed))
  const after = Array.from(
    { length: 300 },
    () => until(200, () => trafficStep(draw(0.1), usual, soughtShares.fewer)) ?? 200,
  ).sort((a, b) => a - b)
  assert.ok(Math.abs(after[150]! - needed) < 0.4 * needed, `${after[150]} for ${needed}`)
})

test('scores that fall or rise by a logit are told, also where detections of an object are alike; others are not (seed 5)', () => {
  const random = seededRandom(5)
  /** A minute of objects that are seen several times each. */
  const minute = (shift: number) => {
    const scores: number[] = []
    for (let object = 0; object < 8; object++) {
      const logit = 1.3 + shift + 0.8 * normal(random)
      for (let k = 0; k < 5; k++) scores.push(1 / (1 + Math.exp(-(logit + 0.4 * normal(random)))))
    }
    return scores
  }
  const meanOf = (scores: readonly number[]) => scores.reduce((a, b) => a + b, 0) / scores.length
  const histogram = (scores: readonly number[]) => {
    const bins = new Array<number>(20).fill(0)
    for (const score of scores) bins[Math.min(19, Math.floor(score * 20))]!++
    return bins
  }
  const quiet = Array.from({ length: 240 }, () => minute(0))
  const bins = histogram(quiet.flat())
  const means = quiet.map(meanOf)
  const mean = meanOf(means)
  const variance = meanOf(means.map((each) => (each - mean) ** 2))
  const error = 2 * Math.sqrt(variance / means.length)
  const usual = { low: mean - error, high: mean + error, variance }
  const step = (name: EvidenceName & ('lower' | 'higher'), shift: number): number =>
    scoreStep(histogram(minute(shift)), usual, { bins, usually: 40, dispersion: 1, name })
  for (const [name, shift] of [
    ['lower', -1.2],
    ['higher', 1.5],
  ] as const) {
    assert.equal(
      until(3000, () => step(name, 0)),
      undefined,
      name,
    )
    const after = Array.from({ length: 100 }, () => until(60, () => step(name, shift)) ?? 60)
    assert.ok(after.sort((a, b) => a - b)[95]! <= 5, `${name}: ${after[95]}`)
  }
})

test('one sketch, or two, raise nothing, however odd they are', () => {
  const usual = { low: 3, high: 3.1, variance: 0.04 }
  assert.equal(
    until(2, () => trafficStep(0, usual, soughtShares.fewer)),
    undefined,
  )
  assert.equal(
    until(3, () => trafficStep(0, usual, soughtShares.fewer)),
    3,
  )
})
