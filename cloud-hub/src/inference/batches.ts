/**
 * Batches: a model asked about many pictures, under a name that whoever asks has chosen. The pictures are written down
 * when it is asked; a job works through them, and what it finds belongs to model and picture, not to the batch.
 */
import { createHash, randomUUID } from 'node:crypto'
import {
  type BatchInputs,
  type BatchInputsShown,
  batchPicturesMax,
  type InferenceBatch,
  type InferenceBatchRequest,
  type InferenceResult,
  isOver,
  type Job,
  type JobState,
  type PictureReading,
  Refusal,
} from '@edgeloop/protocol'
import type { Selectable } from 'kysely'
import type { AuditNote } from '../audit/audit.ts'
import { find as findDataset } from '../datasets/datasets.ts'
import type { VersionDesk } from '../datasets/versions.ts'
import type { JobQueue } from '../jobs/jobs.ts'
import type { ModelDesk } from '../models/models.ts'
import type { Store } from '../store/store.ts'
import type { InferenceBatchTable } from '../store/tables.ts'
import { modelKey } from './model-pool.ts'
import type { ServedModels } from './served-models.ts'

/** Batches that are over and kept, the newest. */
const keptMax = 1000
/** Rows of one statement. */
const stepRows = 500
const scoreMinDefault = 0.3

export type Batches = {
  /**
   * The same task id with the same content is the same batch, whatever became of it.
   * @throws {Refusal} conflict where the id stands for something else; notFound; badRequest; tooManyRequests
   */
  add(request: InferenceBatchRequest, by: string, note: AuditNote): Promise<InferenceBatch>
  /** Newest first. */
  list(query: { model?: string; limit?: number }): Promise<InferenceBatch[]>
  /** @throws {Refusal} notFound */
  show(taskId: string): Promise<InferenceBatch>
  /** A line of JSON for each picture that is done with, in their order. @throws {Refusal} notFound */
  results(taskId: string): Promise<AsyncIterable<string>>
  /** @throws {Refusal} notFound; conflict when it is over */
  cancel(taskId: string, note: AuditNote): Promise<InferenceBatch>
  /** @throws {Refusal} notFound; conflict while it is open, or when nothing is left to do; tooManyRequests */
  retry(taskId: string, by: string, note: AuditNote): Promise<InferenceBatch>
  /** @throws {Refusal} notFound; conflict while it is open */
  remove(taskId: string, note: AuditNote): Promise<void>
  /** A job is now as it says. */
  heard(job: Job): Promise<void>
}

type Row = Selectable<InferenceBatchTable>
type Picture = { readonly digest: string; readonly name: string }

