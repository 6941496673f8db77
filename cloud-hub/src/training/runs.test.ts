/** Runs on every store: asked for, gone on with, paused, ended by others, and what they said. */
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { type TrainProgress, trialPlanner } from '@edgeloop/model-compiler/train'
import { Refusal, type Run, type RunPoints, type RunRequest } from '@edgeloop/protocol'
import { pino } from 'pino'
import { type StoreKind, storeKinds } from '../../../test/stores.ts'
import { openAudit } from '../audit/audit.ts'
import { openFolderBlobs } from '../blobs/folder-blobs.ts'
import { openVersionDesk } from '../datasets/versions.ts'
import { openJobQueue } from '../jobs/jobs.ts'
import { openModelDesk } from '../models/models.ts'
import { openUploads } from '../uploads/uploads.ts'
import { checkpointsKept } from './run-record.ts'
import { openRunDesk, type RunDesk } from './runs.ts'

const refusal = (code: string) => (error: unknown) =>
  error instanceof Refusal && error.code === code

async function openDesk(t: TestContext, kind: StoreKind) {
  const store = await kind.open(t)
  const folder = await mkdtemp(join(tmpdir(), 'edgeloop-runs-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  let now = 1_000_000
  const clock = () => now
  const audit = openAudit({ store, log: pino({ level: 'silent' }), clock })
  const note = () =>
    audit.begin({ actor: 'ada', via: 'session', action: 'runs', target: '', address: '::1' })
  const files = await openFolderBlobs(join(folder, 'files'))
  let desk: RunDesk | undefined
  const queue = openJobQueue({ store, clock, tell: (job) => void desk?.heard(job) })
  const uploads = await openUploads({ folder: join(folder, 'uploads'), clock })
  t.after(() => uploads[Symbol.asyncDispose]())
  const models = openModelDesk({
    store,
    files,
    uploads,
    queue,
    clock,
    compiler: undefined,
    queued: () => {},
    changed: () => {},
  })
  const versions = openVersionDesk({ store, files, clock, changed: () => {} })
  const told: Run[] = []
  const points: RunPoints[] = []
  const runs = openRunDesk({
    store,
    files,
    queue,
    models,
    clock,
    datasets: versions,
    trainer: {
      builders: ['lenet'],
      recipe: { batch: 64 },
      codeVersion: '1.2.3',
      check: ({ recipe }) => {
        if ('batches' in (recipe as object)) throw new Error('there is no key "batches"')
      },
      trials: trialPlanner,
      external: '',
      train: () => assert.fail('nothing is trained here'),
      compare: () => assert.fail('nothing is compared here'),
      describe: () => assert.fail('nothing is described here'),
      described: () => assert.fail('nothing is described here'),
    },
    queued: () => {},
    tell: (run, some) => {
      told.push(run)
      if (some) points.push(some)
    },
    removed: () => {},
  })
  desk = runs
  // What a run stands on: a dataset with two folds.
  await store.writer
    .insertInto('dataset')
    .values({
      name: 'digits',
      description: '',
      labels: '["0","1"]',
      revision: 1,
      inspection: '',
      author: 'ada',
      created_at: 1,
      changed_at: 1,
    })
    .execute()
  await versions.keep({
    dataset: 'digits',
    revision: 1,
    list: Buffer.from('{"labels":["0","1"]}\n'),
    samples: 2,
    splits: { folds: ['te', 'et'] },
    asked: { folds: 2 },
    labels: ['0', '1'],
    inspection: '',
    note: '',
    by: 'ada',
  })
  const request: RunRequest = {
    dataset: { name: 'digits', version: 1 },
    parent: 'new:lenet?width=0.5',
    recipe: { batch: 8 },
  }
  const add = async (more: Partial<RunRequest> = {}, schedule?: string) => {
    now++
    return await runs.add(
      { ...request, ...more },
      'ada',
      note(),
      schedule === undefined ? {} : { schedule },
    )
  }
  const take = async (worker = 'w') => {
    const taken = await queue.take(worker, ['train'])
    if (!taken) assert.fail('no job waits')
    const runId = taken.job.subject.replace('run/', '')
    return { record: await runs.begin(runId, taken.job.jobId), jobId: taken.job.jobId, runId }
  }
  const written = async () => (await audit.list({})).entries.length
  const pass = (ms: number): void => {
    now += ms
  }
  return { store, files, queue, runs, models, told, points, add, take, note, written, pass, folder }
}

for (const kind of storeKinds) {
  test(`${kind.name}: a run is checked before it waits for its turn`, kind.needs, async (t) => {
    const { runs, add, written, queue } = await openDesk(t, kind)
    await assert.rejects(add({ recipe: { batches: 8 } }), /no key "batches"/)
    await assert.rejects(add({ recipe: { note: 'x'.repeat(20_000) } }), /characters/)
    await assert.rejects(add({ dataset: { name: 'digits', version: 2 } }), refusal('notFound'))
    await assert.rejects(add({ fold: 2 }), /fold/)
    await assert.rejects(add({ parent: 'parts/3' }), refusal('notFound'))
    assert.deepEqual(await runs.list({}), [])
    const first = await add({ fold: 1, seed: 7, note: 'week 47' })
    assert.deepEqual(
      [first.state, first.model, first.parent, first.fold, first.seed, first.codeVersion],
      ['queued', 'lenet', 'new:lenet?width=0.5', 1, 7, '1.2.3'],
    )
    assert.match(first.dataset.digest, /^[0-9a-f]{64}$/)
    const second = await add({ model: 'other' })
    assert.equal((await runs.show(second.runId)).before, 1)
    assert.deepEqual(
      (await runs.list({ model: 'other' })).map(({ runId }) => runId),
      [second.runId],
    )
    assert.equal((await queue.list(`run/${first.runId}`)).length, 1)
    assert.equal(await written(), 2)
  })

  test(
    `${kind.name}: what a run says is kept, once, also when it goes on from a checkpoint`,
    kind.needs,
    async (t) => {
      const { runs, add, take, points, pass } = await openDesk(t, kind)
      const { runId } = await add()
      const { record } = await take()
      const started: TrainProgress = {
        kind: 'started',
        steps: 1000,
        step: 0,
        stepsPerEpoch: 100,
        batch: 8,
        parameters: 10,
        trainable: 10,
        memoryBytes: 1e6,
        samples: { train: 1, validation: 0, test: 1 },
      }
      const step = (at: number, loss = 1 / at): TrainProgress => ({
        kind: 'step',
        step: at,
        steps: 1000,
        epoch: at / 100,
        loss,
        terms: { box: loss },
        learningRate: 0.1,
        imagesPerSecond: 50,
        dataWaitShare: 0,
        outsideShare: 0,
        etaMs: 1000,
      })
      record.hear(started)
      for (let at = 1; at <= 700; at++) record.hear(step(at, at === 333 ? 99 : 1 / at))
      record.hear({
        kind: 'evaluation',
        step: 700,
        best: true,
        on: 'validation',
        figures: { accuracy: 0.7, loss: Number.NaN },
      })
      record.hear({ kind: 'warning', text: 'few samples' })
      pass(5000)
      assert.equal(await record.flush(), '')
      const { run, evaluations, log } = await runs.show(runId)
      assert.deepEqual(
        [run.state, run.step, run.steps, run.key?.value, run.activeMs, run.etaMs],
        ['running', 700, 1000, 0.7, 5000, 1000],
      )
      assert.deepEqual(evaluations[0]?.figures, { accuracy: 0.7 })
      assert.equal(log.at(-1)?.text, 'few samples')
      assert.ok((points.at(-1)?.points.length ?? 0) <= 51, 'open pages are told the newest only')
      const whole = await runs.curves(runId, {})
      assert.equal(whole.points, 700)
      assert.deepEqual(whole.curves.map(({ name }) => name).sort(), [
        ...['dataWaitShare', 'imagesPerSecond', 'learningRate', 'loss', 'loss: box'],
        'validation: accuracy',
      ])
      const thin = await runs.curves(runId, { points: 20 })
      const loss = thin.curves.find(({ name }) => name === 'loss') ?? assert.fail()
      assert.ok(loss.steps.length <= 20 && loss.values.includes(99), 'a spike stays')
      const part = await runs.curves(runId, { from: 600, to: 650 })
      assert.equal(part.curves.find(({ name }) => name === 'loss')?.steps.length, 51)

      // Its hub dies; the next one goes on from step 650.
      pass(60_000)
      const again = await take('another')
      again.record.hear({ ...started, step: 650 })
      for (let at = 651; at <= 710; at++) again.record.hear(step(at, 1 / at))
      await again.record.flush()
      const after = await runs.curves(runId, {})
      assert.equal(after.points, 710)
      const steps = after.curves.find(({ name }) => name === 'loss')?.steps ?? []
      assert.deepEqual(
        steps,
        Array.from({ length: 710 }, (_, i) => i + 1),
      )
    },
  )

  test(`${kind.name}: checkpoints give way to newer ones`, kind.needs, async (t) => {
    const { runs, add, take, files, folder, store } = await openDesk(t, kind)
    const { runId } = await add()
    const { record } = await take()
    assert.equal(await record.checkpoint(), undefined)
    const [file, identity] = [join(folder, 'one'), join(folder, 'other')]
    for (let step = 1; step <= checkpointsKept + 2; step++) {
      await writeFile(file, `weights after ${step}`)
      await writeFile(identity, 'the same run')
      await record.keepCheckpoint(step, { checkpoint: file, identity, words: file })
    }
    const last = checkpointsKept + 2
    assert.equal((await runs.show(runId)).checkpoint?.step, last)
    const rows = await store.writer.selectFrom('run_file').selectAll().execute()
    assert.equal(rows.length, 3 * checkpointsKept)
    const newest = await record.checkpoint()
    assert.equal(Buffer.from(newest?.parts.checkpoint ?? []).toString(), `weights after ${last}`)
    // Where it was lost, the one before it is as good.
    await files.remove(rows.find(({ step }) => step === last)?.digest ?? '')
    assert.equal((await record.checkpoint())?.step, last - 1)
  })

  test(
    `${kind.name}: a run is paused where it runs, resumed, and cancelled`,
    kind.needs,
    async (t) => {
      const { runs, add, take, note, queue } = await openDesk(t, kind)
      const { runId } = await add()
      assert.equal((await runs.pause(runId, note())).state, 'paused')
      assert.equal(await queue.take('w', ['train']), undefined, 'nothing waits any more')
      assert.equal((await runs.resume(runId, 'bob', note())).state, 'queued')
      const { record, jobId } = await take()
      assert.equal((await runs.pause(runId, note())).asked, 'pause')
      assert.equal(await record.flush(), 'pause')
      await record.paused()
      await queue.finish(jobId, 'w', { state: 'done' })
      assert.deepEqual(
        [(await runs.show(runId)).run.state, (await runs.show(runId)).run.asked],
        ['paused', ''],
      )
      await assert.rejects(runs.pause(runId, note()), refusal('conflict'))
      await runs.resume(runId, 'bob', note())
      const { jobId: second } = await take()
      assert.equal((await runs.cancel(runId, note())).asked, 'cancel')
      assert.equal(await queue.report(second, 'w', { progress: 0, step: '' }), 'cancelled')
      await queue.finish(second, 'w', { state: 'cancelled' })
      await t.waitFor(async () => assert.equal((await runs.show(runId)).run.state, 'cancelled'))
      await assert.rejects(runs.cancel(runId, note()), refusal('conflict'))
      await assert.rejects(runs.cancel(randomUUID(), note()), refusal('notFound'))
    },
  )

  test(
    `${kind.name}: a run whose job fails or is given up says why, also to a hub that did not hear it`,
    kind.needs,
    async (t) => {
      const { runs, add, take, note, queue, pass, store } = await openDesk(t, kind)
      const { runId } = await add()
      const { jobId } = await take()
      await queue.finish(jobId, 'w', { state: 'failed', error: 'Cannot train: NaN in step 12' })
      await t.waitFor(async () => {
        const { run } = await runs.show(runId)
        assert.deepEqual([run.state, run.error], ['failed', 'Cannot train: NaN in step 12'])
      })
      await runs.resume(runId, 'ada', note())
      await take('dies')
      pass(60_000)
      await take('dies too')
      // Another hub gives the job up, and dies before it says so.
      await store.writer
        .updateTable('job')
        .set({ state: 'failed', error: 'Its hub died 2 times while it ran', ended_at: 5 })
        .where('subject', '=', `run/${runId}`)
        .execute()
      assert.equal((await runs.show(runId)).run.state, 'running')
      await runs.settle()
      const { run } = await runs.show(runId)
      assert.deepEqual([run.state, run.error], ['failed', 'Its hub died 2 times while it ran'])
    },
  )

  test(
    `${kind.name}: a run goes with all its files, and none of another's`,
    kind.needs,
    async (t) => {
      const { runs, add, take, note, queue, folder, files, store } = await openDesk(t, kind)
      const file = join(folder, 'report')
      await writeFile(file, 'the same report')
      const ids: string[] = []
      for (const worker of ['a', 'b']) {
        ids.push((await add()).runId)
        const { record, jobId } = await take(worker)
        await record.keep('report', file)
        await assert.rejects(runs.remove(ids.at(-1) ?? '', note()), refusal('conflict'))
        await queue.finish(jobId, worker, { state: 'failed', error: 'enough' })
        await t.waitFor(async () =>
          assert.equal((await runs.show(ids.at(-1) ?? '')).run.state, 'failed'),
        )
      }
      const [first = '', second = ''] = ids
      const digest = (await runs.show(first)).files[0]?.digest ?? ''
      await runs.remove(first, note())
      await assert.rejects(runs.show(first), refusal('notFound'))
      assert.equal(Buffer.from(await runs.file(second, 'report')).toString(), 'the same report')
      await runs.remove(second, note())
      assert.equal(await files.read(digest), undefined)
      for (const table of ['run', 'run_file', 'run_curve', 'run_evaluation'] as const) {
        assert.deepEqual(await store.writer.selectFrom(table).selectAll().execute(), [])
      }
    },
  )

  test(
    `${kind.name}: one champion of a name, promoted and demoted by people`,
    kind.needs,
    async (t) => {
      const { models, store, note, written } = await openDesk(t, kind)
      const row = (version: number) => ({
        name: 'parts',
        version,
        layout: 'yolox',
        labels: '[]',
        description: '',
        note: '',
        digest: String(version).repeat(64),
        size_bytes: 1,
        author: 'ada',
        created_at: version,
        inspection: JSON.stringify({
          inputs: [],
          outputs: [],
          opset: 18,
          parameters: 1,
          macs: null,
          operators: {},
          warnings: [],
        }),
      })
      await store.writer
        .insertInto('model_version')
        .values([1, 2, 3].map((version) => ({ ...row(version), champion: version === 1 ? 1 : 0 })))
        .execute()
      assert.equal((await models.promote('parts', 3, 'ada', note())).champion, true)
      await assert.rejects(models.promote('parts', 3, 'ada', note()), refusal('conflict'))
      await assert.rejects(models.demote('parts', 1, 'ada', note()), refusal('conflict'))
      await assert.rejects(models.promote('parts', 4, 'ada', note()), refusal('notFound'))
      const versions = await models.versions('parts')
      assert.deepEqual(
        versions.map(({ version, champion, standing }) => [version, champion, standing]),
        [
          [3, true, 'promoted by ada'],
          [2, false, ''],
          [1, false, 'ada promoted version 3'],
        ],
      )
      await models.demote('parts', 3, 'bob', note())
      assert.equal(await models.champion('parts'), undefined)
      assert.equal(await written(), 2)
      // Two at once would be an error of the store.
      await assert.rejects(
        store.writer.updateTable('model_version').set({ champion: 1 }).execute(),
        /unique/i,
      )
    },
  )
}
