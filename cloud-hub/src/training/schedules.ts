/**
 * What begins runs by itself: at a time, or when enough is newly said of a dataset. A schedule never begins a run while
 * one of its own is open, and what a hub has missed while it was off is not made up for.
 */
import {
  type DatasetVersion,
  nearestName,
  Refusal,
  type Run,
  type RunRequest,
  type ScheduleCause,
  type ScheduledRun,
  type ScheduleRequest,
  schedulesMax,
  type TrainingSchedule,
} from '@edgeloop/protocol'
import type { Selectable } from 'kysely'
import { schedule, validate } from 'node-cron'
import type { Audit, AuditNote } from '../audit/audit.ts'
import type { ModelDesk } from '../models/models.ts'
import type { Store } from '../store/store.ts'
import type { TrainingScheduleTable } from '../store/tables.ts'
import type { RunDesk } from './runs.ts'

/** How often it is looked whether enough is newly said, and whether another hub has changed a schedule. */
const lookIntervalMs = 30_000
/** Changes that come within this time are looked at together. */
const wakeMs = 1000
/** Several hubs are due at once; the first within this time has it. */
const claimMs = 30_000

/** Datasets as schedules need them. */
export type ScheduledDatasets = {
  /** Frozen versions, newest first. @throws {Refusal} notFound */
  versions(dataset: string): Promise<readonly DatasetVersion[]>
  /** Samples that something is said of, and was not said at `since` (ms). */
  annotatedSince(dataset: string, since: number): Promise<number>
  /**
   * Freezes a dataset as its newest version was split.
   * @returns the version that there is then; the newest where nothing has changed
   * @throws {Error} when it cannot be frozen
   */
  freeze(dataset: string, by: string, signal: AbortSignal): Promise<DatasetVersion>
}

/** Acts at the times of a cron expression until it is ended. */
export type Calendar = (
  cron: string,
  act: () => void,
) => { next(): Date | null; end(): Promise<void> }

export const machineCalendar: Calendar = (cron, act) => {
  const task = schedule(cron, act, { unref: true })
  return { next: () => task.getNextRun(), end: async () => await task.destroy() }
}

export type ScheduleDesk = AsyncDisposable & {
  /** What is said of samples may have changed. */
  wake(): void
  list(): Promise<TrainingSchedule[]>
  /** @throws {Refusal} badRequest for a time that is none; notFound for the dataset or the model; conflict for too many */
  put(
    name: string,
    request: ScheduleRequest,
    by: string,
    note: AuditNote,
  ): Promise<TrainingSchedule>
  /** @throws {Refusal} notFound */
  remove(name: string, note: AuditNote): Promise<void>
}

type Row = Selectable<TrainingScheduleTable>

