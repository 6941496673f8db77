/** What devices reported, newest first, with the pictures; one of them opened beside the list. */
import {
  type EventKind,
  eventKinds,
  type MarkFilter,
  markedEventsMax,
  markFilters,
  type StoredEvent,
} from '@edgeloop/protocol'
import { Button, NativeSelect, Skeleton, Switch } from '@mantine/core'
import { useMediaQuery } from '@mantine/hooks'
import { IconArrowUp, IconBell, IconX } from '@tabler/icons-react'
import { useQuery } from '@tanstack/react-query'
import { getRouteApi, Outlet, useParams } from '@tanstack/react-router'
import { useEffect, useEffectEvent, useRef, useState } from 'react'
import { deviceListQuery, deviceQuery } from '../devices/device-queries.ts'
import { Page } from '../shell/page.tsx'
import { Empty, QueryState } from '../shell/query-state.tsx'
import { sayCount, sayMoment, sayOf } from '../shell/say.ts'
import { TextFilter, withCurrent } from '../shell/text-filter.tsx'
import { useKeys } from '../shell/use-keys.ts'
import { EventCard } from './event-card.tsx'
import { groupByHour, kindWords } from './event-facts.ts'
import { EventListContext, narrowQuery } from './event-list-context.ts'
import type { EventFilter } from './event-queries.ts'
import classes from './events-page.module.css'
import { isMarked } from './marks.ts'
import { type Span, spanNames, spans, standardSpan } from './timeline.ts'
import { densityQuery, Timeline } from './timeline-chart.tsx'
import { useEventList } from './use-event-list.ts'
import { MarksContext, useMarking, useMarks } from './use-marks.ts'

const route = getRouteApi('/in/events')

/** So many events on one page are enough to look through; more need a narrower filter. */
const shownMax = 3000

export function EventsPage() {
  const search = route.useSearch()
  const { follow = false, span = standardSpan, large: _, ...filter } = search
  // The search object keeps its identity while nothing changes; its filter part must too.
  const [kept, setKept] = useState<EventFilter>(filter)
  if (JSON.stringify(kept) !== JSON.stringify(filter)) setKept(filter)
  const list = useEventList(kept, follow)
  const marks = useMarking()
  useKeys({ undo: () => void marks.undo() })
  const { eventId } = useParams({ strict: false })
  const opened = eventId !== undefined
  // Where there is no room for both, an opened event takes the place of the list.
  const narrow = useMediaQuery(narrowQuery, undefined, { getInitialValueInEffect: false })

  return (
    <EventListContext value={list.events ?? []}>
      <MarksContext value={marks}>
        <div className={classes.split} data-opened={opened} data-large={search.large}>
          {!(opened && (narrow || search.large)) && (
            <div className={classes.list}>
              <Page title="Events" aside={<Filters filter={kept} follow={follow} />}>
                <When filter={kept} span={span} />
                <QueryState query={list.query} skeleton={<GridSkeleton />}>
                  {() => <EventGrid list={list} filter={kept} />}
                </QueryState>
              </Page>
            </div>
          )}
          <Outlet />
        </div>
      </MarksContext>
    </EventListContext>
  )
}

/** Lanes of the timeline: the busiest streams. */
const lanesMax = 8

/** The timeline of what the filter lets through; a slot of it becomes the time of the filter. */
function When(props: { filter: EventFilter; span: Span }) {
  const { filter, span } = props
  const navigate = route.useNavigate()
  const query = useQuery(densityQuery(filter, span))
  const picked = filter.from && filter.to ? { from: filter.from, to: filter.to } : undefined
  return (
    <>
      <div className={classes.when}>
        <fieldset className={classes.spans} aria-label="Time on the timeline">
          {spanNames.map((name) => (
            <button
              key={name}
              type="button"
              aria-pressed={name === span}
              onClick={() =>
                void navigate({
                  search: ({ span: _, ...before }) =>
                    name === standardSpan ? before : { ...before, span: name },
                  replace: true,
                })
              }
            >
              {spans[name].word}
            </button>
          ))}
        </fieldset>
        {(filter.from || filter.to) && (
          <Button
            size="compact-xs"
            variant="default"
            rightSection={<IconX size={12} aria-hidden />}
            onClick={() =>
              void navigate({
                search: ({ from: _, to: __, ...before }) => before,
                replace: true,
              })
            }
          >
            {filter.from ? sayMoment(Date.parse(filter.from)) : 'Until'}
            {filter.to && ` to ${sayMoment(Date.parse(filter.to))}`}
          </Button>
        )}
      </div>
      <QueryState query={query} skeleton={<Skeleton height={64} mb={16} />}>
        {(density) => (
          <Timeline
            density={density}
            lanesMax={lanesMax}
            nameOf={({ deviceId, streamId }) => (streamId ? `${deviceId} / ${streamId}` : deviceId)}
            picked={picked}
            onPick={({ deviceId, streamId }, time) =>
              void navigate({
                search: (before) => ({
                  ...before,
                  ...time,
                  device: deviceId,
                  ...(streamId ? { stream: streamId } : {}),
                }),
              })
            }
          />
        )}
      </QueryState>
    </>
  )
}