export function openBatches(deps: {
  store: Store
  models: Pick<ModelDesk, 'show'>
  served: Pick<ServedModels, 'find' | 'need'>
  versions: Pick<VersionDesk, 'pictures'>
  queue: JobQueue
  clock: () => number
  queued: () => void
}): Batches {
  const { store, served, versions, queue, clock, queued } = deps

  async function find(taskId: string): Promise<Row> {
    const row = await rowOf(taskId)
    if (row) return row
    throw new Refusal('notFound', `Cannot find the batch "${taskId}"`)
  }
  const rowOf = (taskId: string) =>
    store.writer
      .selectFrom('inference_batch')
      .selectAll()
      .where('task_id', '=', taskId)
      .executeTakeFirst()

  /** How a batch is: its job says it while there is one. */
  async function shown(rows: readonly Row[]): Promise<InferenceBatch[]> {
    if (rows.length === 0) return []
    const jobs = await store.writer
      .selectFrom('job')
      .select(['job_id', 'state', 'error', 'ended_at'])
      .where(
        'job_id',
        'in',
        rows.map(({ job_id }) => job_id),
      )
      .execute()
    const byId = new Map(jobs.map((job) => [job.job_id, job]))
    return rows.map((row) => {
      const { state, error, ended_at } = byId.get(row.job_id) ?? row
      return {
        taskId: row.task_id,
        model: row.model,
        version: row.version,
        inputs: JSON.parse(row.inputs) as BatchInputsShown,
        scoreMin: row.score_min,
        state: state as JobState,
        pictures: row.pictures,
        done: row.done,
        cached: row.cached,
        failed: row.failed,
        error,
        jobId: row.job_id,
        by: row.author,
        createdAt: new Date(row.created_at).toISOString(),
        endedAt: ended_at === null ? null : new Date(ended_at).toISOString(),
      }
    })
  }
  const show = async (taskId: string) => (await shown([await find(taskId)]))[0]!

  async function queueJob(
    { task_id, model, version, job_id }: Pick<Row, 'task_id' | 'model' | 'version' | 'job_id'>,
    by: string,
    note: AuditNote,
  ): Promise<void> {
    const subject = `${model}/${version}`
    const request = { taskId: task_id }
    await queue.add({ jobId: job_id, kind: 'infer', subject, request, by }, note)
    queued()
  }

  /** @throws {Refusal} notFound, badRequest */
  async function picturesOf(inputs: BatchInputs): Promise<Picture[]> {
    const found = await lookUp(inputs)
    const once = new Map(found.map((one) => [one.digest, one]))
    if (once.size === 0) throw new Refusal('badRequest', 'Cannot begin: there are no such pictures')
    if (once.size <= batchPicturesMax) return [...once.values()]
    throw new Refusal(
      'badRequest',
      `Cannot begin: these are more than ${batchPicturesMax} pictures; ask for parts of them under a task id each`,
    )
  }

  async function lookUp(inputs: BatchInputs): Promise<readonly Picture[]> {
    const limit = batchPicturesMax + 1
    if ('dataset' in inputs) {
      const { dataset, version } = inputs
      if (version !== undefined) return (await versions.pictures(dataset, version)).slice(0, limit)
      await findDataset(store.reader, dataset)
      return await store.reader
        .selectFrom('dataset_sample')
        .select(['digest', 'name'])
        .where('dataset', '=', dataset)
        .orderBy('position')
        .limit(limit)
        .execute()
    }
    if ('fieldSamples' in inputs) {
      const { device, stream, site, from, to } = inputs.fieldSamples
      let query = store.reader.selectFrom('field_sample').select('digest')
      if (device !== undefined) query = query.where('device_id', '=', device)
      if (stream !== undefined) query = query.where('stream_id', '=', stream)
      if (site !== undefined) query = query.where('site', '=', site)
      if (from !== undefined) query = query.where('captured_at', '>=', Date.parse(from))
      if (to !== undefined) query = query.where('captured_at', '<', Date.parse(to))
      const rows = await query.orderBy('sample_id').limit(limit).execute()
      return rows.map(({ digest }) => ({ digest, name: '' }))
    }
    const digests = [...new Set(inputs.pictures)]
    const here = new Set<string>()
    for (const step of steps(digests)) {
      const rows = await store.writer
        .selectFrom('sample')
        .select('digest')
        .where('digest', 'in', step)
        .execute()
      for (const { digest } of rows) here.add(digest)
    }
    const missing = digests.filter((digest) => !here.has(digest))
    if (missing.length === 0) return digests.map((digest) => ({ digest, name: '' }))
    throw new Refusal(
      'notFound',
      `Cannot begin: ${missing.length} of ${digests.length} pictures are not here, such as ${missing[0]}; send them to /api/samples first`,
    )
  }

  /** What stands under the id already, where it is the same. @throws {Refusal} conflict */
  async function known(
    taskId: string,
    fingerprint: string,
    by: string,
    note: AuditNote,
  ): Promise<InferenceBatch | undefined> {
    const row = await rowOf(taskId)
    if (!row) return undefined
    if (row.fingerprint !== fingerprint) {
      throw new Refusal(
        'conflict',
        `Cannot begin: the task id "${taskId}" stands for another batch, ${row.model}/${row.version} on ${row.pictures} pictures; choose another id`,
      )
    }
    const [batch] = await shown([row])
    // Its hub died before it was queued.
    const lost = row.ended_at === null && !(await hasJob(row.job_id))
    if (lost) await queueJob(row, by, note)
    else note.changesNothing()
    return batch
  }

  const hasJob = async (jobId: string): Promise<boolean> => {
    const job = await store.writer
      .selectFrom('job')
      .select('job_id')
      .where('job_id', '=', jobId)
      .executeTakeFirst()
    return job !== undefined
  }

  /** Keeps the newest of those that are over. */
  async function forget(): Promise<void> {
    const rows = await store.writer
      .selectFrom('inference_batch')
      .select('task_id')
      .where('ended_at', 'is not', null)
      .orderBy('created_at', 'desc')
      .orderBy('task_id')
      .offset(keptMax)
      .limit(stepRows)
      .execute()
    for (const { task_id } of rows) await drop(task_id)
  }

  async function drop(taskId: string, note?: AuditNote): Promise<void> {
    await store.writer.transaction().execute(async (tx) => {
      for (const table of ['inference_picture', 'inference_batch'] as const) {
        await tx.deleteFrom(table).where('task_id', '=', taskId).execute()
      }
      await note?.within(tx)
    })
  }

  async function add(
    request: InferenceBatchRequest,
    by: string,
    note: AuditNote,
  ): Promise<InferenceBatch> {
    const { taskId, inputs, scoreMin = scoreMinDefault } = request
    served.need()
    const fingerprint = fingerprintOf(request)
    note.about({ target: taskId })
    const before = await known(taskId, fingerprint, by, note)
    if (before) return before
    const model = await served.find(request.model, request.version)
    const pictures = await picturesOf(inputs)
    note.about({
      detail: `${model.name}/${model.version} on ${pictures.length} pictures`,
    })
    const shownInputs: BatchInputsShown =
      'pictures' in inputs ? { pictures: pictures.length } : inputs
    const row: Row = {
      task_id: taskId,
      fingerprint,
      model: model.name,
      version: model.version,
      model_key: modelKey(model),
      inputs: JSON.stringify(shownInputs),
      score_min: scoreMin,
      pictures: pictures.length,
      done: 0,
      cached: 0,
      failed: 0,
      state: 'queued',
      error: '',
      job_id: randomUUID(),
      author: by,
      created_at: clock(),
      ended_at: null,
    }
    const isNew = await store.writer.transaction().execute(async (tx) => {
      const { numInsertedOrUpdatedRows } = await tx
        .insertInto('inference_batch')
        .values(row)
        .onConflict((on) => on.column('task_id').doNothing())
        .executeTakeFirstOrThrow()
      if (Number(numInsertedOrUpdatedRows) === 0) return false
      for (const step of steps(pictures.map((one, position) => ({ ...one, position })))) {
        const rows = step.map(({ digest, name, position }) => ({
          task_id: taskId,
          position,
          digest,
          name,
          state: 'waiting',
          error: '',
        }))
        await tx.insertInto('inference_picture').values(rows).execute()
      }
      return true
    })
    // Somebody was quicker.
    if (!isNew) return (await known(taskId, fingerprint, by, note)) ?? (await show(taskId))
    try {
      await queueJob(row, by, note)
    } catch (error) {
      await drop(taskId)
      throw error
    }
    await forget()
    return await show(taskId)
  }

  return {
    add,
    list: async ({ model, limit = 50 }) => {
      let query = store.reader.selectFrom('inference_batch').selectAll()
      if (model !== undefined) query = query.where('model', '=', model)
      const rows = await query
        .orderBy('created_at', 'desc')
        .orderBy('task_id')
        .limit(limit)
        .execute()
      return await shown(rows)
    },
    show,
    results: async (taskId) => linesOf(store, await find(taskId)),
    cancel: async (taskId, note) => {
      const { job_id, state } = await find(taskId)
      if (!(await hasJob(job_id))) {
        throw new Refusal('conflict', `Cannot cancel the batch: it is ${state} already`)
      }
      await queue.cancel(job_id, note)
      return await show(taskId)
    },
    retry: async (taskId, by, note) => {
      const row = await find(taskId)
      const [batch] = await shown([row])
      const { state, done, failed, pictures } = batch!
      if (!isOver({ state })) {
        throw new Refusal('conflict', `Cannot go on with the batch "${taskId}": it is ${state}`)
      }
      if (done === pictures && failed === 0) {
        throw new Refusal(
          'conflict',
          `Cannot go on with the batch "${taskId}": all of its ${pictures} pictures are done`,
        )
      }
      served.need()
      await deps.models.show(row.model, row.version)
      const job_id = randomUUID()
      await store.writer.transaction().execute(async (tx) => {
        await tx
          .updateTable('inference_picture')
          .set({ state: 'waiting', error: '' })
          .where('task_id', '=', taskId)
          .where('state', '=', 'failed')
          .execute()
        await tx
          .updateTable('inference_batch')
          .set({ job_id, state: 'queued', error: '', ended_at: null })
          .set({ done: done - failed, failed: 0 })
          .where('task_id', '=', taskId)
          .where('job_id', '=', row.job_id)
          .execute()
      })
      // Two who ask at once have asked once.
      const now = await find(taskId)
      if (now.job_id === job_id) await queueJob(now, by, note)
      else note.changesNothing()
      return await show(taskId)
    },
    remove: async (taskId, note) => {
      const [batch] = await shown([await find(taskId)])
      if (!isOver(batch!)) {
        throw new Refusal(
          'conflict',
          `Cannot remove the batch "${taskId}": it is ${batch!.state}; cancel it first`,
        )
      }
      await drop(taskId, note)
    },
    heard: async ({ kind, jobId, state, error, endedAt }) => {
      if (kind !== 'infer' || endedAt === null) return
      await store.writer
        .updateTable('inference_batch')
        .set({ state, error, ended_at: Date.parse(endedAt) })
        .where('job_id', '=', jobId)
        .execute()
    },
  }
}

