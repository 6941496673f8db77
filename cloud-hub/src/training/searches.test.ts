/** Searches on every store: what is begun, what comes of it, and what a hub that dies leaves to the next one. */
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { trialPlanner } from '@edgeloop/model-compiler/train'
import { Refusal, type Run, type SearchPlan, type SearchRequest } from '@edgeloop/protocol'
import { pino } from 'pino'
import { type StoreKind, storeKinds } from '../../../test/stores.ts'
import { openAudit } from '../audit/audit.ts'
import { openFolderBlobs } from '../blobs/folder-blobs.ts'
import { openVersionDesk } from '../datasets/versions.ts'
import { openJobQueue } from '../jobs/jobs.ts'
import { openModelDesk } from '../models/models.ts'
import { openUploads } from '../uploads/uploads.ts'
import { dropCheckpoints } from './run-record.ts'
import { openRunDesk } from './runs.ts'
import { openSearches, openTrialsMax, type SearchDesk } from './searches.ts'
import type { Trainer } from './trainer.ts'

const refusal = (code: string) => (error: unknown) =>
  error instanceof Refusal && error.code === code

const trainer: Trainer = {
  builders: ['lenet'],
  recipe: { batch: 64 },
  codeVersion: '1.2.3',
  trials: trialPlanner,
  external: '',
  check: () => {},
  train: () => assert.fail('nothing is trained here'),
  compare: () => assert.fail('nothing is compared here'),
  describe: () => assert.fail('nothing is described here'),
  described: () => assert.fail('nothing is described here'),
}

/** However busy the machine is. */
const soon = <T>(t: TestContext, look: () => Promise<T>): Promise<T> =>
  t.waitFor(look, { timeout: 60_000 }) as Promise<T>

const plan: SearchPlan = { method: 'grid', keys: { batch: [8, 16, 32] } }

