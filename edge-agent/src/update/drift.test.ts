/** Drift against simulated days: what must not be found, and what must. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { driftOf, joined, noSums, type Sums, withBlock, worstOf } from './drift.ts'

/** A generator of the whole numbers below 2³² (xorshift), and normal numbers of it. */
function randomOf(seed: number) {
  let state = seed || 1
  const uniform = (): number => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return ((state >>> 0) + 0.5) / 2 ** 32
  }
  return () => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform())
}

type Scene = { readonly mean: number; readonly likeness: number; readonly hourly: number }

/** Blocks of 10 s that each resemble the one before, with a level for each hour. */
function* blocks(
  { mean, likeness, hourly }: Scene,
  hours: number,
  perHour: number,
  normal: () => number,
) {
  let noise = normal()
  for (let hour = 0; hour < hours; hour++) {
    const level = mean + hourly * normal()
    for (let block = 0; block < perHour; block++) {
      noise = likeness * noise + Math.sqrt(1 - likeness ** 2) * normal()
      yield { hour, value: level + noise }
    }
  }
}

function hoursOf(scene: Scene, hours: number, perHour: number, normal: () => number): Sums[] {
  const sums: Sums[] = []
  let before: number | undefined
  for (const { hour, value } of blocks(scene, hours, perHour, normal)) {
    sums[hour] = withBlock(sums[hour] ?? noSums, value, before)
    before = value
  }
  return sums
}

const seed = Date.now() % 2 ** 31

test('a day as any other is hardly ever a drift, however alike its frames and unlike its hours', (t) => {
  t.diagnostic(`seed ${seed}`)
  const normal = randomOf(seed)
  for (const scene of [
    { mean: 3, likeness: 0, hourly: 0 },
    { mean: 3, likeness: 0.8, hourly: 0 },
    { mean: 3, likeness: 0.6, hourly: 1 },
  ]) {
    for (const [hours, nowBlocks] of [
      [1, 12],
      [1, 60],
      [6, 180],
      [24, 180],
    ] as const) {
      // Within one hour nothing can be known of what hours do.
      if (hours === 1 && scene.hourly > 0) continue
      let false4 = 0
      const trials = 400
      for (let i = 0; i < trials; i++) {
        const before = hoursOf(scene, hours, 60, normal)
        const now = hoursOf(scene, 1, nowBlocks, normal).reduce(joined, noSums)
        if (Math.abs(driftOf(before, now)) > 4) false4++
      }
      assert.ok(
        false4 <= 8,
        `${false4} of ${trials} for ${JSON.stringify({ ...scene, hours, nowBlocks })}`,
      )
    }
  }
})

test('a model that sees half of it is found in a quarter of an hour', () => {
  const normal = randomOf(seed)
  const scene = { mean: 4, likeness: 0.5, hourly: 0 }
  // It is asked again and again until the end of probation, and on every device.
  let found = 0
  for (let i = 0; i < 100; i++) {
    const before = hoursOf(scene, 12, 60, normal)
    const now = hoursOf({ ...scene, mean: 2 }, 1, 90, normal).reduce(joined, noSums)
    if (driftOf(before, now) < -4) found++
  }
  assert.ok(found >= 80, `${found} of 100`)
})

test('few blocks, and differences that matter to nobody, say nothing', () => {
  const of = (n: number, value: number): Sums => {
    let sums = noSums
    for (let i = 0; i < n; i++) sums = withBlock(sums, value, value)
    return sums
  }
  assert.equal(driftOf([of(7, 1)], of(50, 9)), 0)
  assert.equal(driftOf([of(50, 1)], of(7, 9)), 0)
  assert.equal(driftOf([], of(50, 9)), 0)
  // Nothing ever moves here, and now there is 14 % more, as a model trained anew may find.
  assert.equal(driftOf([of(100, 1)], of(100, 1.14)), 0)
  assert.ok(driftOf([of(100, 1)], of(100, 2)) > 4)
})

test('joined() of parts is the sums of the whole', () => {
  const values = Array.from({ length: 20 }, (_, i) => Math.sin(i) * 3)
  const all = (part: readonly number[]): Sums =>
    part.reduce((sums, x) => withBlock(sums, x, undefined), noSums)
  const [whole, parts] = [all(values), joined(all(values.slice(0, 7)), all(values.slice(7)))]
  assert.ok(
    Math.abs(whole.mean - parts.mean) < 1e-9 && Math.abs(whole.squares - parts.squares) < 1e-9,
  )
})

test('worstOf() asks more of the worst of many', () => {
  assert.equal(worstOf([]), 0)
  assert.equal(worstOf([-3]), -3)
  assert.ok(worstOf([1, -5, 2]) > -5 && worstOf([1, -5, 2]) < -4.5)
  assert.ok(Math.abs(worstOf(Array.from({ length: 20 }, () => 2))) < 0.5)
})