const markFilterWords: Record<MarkFilter, string> = {
  unreviewed: 'Not reviewed by me',
  reviewed: 'Reviewed',
  important: 'Important',
  falseAlarm: 'False alarms',
}

function Filters(props: { filter: EventFilter; follow: boolean }) {
  const { filter } = props
  const navigate = route.useNavigate()
  const first = useRef<HTMLSelectElement>(null)
  useKeys({ focusFilter: () => first.current?.focus() })
  const { data: devices = [] } = useQuery(deviceListQuery)
  const { data: detail } = useQuery({
    ...deviceQuery(filter.device ?? ''),
    enabled: filter.device !== undefined,
  })
  const change = (
    next: { [K in keyof EventFilter]?: EventFilter[K] | undefined } & { follow?: true | undefined },
  ) =>
    void navigate({
      search: (before) => {
        const after = Object.entries({ ...before, ...next }).filter(
          ([, value]) => value !== undefined,
        )
        return Object.fromEntries(after)
      },
      replace: true,
    })

  return (
    <>
      <NativeSelect
        ref={first}
        size="xs"
        w={120}
        aria-label="Kind"
        value={filter.kind ?? ''}
        onChange={({ currentTarget: { value } }) =>
          change({ kind: value === '' ? undefined : (value as EventKind) })
        }
        data={[
          { value: '', label: 'All kinds' },
          ...eventKinds.map((kind) => ({ value: kind, label: kindWords[kind] })),
        ]}
      />
      <NativeSelect
        size="xs"
        w={150}
        aria-label="Marks"
        value={filter.mark ?? ''}
        onChange={({ currentTarget: { value } }) =>
          change({ mark: markFilters.find((each) => each === value) })
        }
        data={[
          { value: '', label: 'Marked or not' },
          ...markFilters.map((mark) => ({ value: mark, label: markFilterWords[mark] })),
        ]}
      />
      {devices.length > devicesListedMax ? (
        <TextFilter
          key={`device ${filter.device}`}
          name="Device"
          text={filter.device}
          onChange={(device) => change({ device, stream: undefined })}
        />
      ) : (
        <NativeSelect
          size="xs"
          w={160}
          aria-label="Device"
          value={filter.device ?? ''}
          onChange={({ currentTarget: { value } }) =>
            change({ device: value || undefined, stream: undefined })
          }
          data={[
            { value: '', label: 'All devices' },
            ...withCurrent(
              devices.map(({ deviceId, name }) => ({ value: deviceId, label: name })),
              filter.device,
            ),
          ]}
        />
      )}
      {filter.device && (
        <NativeSelect
          size="xs"
          w={160}
          aria-label="Stream"
          value={filter.stream ?? ''}
          onChange={({ currentTarget: { value } }) => change({ stream: value || undefined })}
          data={[
            { value: '', label: 'All streams' },
            ...withCurrent(
              (detail?.reported?.streams ?? []).map(({ streamId, name }) => ({
                value: streamId,
                label: name,
              })),
              filter.stream,
            ),
          ]}
        />
      )}
      <TextFilter
        key={`label ${filter.label}`}
        name="Label"
        text={filter.label}
        onChange={(label) => change({ label })}
      />
      <Switch
        size="xs"
        label="Follow"
        title="Show new events as they arrive, instead of counting them"
        checked={props.follow}
        onChange={(event) => change({ follow: event.currentTarget.checked || undefined })}
      />
    </>
  )
}

/** More devices than this are typed, not picked from a list. */
const devicesListedMax = 200

/** Marks everything that is listed and that its reader has not reviewed, and says how many that are. */
function ReviewAll(props: { events: readonly StoredEvent[] }) {
  const marks = useMarks()
  const left = props.events.filter((event) => !isMarked(event, 'reviewed', marks.user))
  const ids = left.slice(0, markedEventsMax).map(({ eventId }) => eventId)
  if (props.events.length === 0) return null
  return (
    <div className={classes.review}>
      <span className="dim" role="status">
        {sayCount(props.events.length)} listed, {sayCount(left.length)} not reviewed by you
      </span>
      <Button
        size="compact-xs"
        variant="default"
        disabled={marks.refused !== undefined || ids.length === 0}
        title={marks.refused}
        onClick={() => void marks.mark(ids, 'reviewed', true)}
      >
        Mark {sayOf(ids.length, 'event')} as reviewed
      </Button>
      {marks.undoable > 0 && (
        <Button size="compact-xs" variant="subtle" onClick={() => void marks.undo()}>
          Undo the last mark
        </Button>
      )}
    </div>
  )
}

