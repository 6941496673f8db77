/** The bench of sampling without its trainings: what is chosen of a drifted belt that the demo's detector looks at. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { demoModel } from '../../edge-agent/src/demo/demo-model.ts'
import { needs } from '../require.ts'
import { bench } from './sampling.ts'

const seed = 31

test('chosen frames show more different parts than as many at random', {
  ...needs('time'),
  timeout: 240_000,
}, async (t) => {
  const what = ['--drift', 'light', '--seconds', '240', '--labels', '8', '--steps', '0']
  const args = [...what, '--base', demoModel.file, '--seeds', '1', '--from', String(seed)]
  const { json } = await bench({ args, signal: t.signal })
  const runs = json.runs as readonly Readonly<Record<string, number | string>>[]
  const mean = (how: string, key: string) => {
    const some = runs.filter((run) => run.how === how)
    return some.reduce((sum, run) => sum + Number(run[key]), 0) / some.length
  }
  const [ours, random] = [mean('ours', 'distinct'), mean('random', 'distinct')]
  const text = `${ours} different parts in ${mean('ours', 'labels')} chosen frames, ${random} at random, seed ${seed}`
  t.diagnostic(text)
  assert.ok(mean('ours', 'labels') >= 6 && ours > random, text)
  // Not by keeping more of them, and not by larger ones.
  assert.ok(mean('ours', 'labels') <= 8 && mean('ours', 'bytes') < 1.2 * mean('random', 'bytes'))
})
