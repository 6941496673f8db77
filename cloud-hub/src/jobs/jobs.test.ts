/** The queue of long work, on every store, and the worker on it. */
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { isOver, type Job, Refusal } from '@edgeloop/protocol'
import { pino } from 'pino'
import { type StoreKind, storeKinds } from '../../../test/stores.ts'
import { openAudit } from '../audit/audit.ts'
import { type JobAct, openJobWorker } from './job-worker.ts'
import { attemptsMax, keptMax, leaseMs, openJobQueue, queuedMax } from './jobs.ts'

async function openQueue(t: TestContext, kind: StoreKind) {
  const store = await kind.open(t)
  let now = 1_000_000
  const told: Job[] = []
  const audit = openAudit({ store, log: pino({ level: 'silent' }), clock: () => now })
  const note = () =>
    audit.begin({ actor: 'ada', via: 'session', action: 'jobs', target: '', address: '::1' })
  const written = async () => (await audit.list({})).entries.length
  const queue = openJobQueue({ store, clock: () => now, tell: (job) => told.push(job) })
  const add = (subject: string, request: unknown = {}) => {
    now++
    return queue.add({ kind: 'compile', subject, request, by: 'ada' }, note())
  }
  const pass = (ms: number): void => {
    now += ms
  }
  return { store, queue, told, note, written, add, pass }
}

for (const kind of storeKinds) {
  test(
    `${kind.name}: jobs are taken in their order, each by one worker, and end`,
    kind.needs,
    async (t) => {
      const { queue, told, add, written } = await openQueue(t, kind)
      const first = await add('yolo/1', { target: 'x' })
      const second = await add('yolo/2')
      assert.deepEqual([first.state, first.by, first.progress], ['queued', 'ada', 0])
      assert.equal(await written(), 2)
      const taken = await Promise.all([
        queue.take('a', ['compile']),
        queue.take('b', ['compile']),
        queue.take('c', ['compile']),
      ])
      const ids = taken.flatMap((one) => one?.job.jobId ?? [])
      assert.deepEqual(ids.toSorted(), [first.jobId, second.jobId].toSorted())
      const mine = taken.find((one) => one?.job.jobId === first.jobId)!
      assert.deepEqual([mine.request, mine.job.attempts], [{ target: 'x' }, 1])
      const worker = ['a', 'b', 'c'][taken.indexOf(mine)]!
      assert.equal(await queue.report(first.jobId, worker, { progress: 0.5, step: 'half' }), 'go')
      assert.equal(await queue.report(first.jobId, 'another', { progress: 1, step: '' }), 'lost')
      assert.deepEqual(told.at(-1), { ...mine.job, progress: 0.5, step: 'half' })
      await queue.finish(first.jobId, 'another', { state: 'failed' })
      assert.equal((await queue.get(first.jobId)).state, 'running', 'only its worker ends it')
      assert.equal(await queue.isOpen('yolo/1'), true)
      await queue.finish(first.jobId, worker, { state: 'done' })
      const done = await queue.get(first.jobId)
      assert.deepEqual([done.state, done.progress, isOver(done)], ['done', 1, true])
      assert.equal(await queue.isOpen('yolo/1'), false)
      assert.deepEqual(
        (await queue.list()).map(({ jobId }) => jobId),
        [second.jobId, first.jobId],
      )
      assert.deepEqual(
        (await queue.list('yolo/1')).map(({ subject }) => subject),
        ['yolo/1'],
      )
    },
  )

  test(
    `${kind.name}: a job whose worker vanished is begun once more, then given up`,
    kind.needs,
    async (t) => {
      const { queue, add, pass } = await openQueue(t, kind)
      const { jobId } = await add('yolo/1')
      for (let attempt = 1; attempt <= attemptsMax; attempt++) {
        const taken = await queue.take(`worker ${attempt}`, ['compile'])
        assert.equal(taken?.job.attempts, attempt)
        pass(leaseMs - 1)
        assert.equal(await queue.take('early', ['compile']), undefined)
        assert.equal(
          await queue.report(jobId, `worker ${attempt}`, { progress: 0.1, step: '' }),
          'go',
        )
        pass(leaseMs + 1)
      }
      assert.equal(await queue.take('late', ['compile']), undefined)
      const given = await queue.get(jobId)
      assert.equal(given.state, 'failed')
      assert.match(given.error, /died 2 times/)
      assert.equal(await queue.report(jobId, 'worker 2', { progress: 1, step: '' }), 'lost')
    },
  )

  test(
    `${kind.name}: a job that keeps what it has done is begun as often as it must`,
    kind.needs,
    async (t) => {
      const { queue, add, pass } = await openQueue(t, kind)
      const { jobId } = await add('yolo/1')
      for (let attempt = 1; attempt <= attemptsMax + 2; attempt++) {
        const taken = await queue.take(`worker ${attempt}`, ['compile'])
        assert.equal(taken?.job.attempts, Math.min(attempt, 2))
        await queue.kept(jobId, 'another')
        assert.equal((await queue.get(jobId)).attempts, Math.min(attempt, 2), 'only its worker')
        await queue.kept(jobId, `worker ${attempt}`)
        pass(leaseMs + 1)
      }
    },
  )

  test(`${kind.name}: what is released is as if it had not begun`, kind.needs, async (t) => {
    const { queue, add } = await openQueue(t, kind)
    const { jobId } = await add('yolo/1')
    await queue.take('a', ['compile'])
    await queue.release(jobId, 'a')
    const again = await queue.take('b', ['compile'])
    assert.deepEqual([again?.job.jobId, again?.job.attempts], [jobId, 1])
  })

  test(
    `${kind.name}: a job that waits is cancelled at once, one that runs is asked, one that is over is not`,
    kind.needs,
    async (t) => {
      const { queue, add, note, written } = await openQueue(t, kind)
      const waits = await add('yolo/1')
      assert.equal((await queue.cancel(waits.jobId, note())).state, 'cancelled')
      const runs = await add('yolo/2')
      await queue.take('a', ['compile'])
      const asked = await queue.cancel(runs.jobId, note())
      assert.deepEqual([asked.state, asked.cancelling], ['running', true])
      assert.equal(await written(), 4)
      assert.equal(await queue.report(runs.jobId, 'a', { progress: 0, step: '' }), 'cancelled')
      await queue.finish(runs.jobId, 'a', { state: 'cancelled' })
      const refusal = (code: string) => (error: unknown) =>
        error instanceof Refusal && error.code === code
      await assert.rejects(queue.cancel(runs.jobId, note()), refusal('conflict'))
      await assert.rejects(queue.cancel(randomUUID(), note()), refusal('notFound'))
      await assert.rejects(queue.get(randomUUID()), refusal('notFound'))
    },
  )

  test(`${kind.name}: queue and memory are bounded`, kind.needs, async (t) => {
    const { store, queue, add } = await openQueue(t, kind)
    for (let i = 0; i < queuedMax; i++) await add(`yolo/${i + 1}`)
    await assert.rejects(add('yolo/101'), /100 jobs wait already/)
    const row = (i: number) => ({
      job_id: randomUUID(),
      kind: 'compile',
      subject: 'old/1',
      request: '{}',
      state: 'done',
      progress: 1,
      step: '',
      error: '',
      cancelling: 0,
      attempts: 1,
      worker: 'x',
      lease_until: 0,
      author: 'ada',
      created_at: i,
      started_at: i,
      ended_at: i,
    })
    for (let from = 0; from < keptMax + 20; from += 100) {
      const rows = Array.from({ length: 100 }, (_, i) => row(from + i))
      await store.writer.insertInto('job').values(rows).execute()
    }
    const taken = await queue.take('a', ['compile'])
    await queue.finish(taken!.job.jobId, 'a', { state: 'done' })
    const { count } = await store.writer
      .selectFrom('job')
      .select(({ fn }) => fn.countAll<number>().as('count'))
      .where('state', '=', 'done')
      .executeTakeFirstOrThrow()
    assert.equal(Number(count), keptMax)
    assert.equal((await queue.list()).length, 200)
  })
}

