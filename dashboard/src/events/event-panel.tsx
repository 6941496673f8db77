/** One event, opened: its whole picture, what is known about it, and the way to its neighbours. */
import { isObjectKind, type StoredEvent } from '@edgeloop/protocol'
import { ActionIcon, Skeleton } from '@mantine/core'
import { useMediaQuery } from '@mantine/hooks'
import { IconChevronDown, IconChevronUp, IconX } from '@tabler/icons-react'
import { useQuery } from '@tanstack/react-query'
import { getRouteApi, Link } from '@tanstack/react-router'
import { type ReactNode, useContext } from 'react'
import { usePageTitle } from '../shell/page.tsx'
import { QueryState } from '../shell/query-state.tsx'
import { sayBytes, sayDuration, sayMoment, sayNumber, sayShare } from '../shell/say.ts'
import { Status } from '../shell/status.tsx'
import { useKeys } from '../shell/use-keys.ts'
import { eventOf, factsOf, kindWords, pictureBox } from './event-facts.ts'
import { EventListContext, narrowQuery } from './event-list-context.ts'
import classes from './event-panel.module.css'
import { eventQuery, olderEventQuery } from './event-queries.ts'
import { Snapshot } from './snapshot.tsx'

const route = getRouteApi('/in/events/$eventId')

export function EventPanel() {
  const eventId = Number(route.useParams().eventId)
  const { follow: _, ...filter } = route.useSearch()
  const navigate = route.useNavigate()
  const list = useContext(EventListContext)
  const known = list.find((event) => event.eventId === eventId)
  const query = useQuery({ ...eventQuery(eventId), ...(known ? { initialData: known } : {}) })
  usePageTitle(`Event ${eventId}`)
  const narrow = useMediaQuery(narrowQuery, undefined, { getInitialValueInEffect: false })
  const Heading = narrow ? 'h1' : 'span'

  const place = list.findIndex((event) => event.eventId === eventId)
  const newer = place > 0 ? list[place - 1] : undefined
  const olderKnown = place >= 0 ? list[place + 1] : undefined
  const { data: olderFound } = useQuery({
    ...olderEventQuery(eventId, filter),
    enabled: !olderKnown,
  })
  const older = olderKnown ?? olderFound ?? undefined

  const open = (event: StoredEvent | undefined) => {
    if (!event) return
    const to = { eventId: String(event.eventId) }
    void navigate({
      to: '/events/$eventId',
      params: to,
      search: (before) => before,
      replace: true,
      resetScroll: false,
    })
    document.querySelector(`[data-event="${event.eventId}"]`)?.scrollIntoView({ block: 'nearest' })
  }
  useKeys({ next: () => open(older), previous: () => open(newer) })

  return (
    <section className={classes.panel} aria-label={`Event ${eventId}`}>
      <header className={classes.head}>
        <ActionIcon
          variant="default"
          aria-label="Newer event"
          disabled={!newer}
          onClick={() => open(newer)}
        >
          <IconChevronUp size={18} />
        </ActionIcon>
        <ActionIcon
          variant="default"
          aria-label="Older event"
          disabled={!older}
          onClick={() => open(older)}
        >
          <IconChevronDown size={18} />
        </ActionIcon>
        <Heading className={classes.number}>Event {eventId}</Heading>
        <Link
          to="/events"
          search={(before) => before}
          resetScroll={false}
          className={classes.close ?? ''}
          aria-label="Close the event"
        >
          <IconX size={18} />
        </Link>
      </header>
      <QueryState query={query} skeleton={<Skeleton className={classes.skeleton ?? ''} />}>
        {(event) => <OpenedEvent event={event} />}
      </QueryState>
    </section>
  )
}

function OpenedEvent(props: { event: StoredEvent }) {
  const { event } = props
  const { status, title, text } = factsOf(event)
  return (
    <>
      {event.snapshot && (
        <Snapshot
          key={event.snapshot}
          digest={event.snapshot}
          label={event.label ?? ''}
          box={pictureBox(event)}
          eager
        />
      )}
      <h2 className={classes.title}>
        {isObjectKind(event.kind) ? (
          <bdi>{title}</bdi>
        ) : (
          <Status kind={status} word={title} size={18} />
        )}
      </h2>
      {text && <p className={classes.text}>{text}</p>}
      <dl className={classes.facts}>
        <Fact name="Kind">{kindWords[event.kind]}</Fact>
        <Fact name="Device">
          <Link to="/devices/$deviceId" params={{ deviceId: event.deviceId }}>
            {event.deviceId}
          </Link>
        </Fact>
        {event.streamId && <Fact name="Stream">{event.streamId}</Fact>}
        <Fact name="Happened">{sayMoment(Date.parse(event.at))}</Fact>
        <Fact name="Received">
          {sayDelay(event)}
          {event.historical && ' (delivered late)'}
        </Fact>
        <MoreFacts event={event} />
        <Fact name="Sequence">
          {event.sequence} <span className="dim mono">{event.bootId.slice(0, 8)}</span>
        </Fact>
      </dl>
      <details className={classes.raw}>
        <summary>As it was received</summary>
        <pre>{JSON.stringify(event.data, null, 2)}</pre>
      </details>
    </>
  )
}

function MoreFacts(props: { event: StoredEvent }) {
  const event = eventOf(props.event)
  switch (event.kind) {
    case 'appeared':
      return (
        <>
          <Fact name="Score">{event.score.toFixed(2)}</Fact>
          <Fact name="Track">{event.trackId}</Fact>
        </>
      )
    case 'left':
      return (
        <>
          <Fact name="Best score">{event.score.toFixed(2)}</Fact>
          <Fact name="Stayed">
            {sayDuration(Date.parse(event.at) - Date.parse(event.appearedAt))}
          </Fact>
          <Fact name="Frames">{event.frames}</Fact>
          <Fact name="Track">{event.trackId}</Fact>
        </>
      )
    case 'zone':
      return (
        <>
          <Fact name="Zone">{event.zone}</Fact>
          {event.dwellMs !== undefined && (
            <Fact name="Stayed inside">{sayDuration(event.dwellMs)}</Fact>
          )}
          <Fact name="Score">{event.score.toFixed(2)}</Fact>
          <Fact name="Track">{event.trackId}</Fact>
        </>
      )
    case 'line':
      return (
        <>
          <Fact name="Line">{event.line}</Fact>
          <Fact name="Score">{event.score.toFixed(2)}</Fact>
          <Fact name="Track">{event.trackId}</Fact>
        </>
      )
    case 'health':
      return (
        <>
          <Fact name="CPU">{sayShare(event.cpuShare)}</Fact>
          <Fact name="Memory">{sayBytes(event.memoryBytes)}</Fact>
          <Fact name="Waiting events">{event.outboxEvents}</Fact>
        </>
      )
    case 'loss':
      return (
        <Fact name="Range">
          {event.sequence} to {event.through}
        </Fact>
      )
    default:
      return null
  }
}

function Fact(props: { name: string; children: ReactNode }) {
  return (
    <div>
      <dt>{props.name}</dt>
      <dd>{props.children}</dd>
    </div>
  )
}

/** `0.4 s later` */
function sayDelay(event: StoredEvent): string {
  const ms = Date.parse(event.receivedAt) - Date.parse(event.at)
  return ms < 60_000 ? `${sayNumber(Math.max(0, ms) / 1000)} s later` : `${sayDuration(ms)} later`
}
