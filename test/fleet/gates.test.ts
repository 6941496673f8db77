/** Simulated rollouts on measured quality: good models come through, bad ones end in the canary and leave nothing behind. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { candidates, gateFigures } from './gate-figures.ts'

// `npm run bench -- rollout-gates` looks at hundreds of them.
const rollouts = 2
const stageSizes = [10, 12] as const
const boxes = 22
const seed = Date.now() % 2 ** 31

for (const candidate of candidates()) {
  const name = candidate.good
    ? `a good model comes through (${candidate.what})`
    : `a bad model is stopped in the canary, and none is left (${candidate.what})`
  test(name, (t) => {
    t.diagnostic(`seed ${seed}`)
    const figures = gateFigures(candidate, { rollouts, seed, stageSizes })
    t.diagnostic(JSON.stringify(figures))
    if (candidate.good) {
      // By chance one in a hundred may wait or stop; none is left half way by a decision that is wrong.
      assert.ok(figures.complete >= rollouts - 1)
      assert.ok(figures.complete < rollouts || figures.leftMost === boxes)
    } else {
      assert.deepEqual([figures.stoppedInCanary, figures.leftMost], [rollouts, 0])
      assert.ok(figures.touchedMost <= stageSizes[0])
    }
  })
}
