import assert from 'node:assert/strict'
import { test } from 'node:test'
import { scheduleNames } from '../run/recipe.ts'
import { averageDecay, rateShare, type Schedule } from './schedule.ts'

const schedule = (part: Partial<Schedule>): Schedule => ({
  name: 'constant',
  warmupSteps: 0,
  finalShare: 0,
  every: 0.5,
  factor: 0.1,
  ...part,
})
const rates = (part: Partial<Schedule>, steps: number): number[] =>
  Array.from({ length: steps }, (_, step) => rateShare(schedule(part), step, steps))
const near = (actual: readonly number[], expected: readonly number[]): void => {
  assert.equal(actual.length, expected.length)
  for (const [i, one] of actual.entries()) {
    assert.ok(Math.abs(one - expected[i]!) < 1e-12, `${actual} is not ${expected}`)
  }
}

test('rateShare() goes as its name says', () => {
  near(rates({ name: 'constant' }, 3), [1, 1, 1])
  near(rates({ name: 'linear' }, 5), [1, 0.75, 0.5, 0.25, 0])
  near(rates({ name: 'linear', finalShare: 0.5 }, 3), [1, 0.75, 0.5])
  near(rates({ name: 'cosine' }, 5), [1, (1 + Math.SQRT1_2) / 2, 0.5, (1 - Math.SQRT1_2) / 2, 0])
  near(rates({ name: 'step' }, 5), [1, 1, 0.1, 0.1, 0.01])
  const warmed = rates({ name: 'linear', warmupSteps: 3, finalShare: 0.1 }, 34)
  near(warmed.slice(0, 5), [0.25, 0.5, 0.75, 1, 0.97])
  assert.ok(Math.abs(warmed[33]! - 0.1) < 1e-12)
})

test('rateShare() warms up for at most a tenth of the run', () => {
  near(rates({ warmupSteps: 100 }, 20).slice(0, 3), [1 / 3, 2 / 3, 1])
})

test('rateShare() of one-cycle goes up to the whole rate once and ends at the final share', () => {
  const all = rates({ name: 'one-cycle', finalShare: 0.01 }, 101)
  assert.ok(Math.abs(all[0]! - 0.04) < 1e-12)
  assert.ok(Math.abs(all[30]! - 1) < 1e-12)
  assert.ok(Math.abs(all[100]! - 0.01) < 1e-12)
  for (let i = 1; i <= 30; i += 1) assert.ok(all[i]! > all[i - 1]!)
  for (let i = 31; i <= 100; i += 1) assert.ok(all[i]! < all[i - 1]!)
})

test('rateShare() stays within 0 and 1 for any length of a run', () => {
  for (const name of scheduleNames) {
    for (const steps of [1, 2, 7]) {
      for (const warmupSteps of [0, 3, 50]) {
        for (const one of rates({ name, warmupSteps }, steps)) {
          assert.ok(one >= 0 && one <= 1, `${name} ${steps} ${warmupSteps}: ${one}`)
        }
      }
    }
  }
})

test('averageDecay() forgets quickly at first', () => {
  assert.equal(averageDecay(0.99, 0), 0.1)
  assert.equal(averageDecay(0.99, 10), 11 / 20)
  assert.equal(averageDecay(0.99, 10_000), 0.99)
})
