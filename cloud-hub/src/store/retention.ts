/** Removes what is older than it is kept, in small steps between which events can be committed. */
import type { Store } from './store.ts'

const dayMs = 86_400_000
/** Rows removed in one transaction, and in one run. */
const stepRows = 2000
const runRowsMax = 200_000

/** Removes rows that are too old; what is left after a bounded run is the next run's. */
export async function pruneStore(
  store: Store,
  kept: { now: number; eventsKeptDays: number; healthKeptDays: number; signal: AbortSignal },
): Promise<void> {
  const { now, signal } = kept
  for (let removed = 0; removed < runRowsMax && !signal.aborted; removed += stepRows) {
    const old = store.writer
      .selectFrom('event')
      .select('event_id')
      .where('received_at', '<', now - kept.eventsKeptDays * dayMs)
      // Received in order of id: the first rows are the oldest, and the scan ends at once.
      .where('event_id', '<=', (eb) =>
        eb.selectFrom('event').select((e) => e(e.fn.min('event_id'), '+', stepRows).as('last')),
      )
    const { numDeletedRows } = await store.writer
      .deleteFrom('event')
      .where('event_id', 'in', old)
      .executeTakeFirstOrThrow()
    if (numDeletedRows === 0n) break
  }
  for (let removed = 0; removed < runRowsMax && !signal.aborted; removed += stepRows) {
    const old = store.writer
      .selectFrom('health_figure')
      .select('event_id')
      .where('at', '<', now - kept.healthKeptDays * dayMs)
      .where('event_id', '<=', (eb) =>
        eb
          .selectFrom('health_figure')
          .select((e) => e(e.fn.min('event_id'), '+', stepRows).as('last')),
      )
    const { numDeletedRows } = await store.writer
      .deleteFrom('health_figure')
      .where('event_id', 'in', old)
      .executeTakeFirstOrThrow()
    if (numDeletedRows === 0n) break
  }
  // Marks of events that are gone. Where there is no event at all there is none to compare with.
  await store.writer
    .deleteFrom('event_mark')
    .where('event_id', '<', (eb) =>
      eb.selectFrom('event').select(({ fn }) => fn.min('event_id').as('first')),
    )
    .execute()
}