async function openDesk(t: TestContext, kind: StoreKind) {
  const store = await kind.open(t)
  const folder = await mkdtemp(join(tmpdir(), 'edgeloop-searches-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  let now = 1_000_000
  // No two things happen at once.
  const clock = () => now++
  const audit = openAudit({ store, log: pino({ level: 'silent' }), clock })
  const note = () =>
    audit.begin({ actor: 'ada', via: 'session', action: 'searches', target: '', address: '::1' })
  const files = await openFolderBlobs(join(folder, 'files'))
  const queue = openJobQueue({ store, clock, tell: () => {} })
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
  const keep = (revision: number, folds: readonly string[]) =>
    versions.keep({
      dataset: 'digits',
      revision,
      samples: 3,
      splits: { folds },
      asked: {},
      list: Buffer.from(`{"labels":["0","${revision}"]}\n`),
      labels: ['0', '1'],
      inspection: '',
      note: '',
      by: 'ada',
    })
  await keep(1, ['tve'])
  await store.writer.updateTable('dataset').set({ revision: 2 }).execute()
  await keep(2, ['tte'])
  const failures: unknown[] = []
  let desk: SearchDesk | undefined
  const runs = openRunDesk({
    store,
    files,
    queue,
    models,
    clock,
    trainer,
    datasets: versions,
    queued: () => {},
    removed: () => {},
    tell: (run) => desk?.heard(run),
  })
  /** What a hub begins with; the one before is gone, without having been told to end. */
  const openHub = () => {
    desk = openSearches({
      store,
      runs,
      trainer,
      clock,
      datasets: versions,
      tell: () => {},
      removed: () => {},
      dropCheckpoints: (runId) => dropCheckpoints({ store, files }, runId, 0),
      failed: (error) => failures.push(error),
    })
    const opened = desk
    t.after(() => opened[Symbol.asyncDispose]())
    return opened
  }
  const request = (more: Partial<SearchRequest['run']> = {}): SearchRequest => ({
    plan,
    run: {
      dataset: { name: 'digits', version: 1 },
      parent: 'new:lenet',
      model: 'digits',
      recipe: { batch: 4, epochs: 2 },
      ...more,
    },
  })
  /** Works on the next run as the trainer would: it comes to a figure, or to nothing. */
  const work = async (accuracy: number | undefined) => {
    now += 1000
    const taken = await queue.take('w', ['train'])
    if (!taken) assert.fail('no run waits')
    const runId = taken.job.subject.replace('run/', '')
    const record = await runs.begin(runId, taken.job.jobId)
    if (accuracy === undefined) {
      await queue.finish(taken.job.jobId, 'w', { state: 'failed', error: 'NaN in step 3' })
    } else {
      if (record.row.keeps === 0) await record.tried({ figures: { accuracy }, seconds: 2 })
      else {
        const result = { version: 1, champion: true, why: 'the first' }
        await store.writer
          .transaction()
          .execute((tx) => record.ended(tx, { result, figures: { accuracy }, recipe: {} }))
      }
      await queue.finish(taken.job.jobId, 'w', { state: 'done' })
    }
    await runs.settle()
    const { run } = await runs.show(runId)
    desk?.heard(run)
    return { runId, row: record.row }
  }
  const waiting = async (): Promise<Run[]> => await runs.list({ state: 'queued' })
  const written = async () => (await audit.list({})).entries.length
  return { store, queue, runs, openHub, request, work, note, waiting, written, failures }
}

for (const kind of storeKinds) {
  test(
    `${kind.name}: a search runs each trial once, across the death of its hub, and keeps the best once`,
    kind.needs,
    async (t) => {
      const { openHub, request, work, note, waiting, written, failures, runs, store } =
        await openDesk(t, kind)
      const first = openHub()
      const { searchId, trials, state } = await first.add(request(), 'ada', note())
      assert.deepEqual([trials, state], [3, 'running'])
      assert.equal(await written(), 1, 'one entry, whatever the number of trials')
      await soon(t, async () => assert.equal((await waiting()).length, openTrialsMax))
      const one = await work(0.5)
      assert.equal(JSON.parse(one.row.recipe).epochs, 2, 'the rest of the recipe is that of all')
      await soon(t, async () => assert.equal((await first.show(searchId)).trials.length, 3))
      assert.deepEqual((await first.show(searchId)).search.best, { trial: '1-1', value: 0.5 })

      // Its hub dies; the next one finds the table.
      const second = openHub()
      second.begin()
      await work(0.9)
      await work(0.7)
      await soon(t, async () => assert.equal((await second.show(searchId)).search.state, 'keeping'))
      const kept = await soon(t, async () => {
        const [run, ...others] = await waiting()
        assert.equal(others.length, 0)
        return run ?? assert.fail('the best waits to be kept')
      })
      const { trials: table } = await second.show(searchId)
      assert.deepEqual(
        table.map(({ trial, value }) => [trial, value]),
        [
          ['2-1', 0.9],
          ['3-1', 0.7],
          ['1-1', 0.5],
        ],
      )
      assert.equal(kept.runId, table[0]?.runId)
      const { row } = await work(0.9)
      assert.deepEqual([row.keeps, row.share], [1, 1])
      await soon(t, async () => assert.equal((await second.show(searchId)).search.state, 'ended'))
      const { search } = await second.show(searchId)
      assert.deepEqual([search.result?.version, search.ended, search.error], [1, 3, ''])
      assert.equal((await runs.list({})).length, 3, 'none was begun twice')
      await assert.rejects(second.cancel(searchId, note()), refusal('conflict'))
      await second.remove(searchId, note())
      assert.deepEqual(await runs.list({}), [])
      for (const name of ['run_search', 'run_trial'] as const) {
        assert.deepEqual(await store.writer.selectFrom(name).selectAll().execute(), [])
      }
      assert.deepEqual(failures, [])
    },
  )

  test(
    `${kind.name}: halving gives the best more epochs, and goes on without what failed`,
    kind.needs,
    async (t) => {
      const { openHub, request, work, note, waiting } = await openDesk(t, kind)
      const desk = openHub()
      const halving: SearchPlan = {
        method: 'halving',
        trials: 4,
        factor: 2,
        keys: { 'optimizer.learningRate': { from: 0.001, to: 0.1, scale: 'log' } },
      }
      const asked = { ...request(), plan: halving }
      const { searchId, trials } = await desk.add(asked, 'ada', note())
      assert.equal(trials, 4 + 2 + 1)
      const figures = [0.1, undefined, 0.3, 0.4, 0.6, 0.5, 0.8]
      const shares: number[] = []
      for (const figure of figures) {
        await soon(t, async () => assert.ok((await waiting()).length > 0))
        shares.push((await work(figure)).row.share)
      }
      assert.deepEqual(shares, [0.25, 0.25, 0.25, 0.25, 0.5, 0.5, 1])
      await soon(t, async () => assert.equal((await desk.show(searchId)).search.state, 'keeping'))
      const { search, trials: table } = await desk.show(searchId)
      assert.equal(search.best?.value, 0.8)
      assert.deepEqual([table.at(-1)?.failure, table.at(-1)?.value], ['NaN in step 3', null])
    },
  )

  test(
    `${kind.name}: a search ends as a whole when somebody cancels it, and when all trials fail alike`,
    kind.needs,
    async (t) => {
      const { openHub, request, work, note, waiting, runs, written } = await openDesk(t, kind)
      const desk = openHub()
      const { searchId } = await desk.add(request(), 'ada', note())
      await soon(t, async () => assert.equal((await waiting()).length, openTrialsMax))
      const [trial] = await waiting()
      await assert.rejects(runs.remove(trial?.runId ?? '', note()), refusal('conflict'))
      await assert.rejects(desk.remove(searchId, note()), refusal('conflict'))
      assert.equal((await desk.cancel(searchId, note())).state, 'cancelled')
      assert.deepEqual(await waiting(), [])
      assert.equal(await written(), 2)
      await assert.rejects(
        runs.resume(trial?.runId ?? '', 'ada', note()),
        /its search goes on without it/,
      )

      const other = await desk.add(request(), 'ada', note())
      for (let at = 0; at < 3; at++) {
        await soon(t, async () => assert.ok((await waiting()).length > 0))
        await work(undefined)
      }
      await soon(t, async () => {
        const { search } = await desk.show(other.searchId)
        assert.equal(search.state, 'failed')
        assert.match(search.error, /first 3 trials all fail; they say: NaN in step 3/)
      })
    },
  )

  test(
    `${kind.name}: what cannot be searched is refused before it begins`,
    kind.needs,
    async (t) => {
      const { openHub, request, note, runs, written } = await openDesk(t, kind)
      const desk = openHub()
      const refused = async (given: SearchRequest) => {
        const error = await desk.add(given, 'ada', note()).catch((cause: unknown) => cause)
        return error instanceof Refusal ? error.message : assert.fail(String(error))
      }
      assert.match(
        await refused({
          ...request(),
          plan: { method: 'grid', keys: { 'optimizer.lerningRate': [1] } },
        }),
        /lerningRate.*did you mean/,
      )
      assert.match(
        await refused({ ...request(), plan: { ...plan, metric: 'acuracy' } }),
        /no such figure; did you mean "accuracy"/,
      )
      assert.match(
        await refused(request({ dataset: { name: 'digits', version: 2 } })),
        /digits\/2: it was frozen without validation samples/,
      )
      assert.match(await refused(request({ parent: 'parts/3' })), /parts/)
      assert.match(await refused(request({ external: true })), /Cannot search with an external/)
      assert.match(await refused(request({ teacher: 'parts/3' })), /parts/)
      await assert.rejects(desk.show(randomUUID()), refusal('notFound'))
      await assert.rejects(desk.cancel(randomUUID(), note()), refusal('notFound'))
      await assert.rejects(desk.remove(randomUUID(), note()), refusal('notFound'))
      assert.deepEqual([await runs.list({}), await desk.list(), await written()], [[], [], 0])
    },
  )
}
