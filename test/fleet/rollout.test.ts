/** The small form of `npm run bench -- rollout`: cut transfers, lost messages and a killed hub, and all boxes have the model. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { runRollout } from './rollout-run.ts'

const boxes = 16

test('a fleet gets a model stage by stage, whatever is cut, lost or killed', async (t) => {
  const seed = Date.now() % 2 ** 31
  t.diagnostic(`seed ${seed}`)
  const figures = await runRollout({
    boxes,
    seed,
    kill: true,
    cutShare: 0.3,
    lossShare: 0.02,
    scale: 1,
    say: (text) => t.diagnostic(text),
    signal: t.signal,
  })
  t.diagnostic(JSON.stringify(figures))
  assert.deepEqual([figures.state, figures.committed, figures.running], ['complete', boxes, boxes])
  assert.ok(figures.awaySeconds > 0, 'the hub was killed')
  // What was there when a transfer was cut is not fetched again.
  assert.ok(figures.bytesOverIdeal >= 1 && figures.bytesOverIdeal <= 1.05)
})
