/** Training in a hub, for real: a small net learns from a frozen dataset, is compared, resumed, and kept. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { copyFile, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import type {
  ModelVersion,
  ModelVersionDetail,
  Problem,
  Run,
  RunCurves,
  RunDetail,
  RunRequest,
  Search,
  SearchDetail,
  TrainerShown,
} from '@edgeloop/protocol'
import { startHub } from '../faults/hub-process.ts'
import { needs } from '../require.ts'
import { runCommand } from './command.ts'
import { addCorners, cornerLabels } from './corners.ts'
import { openTestHub, type TestHub } from './fixture.ts'

const wide = { timeout: 240_000 }

async function json<T>(hub: TestHub, method: string, path: string, body?: unknown): Promise<T> {
  const reply = await hub.api(method, path, body)
  const text = await reply.text()
  assert.ok(reply.ok, `${method} ${path}: ${reply.status} ${text}`)
  return (text === '' ? undefined : JSON.parse(text)) as T
}

async function refusal(hub: TestHub, method: string, path: string, body?: unknown) {
  const reply = await hub.api(method, path, body)
  const { code, detail } = (await reply.json()) as Problem
  return { status: reply.status, code, detail }
}

const request = (more: Partial<RunRequest> = {}): RunRequest => ({
  dataset: { name: 'corners', version: 1 },
  parent: 'new:mnist-cnn',
  model: 'corners',
  recipe: { steps: 12, batch: 16, threads: 1, workers: 1, checkpointEvery: 4, evaluateEvery: 6 },
  ...more,
})

async function until(
  t: TestContext,
  hub: TestHub,
  runId: string,
  is: (run: Run) => boolean,
): Promise<RunDetail> {
  let detail: RunDetail | undefined
  const look = async () => {
    detail = await json<RunDetail>(hub, 'GET', `/api/runs/${runId}`)
    const { run } = detail
    assert.ok(is(run), `${run.state} ${run.phase} ${run.step}/${run.steps} ${run.error}`)
  }
  await t.waitFor(look, { interval: 100, timeout: 120_000 })
  return detail ?? assert.fail()
}

const ended = (t: TestContext, hub: TestHub, runId: string) =>
  until(t, hub, runId, ({ state }) => !['queued', 'running'].includes(state))

test(
  'a run becomes a model version with its lineage, the champion where it is not worse',
  wide,
  async (t) => {
    const hub = await openTestHub(t)
    const frozen = await addCorners(hub)
    const { runId } = await json<Run>(hub, 'POST', '/api/runs', request({ note: 'first' }))
    const { run, evaluations, files, log, checkpoint, recipe } = await ended(t, hub, runId)
    assert.deepEqual([run.state, run.error], ['ended', ''], JSON.stringify(log, null, 1))
    assert.deepEqual([run.step, run.steps, run.result?.version], [12, 12, 1])
    assert.equal(run.result?.champion, true)
    assert.equal(recipe.batch, 16)
    assert.deepEqual(files.map(({ kind }) => kind).sort(), ['card', 'data', 'model', 'report'])
    assert.equal(checkpoint, null, 'of a run that has ended none is kept')
    assert.ok(evaluations.some(({ on }) => on === 'test'))
    const curves = await json<RunCurves>(hub, 'GET', `/api/runs/${runId}/curves`)
    assert.ok(curves.curves.some(({ name, steps }) => name === 'loss' && steps.length >= 2))

    const { model } = await json<ModelVersionDetail>(hub, 'GET', '/api/models/corners/1')
    assert.equal(model.champion, true)
    assert.equal(model.lineage?.runId, runId)
    assert.deepEqual(model.lineage?.dataset, { name: 'corners', version: 1, digest: frozen.digest })
    assert.deepEqual([model.note, model.labels.length], ['first', 4])
    assert.ok((model.lineage?.figures.accuracy ?? 0) >= 0)
    const file = await hub.api('GET', `/api/runs/${runId}/files/model`)
    const bytes = Buffer.from(await file.arrayBuffer())
    assert.equal(createHash('sha256').update(bytes).digest('hex'), model.digest)
    const report = await hub.api('GET', `/api/runs/${runId}/report`)
    assert.match(
      report.headers.get('content-security-policy') ?? '',
      /^sandbox; default-src 'none'/,
    )
    assert.match(await report.text(), /<svg/)

    // What cannot be asked for is refused with the reason.
    const refused = async (more: Partial<RunRequest>) =>
      (await refusal(hub, 'POST', '/api/runs', request(more))).detail
    assert.match(await refused({ recipe: { batchs: 3 } }), /no key "batchs"; did you mean "batch"/)
    assert.match(await refused({ parent: 'new:mnist-cn' }), /mnist-cnn/)
    assert.match(await refused({ dataset: { name: 'corners', version: 9 } }), /version 9/)
    assert.equal((await refusal(hub, 'POST', '/api/runs', { parent: '../x' })).status, 400)
  },
)

test('what a run measured is measured again from the command line, on the hub’s own test part', {
  ...wide,
  ...needs('time'),
}, async (t) => {
  const hub = await openTestHub(t)
  await addCorners(hub)
  const { runId } = await json<Run>(hub, 'POST', '/api/runs', request())
  const { evaluations } = await ended(t, hub, runId)
  const measured = evaluations.find(({ on }) => on === 'test')?.figures.accuracy
  assert.ok(measured !== undefined)
  const folder = await mkdtemp(join(tmpdir(), 'edgeloop-evaluate-'))
  t.after(() => rm(folder, { recursive: true }))
  const file = join(folder, 'corners.onnx')
  const reply = await hub.api('GET', `/api/runs/${runId}/files/model`)
  await writeFile(file, Buffer.from(await reply.arrayBuffer()))
  const labels = join(folder, 'labels.txt')
  await writeFile(labels, cornerLabels.join('\n'))
  const evaluate = (...words: string[]) =>
    runCommand(
      ...([hub, 'model', 'evaluate', file, '--layout', 'classifier', '--labels', labels] as const),
      ...words,
    )
  const test = await evaluate('--dataset', 'corners', '--json')
  assert.equal(test.code, 0, test.stderr)
  const report = JSON.parse(test.stdout) as { samples: number; figures: { accuracy: number } }
  assert.ok(Math.abs(report.figures.accuracy - measured) < 1e-9, `${measured} ${test.stdout}`)
  const all = await evaluate('--dataset', 'corners@1', '--part', 'all', '--json')
  assert.ok(JSON.parse(all.stdout).samples > report.samples, all.stdout)
  const none = await evaluate('--dataset', 'corners@7')
  assert.deepEqual([none.code, /no frozen version 7/.test(none.stderr)], [1, true], none.stderr)
  assert.equal((await evaluate()).code, 2)
})

test('who is trained further is compared with the champion on the same samples; who is worse stays a candidate', {
  ...wide,
  ...needs('time'),
}, async (t) => {
  const hub = await openTestHub(t)
  await addCorners(hub)
  const first = await json<Run>(hub, 'POST', '/api/runs', request())
  await ended(t, hub, first.runId)
  const { model } = await json<ModelVersionDetail>(hub, 'GET', '/api/models/corners/1')

  // Trained further from the champion: it is compared on the same test samples.
  const next = request({ parent: 'corners/1', recipe: { ...request().recipe, steps: 24 } })
  const second = await json<Run>(hub, 'POST', '/api/runs', next)
  const after = await ended(t, hub, second.runId)
  assert.equal(after.run.error, '', JSON.stringify(after.log, null, 1))
  const versions = await json<ModelVersion[]>(hub, 'GET', '/api/models/corners')
  assert.equal(versions.length, 2)
  assert.equal(versions[0]?.lineage?.parentDigest, model.digest)
  assert.match(versions[0]?.standing ?? '', /on the same test samples, the champion \(version 1\)/)

  // One that has learned nothing loses, and stays a candidate.
  const lazy = request({ recipe: { ...request().recipe, optimizer: { learningRate: 1e-9 } } })
  const third = await json<Run>(hub, 'POST', '/api/runs', lazy)
  const loser = await ended(t, hub, third.runId)
  assert.equal(loser.run.error, '', JSON.stringify(loser.log, null, 1))
  assert.equal(loser.run.result?.champion, false)
  assert.match(loser.run.result?.why ?? '', /^worse: accuracy/)
  const champions = (await json<ModelVersion[]>(hub, 'GET', '/api/models/corners')).filter(
    (one) => one.champion,
  )
  assert.equal(champions.length, 1)
  assert.notEqual(champions[0]?.version, 3)
})

/** Slow enough to be caught in the middle. */
const long = {
  steps: 300,
  batch: 16,
  threads: 1,
  workers: 1,
  checkpointEvery: 20,
  evaluateEvery: 100,
}