function EventGrid(props: { list: ReturnType<typeof useEventList>; filter: EventFilter }) {
  const { query, events = [], arrivals, showArrivals } = props.list
  const navigate = route.useNavigate()
  const full = events.length >= shownMax
  const more = query.hasNextPage && !full
  const fetchMore = () => void (query.isFetchingNextPage || query.fetchNextPage())
  const show = () => {
    showArrivals()
    window.scrollTo({ top: 0 })
  }

  return (
    <>
      {(arrivals.events.length > 0 || arrivals.overflowed) && (
        <div className={classes.pillPlace}>
          <Button
            size="xs"
            radius="xl"
            className={classes.pill ?? ''}
            leftSection={<IconArrowUp size={14} aria-hidden />}
            onClick={show}
          >
            {arrivals.overflowed ? 'Many new events' : sayOf(arrivals.events.length, 'new event')}
          </Button>
        </div>
      )}
      <span className="hidden-visually" role="status">
        {arrivals.events.length > 0 && `${sayOf(arrivals.events.length, 'new event')}`}
      </span>
      <ReviewAll events={events} />
      {events.length === 0 && !more && (
        <NoEvents
          filtered={Object.keys(props.filter).length > 0}
          onClear={() => void navigate({ search: {} })}
        />
      )}
      {groupByHour(events).map((group) => (
        <section key={group.hour} className={classes.hour} aria-label={sayHour(group.hour)}>
          <h2 title={sayMoment(group.hour)}>
            {sayHour(group.hour)} <span className="dim">{sayCount(group.events.length)}</span>
          </h2>
          <div className={classes.grid}>
            {group.events.map((event) => (
              <EventCard key={event.eventId} event={event} />
            ))}
          </div>
        </section>
      ))}
      {more && (
        <MorePages
          busy={query.isFetchingNextPage}
          failed={query.isFetchNextPageError}
          onMore={fetchMore}
        />
      )}
      {full && (
        <p className={classes.end}>
          {sayOf(shownMax, 'event')} are shown. Choose a device, stream, kind or label to see older
          ones.
        </p>
      )}
      {!more && !full && events.length > 0 && <p className={classes.end}>No older events</p>}
    </>
  )
}

function NoEvents(props: { filtered: boolean; onClear: () => void }) {
  if (props.filtered) {
    return (
      <Empty title="No event fits these filters">
        <Button variant="default" size="xs" onClick={props.onClear}>
          Clear the filters
        </Button>
      </Empty>
    )
  }
  return (
    <Empty
      icon={<IconBell size={32} stroke={1.5} />}
      title="No events yet"
      text="Events appear here by themselves as soon as a device sees something on one of its streams."
    />
  )
}

/** Loads older events when its place comes near the window. */
function MorePages(props: { busy: boolean; failed: boolean; onMore: () => void }) {
  const place = useRef<HTMLDivElement>(null)
  const near = useEffectEvent(() => {
    if (!props.failed) props.onMore()
  })
  useEffect(() => {
    if (!place.current || props.busy) return
    const watcher = new IntersectionObserver(([entry]) => entry?.isIntersecting && near(), {
      rootMargin: '600px',
    })
    watcher.observe(place.current)
    return () => watcher.disconnect()
  }, [props.busy])
  return (
    <div ref={place} className={classes.end}>
      <Button variant="default" size="xs" loading={props.busy} onClick={props.onMore}>
        {props.failed ? 'Older events did not load: try again' : 'Older events'}
      </Button>
    </div>
  )
}

/** `Today 14:00`, `Thu 19 Nov 14:00` */
function sayHour(hour: number): string {
  const date = new Date(hour)
  const day =
    date.toDateString() === new Date().toDateString()
      ? 'Today'
      : date.toLocaleDateString('en-GB', { weekday: 'short', day: 'numeric', month: 'short' })
  return `${day} ${date.toLocaleTimeString('en-GB', { hour: '2-digit', minute: '2-digit' })}`
}

function GridSkeleton() {
  return (
    <div className={classes.grid}>
      {Array.from({ length: 12 }, (_, index) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: placeholders are all alike and never move
        <Skeleton key={index} className={classes.placeholder ?? ''} />
      ))}
    </div>
  )
}
