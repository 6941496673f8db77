/** `./edgeloop run …` and `train --dataset NAME` against a real hub. */
import assert from 'node:assert/strict'
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import type { Run, Search, TrainingSchedule } from '@edgeloop/protocol'
import { needs } from '../require.ts'
import { runCommand } from './command.ts'
import { addCorners, freeze, putCorners } from './corners.ts'
import { openTestHub } from './fixture.ts'

test('the hub trains for the command line, and gives what came out', {
  timeout: 240_000,
  ...needs('time'),
}, async (t) => {
  const hub = await openTestHub(t)
  const folder = await mkdtemp(join(tmpdir(), 'edgeloop-train-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  const run = async (...words: string[]) => {
    const { code, stdout, stderr } = await runCommand(hub, ...words)
    return { code, stderr, stdout, out: stdout.trim().split('\n').at(-1) ?? '' }
  }
  const small = ['steps=12', 'batch=16', 'threads=1', 'workers=1'].flatMap((one) => ['--set', one])
  const model = ['--model', 'new:mnist-cnn']
  const start = ['run', 'start', '--dataset', 'corners', ...model, '--as', 'corners', ...small]

  assert.match((await run(...start)).stderr, /Cannot find|never frozen/)
  await addCorners(hub)
  const odd = await run(...start, '--set', 'optimizer.lerningRate=1')
  assert.match(odd.stderr, /did you mean "learningRate"/)
  const watched = await run(...start, '--watch', '--json')
  assert.equal(watched.code, 0, watched.stderr)
  const first = JSON.parse(watched.out) as Run
  assert.deepEqual([first.state, first.result?.version], ['ended', 1])
  assert.match(watched.stderr, /step \d+ of 12|laying out|starting|running|keeping/)
  assert.match((await run('run', 'list')).out, /ended +corners/)
  const id = first.runId.slice(0, 8)
  assert.match((await run('run', 'show', id)).out, /corners\/1: the first champion/)
  assert.match((await run('run', 'pause', id)).stderr, /Cannot pause the run: it is ended/)
  assert.match((await run('run', 'show', 'zz')).stderr, /Cannot find run "zz"/)
  const card = join(folder, 'card.md')
  assert.equal((await run('run', 'fetch', id, '--part', 'card', '-o', card)).out, card)

  const out = join(folder, 'again')
  const asked = ['train', '--dataset', 'corners/1', '--model', 'corners', ...small, '--out', out]
  assert.match((await run(...asked, '--holdout', '0.5')).stderr, /Cannot take --holdout/)
  const trained = await run(...asked, '--epochs', '1', '--json')
  assert.equal(trained.code, 0, trained.stderr)
  const result = JSON.parse(trained.out) as { testAccuracy: number; version: string }
  assert.equal(result.version, 'corners/2')
  assert.ok(result.testAccuracy >= 0)
  assert.ok((await readdir(out)).includes('model.onnx'))

  const plan = join(folder, 'search.yaml')
  await writeFile(plan, 'method: grid\nkeys:\n  optimizer.learningRate: [1.0e-9, 0.003]\n')
  const searching = ['--dataset', 'corners', ...model, ...small]
  const alone = await run('run', 'search', 'start', plan, ...searching)
  assert.match(alone.stderr, /frozen without validation samples/)
  await putCorners(hub, 'corners', 40, 500)
  await freeze(hub, 'corners', { holdout: 0.25, validation: 0.25, seed: 1 })
  const found = join(folder, 'found')
  const best = await run('train', ...searching, '--search', plan, '--out', found, '--json')
  assert.equal(best.code, 0, best.stderr)
  assert.match((JSON.parse(best.out) as { version: string }).version, /^mnist-cnn\/1$/)
  assert.ok((await readdir(found)).includes('model.onnx'))
  const listed = await run('run', 'search', 'list', '--json')
  const { searchId } = JSON.parse(listed.out) as Search
  assert.match((await run('run', 'search', 'show', searchId.slice(0, 8))).stdout, /0\.003/)
  assert.match((await run('run', 'search', 'cancel', searchId)).stderr, /Cannot cancel the search/)
  assert.match((await run('run', 'search', 'remove', searchId)).out, /is removed/)
  assert.match((await run('run', 'search', 'show', searchId)).stderr, /Cannot find search/)

  const at = ['run', 'schedule', 'weekly', '--dataset', 'corners', '--model', 'corners']
  assert.match((await run(...at)).stderr, /when\?/)
  const set = await run(...at, '--at', '17 3 * * 1', '--json')
  assert.equal((JSON.parse(set.out) as TrainingSchedule).run.parent, 'corners')
  assert.match((await run('run', 'schedules')).out, /weekly +corners +corners/)
  assert.equal((await run('run', 'unschedule', 'weekly')).out, 'weekly is removed')
})
