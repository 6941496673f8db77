/**
 * How many events there were when, for timelines. Events lie in the order in which they were received, so a
 * time is found by halving, and only what lies between is counted: a bounded number of rows, the newest first.
 */
import { type EventDensity, Refusal, type RouteQuery, unlistedKinds } from '@edgeloop/protocol'
import { sql } from 'kysely'
import type { Store } from '../store/store.ts'

/** Rows counted for one timeline. */
export const countedRowsMax = 500_000
/** Lanes in one reply, the busiest. */
export const lanesMax = 64
/** A device's clock may be ahead of ours by this much, and its events still be found. */
const aheadMsMax = 10 * 60_000

/** @throws {Refusal} badRequest when `to` is not after `from` */
export async function readDensity(
  store: Store,
  query: RouteQuery<'eventDensity'>,
): Promise<EventDensity> {
  const from = Date.parse(query.from)
  const to = Date.parse(query.to)
  const slots = query.slots ?? 120
  if (!(to > from)) {
    throw new Refusal(
      'badRequest',
      `Cannot count from "${query.from}" to "${query.to}": no time between`,
    )
  }
  const slotMs = Math.max(1, Math.ceil((to - from) / slots))
  const { low, countedFrom } = await whereToBegin(store, from)
  // Literals, because a bound number is a REAL to SQLite and would not divide to a whole slot.
  const slot = sql<number>`(event.at - ${sql.lit(from)}) / ${sql.lit(slotMs)}`
  const important = sql<number>`case when exists (select 1 from event_mark
    where event_mark.event_id = event.event_id and event_mark.mark = 'important') then 1 else 0 end`
  let rows = store.reader
    .selectFrom('event')
    .innerJoin('device', 'device.device_key', 'event.device_key')
    .select(['device.device_id', 'stream_id', slot.as('slot')])
    .select(({ fn }) => [
      fn.countAll<number>().as('events'),
      sql<number>`sum(case when kind in ('alarm', 'loss') then 1 else 0 end)`.as('alarms'),
      sql<number>`sum(${important})`.as('important'),
    ])
    .where('event_id', '>=', low)
    .where('at', '>=', from)
    .where('at', '<', to)
  if (query.device !== undefined) rows = rows.where('device.device_id', '=', query.device)
  if (query.stream !== undefined) rows = rows.where('stream_id', '=', query.stream)
  if (query.label !== undefined) rows = rows.where('label', '=', query.label)
  if (query.kind !== undefined) rows = rows.where('kind', '=', query.kind)
  for (const kind of unlistedKinds) {
    if (query.kind !== kind) rows = rows.where('kind', '!=', sql.lit(kind))
  }
  const found = await rows.groupBy(['device.device_id', 'stream_id', slot]).execute()

  const lanes = new Map<string, EventDensity['lanes'][number] & { total: number }>()
  for (const row of found) {
    const key = `${row.device_id}/${row.stream_id ?? ''}`
    const lane = lanes.get(key) ?? {
      deviceId: row.device_id,
      streamId: row.stream_id,
      counts: new Array<number>(slots).fill(0),
      alarms: new Array<number>(slots).fill(0),
      important: new Array<number>(slots).fill(0),
      total: 0,
    }
    lanes.set(key, lane)
    const index = Number(row.slot)
    lane.counts[index] = Number(row.events)
    lane.alarms[index] = Number(row.alarms)
    lane.important[index] = Number(row.important)
    lane.total += Number(row.events)
  }
  const busiest = [...lanes.entries()]
    .sort(([a, one], [b, other]) => other.total - one.total || (a < b ? -1 : 1))
    .map(([, { total: _, ...lane }]) => lane)
  return {
    from: new Date(from).toISOString(),
    slotMs,
    slots,
    countedFrom: new Date(Math.max(from, countedFrom)).toISOString(),
    lanes: busiest.slice(0, lanesMax),
    omitted: Math.max(0, busiest.length - lanesMax),
  }
}

/** The first row to look at for events since `from`, and since when that is all of them. */
async function whereToBegin(
  store: Store,
  from: number,
): Promise<{ low: number; countedFrom: number }> {
  const ends = await store.reader
    .selectFrom('event')
    .select(({ fn }) => [fn.min('event_id').as('first'), fn.max('event_id').as('last')])
    .executeTakeFirst()
  let low = Number(ends?.first ?? 1)
  let high = Number(ends?.last ?? 0) + 1
  // The lowest id whose event was received at or after the time; ids may have gaps.
  while (low < high) {
    const middle = Math.floor((low + high) / 2)
    const row = await rowAt(store, middle)
    if (row === undefined || row.received_at >= from - aheadMsMax) high = middle
    else low = row.event_id + 1
  }
  const lowest = Number(ends?.last ?? 0) + 1 - countedRowsMax
  if (low >= lowest) return { low, countedFrom: from }
  const row = await rowAt(store, lowest)
  return { low: lowest, countedFrom: row?.received_at ?? from }
}

const rowAt = (store: Store, id: number) =>
  store.reader
    .selectFrom('event')
    .select(['event_id', 'received_at'])
    .where('event_id', '>=', id)
    .orderBy('event_id')
    .limit(1)
    .executeTakeFirst()
