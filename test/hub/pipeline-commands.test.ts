/** `./edgeloop pipeline …` against a real hub: set, looked at, begun, stuck, done again, cancelled and removed. */
import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import type { PipelineDryRun, PipelineRound, PipelineRow } from '@edgeloop/protocol'
import { needs } from '../require.ts'
import { runCommand } from './command.ts'
import { cornerLabels, putCorners } from './corners.ts'
import { openTestHub } from './fixture.ts'

const file = `dataset: corners
trigger: { annotations: 40 }
freeze: { holdout: 0.3, validation: 0 }
train: { from: "new:mnist-cnn", recipe: { steps: 8, batch: 16 } }
compile: null
rollout: null
retries: 0
`

test('a pipeline is set, looked at, begun, and what it cannot do is done again by hand', {
  timeout: 300_000,
  ...needs('time'),
}, async (t) => {
  const hub = await openTestHub(t)
  const folder = await mkdtemp(join(tmpdir(), 'edgeloop-pipeline-'))
  t.after(() => rm(folder, { recursive: true }))
  const run = async (...words: string[]) => {
    const { code, stdout, stderr } = await runCommand(hub, 'pipeline', ...words)
    return { code, out: stdout.trim(), stderr }
  }
  const good = async (...words: string[]): Promise<string> => {
    const { code, out, stderr } = await run(...words)
    assert.equal(code, 0, `${words.join(' ')}: ${stderr}`)
    return out
  }
  const json = async <T>(...words: string[]): Promise<T> =>
    JSON.parse((await good(...words, '--json')).split('\n').at(-1) ?? '') as T

  assert.match((await run('list')).stderr, /There are no pipelines yet.*pipeline put MODEL FILE/)
  const at = join(folder, 'corners.yaml')
  await writeFile(at, file)
  const without = await run('put', 'corners', at)
  assert.deepEqual([without.code, /dataset "corners"/.test(without.stderr)], [1, true])
  await hub.api('POST', '/api/datasets', { name: 'corners', labels: [...cornerLabels] })
  await putCorners(hub, 'corners', 1)

  // What is mistyped is named with what was meant: a flag, a key of the file, a step.
  const flag = await run('list', '--jsn')
  assert.equal(flag.code, 2)
  assert.match(flag.stderr, /unknown option '--jsn'[\s\S]*--json/)
  const odd = join(folder, 'odd.yaml')
  await writeFile(odd, file.replace('retries', 'retrys'))
  const key = await run('put', 'corners', odd)
  assert.deepEqual([key.code, /did you mean "retries"/.test(key.stderr)], [1, true])
  await writeFile(odd, '- a list')
  assert.match((await run('put', 'corners', odd)).stderr, /not a list of names and values/)
  assert.match((await run('put', 'corners', join(folder, 'no.yaml'))).stderr, /no such file/)
  const step = await run('retry', 'corners', '--step', 'trian')
  assert.equal(step.code, 2)
  assert.match(step.stderr, /freeze, train, gate, compile, publish, rollout/)

  assert.match(await good('put', 'corners', at), /is set\. Waits: 1 of 40 new annotations$/)
  const [row] = [await json<PipelineRow>('show', 'corners')]
  assert.deepEqual([row.model, row.state, row.rounds, row.last], ['corners', 'waiting', 0, null])
  assert.match(await good('list'), /^MODEL +STATE[^\n]*\ncorners +waiting +0 +none yet +1 +Waits/)
  assert.match(await good('show', 'corners'), /^corners on corners: waiting\n.*1 of 40/)
  const dry = await json<PipelineDryRun>('dry-run', 'corners')
  assert.deepEqual([dry.begins, dry.steps.length], [false, 6])
  const told = await good('dry-run', 'corners')
  assert.match(told, /^None begins: Waits: 1 of 40 new annotations\n/)
  assert.match(told, /\n {2}train +Trains new:mnist-cnn\n/)
  assert.match((await run('history', 'corners')).stderr, /has had no round yet/)
  assert.match((await run('cancel', 'corners')).stderr, /has had none[\s\S]*pipeline run corners/)
  assert.match((await run('show', 'corner')).stderr, /Cannot find the pipeline/)

  // One sample cannot be split: it is told as it goes, and where it is stuck.
  const watched = await run('run', 'corners', '--watch', '--json')
  assert.equal(watched.code, 1)
  const stuck = JSON.parse(watched.out) as PipelineRound
  assert.deepEqual([stuck.round, stuck.state], [1, 'parked'])
  assert.match(watched.stderr, /^freeze +failed +.*nothing is left for test/m)
  assert.match(await good('show', 'corners'), /: stuck\n[\s\S]*Round 1, parked: Asked for by local/)
  assert.match((await run('run', 'corners')).stderr, /round 1 is not over/)
  const early = await run('retry', 'corners', '--step', 'gate')
  assert.match(early.stderr, /it has not come to "gate" yet/)
  await json('retry', 'corners', '--step', 'freeze')
  await t.waitFor(
    async () => assert.equal((await json<PipelineRow>('show', 'corners')).last?.state, 'parked'),
    { interval: 500, timeout: 60_000 },
  )
  assert.match(await good('cancel', 'corners'), /corners: round 1 is cancelled: Cancelled by local/)
  assert.match(await good('history', 'corners'), /\n +1 +cancelled .*Cancelled by local$/)
  assert.match(await good('park', 'corners'), /^corners is parked\./)
  assert.equal((await run('run', 'corners')).code, 1)
  assert.equal((await json<PipelineRow>('resume', 'corners')).state, 'waiting')
  assert.match((await run('skip-wait', 'corners')).stderr, /waits for no time/)
  assert.match((await run('approve', 'corners')).stderr, /it waits for nobody/)
  assert.match(await good('remove', 'corners'), /is removed; what its rounds made stays$/)
  assert.equal((await run('show', 'corners')).code, 1)
})
