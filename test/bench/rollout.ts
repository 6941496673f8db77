/**
 * A staged rollout to a simulated fleet: real agents' updates over the real protocol against a real hub in a process of its
 * own, which is killed in the middle. A part of the transfers is cut midway, and messages get lost. Shorter looks and
 * deadlines than a fleet would have, so that it ends while one waits.
 * `npm run bench -- rollout [--boxes N] [--seed N] [--no-kill]`
 */
import { parseArgs } from 'node:util'
import { runRollout } from '../fleet/rollout-run.ts'
import type { Bench } from './bench.ts'

/** What the issue asks for. */
const target = { minutes: 10, bytesOverIdeal: 1.05 }

export const bench: Bench = async ({ args, signal }) => {
  const { values } = parseArgs({
    args,
    options: {
      boxes: { type: 'string', default: '2000' },
      seed: { type: 'string', default: String(Date.now() % 2 ** 31) },
      'cut-share': { type: 'string', default: '0.3' },
      'loss-share': { type: 'string', default: '0.02' },
      'no-kill': { type: 'boolean', default: false },
    },
  })
  const seed = Number(values.seed)
  console.error(`rollout: seed ${seed}`)
  const figures = await runRollout({
    boxes: Number(values.boxes),
    seed,
    signal,
    kill: !values['no-kill'],
    cutShare: Number(values['cut-share']),
    lossShare: Number(values['loss-share']),
    say: (text) => console.error(text),
  })
  const reached =
    figures.committed === figures.boxes &&
    figures.seconds <= target.minutes * 60 &&
    figures.bytesOverIdeal <= target.bytesOverIdeal
  const rows = [
    ['rollout, from the first offer to the end', 's, ≤ 600', figures.seconds],
    ['boxes that run it in the end', 'of all', `${figures.committed} / ${figures.boxes}`],
    ['bytes of artifacts that came to boxes, over the ideal', '≤ 1.05', figures.bytesOverIdeal],
    ['the ideal: the smallest encoding, once for each box', 'MB', figures.idealMb],
    ['everything that came by HTTPS, with TLS, metadata and manifests', 'MB', figures.wireMb],
    ['as whole compressed files', 'MB', figures.wholeMb],
    ['transfers that were cut', 'count', figures.cuts],
    ['messages that were lost', 'of all', `${figures.messagesLost} / ${figures.messages}`],
    ['the hub was away, when it was killed', 's', figures.awaySeconds],
    ['memory of the hub, most', 'RSS MB', figures.hubRssMb],
  ] as const
  return {
    name: 'rollout',
    rows: rows.map(([what, figure, value]) => ({ what, figure, value })),
    json: { seed, target, reached, ...figures },
  }
}
