/** The small form of `npm run bench -- fleet`: a hub that is killed under its agents gets all of them and all they told. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { measureFleet } from '../bench/fleet.ts'
import { needs } from '../require.ts'

test(
  'agents come back to a killed hub, and pages show what they tell',
  needs('chromium'),
  async (t) => {
    const seed = Date.now() % 2 ** 31
    t.diagnostic(`seed ${seed}`)
    const { signal } = t
    const figures = await measureFleet({ agents: 30, seconds: 2, intervalMs: 1000, seed, signal })
    t.diagnostic(JSON.stringify(figures))
    assert.ok(figures.told > 30 && figures.eventsOnScreen > 0)
    assert.deepEqual([figures.acknowledged, figures.stored], [figures.told, figures.told])
  },
)
