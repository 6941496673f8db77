/**
 * Events that arrived while somebody was looking: kept apart and counted, so that nothing moves under
 * a pointer, and put on top when asked for. Each appears once, however often it is delivered.
 */
import type { EventPage, StoredEvent } from '@edgeloop/protocol'

/** Newest first. `overflowed`: more came than are kept; the list must be fetched again. */
export type Arrivals = { readonly events: readonly StoredEvent[]; readonly overflowed: boolean }

export const noArrivals: Arrivals = { events: [], overflowed: false }

/** More than this, and showing them means fetching the list again. */
export const arrivalsMax = 500

/** The loaded list, as the query cache holds it. */
export type Loaded = {
  readonly pages: readonly EventPage[]
  readonly pageParams: readonly unknown[]
}

/** Adds events that are newer than what is loaded and not yet among the arrivals. */
export function arrive(
  arrivals: Arrivals,
  incoming: readonly StoredEvent[],
  loaded: Loaded | undefined,
): Arrivals {
  const newest = newestId(loaded)
  const known = new Set(arrivals.events.map((event) => event.eventId))
  const fresh = incoming.filter((event) => {
    if (event.eventId <= newest || known.has(event.eventId)) return false
    known.add(event.eventId)
    return true
  })
  if (fresh.length === 0) return arrivals
  const events = [...arrivals.events, ...fresh].sort((a, b) => b.eventId - a.eventId)
  return {
    events: events.slice(0, arrivalsMax),
    overflowed: arrivals.overflowed || events.length > arrivalsMax,
  }
}

/** The loaded list with the arrivals on top; pages that were loaded keep their identity. */
export function merge(loaded: Loaded, arrivals: Arrivals): Loaded {
  const fresh = arrive(noArrivals, arrivals.events, loaded).events
  const [first, ...rest] = loaded.pages
  if (!first || fresh.length === 0) return loaded
  return { ...loaded, pages: [{ ...first, events: [...fresh, ...first.events] }, ...rest] }
}

/**
 * The list cut to its newest `max` events; what was cut is a page that can be loaded again. Who follows looks at
 * the top, and drawing thousands of cards anew with each arrival would make that late.
 */
export function trim(loaded: Loaded, max: number): Loaded {
  const events = loaded.pages.flatMap((page) => page.events)
  const last = events[max - 1]
  if (events.length <= max || !last) return loaded
  const page = { events: events.slice(0, max), next: last.eventId }
  return { pages: [page], pageParams: loaded.pageParams.slice(0, 1) }
}

/** Id of the newest loaded event; 0 where there is none. */
export const newestId = (loaded: Loaded | undefined): number =>
  loaded?.pages.find((page) => page.events.length > 0)?.events[0]?.eventId ?? 0
