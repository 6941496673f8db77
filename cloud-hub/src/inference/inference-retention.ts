/** Batches that are older than they are kept, and what models said of pictures that nobody has asked for since. */
import type { Expired } from '../store/retention.ts'
import type { Store } from '../store/store.ts'

/** Rows that are removed in one statement. */
const stepRows = 1000

/** How many batches `pruneInferences(before)` would remove, and when the oldest was asked for that stays. */
export async function surveyInferences({ reader }: Store, before: number): Promise<Expired> {
  const { count } = await reader
    .selectFrom('inference_batch')
    .select(({ fn }) => fn.countAll<number>().as('count'))
    .where('ended_at', '<', before)
    .executeTakeFirstOrThrow()
  const kept = await reader
    .selectFrom('inference_batch')
    .select(({ fn }) => fn.min('created_at').as('at'))
    .where(({ eb, or }) => or([eb('ended_at', 'is', null), eb('ended_at', '>=', before)]))
    .executeTakeFirst()
  return { count: Number(count), oldestKeptAt: kept?.at ?? null }
}

/** Removes batches that were over before `before` (ms), and results unused since that no batch needs; gives how many batches. */
export async function pruneInferences(
  { writer }: Store,
  before: number,
  signal: AbortSignal,
): Promise<number> {
  const rows = await writer
    .selectFrom('inference_batch')
    .select('task_id')
    .where('ended_at', '<', before)
    .execute()
  for (const { task_id } of rows) {
    if (signal.aborted) return 0
    await writer.transaction().execute(async (tx) => {
      for (const table of ['inference_picture', 'inference_batch'] as const) {
        await tx.deleteFrom(table).where('task_id', '=', task_id).execute()
      }
    })
  }
  while (!signal.aborted) {
    const unused = await writer
      .selectFrom('inference_result')
      .select(['model_key', 'digest'])
      .where('used_at', '<', before)
      .where(({ not, exists, selectFrom }) =>
        not(
          exists(
            selectFrom('inference_picture')
              .select('inference_picture.digest')
              .whereRef('inference_picture.digest', '=', 'inference_result.digest'),
          ),
        ),
      )
      .limit(stepRows)
      .execute()
    for (const [modelKey, some] of Map.groupBy(unused, ({ model_key }) => model_key)) {
      await writer
        .deleteFrom('inference_result')
        .where('model_key', '=', modelKey)
        .where(
          'digest',
          'in',
          some.map(({ digest }) => digest),
        )
        .execute()
    }
    if (unused.length < stepRows) break
  }
  return rows.length
}
