/** One event, opened: its whole picture, what is known about it, and the way to its neighbours. */
import { isObjectKind, type MarkKind, markKinds, type StoredEvent } from '@edgeloop/protocol'
import { ActionIcon, Button, Skeleton } from '@mantine/core'
import { useMediaQuery } from '@mantine/hooks'
import {
  IconChevronDown,
  IconChevronUp,
  IconMaximize,
  IconMinimize,
  IconX,
} from '@tabler/icons-react'
import { useQuery } from '@tanstack/react-query'
import { getRouteApi, Link } from '@tanstack/react-router'
import { type ReactNode, useContext } from 'react'
import { Ago } from '../shell/now.tsx'
import { usePageTitle } from '../shell/page.tsx'
import { QueryState } from '../shell/query-state.tsx'
import { sayBytes, sayDuration, sayMoment, sayShare } from '../shell/say.ts'
import { Status } from '../shell/status.tsx'
import { useKeys } from '../shell/use-keys.ts'
import { AddToDataset } from './add-to-dataset.tsx'
import { EventClip } from './event-clip.tsx'
import { attributeFacts, eventOf, factsOf, kindWords, pictureBox, sayDelay } from './event-facts.ts'
import { EventListContext, narrowQuery } from './event-list-context.ts'
import classes from './event-panel.module.css'
import { eventQuery, olderEventQuery } from './event-queries.ts'
import { isMarked, markWords } from './marks.ts'
import { Snapshot } from './snapshot.tsx'
import { useMarks } from './use-marks.ts'

const route = getRouteApi('/in/events/$eventId')

export function EventPanel() {
  const eventId = Number(route.useParams().eventId)
  const { follow: _, span: __, large, ...filter } = route.useSearch()
  const marks = useMarks()
  const navigate = route.useNavigate()
  const list = useContext(EventListContext)
  const known = list.find((event) => event.eventId === eventId)
  const query = useQuery({ ...eventQuery(eventId), ...(known ? { initialData: known } : {}) })
  usePageTitle(`Event ${eventId}`)
  const narrow =
    useMediaQuery(narrowQuery, undefined, { getInitialValueInEffect: false }) || large === true
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
  const enlarge = () =>
    void navigate({
      search: ({ large: on, ...before }) => (on ? before : { ...before, large: true as const }),
      replace: true,
      resetScroll: false,
    })
  const event = query.data
  const toggle = (kind: MarkKind) =>
    event && marks.mark([eventId], kind, !isMarked(event, kind, marks.user))
  const allowed = marks.refused === undefined
  useKeys({
    next: () => open(older),
    previous: () => open(newer),
    enlarge,
    clear: () => {
      if (large) enlarge()
      else void navigate({ to: '/events', search: (before) => before, resetScroll: false })
    },
    review: () => {
      if (!allowed) return
      void marks.mark([eventId], 'reviewed', true)
      open(older)
    },
    important: () => allowed && toggle('important'),
    falseAlarm: () => allowed && toggle('falseAlarm'),
  })

  return (
    <section className={classes.panel} data-large={large} aria-label={`Event ${eventId}`}>
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
        <ActionIcon
          variant="subtle"
          color="gray"
          c="var(--el-dimmed)"
          className={classes.enlarge ?? ''}
          aria-label={large ? 'Beside the list' : 'Large'}
          onClick={enlarge}
        >
          {large ? <IconMinimize size={18} /> : <IconMaximize size={18} />}
        </ActionIcon>
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
        {(opened) => (
          <>
            <MarkButtons event={opened} />
            {opened.snapshot && <AddToDataset event={opened} />}
            <OpenedEvent event={opened} />
          </>
        )}
      </QueryState>
    </section>
  )
}

function MarkButtons(props: { event: StoredEvent }) {
  const { event } = props
  const marks = useMarks()
  const others = event.marks.filter(({ user }) => user !== marks.user)
  return (
    <>
      <fieldset className={classes.marks} aria-label="Your marks">
        {markKinds.map((kind) => {
          const on = isMarked(event, kind, marks.user)
          return (
            <Button
              key={kind}
              size="compact-sm"
              variant="default"
              aria-pressed={on}
              disabled={marks.refused !== undefined}
              title={marks.refused}
              onClick={() => void marks.mark([event.eventId], kind, !on)}
            >
              {on ? (
                <Status kind={markWords[kind].kind} word={markWords[kind].word} />
              ) : (
                markWords[kind].word
              )}
            </Button>
          )
        })}
      </fieldset>
      {others.length > 0 && (
        <ul className={classes.others}>
          {others.map(({ mark, user, at }) => (
            <li key={`${mark} ${user}`}>
              {markWords[mark].word}: <bdi>{user}</bdi>, <Ago at={at} />
            </li>
          ))}
        </ul>
      )}
    </>
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
      {event.streamId && <EventClip key={event.eventId} eventId={event.eventId} />}
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
          {sayDelay(Date.parse(event.receivedAt) - Date.parse(event.at))}
          {event.historical && ' (delivered late)'}
        </Fact>
        <MoreFacts event={event} />
        {attributeFacts(event).map(({ model, text }) => (
          <Fact key={model} name={model}>
            <bdi>{text}</bdi>
          </Fact>
        ))}
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
    case 'clip':
      return (
        <>
          <Fact name="From">{sayMoment(Date.parse(event.startedAt))}</Fact>
          <Fact name="Size">
            {event.width}×{event.height}, {sayBytes(event.sizeBytes)}
          </Fact>
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
