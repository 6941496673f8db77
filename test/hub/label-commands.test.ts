/** `./edgeloop label …` against a real hub: a queue is made, filled, answered by a script, and its figures are shown. */
import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import type { LabelQueueRow, LabelTask, QueueStatistics } from '@edgeloop/protocol'
import { needs } from '../require.ts'
import { runCommand } from './command.ts'
import { addDataset } from './dataset-parts.ts'
import { openTestHub } from './fixture.ts'

test('a script labels what waits', { timeout: 180_000, ...needs('time') }, async (t) => {
  const hub = await openTestHub(t)
  await addDataset(hub, 'set', 3)
  const folder = await mkdtemp(join(tmpdir(), 'edgeloop-label-'))
  t.after(() => rm(folder, { recursive: true }))
  const run = async (...words: string[]) => {
    const { code, stdout, stderr } = await runCommand(hub, 'label', ...words)
    const lines = stdout
      .trim()
      .split('\n')
      .filter((line) => line !== '')
    return { code, stderr, lines, last: lines.at(-1) ?? '' }
  }
  const without = await run('queue', 'put', 'parts')
  assert.deepEqual([without.code, /without --dataset/.test(without.stderr)], [2, true])
  const made = await run('queue', 'put', 'parts', '--dataset', 'set', '--kind', 'box')
  assert.match(made.last, /^parts +set +0 +0 +0 +0 +0 +0/)
  const changed = await run('queue', 'put', 'parts', '--annotators', '2', '--json')
  const { config } = JSON.parse(changed.last) as LabelQueueRow
  assert.deepEqual(config, { dataset: 'set', models: [], kinds: ['box'], annotators: 2 })
  await run('queue', 'put', 'parts', '--annotators', '1')
  assert.match((await run('add', 'parts')).stderr, /say which samples/)
  assert.match((await run('add', 'parts', '--annotated', 'yes')).last, /3 tasks added/)

  const taken = await run('take', 'parts', '--count', '2', '--order', 'camera')
  const tasks = taken.lines.map((line) => JSON.parse(line) as LabelTask)
  assert.equal(tasks.length, 2)
  const file = join(folder, 'answers.jsonl')
  const lines = tasks.map(({ taskId, revision }, at) => ({
    taskId,
    revision,
    verdict: 'annotated',
    lookedMs: 2000,
    annotations: [{ kind: 'box', label: at === 0 ? 'nut' : 'nuts', box: [0, 0, 0.5, 0.5] }],
  }))
  await writeFile(file, lines.map((line) => JSON.stringify(line)).join('\n'))
  const answered = await run('answer', 'parts', file)
  assert.equal(answered.code, 1)
  assert.deepEqual(
    answered.lines.map((line) => (JSON.parse(line) as { outcome: string }).outcome),
    ['kept', 'refused'],
  )
  assert.match(answered.stderr, /1 of 2 answers/)
  const figures = await run('statistics', 'parts', '--json')
  assert.equal((JSON.parse(figures.last) as QueueStatistics).perMinute, 30)
  assert.match((await run('statistics', 'parts')).lines[0] ?? '', /1 answers, 30\.0 a minute/)
  assert.match((await run('queue', 'remove', 'parts')).stderr, /3 tasks go, 2 of them open/)
  assert.equal((await run('queue', 'remove', 'parts', '--yes')).code, 0)
  assert.match((await run('queue', 'show', 'parts')).stderr, /Cannot find the label queue "parts"/)
})