test('a run goes on from its checkpoint, after a pause and after its hub was killed, and ends with the same bytes', {
  ...wide,
  ...needs('time'),
}, async (t) => {
  const hub = await openTestHub(t)
  await addCorners(hub)
  const ask = (model: string) =>
    json<Run>(hub, 'POST', '/api/runs', request({ model, recipe: long, seed: 7 }))
  const whole = await ended(t, hub, (await ask('whole')).runId)
  assert.equal(whole.run.error, '')
  const digestOf = async (model: string) =>
    (await json<ModelVersion[]>(hub, 'GET', `/api/models/${model}`))[0]?.digest

  // A person pauses it.
  const { runId } = await ask('broken')
  await until(t, hub, runId, ({ step }) => step >= 20)
  const asked = await json<Run>(hub, 'POST', `/api/runs/${runId}/pause`)
  assert.equal(asked.asked, 'pause')
  const paused = await ended(t, hub, runId)
  assert.equal(paused.run.state, 'paused')
  assert.ok(paused.run.step > 0 && paused.run.step < 300, `paused at ${paused.run.step}`)
  assert.equal(paused.checkpoint?.step, paused.run.step)
  await json(hub, 'POST', `/api/runs/${runId}/resume`)
  // A step further: until then nobody has taken it up again, and its hub would close before that counts.
  await until(t, hub, runId, ({ step, state }) => state === 'running' && step > paused.run.step)

  // Its hub closes in order, and another process takes it up.
  await hub.close()
  const other = await startHub({
    dataDir: hub.dataDir,
    training: true,
    config: { store: hub.store },
  })
  t.after(() => other[Symbol.asyncDispose]())
  let killedAt = 0
  await t.waitFor(
    async () => {
      const { run, checkpoint } = await other.api<RunDetail>('GET', `/api/runs/${runId}`)
      killedAt = checkpoint?.step ?? 0
      // The hub that closed wrote a checkpoint as well: the other one has to have taken it up.
      assert.ok(run.resumed >= 2 && killedAt > paused.run.step, `${run.state} ${run.step}`)
    },
    { interval: 20, timeout: 60_000 },
  )
  await other.kill()
  await hub.reopen()
  const broken = await json<RunDetail>(hub, 'GET', `/api/runs/${runId}`)
  assert.equal(broken.run.state, 'running', 'its lease has not ended yet')
  // As if the 30 s of its lease had passed.
  await hub.inStore(({ writer }) =>
    writer
      .updateTable('job')
      .set({ lease_until: 0 })
      .where('subject', '=', `run/${runId}`)
      .where('state', '=', 'running')
      .execute(),
  )
  const after = await ended(t, hub, runId)
  assert.equal(after.run.error, '', JSON.stringify(after.log, null, 1))
  assert.ok(after.run.resumed >= 3, `${after.run.resumed} times`)
  assert.equal(await digestOf('broken'), await digestOf('whole'))
  const curves = (id: string) => json<RunCurves>(hub, 'GET', `/api/runs/${id}/curves`)
  const loss = ({ curves }: RunCurves) => curves.find(({ name }) => name === 'loss')
  const [one, two] = [loss(await curves(whole.run.runId)), loss(await curves(runId))]
  // Words come at times; where both have one it is the same.
  const known = new Map(one?.steps.map((step, i) => [step, one.values[i]]))
  const shared = two?.steps.flatMap((step, i) => (known.has(step) ? [[step, i] as const] : []))
  for (const [step, i] of shared ?? []) assert.equal(two?.values[i], known.get(step), `${step}`)
  assert.deepEqual(two?.steps, [...new Set(two?.steps)], 'no step twice')
})

