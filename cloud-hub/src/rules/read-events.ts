/** Stored events in the order in which they were stored, as rules look at them. */
import { unlistedKinds } from '@edgeloop/protocol'
import { siteOf } from '../devices/device.ts'
import type { Fleet } from '../devices/fleet.ts'
import { storedEventOf } from '../events/events.ts'
import type { Store } from '../store/store.ts'
import type { PlacedEvent } from './match.ts'

/** Rows that are looked at for one page, those that no rule is about included. */
export const pageRows = 20_000
export const pageEvents = 500

export type EventsRead = {
  readonly events: readonly PlacedEvent[]
  /** Everything up to here was looked at. */
  readonly through: number
}

/** The newest event of all, whatever it is; 0 where there is none. */
export async function newestEventId(store: Store): Promise<number> {
  const { newest } = await store.reader
    .selectFrom('event')
    .select(({ fn }) => fn.max('event_id').as('newest'))
    .executeTakeFirstOrThrow()
  return newest ?? 0
}

/** What was stored after `after`, in pages. Embeddings are left out: they are long, and nobody reads them there. */
export async function readEventsAfter(
  { store, fleet }: { store: Store; fleet: Fleet },
  after: number,
): Promise<EventsRead> {
  // Before the events: whatever is stored meanwhile comes with the next page.
  const newest = await newestEventId(store)
  const last = Math.min(newest, after + pageRows)
  const rows = await store.reader
    .selectFrom('event')
    .innerJoin('device', 'device.device_key', 'event.device_key')
    .innerJoin('boot', 'boot.boot_key', 'event.boot_key')
    .select([
      ...(['event.event_id', 'event.sequence', 'event.kind', 'event.at'] as const),
      ...(['event.received_at', 'event.historical', 'event.stream_id', 'event.label'] as const),
      ...(['event.score', 'event.snapshot', 'event.data'] as const),
      ...(['device.device_id', 'boot.boot_id'] as const),
    ])
    .where('event.event_id', '>', after)
    .where('event.event_id', '<=', last)
    .where('event.kind', 'not in', [...unlistedKinds])
    .orderBy('event.event_id')
    .limit(pageEvents)
    .execute()
  const events = rows.flatMap((row): PlacedEvent[] => {
    const device = fleet.find(row.device_id)
    if (!device) return []
    const event = storedEventOf(row)
    return [
      {
        event: { ...event, data: withoutEmbeddings(event.data) },
        site: siteOf(device),
        tags: device.tags,
      },
    ]
  })
  const through = rows.length === pageEvents ? rows.at(-1)!.event_id : Math.max(last, after)
  return { events, through }
}

function withoutEmbeddings(data: Record<string, unknown>): Record<string, unknown> {
  if (!Array.isArray(data.attributes)) return data
  const attributes = data.attributes.map(
    ({ embedding: _, ...rest }: Record<string, unknown>) => rest,
  )
  return { ...data, attributes }
}