export async function openSchedules(deps: {
  store: Store
  audit: Audit
  runs: Pick<RunDesk, 'isOpen' | 'add'>
  models: Pick<ModelDesk, 'versions'>
  datasets: ScheduledDatasets
  clock: () => number
  calendar?: Calendar
  changed: () => void
  failed: (error: unknown) => void
}): Promise<ScheduleDesk> {
  const { store, audit, runs, models, datasets, clock, changed, failed } = deps
  const { calendar = machineCalendar } = deps
  const closing = new AbortController()
  /** Of calendars, by name; with the expression that each was made of. */
  const tasks = new Map<string, { cron: string; task: ReturnType<Calendar> }>()
  let working = Promise.resolve()

  const rows = () =>
    store.writer.selectFrom('training_schedule').selectAll().orderBy('name').execute()

  async function find(name: string): Promise<Row> {
    const row = await store.writer
      .selectFrom('training_schedule')
      .selectAll()
      .where('name', '=', name)
      .executeTakeFirst()
    if (row) return row
    const known = (await rows()).map((one) => one.name)
    const near = nearestName(name, known)
    throw new Refusal(
      'notFound',
      `Cannot find the schedule "${name}"${near === undefined ? '' : `: did you mean "${near}"?`}`,
    )
  }

  /** Makes the tasks of this hub those of the store. */
  async function arrange(): Promise<void> {
    const wanted = new Map<string, string>()
    for (const row of await rows()) {
      const cause = JSON.parse(row.cause) as ScheduleCause
      if (row.enabled === 1 && cause.kind === 'calendar') wanted.set(row.name, cause.cron)
    }
    for (const [name, { cron, task }] of tasks) {
      if (wanted.get(name) === cron) continue
      await task.end()
      tasks.delete(name)
    }
    for (const [name, cron] of wanted) {
      if (tasks.has(name)) continue
      tasks.set(name, { cron, task: calendar(cron, () => void work(() => due(name))) })
    }
  }

  /** One after the other: two that are due at once do not meet in the middle. */
  function work(act: () => Promise<void>): Promise<void> {
    working = working.then(async () => {
      if (!closing.signal.aborted) await act().catch(failed)
    })
    return working
  }

  async function look(): Promise<void> {
    await arrange()
    for (const row of await rows()) {
      const cause = JSON.parse(row.cause) as ScheduleCause
      if (row.enabled !== 1 || cause.kind !== 'annotations') continue
      if (await runs.isOpen(row.name)) continue
      const have = await newlySaid(row).catch(() => 0)
      if (have >= cause.count) await due(row.name)
    }
  }

  async function newlySaid(row: Row): Promise<number> {
    const { dataset } = JSON.parse(row.run_request) as ScheduledRun
    const [newest] = await datasets.versions(dataset)
    return await datasets.annotatedSince(dataset, newest ? Date.parse(newest.createdAt) : 0)
  }

  /** The schedule is due now: one hub of all begins its run, or says why not. */
  async function due(name: string): Promise<void> {
    const now = clock()
    const { numUpdatedRows } = await store.writer
      .updateTable('training_schedule')
      .set({ last_at: now })
      .where('name', '=', name)
      .where('enabled', '=', 1)
      .where((e) => e.or([e('last_at', 'is', null), e('last_at', '<', now - claimMs)]))
      .executeTakeFirst()
    if (Number(numUpdatedRows) === 0) return
    const row = await find(name)
    const outcome = await begin(row).catch((error: Error) => {
      if (!(error instanceof Refusal)) failed(error)
      return { why: error.message }
    })
    if (closing.signal.aborted) return
    await store.writer
      .updateTable('training_schedule')
      .set(
        'why' in outcome
          ? { last_outcome: outcome.why }
          : { last_outcome: '', last_run: outcome.runId },
      )
      .where('name', '=', name)
      .execute()
    changed()
  }

  async function begin({ name, author, run_request }: Row): Promise<Run | { why: string }> {
    if (await runs.isOpen(name)) return { why: 'A run that it began before is not over' }
    const { dataset, parent, ...rest } = JSON.parse(run_request) as ScheduledRun
    const { version } = await datasets.freeze(dataset, author, closing.signal)
    const request: RunRequest = {
      ...rest,
      dataset: { name: dataset, version },
      parent: await parentOf(parent),
    }
    const facts = { actor: author, via: 'hub', action: 'runAdd', target: '' } as const
    const note = audit.begin({ ...facts, address: '' })
    const run = await runs.add(request, author, note, { schedule: name })
    await note.finish('done')
    return run
  }

  /** A model stands for its champion, or for its newest version where it has none. */
  async function parentOf(parent: string): Promise<string> {
    if (parent.startsWith('new:')) return parent
    const [newest, ...older] = await models.versions(parent)
    const one = [newest, ...older].find((version) => version?.champion) ?? newest
    return `${parent}/${one?.version ?? 1}`
  }

  async function shown(row: Row): Promise<TrainingSchedule> {
    const cause = JSON.parse(row.cause) as ScheduleCause
    const timeOf = (at: Date | number | null | undefined) =>
      at === null || at === undefined ? null : new Date(at).toISOString()
    return {
      name: row.name,
      enabled: row.enabled === 1,
      cause,
      run: JSON.parse(row.run_request) as ScheduledRun,
      nextAt: timeOf(tasks.get(row.name)?.task.next()),
      have: cause.kind === 'annotations' ? await newlySaid(row).catch(() => 0) : null,
      lastAt: timeOf(row.last_at),
      lastRun: row.last_run === '' ? null : row.last_run,
      lastOutcome: row.last_outcome,
      by: row.author,
      createdAt: new Date(row.created_at).toISOString(),
    }
  }

  await arrange()
  const timer = setInterval(() => void work(look), lookIntervalMs)
  timer.unref()
  let waking: NodeJS.Timeout | undefined
  return {
    wake: () => {
      waking ??= setTimeout(() => {
        waking = undefined
        void work(look)
      }, wakeMs).unref()
    },

    list: async () => await Promise.all((await rows()).map(shown)),

    put: async (name, { cause, run, enabled = true }, by, note) => {
      if (cause.kind === 'calendar') checkCron(cause.cron)
      await datasets.versions(run.dataset)
      await parentOf(run.parent)
      const values = {
        enabled: enabled ? 1 : 0,
        cause: JSON.stringify(cause),
        run_request: JSON.stringify(run),
        author: by,
      }
      await store.writer.transaction().execute(async (tx) => {
        const known = await tx.selectFrom('training_schedule').select('name').execute()
        if (known.length >= schedulesMax && !known.some((one) => one.name === name)) {
          throw new Refusal('conflict', `Cannot keep another schedule: there are ${schedulesMax}`)
        }
        await tx
          .insertInto('training_schedule')
          .values({
            name,
            ...values,
            created_at: clock(),
            last_at: null,
            last_run: '',
            last_outcome: '',
          })
          .onConflict((on) => on.column('name').doUpdateSet(values))
          .execute()
        await note.within(tx)
      })
      await work(arrange)
      changed()
      return await shown(await find(name))
    },

    remove: async (name, note) => {
      await find(name)
      await store.writer.transaction().execute(async (tx) => {
        await tx.deleteFrom('training_schedule').where('name', '=', name).execute()
        await note.within(tx)
      })
      await work(arrange)
      changed()
    },

    async [Symbol.asyncDispose]() {
      clearInterval(timer)
      clearTimeout(waking)
      closing.abort()
      for (const { task } of tasks.values()) await task.end()
      await working
    },
  }
}

/** @throws {Refusal} badRequest */
function checkCron(cron: string): void {
  if (validate(cron) && cron.trim().split(/\s+/).length === 5) return
  throw new Refusal(
    'badRequest',
    `Cannot use "${cron}" as a time: write minute, hour, day, month and weekday, such as "17 3 * * 1"`,
  )
}
