/** Many cameras at once: a page of tiles at a time, one of them large, the whole screen where wanted. */
import type { StreamPage } from '@edgeloop/protocol'
import { ActionIcon, Button, NativeSelect, Skeleton, Switch, TextInput } from '@mantine/core'
import { useDebouncedCallback } from '@mantine/hooks'
import {
  IconChevronLeft,
  IconChevronRight,
  IconMaximize,
  IconMinimize,
  IconVideoOff,
  IconX,
} from '@tabler/icons-react'
import { keepPreviousData, queryOptions, useQuery } from '@tanstack/react-query'
import { getRouteApi, Link } from '@tanstack/react-router'
import { type RefObject, useEffect, useMemo, useRef, useState } from 'react'
import { call } from '../api/call.ts'
import { deviceListQuery } from '../devices/device-queries.ts'
import { countBySite } from '../devices/fleet-view.ts'
import { EventStrip } from '../events/event-strip.tsx'
import { Page } from '../shell/page.tsx'
import { Empty, QueryState } from '../shell/query-state.tsx'
import { sayCount, sayOf } from '../shell/say.ts'
import { useKeys } from '../shell/use-keys.ts'
import { LiveTile } from './live-tile.tsx'
import classes from './wall-page.module.css'
import {
  type Layout,
  layouts,
  pagesOf,
  qualityOf,
  splitOne,
  standardLayout,
  type WallView,
} from './wall-view.ts'

const route = getRouteApi('/in/live')

type Entry = StreamPage['streams'][number]
type Change = { readonly [K in keyof WallView]?: WallView[K] | undefined }

const streamListQuery = (view: WallView) => {
  const { layout = standardLayout, page = 1, site, device, q } = view
  const query = {
    offset: (page - 1) * layout,
    limit: layout,
    ...(site === undefined ? {} : { site }),
    ...(device === undefined ? {} : { device }),
    ...(q === undefined ? {} : { q }),
  }
  return queryOptions({
    queryKey: ['streams', query],
    queryFn: ({ signal }) => call('streamList', { query, signal }),
    placeholderData: keepPreviousData,
  })
}

export function WallPage() {
  const view = route.useSearch()
  const navigate = route.useNavigate()
  const query = useQuery(streamListQuery(view))
  const wall = useRef<HTMLDivElement>(null)
  const screen = useFullScreen(wall)
  const change = (next: Change) =>
    void navigate({
      search: (before) =>
        Object.fromEntries(
          Object.entries({ ...before, ...next }).filter(([, value]) => value !== undefined),
        ),
      replace: true,
    })
  const { layout = standardLayout, page = 1 } = view
  const pages = pagesOf(query.data?.total ?? 0, layout)
  const turn = (by: 1 | -1) => {
    const next = Math.max(1, Math.min(pages, page + by))
    if (view.one === undefined && next !== page) change({ page: next > 1 ? next : undefined })
  }
  useKeys({
    next: () => turn(1),
    previous: () => turn(-1),
    clear: () => change({ one: undefined }),
    fullScreen: screen.toggle,
  })
  const one = view.one === undefined ? undefined : splitOne(view.one)

  return (
    <Page
      title="Live"
      filled
      aside={
        <Tools view={view} onChange={change} total={query.data?.total} pages={pages} onTurn={turn}>
          <ActionIcon
            variant="default"
            aria-label={screen.on ? 'Leave the full screen' : 'Full screen'}
            onClick={screen.toggle}
          >
            {screen.on ? <IconMinimize size={16} /> : <IconMaximize size={16} />}
          </ActionIcon>
        </Tools>
      }
    >
      <div ref={wall} className={classes.place}>
        {one ? (
          <Large {...one} view={view} />
        ) : (
          <QueryState query={query} skeleton={<Skeleton height="100%" />}>
            {({ streams, total }) =>
              streams.length === 0 ? (
                <NoStreams view={view} total={total} onChange={change} />
              ) : (
                <div className={classes.wall} data-layout={layout}>
                  {streams.map((entry) => (
                    <Tile key={keyOf(entry)} entry={entry} view={view} layout={layout} />
                  ))}
                </div>
              )
            }
          </QueryState>
        )}
      </div>
    </Page>
  )
}

const keyOf = ({ deviceId, stream }: Entry): string => `${deviceId}/${stream.streamId}`

function Tile(props: { entry: Entry; view: WallView; layout: Layout }) {
  const { entry, view, layout } = props
  return (
    <LiveTile
      deviceId={entry.deviceId}
      stream={{ ...entry.stream, name: `${entry.stream.name}, ${entry.deviceName}` }}
      online={entry.online}
      leadsTo="large"
      scoreMin={entry.scoreMin ?? undefined}
      boxes={view.boxes !== 'off'}
      {...qualityOf(layout)}
    />
  )
}

