/** `./edgeloop infer …` against a real hub. */
import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import type { InferenceBatch, InferenceResult } from '@edgeloop/protocol'
import { needs } from '../require.ts'
import { runCommand } from './command.ts'
import { addDataset } from './dataset-parts.ts'
import { demoModel, demoModelFile, demoPictures, uploadTo } from './demo-model.ts'
import { openTestHub } from './fixture.ts'

test('a model of the hub is asked about pictures from the command line', {
  timeout: 400_000,
  ...needs('time'),
}, async (t) => {
  const hub = await openTestHub(t, { inference: { timeoutMs: 200_000 } })
  const folder = await mkdtemp(join(tmpdir(), 'edgeloop-infer-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  const run = (...words: string[]) => runCommand(hub, 'infer', ...words)

  const nothing = await run('parts')
  assert.equal(nothing.code, 2)
  assert.match(nothing.stderr, /name a model, and either images, --dataset or --device/)
  assert.match((await run('parts', folder)).stderr, /no file there ends in/)
  for (const [at, bytes] of (await demoPictures(3)).entries()) {
    await writeFile(join(folder, `${at}.jpg`), bytes)
  }
  assert.match((await run('parts', folder)).stderr, /Cannot find the model "parts"/)
  const uploadId = await uploadTo(hub, await readFile(demoModelFile))
  await hub.api('POST', '/api/models', { name: 'parts', uploadId, ...demoModel })

  const asked = await run('parts', folder)
  assert.equal(asked.code, 0, asked.stderr)
  assert.match(asked.stdout, /^PICTURE +LABEL +SCORE +BOX/)
  assert.match(asked.stdout, /\n0\.jpg +\w+ +[01]\.\d\d +[01]\.\d{3} /)
  assert.match(asked.stderr, /3 of 3 pictures/)
  // The same again is the same batch, and nothing is sent or computed.
  const again = await run('parts', folder, '--json')
  const lines = again.stdout.trim().split('\n')
  const batch = JSON.parse(lines.at(-1) ?? '') as InferenceBatch
  assert.deepEqual([batch.state, batch.pictures, batch.cached], ['done', 3, 0])
  const first = JSON.parse(lines[0] ?? '') as InferenceResult & { source: string }
  assert.equal(first.source, '0.jpg')
  assert.doesNotMatch(again.stderr, /pictures sent/)

  await addDataset(hub, 'line', 2)
  const named = await run('parts@1', '--dataset', 'line', '--task', 'night-7')
  assert.equal(named.code, 0, named.stderr)
  const other = await run('parts@1', join(folder, '0.jpg'), '--task', 'night-7')
  assert.equal(other.code, 1)
  assert.match(other.stderr, /"night-7" stands for another batch/)
  assert.match((await run('parts@x', folder)).stderr, /"x" is no number/)
  assert.match((await run('list')).stdout, /night-7 +parts@1 +done +2\/2/)
  assert.match((await run('show', 'night-7')).stdout, /parts@1, done, 100 %, 2 of 2 pictures/)
  assert.match((await run('results', 'night-7')).stdout, /0\.png/)
  assert.match((await run('cancel', 'night-7')).stderr, /it is done already/)
  assert.equal((await run('remove', 'night-7')).stdout.trim(), 'Batch night-7 is removed')
  assert.match((await run('show', 'night-7')).stderr, /Cannot find the batch "night-7"/)
})