test('a search trains each candidate once although its hub is killed, and the best becomes a version', {
  ...wide,
  ...needs('time'),
}, async (t) => {
  const hub = await openTestHub(t)
  await addCorners(hub, 'corners', 120, { holdout: 0.25, validation: 0.25, seed: 1 })
  const rate = 'optimizer.learningRate'
  const plan = { method: 'grid', keys: { [rate]: [1e-9, 0.003, 1e-8] } }
  const asked = { run: request({ recipe: { ...request().recipe, steps: 40 } }), plan }
  const { searchId } = await json<Search>(hub, 'POST', '/api/searches', asked)
  const untilSearch = async (is: (search: Search) => boolean): Promise<SearchDetail> => {
    let detail: SearchDetail | undefined
    const look = async () => {
      detail = await json<SearchDetail>(hub, 'GET', `/api/searches/${searchId}`)
      assert.ok(is(detail.search), `${detail.search.state} ${detail.search.ended}`)
    }
    await t.waitFor(look, { interval: 100, timeout: 120_000 })
    return detail ?? assert.fail()
  }
  await untilSearch(({ ended }) => ended >= 1)
  await hub.close()
  await hub.reopen()
  const { search, trials } = await untilSearch(
    ({ state }) => !['running', 'keeping'].includes(state),
  )
  assert.deepEqual([search.state, search.error, search.ended], ['ended', '', 3])
  assert.equal(trials[0]?.settings[rate], 0.003, JSON.stringify(trials))
  const runs = await json<Run[]>(hub, 'GET', '/api/runs')
  assert.deepEqual(
    runs.map((run) => run.searchId),
    [searchId, searchId, searchId],
  )
  assert.deepEqual(
    runs.map(({ state }) => state),
    ['ended', 'ended', 'ended'],
  )
  assert.equal(runs.filter(({ result }) => result !== null).length, 1)
  const versions = await json<ModelVersion[]>(hub, 'GET', '/api/models/corners')
  assert.deepEqual(
    versions.map(({ version, lineage }) => [version, lineage?.runId]),
    [[1, trials[0]?.runId]],
  )
  // What is registered is the trial, and no training of its own.
  const { log, checkpoint } = await json<RunDetail>(hub, 'GET', `/api/runs/${trials[0]?.runId}`)
  assert.ok(
    log.some(({ text }) => /Goes on after step 40 of 40/.test(text)),
    JSON.stringify(log),
  )
  assert.equal(checkpoint, null)
})

