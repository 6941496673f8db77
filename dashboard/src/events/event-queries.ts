/** What is fetched about events, and the filter that the address bar holds. */
import {
  type EventKind,
  type EventPage,
  eventKinds,
  isUnlisted,
  type MarkFilter,
  markFilters,
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
  readonly mark?: MarkFilter
  /** ISO in UTC; `to` is not part of it. */
  readonly from?: string
  readonly to?: string
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
  const mark = markFilters.find((each) => each === search.mark)
  return {
    ...text('device'),
    ...text('stream'),
    ...text('label'),
    ...(kind ? { kind } : {}),
    ...(mark ? { mark } : {}),
    ...moment('from', search.from),
    ...moment('to', search.to),
  }
}

/** A time of the address as the hub takes it, whatever of ISO 8601 was written. */
function moment(key: 'from' | 'to', value: unknown): EventFilter {
  const at = typeof value === 'string' ? Date.parse(value) : Number.NaN
  return Number.isNaN(at) ? {} : { [key]: new Date(at).toISOString() }
}

/**
 * True where `event` passes the filter. Marks are left out of it: what was marked a moment ago stays where
 * it is until the list is fetched again. Figures are charts, not news: only on request.
 */
export function passes(event: StoredEvent, filter: EventFilter): boolean {
  return (
    (filter.kind ? event.kind === filter.kind : !isUnlisted(event.kind)) &&
    (!filter.device || event.deviceId === filter.device) &&
    (!filter.stream || event.streamId === filter.stream) &&
    (!filter.label || event.label === filter.label) &&
    // Written alike by the hub and the address, so that text compares as time does.
    (!filter.from || event.at >= filter.from) &&
    (!filter.to || event.at < filter.to)
  )
}

/** True where an event that has just happened belongs to the filter: it carries no mark yet. */
export const mayArrive = (event: StoredEvent, filter: EventFilter): boolean =>
  passes(event, filter) && (filter.mark === undefined || filter.mark === 'unreviewed')

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
    // What has been marked meanwhile no longer fits: such a list is fetched whenever it is opened.
    ...(filter.mark === undefined ? {} : { gcTime: 0 }),
  })

export const eventQuery = (eventId: number) =>
  queryOptions({
    queryKey: ['event', eventId],
    queryFn: ({ signal }) => call('eventShow', { params: { eventId }, signal }),
    staleTime: Number.POSITIVE_INFINITY,
  })

/** So long after an event its clip may still be on the way to the hub's knowledge. */
const recordingMs = 10 * 60_000

/** Where the clip of an event is; asked again while that may change by itself. */
export const eventClipQuery = (eventId: number) =>
  queryOptions({
    queryKey: ['event', eventId, 'clip'],
    queryFn: ({ signal }) => call('eventClipShow', { params: { eventId }, signal }),
    refetchInterval: ({ state: { data, dataUpdateCount } }) => {
      if (data?.state === 'coming') return 1000
      const isOpen = data?.state === 'none' || data?.state === 'offline'
      return isOpen && dataUpdateCount * clipLookMs < recordingMs ? clipLookMs : false
    },
  })
const clipLookMs = 5000

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
