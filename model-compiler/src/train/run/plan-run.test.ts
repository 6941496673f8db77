import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isDue, paceOf } from './plan-run.ts'
import { type RecipePart, recipeDefault, recipeOf } from './recipe.ts'

const pace = (part: RecipePart, samples: number) => paceOf(recipeOf(recipeDefault, part), samples)

test('paceOf() counts steps by epochs, accumulation and what is replayed', () => {
  assert.deepEqual(pace({ batch: 64, epochs: 5 }, 50_000), { steps: 3910, stepsPerEpoch: 782 })
  assert.deepEqual(pace({ batch: 16, accumulate: 4, epochs: 2 }, 640), {
    steps: 20,
    stepsPerEpoch: 10,
  })
  // A quarter of each batch is of older data: an epoch takes more steps.
  assert.deepEqual(pace({ batch: 16, replayShare: 0.25, epochs: 1 }, 120), {
    steps: 10,
    stepsPerEpoch: 10,
  })
  assert.equal(pace({ batch: 64, epochs: 0.01 }, 10).steps, 1)
  assert.equal(pace({ steps: 7 }, 1000).steps, 7)
})

test('isDue() is so after each epoch, or as often as asked, and always at the end', () => {
  const of = { steps: 10, stepsPerEpoch: 4 }
  const due = (every: number) =>
    Array.from({ length: 10 }, (_, at) => at + 1).filter((step) => isDue(step, every, of))
  assert.deepEqual(due(0), [4, 8, 10])
  assert.deepEqual(due(3), [3, 6, 9, 10])
})
