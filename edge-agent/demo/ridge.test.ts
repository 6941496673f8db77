/** The closed form: finds what made the data, weighs samples, holds back what is not determined. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { normal, seededRandom } from '../src/demo/random.ts'
import { Ridge } from './ridge.ts'

const seed = 20260101

test('Ridge finds the weights and biases that made the data', () => {
  const random = seededRandom(seed)
  const real = [
    [2, -1, 0, 0.5, 3],
    [0, 4, 1, -2, 0],
  ]
  const biases = [10, -3]
  const ridge = new Ridge(5, 2)
  for (let sample = 0; sample < 333; sample++) {
    const features = Array.from({ length: 5 }, () => normal(random))
    const targets = real.map((weights, t) =>
      weights.reduce((sum, w, i) => sum + w * features[i]!, biases[t]!),
    )
    ridge.add(features, targets)
  }
  const solution = ridge.solve(1e-12)
  for (const [t, weights] of real.entries()) {
    assert.ok(Math.abs(solution.biases[t]! - biases[t]!) < 1e-6)
    for (const [i, weight] of weights.entries()) {
      assert.ok(Math.abs(solution.weights[t]![i]! - weight) < 1e-6, `seed ${seed}: ${t} ${i}`)
    }
  }
})

test('Ridge counts a sample of weight 3 like three samples', () => {
  const samples = [
    { features: [1, 2], target: 3, weight: 3 },
    { features: [2, -1], target: 0, weight: 1 },
    { features: [0, 1], target: 5, weight: 2 },
    { features: [-3, 1], target: 1, weight: 1 },
  ]
  const weighted = new Ridge(2, 1)
  const repeated = new Ridge(2, 1)
  for (const { features, target, weight } of samples) {
    weighted.add(features, [target], weight)
    for (let time = 0; time < weight; time++) repeated.add(features, [target])
  }
  const [a, b] = [weighted.solve(1e-3), repeated.solve(1e-3)]
  assert.ok(Math.abs(a.biases[0]! - b.biases[0]!) < 1e-9)
  for (const i of [0, 1]) assert.ok(Math.abs(a.weights[0]![i]! - b.weights[0]![i]!) < 1e-9)
})

test('Ridge shares a weight between two features that are the same', () => {
  const random = seededRandom(seed)
  const ridge = new Ridge(2, 1)
  for (let sample = 0; sample < 100; sample++) {
    const x = normal(random)
    ridge.add([x, x], [4 * x])
  }
  const [weights] = ridge.solve(1e-9).weights
  assert.ok(Math.abs(weights![0]! - 2) < 1e-3 && Math.abs(weights![1]! - 2) < 1e-3)
})
