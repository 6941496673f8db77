/**
 * Samples of boxes become tasks of the queues that ask for them. Each queue remembers how far it has seen them, in the
 * transaction that puts them in: none is missed when the hub dies, and a new queue finds those that came before it.
 */
import type { FieldSample, LabelQueueConfig, Suggestion } from '@edgeloop/protocol'
import type { Transaction } from 'kysely'
import { find as findDataset, labelsOf } from '../datasets/datasets.ts'
import { fieldSampleOf } from '../samples/field-samples.ts'
import type { Store } from '../store/store.ts'
import type { Tables } from '../store/tables.ts'
import { beginQueue } from './queue-row.ts'
import type { TaskDesk, TaskSource } from './tasks.ts'

/** Samples in one transaction. */
const batchSamples = 200
/**
 * Another hub may still be writing a sample with a smaller number than one that is here: the mark stays before what is
 * younger, which is looked at again with what comes next.
 */
const settledMs = 60_000

/**
 * Takes what has come for a queue since the last time.
 * @returns how many tasks came of it
 */
export async function takeArrivals(
  deps: { store: Store; tasks: TaskDesk; clock: () => number },
  name: string,
  signal: AbortSignal,
): Promise<number> {
  const { store, tasks, clock } = deps
  let added = 0
  let seen = 0
  let unsettled = false
  while (!signal.aborted) {
    const step = await store.writer.transaction().execute(async (tx) => {
      const queue = await beginQueue(tx, name)
      const { models } = queue.config
      if (models.length === 0) return { taken: 0, added: 0, last: seen }
      const { taken_through } = await tx
        .selectFrom('label_queue')
        .select('taken_through')
        .where('name', '=', name)
        .executeTakeFirstOrThrow()
      const rows = await tx
        .selectFrom('field_sample')
        .selectAll()
        .where('sample_id', '>', Math.max(seen, taken_through))
        .where('model_name', 'in', models)
        .orderBy('sample_id')
        .limit(batchSamples)
        .execute()
      if (rows.length === 0) return { taken: 0, added: 0, last: seen }
      const samples = rows.map(fieldSampleOf).filter(isAsked(queue.config))
      const labels = new Set(labelsOf(await findDataset(tx, queue.config.dataset)))
      const sources = samples.map((sample) => sourceOf(sample, labels))
      const put = await tasks.enqueueWithin(tx, queue, sources)
      const young = rows.findIndex(({ received_at }) => received_at > clock() - settledMs)
      const settled = young === -1 ? rows.at(-1) : rows[young - 1]
      // Only behind what has settled altogether: what is before it was looked at now, or earlier.
      if (settled && !unsettled) {
        await tx
          .updateTable('label_queue')
          .set({ taken_through: settled.sample_id })
          .where('name', '=', name)
          .execute()
      }
      unsettled ||= young !== -1
      return { taken: rows.length, added: put.added, last: rows.at(-1)!.sample_id }
    })
    added += step.added
    seen = step.last
    if (step.taken < batchSamples) break
  }
  return added
}

/** Samples of boxes with these pictures, for a queue that somebody puts them into by hand. */
export async function fieldSamplesOf(
  tx: Transaction<Tables> | Store['writer'],
  digests: readonly string[],
  labels: ReadonlySet<string>,
): Promise<TaskSource[]> {
  const rows = await tx
    .selectFrom('field_sample')
    .selectAll()
    .where('digest', 'in', [...digests])
    .execute()
  return rows.map((row) => sourceOf(fieldSampleOf(row), labels))
}

const isAsked =
  ({ streams }: LabelQueueConfig) =>
  ({ deviceId, streamId }: FieldSample): boolean =>
    streams === undefined || streams.includes(`${deviceId}/${streamId}`)

function sourceOf(sample: FieldSample, labels: ReadonlySet<string>): TaskSource {
  const { digest, width, height, site, streamId, deviceId, capturedAt, model } = sample
  const from = `box:${model.name}@${model.version}`
  return {
    sample: {
      digest,
      width,
      height,
      site,
      stream: streamId,
      capturedAt,
      name: `${deviceId}/${streamId}/${capturedAt}.jpg`,
    },
    deviceId,
    reason: sample.reason,
    why: sample.why,
    suggestions: sample.detections
      // Of another dataset's labels nothing could be taken.
      .filter(({ label }) => labels.has(label))
      .map(({ label, score, box }): Suggestion => ({ label, score, box, from })),
    suggestedBy: [],
    looks: { hash: sample.looks, embedding: new Float32Array(sample.embedding ?? []) },
  }
}
