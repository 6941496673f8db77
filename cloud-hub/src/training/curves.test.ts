import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  type CurvePoint,
  CurveSieve,
  curvesOf,
  keptFigures,
  keptPointsMax,
  packPart,
  thinned,
  unpackPart,
} from './curves.ts'

const pointsOf = (losses: readonly number[]): CurvePoint[] =>
  losses.map((loss, i) => ({ step: i + 1, figures: { loss } }))

test('a short run keeps every point; one that goes on repeats none', () => {
  const sieve = new CurveSieve(100, 3)
  const kept = pointsOf([5, 4, 3, 2, 1]).flatMap((point) => sieve.take(point))
  assert.deepEqual(
    kept.map(({ step }) => step),
    [4, 5],
  )
  assert.deepEqual(sieve.flush(), [])
})

test('a very long run keeps few points, and every spike', () => {
  const steps = 40 * keptPointsMax
  const spike = 777_777
  const sieve = new CurveSieve(steps, 0)
  let count = 0
  let highest = 0
  const see = (points: readonly CurvePoint[]): void => {
    count += points.length
    for (const { figures } of points) highest = Math.max(highest, figures.loss ?? 0)
  }
  for (let step = 1; step <= steps; step++) {
    see(sieve.take({ step, figures: { loss: step === spike ? 1000 : 1 + (step % 7) / 10 } }))
  }
  see(sieve.flush())
  assert.ok(count <= keptPointsMax, `${count} points`)
  assert.ok(count >= keptPointsMax / 2, `${count} points`)
  assert.equal(highest, 1000)
})

test('parts give back what went in, with figures that some steps do not have', () => {
  const points = [
    { step: 1, figures: { loss: 2 } },
    { step: 2, figures: { loss: 1, accuracy: 0.5 } },
  ]
  assert.deepEqual(unpackPart(packPart(points)), points)
})

test('keptFigures() drops what is no number, and more than is shown', () => {
  assert.deepEqual(keptFigures({ loss: 1 / 3, bad: Number.NaN, far: Number.POSITIVE_INFINITY }), {
    loss: 0.333333,
  })
  const many = Object.fromEntries(Array.from({ length: 100 }, (_, i) => [`term${i}`, i]))
  assert.equal(Object.keys(keptFigures(many)).length, 24)
})

test('a thinned curve keeps its least and its greatest, in the order of steps', () => {
  const values = fc.array(fc.double({ noNaN: true, min: -1e6, max: 1e6 }), { minLength: 1 })
  fc.assert(
    fc.property(values, fc.integer({ min: 2, max: 50 }), (given, pointsMax) => {
      const steps = given.map((_, i) => i * 3)
      const shown = thinned(steps, given, pointsMax)
      assert.ok(shown.steps.length <= Math.max(pointsMax, 2))
      assert.equal(Math.max(...shown.values), Math.max(...given))
      assert.equal(Math.min(...shown.values), Math.min(...given))
      assert.deepEqual(
        shown.steps,
        shown.steps.toSorted((a, b) => a - b),
      )
      for (const [i, step] of shown.steps.entries()) assert.equal(given[step / 3], shown.values[i])
    }),
  )
})

test('curvesOf() gives a range in full, and says how many points there are', () => {
  const parts = [
    packPart(pointsOf(Array.from({ length: 500 }, (_, i) => i))),
    packPart([{ step: 501, figures: { loss: 7, accuracy: 1 } }]),
  ]
  const all = curvesOf(parts, { from: 0, to: 1e9, pointsMax: 100 })
  assert.equal(all.points, 501)
  assert.deepEqual(
    all.curves.map(({ name, steps }) => [name, steps.length <= 100]),
    [
      ['loss', true],
      ['accuracy', true],
    ],
  )
  const part = curvesOf(parts, { from: 10, to: 19, pointsMax: 100 })
  assert.deepEqual(part.curves, [
    {
      name: 'loss',
      steps: [10, 11, 12, 13, 14, 15, 16, 17, 18, 19],
      values: [9, 10, 11, 12, 13, 14, 15, 16, 17, 18],
    },
  ])
})
