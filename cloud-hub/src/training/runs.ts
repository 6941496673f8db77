/**
 * The runs of this hub: each is asked for once, worked on by jobs of the queue until it has come to something, and kept
 * with what it said. A run knows which frozen dataset, which recipe, which parent and which seed it had.
 */
import { randomUUID } from 'node:crypto'
import {
  curvePointsMax,
  isRunOver,
  type Job,
  Refusal,
  type Run,
  type RunCurves,
  type RunDetail,
  type RunEvaluation,
  type RunFileKind,
  type RunLogLine,
  type RunPoints,
  type RunRequest,
  type RunState,
  recipeCharactersMax,
  runFileKinds,
  type TrainerShown,
} from '@edgeloop/protocol'
import type { Selectable } from 'kysely'
import type { AuditNote } from '../audit/audit.ts'
import type { Blobs } from '../blobs/blobs.ts'
import type { VersionDesk } from '../datasets/versions.ts'
import type { JobQueue } from '../jobs/jobs.ts'
import type { ModelDesk } from '../models/models.ts'
import type { Store } from '../store/store.ts'
import type { RunTable } from '../store/tables.ts'
import { type CurvePart, curvesOf, named, packPart } from './curves.ts'
import { openRunRecord, type RunRecord, removeUnused } from './run-record.ts'
import { runOf } from './run-row.ts'
import type { Trainer } from './trainer.ts'

const listedMax = 500
/** Runs that are kept; the oldest that are over give way, with their files. */
export const runsMax = 5000

/** Frozen datasets as training needs them. */
export type FrozenDatasets = Pick<VersionDesk, 'frozen' | 'show' | 'layOut' | 'sides'>

export type RunQuery = {
  readonly state?: RunState
  readonly model?: string
  readonly dataset?: string
}

export type RunDesk = {
  trainer(): TrainerShown
  /** Newest first. */
  list(query: RunQuery): Promise<Run[]>
  /** @throws {Refusal} notFound */
  show(runId: string): Promise<RunDetail>
  /** @throws {Refusal} notFound */
  curves(runId: string, range: { from?: number; to?: number; points?: number }): Promise<RunCurves>
  /**
   * Looks whether a run could be asked for.
   * @returns whose next version it would be
   * @throws {Refusal} as `add`, but for the queue
   */
  check(request: RunRequest): Promise<{ readonly model: string }>
  /**
   * Asks for a run.
   * @param from.schedule name of the schedule that does
   * @param from.runId of whoever must know it before
   * @param from.trial where it is one of a search: it leaves no model version until `keepTrial`
   * @throws {Refusal} notFound for dataset or parent; badRequest for the recipe; unavailable without a trainer; as `JobQueue.add`
   */
  add(
    request: RunRequest,
    by: string,
    note: AuditNote,
    from?: {
      readonly schedule?: string
      readonly runId?: string
      readonly trial?: { readonly searchId: string; readonly share: number }
    },
  ): Promise<Run>
  /**
   * Queues a trial that has ended once more: it goes on from its last checkpoint, with no step left, and its result becomes a
   * model version.
   * @throws {Refusal} notFound; conflict where it is no trial that has ended, or is kept already; as `JobQueue.add`
   */
  keepTrial(runId: string, by: string): Promise<Run>
  /** @throws {Refusal} notFound; conflict where it neither waits nor runs */
  pause(runId: string, note: AuditNote): Promise<Run>
  /** @throws {Refusal} notFound; conflict where it is not paused, failed or cancelled */
  resume(runId: string, by: string, note: AuditNote): Promise<Run>
  /** @throws {Refusal} notFound; conflict where it is over */
  cancel(runId: string, note: AuditNote): Promise<Run>
  /** Removes a run that is over with its files; a model version that it made stays. @throws {Refusal} notFound; conflict */
  remove(runId: string, note: AuditNote): Promise<void>
  /** @throws {Refusal} notFound */
  file(runId: string, kind: RunFileKind): Promise<Uint8Array>
  /** A job of the queue has changed: a run whose job ended without its doing is over. */
  heard(job: Job): Promise<void>
  /** Sees to it that runs know of the ends of their jobs which this hub has not heard. */
  settle(): Promise<void>
  /** Takes a run for the job that works on it. @throws {Error} where there is nothing to work on */
  begin(runId: string, jobId: string): Promise<RunRecord>
  /** True while a run that this schedule began waits, runs or is paused. */
  isOpen(schedule: string): Promise<boolean>
}

