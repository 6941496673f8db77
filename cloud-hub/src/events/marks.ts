/** What people say of events: reviewed, false alarm, important. Each mark is its person's own, and can be taken back. */
import type { Mark, MarkFilter, MarkKind } from '@edgeloop/protocol'
import { type Expression, type SqlBool, sql } from 'kysely'
import type { Store } from '../store/store.ts'

/**
 * Sets a mark on events or takes it back.
 * @returns the events that this changed: those that had it already, or that there are not, are left out
 */
export async function setMark(
  store: Store,
  given: { eventIds: readonly number[]; mark: MarkKind; set: boolean; user: string; at: number },
): Promise<{ changed: number[]; at: string }> {
  const { eventIds, mark, user, at } = given
  const ids = [...new Set(eventIds)]
  const rows = given.set
    ? await store.writer
        .insertInto('event_mark')
        .columns(['event_id', 'mark', 'user_name', 'at'])
        .expression((eb) =>
          eb
            .selectFrom('event')
            .select(['event_id'])
            .select([
              sql<string>`${sql.lit(mark)}`.as('mark'),
              sql<string>`cast(${user} as text)`.as('user_name'),
              sql<number>`${sql.lit(at)}`.as('at'),
            ])
            .where('event_id', 'in', ids),
        )
        .onConflict((on) => on.columns(['event_id', 'mark', 'user_name']).doNothing())
        .returning('event_id')
        .execute()
    : await store.writer
        .deleteFrom('event_mark')
        .where('event_id', 'in', ids)
        .where('mark', '=', mark)
        .where('user_name', '=', user)
        .returning('event_id')
        .execute()
  return { changed: rows.map((row) => row.event_id), at: new Date(at).toISOString() }
}

/** Marks of events, oldest first, by event; events without one are left out. */
export async function readMarks(
  store: Store,
  eventIds: readonly number[],
): Promise<Map<number, Mark[]>> {
  if (eventIds.length === 0) return new Map()
  const rows = await store.reader
    .selectFrom('event_mark')
    .selectAll()
    .where('event_id', 'in', eventIds)
    .orderBy('at')
    .execute()
  const marks = new Map<number, Mark[]>()
  for (const row of rows) {
    const mark = {
      // Written by `setMark` from a request that had passed its schema.
      mark: row.mark as MarkKind,
      user: row.user_name,
      at: new Date(row.at).toISOString(),
    }
    marks.set(row.event_id, [...(marks.get(row.event_id) ?? []), mark])
  }
  return marks
}

/** The condition that an event is marked so by anybody; for `unreviewed`, not reviewed by `user`. */
export function markedAs(filter: MarkFilter, user: string): Expression<SqlBool> {
  if (filter === 'unreviewed') {
    return sql<SqlBool>`not exists (select 1 from event_mark where event_mark.event_id = event.event_id
      and event_mark.mark = 'reviewed' and event_mark.user_name = ${user})`
  }
  return sql<SqlBool>`exists (select 1 from event_mark where event_mark.event_id = event.event_id
    and event_mark.mark = ${sql.lit(filter)})`
}
