/**
 * Samples that are older than they are kept. One that a dataset holds, a frozen version names, or a queue waits for is
 * kept however old it is.
 */
import type { Blobs } from '../blobs/blobs.ts'
import { frozenPictures } from '../datasets/frozen-pictures.ts'
import type { Expired } from '../store/retention.ts'
import type { Store } from '../store/store.ts'

const stepSamples = 200
/** Samples of which it is asked at once whether they are needed; the others go the next time. */
const lookedMax = 100_000

type Deps = { readonly store: Store; readonly files: Blobs }

/** How many samples `pruneSamples(before)` would remove, and when the oldest came in that stays. */
export async function surveySamples(deps: Deps, before: number): Promise<Expired> {
  const gone = new Set(await expiredSamples(deps, before))
  const oldest = await deps.store.reader
    .selectFrom('field_sample')
    .select(['digest', 'received_at'])
    .orderBy('received_at')
    .limit(gone.size + 1)
    .execute()
  const kept = oldest.find(({ digest }) => !gone.has(digest))
  return { count: gone.size, oldestKeptAt: kept?.received_at ?? null }
}

/** Removes samples that came before `before` (ms) and that nothing needs, with their pictures; gives how many. */
export async function pruneSamples(
  deps: Deps,
  before: number,
  signal: AbortSignal,
): Promise<number> {
  const { store, files } = deps
  const expired = await expiredSamples(deps, before)
  let removed = 0
  for (let at = 0; at < expired.length && !signal.aborted; at += stepSamples) {
    const digests = expired.slice(at, at + stepSamples)
    const thumbnails = await store.writer.transaction().execute(async (tx) => {
      const rows = await tx
        .selectFrom('sample')
        .select('thumbnail')
        .where('digest', 'in', digests)
        .execute()
      const tasks = tx.selectFrom('label_task').select('task_id').where('digest', 'in', digests)
      await tx.deleteFrom('label_answer').where('task_id', 'in', tasks).execute()
      await tx.deleteFrom('label_task').where('digest', 'in', digests).execute()
      await tx.deleteFrom('sample_looks').where('digest', 'in', digests).execute()
      await tx.deleteFrom('field_sample').where('digest', 'in', digests).execute()
      await tx.deleteFrom('sample').where('digest', 'in', digests).execute()
      return rows.map(({ thumbnail }) => thumbnail).filter((thumbnail) => thumbnail !== '')
    })
    for (const digest of [...digests, ...thumbnails]) await files.remove(digest)
    removed += digests.length
  }
  return removed
}

async function expiredSamples(deps: Deps, before: number): Promise<string[]> {
  const rows = await deps.store.reader
    .selectFrom('field_sample')
    .select('digest')
    .where('received_at', '<', before)
    .where(({ not, exists, selectFrom }) =>
      not(
        exists(
          selectFrom('dataset_sample')
            .select('dataset_sample.digest')
            .whereRef('dataset_sample.digest', '=', 'field_sample.digest'),
        ),
      ),
    )
    .where(({ not, exists, selectFrom }) =>
      not(
        exists(
          selectFrom('label_task')
            .select('label_task.digest')
            .whereRef('label_task.digest', '=', 'field_sample.digest')
            .where('label_task.state', 'in', ['open', 'review', 'flagged']),
        ),
      ),
    )
    .orderBy('received_at')
    .limit(lookedMax)
    .execute()
  const digests = new Set(rows.map(({ digest }) => digest))
  for await (const { named } of frozenPictures(deps, digests)) {
    for (const digest of named) digests.delete(digest)
  }
  return [...digests]
}
