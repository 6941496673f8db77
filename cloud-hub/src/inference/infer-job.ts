/**
 * Works through the pictures of a batch. What the model said of a picture before is taken as it is; what it says now is
 * kept every few pictures, so that whoever begins the job anew has only the last few to repeat.
 */
import { batchScoreMin, type PictureReading } from '@edgeloop/protocol'
import type { Transaction } from 'kysely'
import type { SamplePictures } from '../datasets/sample-pictures.ts'
import type { JobAct } from '../jobs/job-worker.ts'
import type { ModelDesk } from '../models/models.ts'
import type { Store } from '../store/store.ts'
import type { InferenceBatchTable, Tables } from '../store/tables.ts'
import { ModelFault } from './engine.ts'
import { type ModelPool, modelKey } from './model-pool.ts'

/** As `detect` reads pictures, but for the score: batches leave out by theirs. */
const reading = { scoreMin: batchScoreMin, nmsIou: 0.6, maxDetections: 100 }
/** Pictures that are looked up together, and those after which what was found is kept. */
const pagePictures = 200
const keepPictures = 16
/** A longer one is not kept: outlines of many small areas. */
const readingCharactersMax = 512 * 1024
/** Pictures one after the other over which the model's process ended. */
const deathsMax = 3

type Found = { readonly position: number; readonly digest: string } & (
  | { readonly reading: PictureReading }
  | { readonly error: string }
)

export function inferAct(deps: {
  store: Store
  models: Pick<ModelDesk, 'show'>
  samples: Pick<SamplePictures, 'show'>
  pool: ModelPool
  clock: () => number
  /** Pictures by what became of them. */
  count: (result: 'computed' | 'cached' | 'failed', pictures: number) => void
}): JobAct {
  const { store, samples, pool, clock, count } = deps
  return async ({ request }, progress, signal, kept) => {
    const { taskId } = request as { taskId: string }
    const batch = await store.writer
      .selectFrom('inference_batch')
      .selectAll()
      .where('task_id', '=', taskId)
      .executeTakeFirst()
    if (!batch) throw new Error(`Cannot go on: the batch "${taskId}" was removed`)
    const { model } = await deps.models.show(batch.model, batch.version)
    if (modelKey(model) !== batch.model_key) {
      throw new Error(
        `Cannot go on: ${batch.model}/${batch.version} is another model than when the batch was asked for`,
      )
    }
    let done = batch.done
    const say = (more = 0) => {
      const at = done + more
      progress(at / batch.pictures, `batch ${taskId}: picture ${at} of ${batch.pictures}`)
    }
    let deaths = 0
    for (;;) {
      say()
      const rows = await store.writer
        .selectFrom('inference_picture')
        .select(['position', 'digest'])
        .where('task_id', '=', taskId)
        .where('state', '=', 'waiting')
        .orderBy('position')
        .limit(pagePictures)
        .execute()
      if (rows.length === 0) return
      const known = await knownOf(batch, rows)
      done += await keepKnown(
        batch,
        rows.filter(({ digest }) => known.has(digest)),
      )
      const others = rows.filter(({ digest }) => !known.has(digest))
      for (let at = 0; at < others.length; at += keepPictures) {
        const found: Found[] = []
        try {
          for (const row of others.slice(at, at + keepPictures)) {
            signal.throwIfAborted()
            found.push(await look(row))
            say(found.length)
          }
        } finally {
          // Also when it is to end here: it is not done again then.
          done += await keep(batch, found)
        }
        await kept()
      }
    }

    async function look(row: { position: number; digest: string }): Promise<Found> {
      const picture = await samples.show(row.digest, 'whole').catch((error: Error) => error)
      if (picture instanceof Error) return { ...row, error: picture.message }
      try {
        const said = await pool.look(model, picture.bytes, reading, signal)
        deaths = 0
        if (JSON.stringify(said).length <= readingCharactersMax) return { ...row, reading: said }
        return { ...row, error: 'what was found is too much to be kept' }
      } catch (error) {
        signal.throwIfAborted()
        if (!(error instanceof ModelFault)) throw error
        // One picture may be its death; that all of them are is the model's fault.
        deaths = error.gone ? deaths + 1 : 0
        if (deaths >= deathsMax) throw error
        return { ...row, error: error.message }
      }
    }
  }

  async function knownOf(
    { model_key }: Pick<InferenceBatchTable, 'model_key'>,
    rows: readonly { readonly digest: string }[],
  ): Promise<ReadonlySet<string>> {
    const digests = rows.map(({ digest }) => digest)
    const known = await store.writer
      .selectFrom('inference_result')
      .select('digest')
      .where('model_key', '=', model_key)
      .where('digest', 'in', digests)
      .execute()
    return new Set(known.map(({ digest }) => digest))
  }

  async function keepKnown(
    batch: Pick<InferenceBatchTable, 'task_id' | 'model_key'>,
    rows: readonly { readonly position: number; readonly digest: string }[],
  ): Promise<number> {
    if (rows.length === 0) return 0
    const taken = await store.writer.transaction().execute(async (tx) => {
      await tx
        .updateTable('inference_result')
        .set({ used_at: clock() })
        .where('model_key', '=', batch.model_key)
        .where(
          'digest',
          'in',
          rows.map(({ digest }) => digest),
        )
        .execute()
      return await settle(tx, batch.task_id, rows, 'done', 'cached')
    })
    count('cached', taken)
    return taken
  }

  async function keep(
    batch: Pick<InferenceBatchTable, 'task_id' | 'model_key'>,
    found: readonly Found[],
  ): Promise<number> {
    if (found.length === 0) return 0
    const read = found.flatMap((one) => ('reading' in one ? [one] : []))
    const failed = found.flatMap((one) => ('error' in one ? [one] : []))
    const [computed, faults] = await store.writer.transaction().execute(async (tx) => {
      if (read.length > 0) {
        await tx
          .insertInto('inference_result')
          .values(
            read.map(({ digest, reading: said }) => ({
              model_key: batch.model_key,
              digest,
              reading: JSON.stringify(said),
              used_at: clock(),
            })),
          )
          .onConflict((on) => on.columns(['model_key', 'digest']).doNothing())
          .execute()
      }
      const ok = await settle(tx, batch.task_id, read, 'done')
      let bad = 0
      for (const one of failed)
        bad += await settle(tx, batch.task_id, [one], 'failed', 'failed', one.error)
      return [ok, bad] as const
    })
    count('computed', computed)
    count('failed', faults)
    return computed + faults
  }

  /** Another worker may have been quicker, after this one lost its lease: each picture counts once. */
  async function settle(
    tx: Transaction<Tables>,
    taskId: string,
    rows: readonly { readonly position: number }[],
    state: 'done' | 'failed',
    also?: 'cached' | 'failed',
    error = '',
  ): Promise<number> {
    if (rows.length === 0) return 0
    const { numUpdatedRows } = await tx
      .updateTable('inference_picture')
      .set({ state, error: error.slice(0, 500) })
      .where('task_id', '=', taskId)
      .where('state', '=', 'waiting')
      .where(
        'position',
        'in',
        rows.map(({ position }) => position),
      )
      .executeTakeFirst()
    const settled = Number(numUpdatedRows)
    await tx
      .updateTable('inference_batch')
      .set(({ eb }) => ({
        done: eb('done', '+', settled),
        ...(also && { [also]: eb(also, '+', settled) }),
      }))
      .where('task_id', '=', taskId)
      .execute()
    return settled
  }
}
