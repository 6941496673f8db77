/**
 * False stops of good models, and where bad ones are stopped, in simulated rollouts with the hub's own decisions and the
 * boxes' own judgement, on frames that were measured (test/fleet/live-quality.jsonl).
 * `npm run bench -- rollout-gates [--rollouts N] [--seed N]`
 */
import { parseArgs } from 'node:util'
import { candidates, fleetOf200, gateFigures } from '../fleet/gate-figures.ts'
import type { Bench } from './bench.ts'

export const bench: Bench = async ({ args, signal }) => {
  const { values } = parseArgs({
    args,
    options: {
      rollouts: { type: 'string', default: '300' },
      seed: { type: 'string', default: String(Date.now() % 2 ** 31) },
    },
  })
  const seed = Number(values.seed)
  console.error(`rollout-gates: seed ${seed}`)
  const figures = []
  for (const candidate of candidates()) {
    signal.throwIfAborted()
    // What is bad ends soon, and the same way.
    const rollouts = Math.ceil(Number(values.rollouts) / (candidate.good ? 1 : 3))
    figures.push(gateFigures(candidate, { rollouts, seed, stageSizes: fleetOf200 }))
    console.error(`${candidate.what}: done`)
  }
  return {
    name: 'rollout-gates',
    rows: figures.map((one) => ({
      candidate: one.what,
      good: one.good ? 'yes' : 'no',
      rollouts: one.rollouts,
      complete: one.complete,
      stopped: one.stopped,
      'in the canary': one.stoppedInCanary,
      held: one.held,
      'boxes that had it, at most': one.touchedMost,
      'that kept it': one.leftMost,
      'refused by boxes': Object.entries(one.refusals)
        .map(([code, times]) => `${code} ${((times / one.updates) * 100).toFixed(2)} %`)
        .join(', '),
    })),
    json: { seed, stageSizes: fleetOf200, figures },
  }
}