/** One stream with what happened on it; the way back is beside its name. */
function Large(props: { deviceId: string; streamId: string; view: WallView }) {
  const { deviceId, streamId, view } = props
  const query = useQuery({
    queryKey: ['streams', 'of', deviceId],
    queryFn: ({ signal }) => call('streamList', { query: { device: deviceId, limit: 64 }, signal }),
  })
  return (
    <QueryState query={query} skeleton={<Skeleton height="100%" />}>
      {({ streams }) => {
        const entry = streams.find(({ stream }) => stream.streamId === streamId)
        if (!entry) {
          return (
            <Empty
              icon={<IconVideoOff size={32} stroke={1.5} />}
              title="This stream is not reported"
              text={`${deviceId} does not report a stream ${streamId} now.`}
            >
              <Link to="/live" search={withoutOne}>
                Back to the wall
              </Link>
            </Empty>
          )
        }
        return (
          <div className={classes.large}>
            <div>
              <LiveTile
                deviceId={deviceId}
                stream={entry.stream}
                online={entry.online}
                scoreMin={entry.scoreMin ?? undefined}
                boxes={view.boxes !== 'off'}
                {...qualityOf(1)}
              />
            </div>
            <section className={classes.beside} aria-label="Beside the picture">
              <header className={classes.head}>
                <h2>
                  <bdi>{entry.stream.name}</bdi>
                </h2>
                <Link to="/live" search={withoutOne} aria-label="Back to the wall">
                  <IconX size={18} />
                </Link>
              </header>
              <p>
                <Link to="/devices/$deviceId" params={{ deviceId }}>
                  <bdi>{entry.deviceName}</bdi>
                </Link>
                ,{' '}
                <Link to="/events" search={{ device: deviceId, stream: streamId }}>
                  all events
                </Link>
              </p>
              <EventStrip filter={{ device: deviceId, stream: streamId }} column />
            </section>
          </div>
        )
      }}
    </QueryState>
  )
}

const withoutOne = ({ one: _, ...before }: WallView): WallView => before

function NoStreams(props: { view: WallView; total: number; onChange: (next: Change) => void }) {
  const { view, total, onChange } = props
  if (total > 0) {
    return (
      <Empty title="There is no such page" text={`${sayOf(total, 'stream')} fill fewer pages.`}>
        <Button variant="default" size="xs" onClick={() => onChange({ page: undefined })}>
          Go to the first
        </Button>
      </Empty>
    )
  }
  if (view.q !== undefined || view.site !== undefined || view.device !== undefined) {
    return (
      <Empty title="No stream fits these filters">
        <Button
          variant="default"
          size="xs"
          onClick={() => onChange({ q: undefined, site: undefined, device: undefined })}
        >
          Clear the filters
        </Button>
      </Empty>
    )
  }
  return (
    <Empty
      icon={<IconVideoOff size={32} stroke={1.5} />}
      title="No streams yet"
      text={
        <>
          A stream is one camera feed of a device. <Link to="/devices">Add one to a device</Link>,
          and its picture appears here.
        </>
      }
    />
  )
}

const typedMs = 300

function Tools(props: {
  view: WallView
  onChange: (next: Change) => void
  total: number | undefined
  pages: number
  onTurn: (by: 1 | -1) => void
  children: React.ReactNode
}) {
  const { view, onChange, total, pages } = props
  const { layout = standardLayout, page = 1 } = view
  const search = useRef<HTMLInputElement>(null)
  useKeys({ focusFilter: () => search.current?.focus() })
  const { data: devices = [] } = useQuery(deviceListQuery)
  const sites = useMemo(() => countBySite(devices), [devices])
  const [typed, setTyped] = useState(view.q ?? '')
  const say = useDebouncedCallback(
    (q: string) => onChange({ q: q.trim() || undefined, page: undefined }),
    typedMs,
  )
  return (
    <>
      <TextInput
        ref={search}
        size="xs"
        w={160}
        aria-label="Filter streams"
        placeholder="Filter streams"
        maxLength={200}
        value={typed}
        onChange={(event) => {
          setTyped(event.currentTarget.value)
          say(event.currentTarget.value)
        }}
      />
      {sites.length > 1 && (
        <NativeSelect
          size="xs"
          aria-label="Site"
          value={view.site ?? ''}
          onChange={({ currentTarget: { value } }) =>
            onChange({ site: value || undefined, page: undefined })
          }
          data={[{ value: '', label: 'All sites' }, ...sites.map(([site]) => site)]}
        />
      )}
      <fieldset className={classes.layouts} aria-label="Tiles at once">
        {layouts.map((each) => (
          <button
            key={each}
            type="button"
            aria-pressed={layout === each}
            aria-label={sayOf(each, 'tile')}
            onClick={() =>
              onChange({ layout: each === standardLayout ? undefined : each, page: undefined })
            }
          >
            {each}
          </button>
        ))}
      </fieldset>
      <Switch
        size="xs"
        label="Boxes"
        checked={view.boxes !== 'off'}
        onChange={(event) => onChange({ boxes: event.currentTarget.checked ? undefined : 'off' })}
      />
      {total !== undefined && view.one === undefined && (
        <span className={classes.pages}>
          <ActionIcon
            variant="default"
            aria-label="Previous page"
            disabled={page <= 1}
            onClick={() => props.onTurn(-1)}
          >
            <IconChevronLeft size={16} />
          </ActionIcon>
          <span role="status">
            {total === 0
              ? 'No stream'
              : `${sayCount(Math.min(total, (page - 1) * layout + 1))}–${sayCount(
                  Math.min(total, page * layout),
                )} of ${sayOf(total, 'stream')}`}
          </span>
          <ActionIcon
            variant="default"
            aria-label="Next page"
            disabled={page >= pages}
            onClick={() => props.onTurn(1)}
          >
            <IconChevronRight size={16} />
          </ActionIcon>
        </span>
      )}
      {props.children}
    </>
  )
}

/** The element on the whole screen, or back; follows when somebody leaves by the browser's own way. */
function useFullScreen(element: RefObject<HTMLElement | null>) {
  const [on, setOn] = useState(false)
  useEffect(() => {
    const changed = () => setOn(document.fullscreenElement !== null)
    document.addEventListener('fullscreenchange', changed)
    return () => document.removeEventListener('fullscreenchange', changed)
  }, [])
  // A browser that refuses (no gesture, no right) leaves the page as it is, which is no harm.
  const toggle = () =>
    void (
      document.fullscreenElement ? document.exitFullscreen() : element.current?.requestFullscreen()
    )?.catch(() => {})
  return { on, toggle }
}
