/**
 * The queue of long work, in the store: a job is taken under a lease that whoever works on it renews. Where a hub dies
 * its lease ends, and the job is begun once more; what has killed two hubs is given up.
 */
import { randomUUID } from 'node:crypto'
import { type Job, type JobState, Refusal } from '@edgeloop/protocol'
import type { Selectable } from 'kysely'
import type { AuditNote } from '../audit/audit.ts'
import type { Store } from '../store/store.ts'
import type { JobTable } from '../store/tables.ts'

export const leaseMs = 30_000
/** A job whose worker vanished is begun this often in all, or since its work was kept last. */
export const attemptsMax = 2
/** Jobs that wait at once. */
export const queuedMax = 100
const listedMax = 200
/** Jobs that are over and kept, the newest. */
export const keptMax = 1000
const errorCharactersMax = 4000

/** A job as its worker gets it. */
export type TakenJob = { readonly job: Job; readonly request: unknown }

export type JobQueue = {
  /**
   * @param given.jobId of whoever must know it before the job can be taken
   * @throws {Refusal} tooManyRequests when as many wait as may
   */
  add(
    given: { jobId?: string; kind: Job['kind']; subject: string; request: unknown; by: string },
    note: AuditNote,
  ): Promise<Job>
  list(subject?: string): Promise<Job[]>
  /** @throws {Refusal} notFound */
  get(jobId: string): Promise<Job>
  /** True while a job of this subject waits or runs. */
  isOpen(subject: string): Promise<boolean>
  /** Ends a job that waits; asks one that runs to end. @throws {Refusal} notFound, or conflict when it is over */
  cancel(jobId: string, note: AuditNote): Promise<Job>
  /** The oldest job of these kinds that waits, or whose worker has vanished; undefined when there is none. */
  take(worker: string, kinds: readonly Job['kind'][]): Promise<TakenJob | undefined>
  /** Says that what was done so far is kept: the job is not given up for hubs that died before. */
  kept(jobId: string, worker: string): Promise<void>
  /** Renews the lease and says how far it is. @returns what to do: `go` on, or end because it was `cancelled` or `lost` to another */
  report(
    jobId: string,
    worker: string,
    at: { progress: number; step: string },
  ): Promise<'go' | 'cancelled' | 'lost'>
  /** Ends a job of this worker. */
  finish(
    jobId: string,
    worker: string,
    end: { state: Exclude<JobState, 'queued' | 'running'>; error?: string },
  ): Promise<void>
  /** Puts a job back as if it had not been begun: the hub closes. */
  release(jobId: string, worker: string): Promise<void>
}