export function openRunDesk(deps: {
  store: Store
  files: Blobs
  queue: JobQueue
  models: ModelDesk
  datasets: FrozenDatasets
  trainer: Trainer | undefined
  clock: () => number
  queued: () => void
  tell: (run: Run, points?: RunPoints) => void
  removed: (runId: string) => void
}): RunDesk {
  const { store, files, queue, models, datasets, trainer, clock, tell } = deps

  function needTrainer(): Trainer {
    if (trainer) return trainer
    throw new Refusal('unavailable', 'Cannot train: this hub was started without a trainer')
  }

  async function find(runId: string): Promise<Selectable<RunTable>> {
    const row = await store.writer
      .selectFrom('run')
      .selectAll()
      .where('run_id', '=', runId)
      .executeTakeFirst()
    if (row) return row
    throw new Refusal('notFound', `Cannot find run "${runId}"`)
  }

  async function told(runId: string): Promise<Run> {
    const run = runOf(await find(runId))
    tell(run)
    return run
  }

  /** What a result is called and how it is fed, where the request leaves it open. */
  async function resultOf({ parent, model, layout = '' }: RunRequest) {
    if (parent.startsWith('new:')) {
      const built = parent.slice('new:'.length).replace(/\?.*$/, '')
      return { model: model ?? built, layout }
    }
    const [name = '', version = ''] = parent.split('/')
    const shown = await models.show(name, Number(version))
    return { model: model ?? name, layout: layout || shown.model.layout }
  }

  /** What a request stands for, once all that it names is there and fits. */
  async function check(request: RunRequest) {
    const able = needTrainer()
    const { dataset, fold, parent, recipe = {}, replay, compareWith = [] } = request
    const { teacher, external = false } = request
    const recipeText = JSON.stringify(recipe)
    if (recipeText.length > recipeCharactersMax) {
      throw new Refusal(
        'badRequest',
        `Cannot use the recipe: it has ${recipeText.length} characters, at most ${recipeCharactersMax} may be`,
      )
    }
    try {
      const more = { teacher: teacher !== undefined, replay: replay !== undefined }
      able.check({ parent, recipe, external, ...more })
    } catch (cause) {
      const { message, hint } = cause as Error & { hint?: string }
      throw new Refusal('badRequest', hint ? `${message}; ${hint}` : message, { cause })
    }
    const { digest } = await datasets.frozen(dataset.name, dataset.version, fold)
    if (replay !== undefined) await datasets.frozen(dataset.name, replay)
    const { model, layout } = await resultOf(request)
    for (const version of compareWith) await models.show(model, version)
    if (teacher !== undefined) {
      const [name = '', version = ''] = teacher.split('/')
      await models.show(name, Number(version))
    }
    return { recipeText, digest, model, layout, codeVersion: able.codeVersion }
  }

  /** Changes a run in a transaction with its audit entry. */
  async function change(
    runId: string,
    note: AuditNote,
    values: Partial<Selectable<RunTable>>,
    states: readonly RunState[],
    what: string,
  ): Promise<Selectable<RunTable>> {
    const before = await find(runId)
    await store.writer.transaction().execute(async (tx) => {
      const { numUpdatedRows } = await tx
        .updateTable('run')
        .set(values)
        .where('run_id', '=', runId)
        .where('state', 'in', [...states])
        .executeTakeFirst()
      if (Number(numUpdatedRows) === 0) {
        throw new Refusal('conflict', `Cannot ${what} the run: it is ${before.state}`)
      }
      await note.within(tx)
    })
    return before
  }

  const searching = (db: Store['writer']) =>
    db
      .selectFrom('run_search')
      .select('run_search.search_id')
      .where('run_search.state', 'in', ['running', 'keeping'])

  const isSearching = async (searchId: string): Promise<boolean> =>
    (await searching(store.writer).where('search_id', '=', searchId).executeTakeFirst()) !==
    undefined

  async function forget(): Promise<void> {
    const old = await store.writer
      .selectFrom('run')
      .select('run_id')
      .where('state', 'in', ['ended', 'failed', 'cancelled'])
      .where('search_id', 'not in', searching(store.writer))
      .orderBy('created_at', 'desc')
      .offset(runsMax)
      .limit(20)
      .execute()
    for (const { run_id } of old) await erase(run_id, async () => {})
  }

  async function erase(
    runId: string,
    within: (tx: Parameters<AuditNote['within']>[0]) => Promise<void>,
  ): Promise<void> {
    const held = await store.writer
      .selectFrom('run_file')
      .select('digest')
      .where('run_id', '=', runId)
      .execute()
    await store.writer.transaction().execute(async (tx) => {
      for (const table of ['run_curve', 'run_evaluation', 'run_file', 'run'] as const) {
        await tx.deleteFrom(table).where('run_id', '=', runId).execute()
      }
      await within(tx)
    })
    for (const { digest } of held) await removeUnused({ store, files }, digest)
    deps.removed(runId)
  }

  async function enqueue(runId: string, jobId: string, by: string, note: AuditNote): Promise<void> {
    const subject = `run/${runId}`
    await queue.add({ jobId, kind: 'train', subject, request: {}, by }, note)
    deps.queued()
  }

  /** The run's job has ended: so has the run, if it did not say so itself. */
  async function follow(runId: string, jobId: string, job: Job | undefined): Promise<void> {
    const state = job?.state === 'cancelled' ? ('cancelled' as const) : ('failed' as const)
    const error = job === undefined ? 'Its job is gone' : job.error
    const { numUpdatedRows } = await store.writer
      .updateTable('run')
      .set({ state, error, asked: '', eta_ms: null, ended_at: clock() })
      .where('run_id', '=', runId)
      .where('job_id', '=', jobId)
      .where('state', 'in', ['queued', 'running'])
      .executeTakeFirst()
    if (Number(numUpdatedRows) > 0) await told(runId)
  }

  return {
    trainer: () => ({
      available: trainer !== undefined,
      builders: [...(trainer?.builders ?? [])],
      recipe: { ...trainer?.recipe },
      external: trainer?.external ?? '',
    }),

    list: async ({ state, model, dataset }) => {
      let query = store.reader.selectFrom('run').selectAll()
      if (state !== undefined) query = query.where('state', '=', state)
      if (model !== undefined) query = query.where('model', '=', model)
      if (dataset !== undefined) query = query.where('dataset', '=', dataset)
      const rows = await query
        .orderBy('created_at', 'desc')
        .orderBy('run_id')
        .limit(listedMax)
        .execute()
      return rows.map(runOf)
    },

    show: async (runId) => {
      const row = await find(runId)
      const ofRun = { run_id: runId } as const
      const [evaluations, held, before] = await Promise.all([
        store.writer
          .selectFrom('run_evaluation')
          .selectAll()
          .where('run_id', '=', ofRun.run_id)
          .orderBy('step')
          .orderBy('at')
          .execute(),
        store.writer
          .selectFrom('run_file')
          .selectAll()
          .where('run_id', '=', ofRun.run_id)
          .orderBy('step', 'desc')
          .execute(),
        store.writer
          .selectFrom('run')
          .select(({ fn }) => fn.countAll<number>().as('count'))
          .where('state', 'in', ['queued', 'running'])
          .where('created_at', '<', row.created_at)
          .executeTakeFirstOrThrow(),
      ])
      // One that has ended goes on no more; its checkpoints go a moment later.
      const checkpoint =
        row.state === 'ended' ? undefined : held.find(({ kind }) => kind === 'checkpoint')
      const kinds: readonly string[] = runFileKinds
      return {
        run: runOf(row),
        recipe: JSON.parse(row.recipe) as Record<string, unknown>,
        compile: row.compile !== '',
        before: row.state === 'queued' ? Number(before.count) : null,
        evaluations: evaluations.map((one) => ({
          step: one.step,
          at: new Date(one.at).toISOString(),
          on: one.samples as RunEvaluation['on'],
          figures: JSON.parse(one.figures) as RunEvaluation['figures'],
          best: one.best === 1,
        })),
        log: JSON.parse(row.log) as RunLogLine[],
        files: held
          .filter(({ kind }) => kinds.includes(kind))
          .map(({ kind, digest, size_bytes }) => ({
            kind: kind as RunFileKind,
            digest,
            sizeBytes: size_bytes,
          })),
        checkpoint: checkpoint
          ? {
              step: checkpoint.step,
              at: new Date(checkpoint.created_at).toISOString(),
              sizeBytes: checkpoint.size_bytes,
            }
          : null,
      }
    },

    curves: async (runId, { from = 0, to = Number.MAX_SAFE_INTEGER, points = curvePointsMax }) => {
      await find(runId)
      const parts = await store.reader
        .selectFrom('run_curve')
        .select('data')
        .where('run_id', '=', runId)
        .where('last_step', '>=', from)
        .where('first_step', '<=', to)
        .orderBy('first_step')
        .execute()
      const evaluations = await store.reader
        .selectFrom('run_evaluation')
        .select(['step', 'figures'])
        .where('run_id', '=', runId)
        .where('samples', '=', 'validation')
        .orderBy('step')
        .execute()
      const read = parts.map(({ data }) => JSON.parse(data) as CurvePart)
      const evaluated = evaluations.map(({ step, figures }) => ({
        step,
        figures: named('validation', JSON.parse(figures) as Record<string, number>),
      }))
      const range = { from, to, pointsMax: points }
      const [steps, others] = [curvesOf(read, range), curvesOf([packPart(evaluated)], range)]
      return { points: steps.points, curves: [...steps.curves, ...others.curves] }
    },

    check,

    add: async (request, by, note, { schedule = '', runId = randomUUID(), trial } = {}) => {
      const { dataset, fold, parent, seed = 1, note: text = '' } = request
      const { replay, candidate = false, compareWith = [] } = request
      const { recipeText, digest, model, layout, codeVersion } = await check(request)
      const jobId = randomUUID()
      note.about({ target: runId, detail: `${model} on ${dataset.name}/${dataset.version}` })
      await store.writer
        .insertInto('run')
        .values({
          run_id: runId,
          job_id: jobId,
          state: 'queued',
          asked: '',
          dataset: dataset.name,
          dataset_version: dataset.version,
          dataset_digest: digest,
          fold: fold ?? null,
          parent,
          model,
          layout,
          recipe: recipeText,
          seed,
          note: text,
          compile: request.compile ? JSON.stringify(request.compile) : '',
          candidate: candidate ? 1 : 0,
          replay: replay ?? null,
          compare_with: JSON.stringify(compareWith),
          teacher: request.teacher ?? '',
          external: request.external ? 1 : 0,
          ...(trial && { search_id: trial.searchId, share: trial.share, keeps: 0 }),
          step: 0,
          steps: 0,
          epoch: 0,
          eta_ms: null,
          images_per_second: 0,
          phase: '',
          loss: null,
          key_figure: '',
          error: '',
          resumed: 0,
          result: '',
          code_version: codeVersion,
          log: '[]',
          author: by,
          schedule,
          created_at: clock(),
          started_at: null,
          ended_at: null,
          heard_at: null,
          active_ms: 0,
        })
        .execute()
      try {
        await enqueue(runId, jobId, by, note)
      } catch (error) {
        // Without its job it would wait forever.
        await store.writer.deleteFrom('run').where('run_id', '=', runId).execute()
        throw error
      }
      await forget()
      return await told(runId)
    },

    keepTrial: async (runId, by) => {
      const jobId = randomUUID()
      const row = await find(runId)
      const again = await store.writer
        .updateTable('run')
        .set({ keeps: 1, state: 'queued', job_id: jobId, error: '', ended_at: null })
        .where('run_id', '=', runId)
        .where('search_id', '<>', '')
        .where('keeps', '=', 0)
        .where('state', '=', 'ended')
        .executeTakeFirst()
      if (Number(again.numUpdatedRows) === 0) {
        throw new Refusal('conflict', `Cannot keep the trial: its run is ${row.state}`)
      }
      try {
        await enqueue(runId, jobId, by, unwritten)
      } catch (error) {
        await store.writer
          .updateTable('run')
          .set({ keeps: 0, state: 'ended', ended_at: row.ended_at })
          .where('run_id', '=', runId)
          .execute()
        throw error
      }
      return await told(runId)
    },

    pause: async (runId, note) => {
      const row = await find(runId)
      if (row.state === 'queued') {
        await change(runId, note, { state: 'paused' }, ['queued'], 'pause')
        await endJob(row.job_id)
      } else {
        await change(runId, note, { asked: 'pause' }, ['running'], 'pause')
      }
      return await told(runId)
    },

    resume: async (runId, by, note) => {
      needTrainer()
      const { search_id, keeps, state } = await find(runId)
      if (search_id !== '' && keeps === 0 && (state === 'failed' || state === 'cancelled')) {
        throw new Refusal(
          'conflict',
          `Cannot resume the run: it is a trial that was ${state}, and its search goes on without it`,
        )
      }
      const may: RunState[] = ['paused', 'failed', 'cancelled']
      const jobId = randomUUID()
      const values = {
        state: 'queued',
        job_id: jobId,
        asked: '',
        error: '',
        ended_at: null,
      } as const
      const before = await change(runId, note, values, may, 'resume')
      try {
        await enqueue(runId, jobId, by, unwritten)
      } catch (error) {
        const { state, error: why, ended_at } = before
        await store.writer
          .updateTable('run')
          .set({ state, error: why, ended_at })
          .where('run_id', '=', runId)
          .execute()
        throw error
      }
      return await told(runId)
    },

    cancel: async (runId, note) => {
      const row = await find(runId)
      if (row.state === 'running') {
        await change(runId, note, { asked: 'cancel' }, ['running'], 'cancel')
      } else {
        const values = { state: 'cancelled', asked: '', ended_at: clock() } as const
        await change(runId, note, values, ['queued', 'paused'], 'cancel')
      }
      await endJob(row.job_id)
      return await told(runId)
    },

    remove: async (runId, note) => {
      const row = await find(runId)
      if (!isRunOver({ state: row.state as RunState })) {
        throw new Refusal('conflict', `Cannot remove the run: it is ${row.state}; cancel it first`)
      }
      if (row.search_id !== '' && (await isSearching(row.search_id))) {
        throw new Refusal(
          'conflict',
          'Cannot remove the run: its search goes on; cancel that first',
        )
      }
      await erase(runId, (tx) => note.within(tx))
    },

    file: async (runId, kind) => {
      await find(runId)
      const row = await store.writer
        .selectFrom('run_file')
        .select('digest')
        .where('run_id', '=', runId)
        .where('kind', '=', kind)
        .executeTakeFirst()
      const bytes = row && (await files.read(row.digest))
      if (bytes) return bytes
      throw new Refusal('notFound', `Cannot find the ${kind} of run "${runId}"`)
    },

    heard: async (job) => {
      if (job.kind !== 'train' || job.endedAt === null) return
      await follow(job.subject.replace(/^run\//, ''), job.jobId, job)
    },

    settle: async () => {
      const open = await store.writer
        .selectFrom('run')
        .select(['run_id', 'job_id'])
        .where('state', 'in', ['queued', 'running'])
        .execute()
      for (const { run_id, job_id } of open) {
        const job = await queue.get(job_id).catch(() => undefined)
        if (job?.endedAt !== null) await follow(run_id, job_id, job)
      }
    },

    begin: async (runId, jobId) => {
      const row = await find(runId)
      if (row.job_id !== jobId || !['queued', 'running'].includes(row.state)) {
        throw new Error(`Cannot work on the run: it is ${row.state}`)
      }
      const checkpoint = await store.writer
        .selectFrom('run_file')
        .select('step')
        .where('run_id', '=', runId)
        .where('kind', '=', 'checkpoint')
        .limit(1)
        .executeTakeFirst()
      const now = clock()
      const begun = await store.writer
        .updateTable('run')
        .set({
          state: 'running',
          heard_at: now,
          started_at: row.started_at ?? now,
          error: '',
          resumed: row.resumed + (checkpoint ? 1 : 0),
        })
        .where('run_id', '=', runId)
        // Somebody may have paused it just now.
        .where('state', 'in', ['queued', 'running'])
        .returningAll()
        .executeTakeFirst()
      if (!begun) throw new Error('Cannot work on the run: it was ended')
      tell(runOf(begun))
      return await openRunRecord({ store, files, clock, row: begun, tell })
    },

    isOpen: async (schedule) => {
      const row = await store.writer
        .selectFrom('run')
        .select('run_id')
        .where('schedule', '=', schedule)
        .where('state', 'in', ['queued', 'running', 'paused'])
        .limit(1)
        .executeTakeFirst()
      return row !== undefined
    },
  }

  /** Ends a job, wherever it is; one that is over already is left as it is. */
  async function endJob(jobId: string): Promise<void> {
    await queue.cancel(jobId, unwritten).catch((error: unknown) => {
      if (!(error instanceof Refusal)) throw error
    })
  }
}

/** Of a change whose entry is written with the run. */
export const unwritten: AuditNote = {
  about: () => {},
  of: () => unwritten,
  changesNothing: () => {},
  within: async () => {},
  finish: async () => {},
}
