/** The list of events as somebody looks at it: pages that stay put, and what arrived since. */
import type { StoredEvent } from '@edgeloop/protocol'
import { useInfiniteQuery, useQueryClient } from '@tanstack/react-query'
import { useMemo, useState } from 'react'
import { call } from '../api/call.ts'
import { useChanges } from '../api/changes.tsx'
import {
  type Arrivals,
  arrive,
  type Loaded,
  merge,
  newestId,
  noArrivals,
  trim,
} from './arrivals.ts'
import { type EventFilter, eventListQuery, mayArrive, passes } from './event-queries.ts'

/** Events fetched to catch up after the change stream had a gap. */
const catchUpMax = 500
/** Events that a list keeps while it follows what arrives: some screens full. */
const followedMax = 120

/** @param follow show what arrives at once instead of counting it */
export function useEventList(filter: EventFilter, follow: boolean) {
  const queryClient = useQueryClient()
  const options = eventListQuery(filter)
  const query = useInfiniteQuery(options)
  const [waiting, setWaiting] = useState<{ filter: EventFilter; arrivals: Arrivals }>({
    filter,
    arrivals: noArrivals,
  })
  const arrivals = waiting.filter === filter ? waiting.arrivals : noArrivals
  const events = useMemo(
    () => query.data?.pages.flatMap((page) => page.events.filter((event) => passes(event, filter))),
    [query.data, filter],
  )

  const kept = (loaded: Loaded): Loaded => (follow ? trim(loaded, followedMax) : loaded)
  const take = (next: Arrivals) => {
    setWaiting({ filter, arrivals: noArrivals })
    if (next.overflowed) return void queryClient.resetQueries({ queryKey: options.queryKey })
    queryClient.setQueryData(options.queryKey, (loaded) =>
      loaded ? (kept(merge(loaded, next)) as typeof loaded) : loaded,
    )
  }

  const receive = (incoming: readonly StoredEvent[]) => {
    const loaded = queryClient.getQueryData(options.queryKey)
    if (!loaded) return
    const next = arrive(
      arrivals,
      incoming.filter((event) => mayArrive(event, filter)),
      loaded,
    )
    if (next === arrivals) return
    // Where nothing is shown yet, nothing can be moved.
    if (follow || newestId(loaded) === 0) take(next)
    else setWaiting({ filter, arrivals: next })
  }

  const catchUp = async () => {
    const loaded = queryClient.getQueryData(options.queryKey)
    if (!loaded) return
    const page = await call('eventList', { query: { ...filter, limit: catchUpMax } })
    const bridged =
      page.next === null || page.events.some((event) => event.eventId <= newestId(loaded))
    if (bridged) return receive(page.events)
    setWaiting({ filter, arrivals: { events: page.events, overflowed: true } })
  }

  useChanges(
    (batch) => receive(batch.filter((change) => change.kind === 'event').map(({ event }) => event)),
    () => void catchUp().catch(() => {}),
  )

  return { query, events, arrivals, showArrivals: () => take(arrivals) }
}