/** @param tell is told of every job that changed */
export function openJobQueue(deps: {
  store: Store
  clock: () => number
  tell: (job: Job) => void
}): JobQueue {
  const { store, clock, tell } = deps

  async function find(jobId: string): Promise<Selectable<JobTable>> {
    const row = await store.writer
      .selectFrom('job')
      .selectAll()
      .where('job_id', '=', jobId)
      .executeTakeFirst()
    if (row) return row
    throw new Refusal('notFound', `Cannot find job "${jobId}"`)
  }
  async function told(jobId: string): Promise<Job> {
    const job = jobOf(await find(jobId))
    tell(job)
    return job
  }
  const mine = (jobId: string, worker: string) =>
    store.writer
      .updateTable('job')
      .where('job_id', '=', jobId)
      .where('worker', '=', worker)
      .where('state', '=', 'running')

  return {
    add: async ({ jobId = randomUUID(), kind, subject, request, by }, note) => {
      await store.writer.transaction().execute(async (tx) => {
        const { waiting } = await tx
          .selectFrom('job')
          .select(({ fn }) => fn.countAll<number>().as('waiting'))
          .where('state', '=', 'queued')
          .executeTakeFirstOrThrow()
        if (Number(waiting) >= queuedMax) {
          throw new Refusal(
            'tooManyRequests',
            `Cannot queue this: ${queuedMax} jobs wait already; cancel some or come back later`,
          )
        }
        await tx
          .insertInto('job')
          .values({
            job_id: jobId,
            kind,
            subject,
            request: JSON.stringify(request),
            state: 'queued',
            progress: 0,
            step: '',
            error: '',
            cancelling: 0,
            attempts: 0,
            worker: '',
            lease_until: 0,
            author: by,
            created_at: clock(),
            started_at: null,
            ended_at: null,
          })
          .execute()
        await note.within(tx)
      })
      return await told(jobId)
    },
    list: async (subject) => {
      let query = store.reader.selectFrom('job').selectAll()
      if (subject !== undefined) query = query.where('subject', '=', subject)
      const rows = await query
        .orderBy('created_at', 'desc')
        .orderBy('job_id')
        .limit(listedMax)
        .execute()
      return rows.map(jobOf)
    },
    get: async (jobId) => jobOf(await find(jobId)),
    isOpen: async (subject) => {
      const row = await store.writer
        .selectFrom('job')
        .select('job_id')
        .where('subject', '=', subject)
        .where('state', 'in', ['queued', 'running'])
        .limit(1)
        .executeTakeFirst()
      return row !== undefined
    },
    cancel: async (jobId, note) => {
      await store.writer.transaction().execute(async (tx) => {
        const row = await tx
          .selectFrom('job')
          .select('state')
          .where('job_id', '=', jobId)
          .executeTakeFirst()
        if (!row) throw new Refusal('notFound', `Cannot find job "${jobId}"`)
        if (row.state !== 'queued' && row.state !== 'running') {
          throw new Refusal('conflict', `Cannot cancel the job: it is ${row.state} already`)
        }
        await tx
          .updateTable('job')
          .set(
            row.state === 'queued'
              ? { state: 'cancelled', ended_at: clock(), cancelling: 1 }
              : { cancelling: 1 },
          )
          .where('job_id', '=', jobId)
          .where('state', '=', row.state)
          .execute()
        await note.within(tx)
      })
      return await told(jobId)
    },
    take: async (worker, kinds) => {
      for (;;) {
        const now = clock()
        const row = await store.writer
          .selectFrom('job')
          .selectAll()
          .where('kind', 'in', [...kinds])
          .where((e) =>
            e.or([
              e('state', '=', 'queued'),
              e.and([e('state', '=', 'running'), e('lease_until', '<', now)]),
            ]),
          )
          .orderBy('created_at')
          .orderBy('job_id')
          .limit(1)
          .executeTakeFirst()
        if (!row) return undefined
        const vanished = row.state === 'running'
        const end =
          vanished && row.cancelling === 1
            ? ('cancelled' as const)
            : vanished && row.attempts >= attemptsMax
              ? ('failed' as const)
              : undefined
        const { numUpdatedRows } = await store.writer
          .updateTable('job')
          .set(
            end
              ? {
                  state: end,
                  ended_at: now,
                  error: end === 'failed' ? `Its hub died ${row.attempts} times while it ran` : '',
                }
              : {
                  state: 'running',
                  worker,
                  lease_until: now + leaseMs,
                  progress: 0,
                  step: '',
                  attempts: row.attempts + 1,
                  started_at: now,
                },
          )
          .where('job_id', '=', row.job_id)
          // Another hub may have been quicker.
          .where('state', '=', row.state)
          .where('worker', '=', row.worker)
          .where('lease_until', '=', row.lease_until)
          .executeTakeFirst()
        if (Number(numUpdatedRows) === 0) continue
        const job = await told(row.job_id)
        if (!end) return { job, request: JSON.parse(row.request) }
      }
    },
    report: async (jobId, worker, { progress, step }) => {
      const { numUpdatedRows } = await mine(jobId, worker)
        .set({
          progress: Math.min(1, Math.max(0, progress)),
          step: step.slice(0, 200),
          lease_until: clock() + leaseMs,
        })
        .executeTakeFirst()
      if (Number(numUpdatedRows) === 0) return 'lost'
      const job = await told(jobId)
      return job.cancelling ? 'cancelled' : 'go'
    },
    kept: async (jobId, worker) => {
      await mine(jobId, worker).set({ attempts: 1 }).execute()
    },
    finish: async (jobId, worker, { state, error = '' }) => {
      const { numUpdatedRows } = await mine(jobId, worker)
        .set({
          state,
          error: error.slice(0, errorCharactersMax),
          ended_at: clock(),
          ...(state === 'done' && { progress: 1 }),
        })
        .executeTakeFirst()
      if (Number(numUpdatedRows) > 0) await told(jobId)
      await forget()
    },
    release: async (jobId, worker) => {
      await mine(jobId, worker)
        .set(({ eb }) => ({
          state: 'queued',
          worker: '',
          lease_until: 0,
          started_at: null,
          attempts: eb('attempts', '-', 1),
        }))
        .execute()
    },
  }

  /** Keeps the newest of what is over. */
  async function forget(): Promise<void> {
    const oldest = await store.writer
      .selectFrom('job')
      .select('created_at')
      .where('state', 'not in', ['queued', 'running'])
      .orderBy('created_at', 'desc')
      .offset(keptMax)
      .limit(1)
      .executeTakeFirst()
    if (!oldest) return
    await store.writer
      .deleteFrom('job')
      .where('state', 'not in', ['queued', 'running'])
      .where('created_at', '<=', oldest.created_at)
      .execute()
  }
}

const timeOf = (at: number | null) => (at === null ? null : new Date(at).toISOString())

function jobOf(row: Selectable<JobTable>): Job {
  return {
    jobId: row.job_id,
    kind: row.kind as Job['kind'],
    subject: row.subject,
    state: row.state as JobState,
    progress: row.progress,
    step: row.step,
    error: row.error,
    cancelling: row.cancelling === 1 && row.ended_at === null,
    attempts: row.attempts,
    by: row.author,
    createdAt: new Date(row.created_at).toISOString(),
    startedAt: timeOf(row.started_at),
    endedAt: timeOf(row.ended_at),
  }
}
