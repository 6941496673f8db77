/** The newest few events in one row, following what arrives: a glance, not a place to work in. */
import { Skeleton } from '@mantine/core'
import { useState } from 'react'
import { QueryState } from '../shell/query-state.tsx'
import { EventCard } from './event-card.tsx'
import type { EventFilter } from './event-queries.ts'
import classes from './event-strip.module.css'
import { useEventList } from './use-event-list.ts'

const shownEvents = 12

/** @param column one under the other instead of side by side */
export function EventStrip(props: { filter: EventFilter; column?: boolean }) {
  // The filter names a place in the cache: it must stay the same object while it says the same.
  const [filter, setFilter] = useState(props.filter)
  if (JSON.stringify(filter) !== JSON.stringify(props.filter)) setFilter(props.filter)
  const { query, events = [] } = useEventList(filter, true)
  return (
    <QueryState query={query} skeleton={<Skeleton height={180} />}>
      {() =>
        events.length === 0 ? (
          <p className="dim">Nothing yet. Events appear here by themselves.</p>
        ) : (
          <div className={classes.strip} data-column={props.column}>
            {events.slice(0, shownEvents).map((event) => (
              <EventCard key={event.eventId} event={event} />
            ))}
          </div>
        )
      }
    </QueryState>
  )
}
