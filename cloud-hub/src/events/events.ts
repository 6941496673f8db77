/**
 * Stored events as people ask for them: pages, newest first. A page looks at a bounded number of rows,
 * so a filter that matches almost nothing gives short pages and a cursor instead of a long wait.
 */
import {
  type EventKind,
  type EventPage,
  type EventQuery,
  eventKinds,
  isObjectKind,
  type Mark,
  Refusal,
  type StoredEvent,
  unlistedKinds,
} from '@edgeloop/protocol'
import { sql } from 'kysely'
import type { Store } from '../store/store.ts'
import type { EventTable } from '../store/tables.ts'
import { markedAs, readMarks } from './marks.ts'

/** Rows looked at for one page where no index leads to the matches. */
export const scanRowsMax = 200_000
const scanStep = 20_000

export type EventRow = Pick<
  EventTable,
  | 'event_id'
  | 'sequence'
  | 'kind'
  | 'at'
  | 'received_at'
  | 'historical'
  | 'stream_id'
  | 'label'
  | 'score'
  | 'snapshot'
  | 'data'
> & { device_id: string; boot_id: string }

export type Events = {
  /** @param user who asks: `unreviewed` is what this one has not reviewed */
  list(query: EventQuery, user?: string): Promise<EventPage>
  /** @throws {Refusal} notFound */
  show(eventId: number): Promise<StoredEvent>
  /** Events that speak of one picture, among those that were stored around this one. */
  ofSnapshot(eventId: number, digest: string): Promise<StoredEvent[]>
}

/** Events of one frame are stored close to each other: so far away from one the others are looked for. */
const aroundMax = 2000

export function openEvents({ store }: { store: Store }): Events {
  const select = () =>
    store.reader
      .selectFrom('event')
      .innerJoin('boot', 'boot.boot_key', 'event.boot_key')
      .innerJoin('device', 'device.device_key', 'event.device_key')
      .select(['device.device_id', 'boot.boot_id'])
      .select(['event_id', 'sequence', 'kind', 'at', 'received_at', 'historical'])
      .select(['stream_id', 'label', 'score', 'snapshot', 'data'])

  /** Matching events with `low <= event_id < high`, newest first. */
  async function slice(query: Wanted, low: number, high: number, limit: number) {
    let rows = select().where('event_id', '<', high).where('event_id', '>=', low)
    if (query.device !== undefined) {
      const key = store.reader
        .selectFrom('device')
        .select('device_key')
        .where('device_id', '=', query.device)
      rows = rows.where('event.device_key', '=', key)
    }
    if (query.stream !== undefined) rows = rows.where('stream_id', '=', query.stream)
    // Figures are charts, not news: they come all the time, so only for who asks for them. Said
    // literally, because an index with a condition is only used where the query repeats it.
    for (const kind of unlistedKinds) {
      if (query.kind !== kind) rows = rows.where('kind', '!=', sql.lit(kind))
    }
    if (query.kind !== undefined) rows = rows.where('kind', '=', query.kind)
    if (isUnlabelled(query.kind)) rows = rows.where('label', 'is', null)
    if (query.label !== undefined) rows = rows.where('label', '=', query.label)
    if (query.fromTime !== undefined) rows = rows.where('at', '>=', query.fromTime)
    if (query.toTime !== undefined) rows = rows.where('at', '<', query.toTime)
    if (query.mark !== undefined) rows = rows.where(markedAs(query.mark, query.user))
    return await rows.orderBy('event_id', 'desc').limit(limit).execute()
  }

  async function list(query: EventQuery, user = ''): Promise<EventPage> {
    const limit = query.limit ?? 50
    const wanted = { ...query, user, fromTime: timeOf(query.from), toTime: timeOf(query.to) }
    const newest = await store.reader
      .selectFrom('event')
      .select(({ fn }) => fn.max('event_id').as('event_id'))
      .executeTakeFirst()
    const found: EventRow[] = []
    let high = Math.min(query.before ?? Number.MAX_SAFE_INTEGER, (newest?.event_id ?? 0) + 1)
    const straight = leadsStraight(query)
    const lowest = straight ? 1 : Math.max(1, high - scanRowsMax)
    while (found.length < limit && high > lowest) {
      const low = straight ? 1 : Math.max(lowest, high - scanStep)
      const rows = await slice(wanted, low, high, limit - found.length)
      found.push(...rows)
      high = found.length === limit ? (rows.at(-1)?.event_id ?? low) : low
    }
    const marks = await readMarks(
      store,
      found.map((row) => row.event_id),
    )
    const events = found.map((row) => storedEventOf(row, marks.get(row.event_id)))
    return { events, next: high > 1 ? high : null }
  }

  async function show(eventId: number): Promise<StoredEvent> {
    const row = await select().where('event_id', '=', eventId).executeTakeFirst()
    if (!row) throw new Refusal('notFound', `Cannot find event ${eventId}`)
    return storedEventOf(row, (await readMarks(store, [eventId])).get(eventId))
  }

  async function ofSnapshot(eventId: number, digest: string): Promise<StoredEvent[]> {
    const rows = await select()
      .where('event_id', '>=', eventId - aroundMax)
      .where('event_id', '<=', eventId + aroundMax)
      .where('snapshot', '=', digest)
      .orderBy('event_id')
      .execute()
    return rows.map((row) => storedEventOf(row))
  }

  return { list, show, ofSnapshot }
}

/** An event as the API gives it out. */
export function storedEventOf(row: EventRow, marks: readonly Mark[] = []): StoredEvent {
  const kind = eventKinds.find((known) => known === row.kind)
  if (!kind) throw new Error(`Cannot read event ${row.event_id}: its kind is "${row.kind}"`)
  return {
    eventId: row.event_id,
    deviceId: row.device_id,
    bootId: row.boot_id,
    sequence: row.sequence,
    kind,
    at: new Date(row.at).toISOString(),
    receivedAt: new Date(row.received_at).toISOString(),
    historical: row.historical === 1,
    streamId: row.stream_id,
    label: row.label,
    score: row.score,
    snapshot: row.snapshot,
    data: JSON.parse(row.data) as Record<string, unknown>,
    marks: [...marks],
  }
}

/** True for kinds that never carry a label: an index holds just those. */
function isUnlabelled(kind: EventKind | undefined): boolean {
  return kind !== undefined && !isObjectKind(kind)
}

/** True where one index leads to nothing but matches, so that no rows are looked at in vain. */
function leadsStraight({ device, label, kind, stream, mark, from, to }: EventQuery): boolean {
  if (mark !== undefined || stream !== undefined || from !== undefined || to !== undefined)
    return false
  const filters = [device, label, kind].filter((value) => value !== undefined)
  return filters.length === 1 && (kind === undefined || isUnlabelled(kind))
}

type Wanted = EventQuery & {
  user: string
  fromTime: number | undefined
  toTime: number | undefined
}

function timeOf(timestamp: string | undefined): number | undefined {
  if (timestamp === undefined) return undefined
  const time = Date.parse(timestamp)
  if (Number.isNaN(time)) throw new Refusal('badRequest', `Cannot read the time "${timestamp}"`)
  return time
}
