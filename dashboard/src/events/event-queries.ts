/** What is fetched about events, and the filter that the address bar holds. */
import {
  type EventKind,
  type EventPage,
  eventKinds,
  isAggregate,
  type StoredEvent,
} from '@edgeloop/protocol'
import { infiniteQueryOptions, queryOptions } from '@tanstack/react-query'
import { call } from '../api/call.ts'

/** Which events to show; parts that are left out let everything through. */
export type EventFilter = {
  readonly device?: string
  readonly stream?: string
  readonly label?: string
  readonly kind?: EventKind
}

/** Events of one page. */
const pageEvents = 60

/** Reads a filter from the search part of an address; what does not fit is dropped. */
export function readEventFilter(search: Record<string, unknown>): EventFilter {
  const text = (key: string) => {
    const value = search[key]
    return typeof value === 'string' && value !== '' ? { [key]: value } : {}
  }
  const kind = eventKinds.find((each) => each === search.kind)
  return { ...text('device'), ...text('stream'), ...text('label'), ...(kind ? { kind } : {}) }
}

/** True where `event` passes the filter. Figures are charts, not news: only on request. */
export function passes(event: StoredEvent, filter: EventFilter): boolean {
  return (
    (filter.kind ? event.kind === filter.kind : !isAggregate(event.kind)) &&
    (!filter.device || event.deviceId === filter.device) &&
    (!filter.stream || event.streamId === filter.stream) &&
    (!filter.label || event.label === filter.label)
  )
}

export const eventListQuery = (filter: EventFilter) =>
  infiniteQueryOptions({
    queryKey: ['events', filter] as const,
    queryFn: ({ pageParam, signal }): Promise<EventPage> =>
      call('eventList', {
        query: {
          ...filter,
          limit: pageEvents,
          ...(pageParam === null ? {} : { before: pageParam }),
        },
        signal,
      }),
    initialPageParam: null as number | null,
    getNextPageParam: (page) => page.next,
    // New events come by the change stream; fetching the pages again would move what one looks at.
    staleTime: Number.POSITIVE_INFINITY,
    refetchOnWindowFocus: false,
    refetchOnReconnect: false,
  })

export const eventQuery = (eventId: number) =>
  queryOptions({
    queryKey: ['event', eventId],
    queryFn: ({ signal }) => call('eventShow', { params: { eventId }, signal }),
    staleTime: Number.POSITIVE_INFINITY,
  })

/** The newest event stored before `eventId` that passes the filter. */
export const olderEventQuery = (eventId: number, filter: EventFilter) =>
  queryOptions({
    queryKey: ['event', eventId, 'older', filter],
    queryFn: async ({ signal }) => {
      const { events } = await call('eventList', {
        query: { ...filter, before: eventId, limit: 1 },
        signal,
      })
      return events[0] ?? null
    },
    staleTime: Number.POSITIVE_INFINITY,
  })