test('a run follows a teacher of the hub, and its version says whom', {
  ...wide,
  ...needs('time'),
}, async (t) => {
  const hub = await openTestHub(t)
  await addCorners(hub)
  const large = await json<Run>(hub, 'POST', '/api/runs', request({ model: 'teacher' }))
  await ended(t, hub, large.runId)
  const detailOf = (name: string) => json<ModelVersionDetail>(hub, 'GET', `/api/models/${name}/1`)
  const recipe = { ...request().recipe, compress: { distill: 0.5 } }
  const student = request({ parent: 'teacher/1', model: 'student', teacher: 'teacher/1', recipe })
  const refused = async (more: Partial<RunRequest>) =>
    (await refusal(hub, 'POST', '/api/runs', { ...student, ...more })).detail
  assert.match(await refused({ recipe: {} }), /compress\.distill is 0/)
  assert.match(await refused({ teacher: 'teacher/7' }), /teacher/)
  const { runId, teacher } = await json<Run>(hub, 'POST', '/api/runs', student)
  assert.equal(teacher, 'teacher/1')
  const { run, log } = await ended(t, hub, runId)
  assert.deepEqual([run.state, run.error], ['ended', ''], JSON.stringify(log, null, 1))
  const { digest } = (await detailOf('teacher')).model
  const { lineage } = (await detailOf('student')).model
  assert.deepEqual(lineage?.teacher, { name: 'teacher/1', digest })
})

/** What a trainer of others does: it gives the model back as it began, and asks to be started again the first time. */
const trainerScript = `
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
const folder = dirname(process.argv.at(-1))
const order = JSON.parse(readFileSync(process.argv.at(-1), 'utf8'))
const out = (name, bytes) => writeFileSync(join(folder, order.output, name), bytes)
const again = existsSync(join(folder, order.output, 'begun'))
out('begun', 'yes')
if (!again) process.exit(75)
out('metrics.jsonl', JSON.stringify({ step: 3, steps: 3, loss: 0.5 }) + '\\n')
out('model.onnx', readFileSync(join(folder, 'start.onnx')))
out('result.json', JSON.stringify({ contract: 1, trainer: 'parrot 1', steps: 3, seconds: 1 }))
`