/** Names what was asked for; the order of listed pictures does not matter. */
function fingerprintOf({ model, version, inputs, scoreMin }: InferenceBatchRequest): string {
  const asked =
    'pictures' in inputs
      ? { pictures: [...new Set(inputs.pictures)].sort() }
      : 'dataset' in inputs
        ? { dataset: inputs.dataset, version: inputs.version ?? null }
        : { fieldSamples: Object.entries(inputs.fieldSamples).sort() }
  const content = JSON.stringify([model, version ?? null, scoreMin ?? scoreMinDefault, asked])
  return createHash('sha256').update(content).digest('hex')
}

/** A page at a time: who reads slowly holds nothing open. */
async function* linesOf(store: Store, { task_id, model_key, score_min }: Row) {
  for (let after = -1; ; ) {
    const rows = await store.reader
      .selectFrom('inference_picture as picture')
      .leftJoin('inference_result as result', (join) =>
        join.onRef('result.digest', '=', 'picture.digest').on('result.model_key', '=', model_key),
      )
      .select(['picture.position', 'picture.digest', 'picture.name', 'picture.state'])
      .select(['picture.error', 'result.reading'])
      .where('picture.task_id', '=', task_id)
      .where('picture.state', '<>', 'waiting')
      .where('picture.position', '>', after)
      .orderBy('picture.position')
      .limit(stepRows)
      .execute()
    for (const { digest, name, state, error, reading } of rows) {
      const line: InferenceResult =
        state === 'done' && reading !== null
          ? { picture: digest, name, ...fromScore(JSON.parse(reading), score_min) }
          : { picture: digest, name, error: error || 'what was found is not kept any more' }
      yield `${JSON.stringify(line)}\n`
    }
    const last = rows.at(-1)
    if (!last) return
    after = last.position
  }
}

/** What counts from a score on. */
function fromScore(reading: PictureReading, scoreMin: number): PictureReading {
  const { detections, classes } = reading
  const firm = ({ score }: { readonly score: number }) => score >= scoreMin
  return {
    ...reading,
    ...(detections && { detections: detections.filter(firm) }),
    ...(classes && { classes: classes.filter(firm) }),
  }
}

export function* steps<T>(all: readonly T[], rows = stepRows): Generator<T[]> {
  for (let at = 0; at < all.length; at += rows) yield all.slice(at, at + rows)
}