test('a worker does one job after the other, says how far it is, and hears that it should end', async (t) => {
  const { queue, add, note } = await openQueue(t, storeKinds[0]!)
  const began: string[] = []
  const reasons: unknown[] = []
  const act: JobAct = async ({ job }, progress, signal) => {
    began.push(job.subject)
    if (job.subject === 'bad/1') throw new Error('Cannot compile: no picture')
    progress(0.4, 'search')
    if (job.subject === 'long/1')
      await sleep(60_000, undefined, { signal }).catch(() => {
        reasons.push(signal.reason)
        throw new Error('ended')
      })
  }
  const failures: unknown[] = []
  const bad = await add('bad/1')
  const good = await add('good/1')
  const long = await add('long/1')
  const open = () =>
    openJobWorker({ queue, acts: { compile: act }, failed: (error) => failures.push(error) })
  const stateOf = async (job: Job) => (await queue.get(job.jobId)).state
  const until = async (job: Job, state: string) => {
    const check = async () => assert.equal(await stateOf(job), state)
    await t.waitFor(check, { interval: 20, timeout: 20_000 })
  }
  {
    await using _worker = open()
    await until(good, 'done')
    assert.equal(await stateOf(bad), 'failed')
    assert.equal((await queue.get(bad.jobId)).error, 'Cannot compile: no picture')
    await t.waitFor(async () => assert.equal((await queue.get(long.jobId)).step, 'search'), {
      interval: 20,
      timeout: 20_000,
    })
  }
  assert.equal(await stateOf(long), 'queued', 'the hub closed')
  await using worker = open()
  await until(long, 'running')
  await queue.cancel(long.jobId, note())
  await until(long, 'cancelled')
  // A hub that sleeps until the next look is woken.
  await sleep(50)
  const late = await add('good/2')
  worker.wake()
  await until(late, 'done')
  assert.deepEqual(began, ['bad/1', 'good/1', 'long/1', 'long/1', 'good/2'])
  assert.deepEqual(reasons, ['closing', 'cancelled'])
  assert.deepEqual(failures, [])
})