test('an external trainer takes the steps of a run that asks for it, and goes on in its folder; without one it is refused', {
  ...wide,
  ...needs('time'),
}, async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'edgeloop-external-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  const script = join(folder, 'trainer.mjs')
  await writeFile(script, trainerScript)
  const command = [process.execPath, script]
  const hub = await openTestHub(t, {}, Date.now, {
    externalTrainer: { kind: 'command', command },
  })
  await addCorners(hub, 'corners', 120, { holdout: 0.25, validation: 0.25, seed: 1 })
  const asked = request({ external: true, recipe: { steps: 3 } })
  const compress = { compress: { quantize: true } }
  const refused = async (path: string, body: unknown) =>
    (await refusal(hub, 'POST', path, body)).detail
  assert.match(await refused('/api/runs', { ...asked, recipe: compress }), /Cannot compress with/)
  assert.match(await refused('/api/runs', { ...asked, replay: 1 }), /Cannot replay/)
  const plan = { method: 'grid', keys: { batch: [8] } }
  assert.match(await refused('/api/searches', { run: asked, plan }), /Cannot search with an ext/)
  const { runId } = await json<Run>(hub, 'POST', '/api/runs', asked)
  const paused = await ended(t, hub, runId)
  assert.deepEqual([paused.run.state, paused.run.external], ['paused', true], paused.run.error)
  await json(hub, 'POST', `/api/runs/${runId}/resume`)
  const { run, log } = await ended(t, hub, runId)
  assert.deepEqual([run.state, run.error], ['ended', ''], JSON.stringify(log, null, 1))
  const { model } = await json<ModelVersionDetail>(hub, 'GET', '/api/models/corners/1')
  assert.equal(model.lineage?.external, true)
  const left = async () =>
    assert.deepEqual(await readdir(join(hub.dataDir, 'external-runs')), [], 'its folder goes')
  await t.waitFor(left, { timeout: 60_000 })
  const { external } = await json<TrainerShown>(hub, 'GET', '/api/trainer')
  assert.equal(external, 'command')

  const other = await openTestHub(t)
  await addCorners(other)
  const { code, detail } = await refusal(other, 'POST', '/api/runs', asked)
  assert.equal(code, 'badRequest')
  assert.match(detail ?? '', /this hub was started without one; .*--external-trainer/)
})

test('for a Kubernetes Job the order is written with its manifest, and the run takes what it left', {
  ...wide,
  ...needs('time'),
}, async (t) => {
  const hub = await openTestHub(t, {}, Date.now, {
    externalTrainer: {
      kind: 'job',
      image: 'registry/trainer:1',
      claim: 'training',
      path: 'runs',
      cpus: 4,
    },
  })
  await addCorners(hub)
  const asked = request({ external: true, recipe: { steps: 3 } })
  const { runId } = await json<Run>(hub, 'POST', '/api/runs', asked)
  const ordered = await ended(t, hub, runId)
  assert.deepEqual([ordered.run.state, ordered.run.error], ['paused', ''])
  assert.ok(
    ordered.log.some(({ text }) => /kubectl apply -f/.test(text)),
    JSON.stringify(ordered.log),
  )
  const place = join(hub.dataDir, 'external-runs', runId, 'external')
  const manifest = await readFile(join(place, 'job.yaml'), 'utf8')
  assert.match(manifest, new RegExp(`subPath: runs/${runId}`))
  // What the Job would leave.
  await copyFile(join(place, 'start.onnx'), join(place, 'output', 'model.onnx'))
  const result = { contract: 1, trainer: 'parrot 1', steps: 3, seconds: 1 }
  await writeFile(join(place, 'output', 'result.json'), JSON.stringify(result))
  await json(hub, 'POST', `/api/runs/${runId}/resume`)
  const { run } = await ended(t, hub, runId)
  assert.deepEqual([run.state, run.error, run.result?.version], ['ended', '', 1])
})

test('a run ends when somebody cancels it, or when it takes too much; one waits for the other', {
  ...wide,
  ...needs('time'),
}, async (t) => {
  const hub = await openTestHub(t)
  await addCorners(hub)
  const endless = { ...long, steps: 1_000_000 }
  const first = await json<Run>(hub, 'POST', '/api/runs', request({ recipe: endless }))
  const second = await json<Run>(hub, 'POST', '/api/runs', request())
  await until(t, hub, first.runId, ({ step }) => step > 0)
  const waiting = await json<RunDetail>(hub, 'GET', `/api/runs/${second.runId}`)
  assert.deepEqual([waiting.run.state, waiting.before], ['queued', 1])
  assert.equal((await refusal(hub, 'DELETE', `/api/runs/${first.runId}`)).code, 'conflict')
  await json(hub, 'POST', `/api/runs/${first.runId}/cancel`)
  assert.equal((await ended(t, hub, first.runId)).run.state, 'cancelled')
  assert.equal((await ended(t, hub, second.runId)).run.state, 'ended')
  const small = { ...long, memoryMibMax: 64, batch: 120 }
  const third = await json<Run>(hub, 'POST', '/api/runs', request({ recipe: small }))
  const { run, log } = await ended(t, hub, third.runId)
  assert.deepEqual([run.state, log.at(-1)?.level], ['failed', 'error'])
  assert.match(run.error, /it would take about \d+ MiB, allowed are 64/)
  const gone = await hub.api('DELETE', `/api/runs/${third.runId}`)
  assert.equal(gone.status, 204)
  assert.equal((await refusal(hub, 'GET', `/api/runs/${third.runId}`)).code, 'notFound')
})
