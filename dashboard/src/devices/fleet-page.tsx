/** The fleet: which devices there are and which need somebody. */
import { type DeviceRow, deviceHealths, mayAct } from '@edgeloop/protocol'
import { Button, CloseButton, NativeSelect, Skeleton, TextInput } from '@mantine/core'
import { IconSearch, IconServer2 } from '@tabler/icons-react'
import { useQuery, useSuspenseQuery } from '@tanstack/react-query'
import { getRouteApi, Link, useRouter } from '@tanstack/react-router'
import { useDeferredValue, useEffect, useMemo, useRef, useState } from 'react'
import { sessionQuery } from '../people/session.ts'
import { NewButton } from '../shell/new-button.tsx'
import { Page } from '../shell/page.tsx'
import { Empty, QueryState } from '../shell/query-state.tsx'
import { sayCount, sayOf } from '../shell/say.ts'
import { Status } from '../shell/status.tsx'
import { useKeys } from '../shell/use-keys.ts'
import { deviceListQuery } from './device-queries.ts'
import { healthWords } from './device-status.ts'
import classes from './fleet-page.module.css'
import { countSelected, nobody, type Selection } from './fleet-selection.ts'
import { FleetTable } from './fleet-table.tsx'
import {
  arrange,
  columnsOf,
  countByHealth,
  countBySite,
  countMoved,
  type FleetView,
  type SortKey,
} from './fleet-view.ts'
import { FleetColumns, FleetViews } from './fleet-views.tsx'
import { SelectionBar } from './selection-bar.tsx'

const route = getRouteApi('/in/devices')

export function FleetPage() {
  const router = useRouter()
  const devices = useQuery(deviceListQuery)
  const { data: session } = useSuspenseQuery(sessionQuery)
  const reason = mayAct(session.role, 'admin') ? undefined : 'Only an admin can add devices'
  return (
    <Page
      title="Devices"
      filled
      aside={
        <NewButton
          word="Add a device"
          refused={reason}
          onClick={() => void router.navigate({ to: '/add-device' })}
        />
      }
    >
      <QueryState query={devices} skeleton={<FleetSkeleton />}>
        {(rows) =>
          rows.length === 0 ? (
            <Empty
              icon={<IconServer2 size={32} stroke={1.5} />}
              title="No devices yet"
              text="A device is one box that runs the Edgeloop agent. Add the first to see its streams here."
            >
              {reason === undefined ? (
                <Link to="/add-device">Add the first device</Link>
              ) : (
                <p className="dim">{reason}</p>
              )}
            </Empty>
          ) : (
            <Fleet rows={rows} />
          )
        }
      </QueryState>
    </Page>
  )
}

function Fleet(props: { rows: readonly DeviceRow[] }) {
  const { rows } = props
  const view = route.useSearch()
  const navigate = route.useNavigate()
  const search = useRef<HTMLInputElement>(null)
  const change = (next: Change) =>
    void navigate({ search: (before) => withoutUnset({ ...before, ...next }), replace: true })
  const [selection, setSelection] = useState<Selection>(nobody)
  useKeys({
    focusFilter: () => search.current?.focus(),
    clear: () => setSelection(nobody),
  })

  const { shown, moved, refresh } = useStandingOrder(rows, view)
  const counts = useMemo(() => countByHealth(rows, view), [rows, view])
  const sites = useMemo(() => countBySite(rows), [rows])
  const columns = useMemo(() => columnsOf(view), [view])
  const selected = useMemo(() => {
    const existing = new Set(rows.map(({ deviceId }) => deviceId))
    const ids = shown.map(({ deviceId }) => deviceId)
    return selection.size === 0 ? undefined : countSelected(selection, ids, existing)
  }, [selection, rows, shown])
  const [typed, setTyped] = useTyped(view.q ?? '', (q) => change({ q: q || undefined }))
  const sort = (key: SortKey) => {
    const again = (view.sort ?? 'health') === key
    change({
      sort: key === 'health' ? undefined : key,
      down: again && !view.down ? true : undefined,
    })
  }

  return (
    <>
      <div className={classes.tools}>
        <fieldset className={classes.counts} aria-label="Filter by health">
          {deviceHealths.map((health) => {
            const { kind, word, does } = healthWords[health]
            const on = view.health === health
            if (counts[health] === 0 && !on && health === 'never') return null
            return (
              <button
                key={health}
                type="button"
                className={classes.count}
                aria-pressed={on}
                title={does}
                onClick={() => change({ health: on ? undefined : health })}
              >
                <Status kind={kind} word={word} />
                <b>{sayCount(counts[health])}</b>
              </button>
            )
          })}
        </fieldset>
        <TextInput
          ref={search}
          className={classes.search ?? ''}
          size="xs"
          aria-label="Filter devices"
          placeholder="Filter by name, site, reason, -not…"
          leftSection={<IconSearch size={16} aria-hidden />}
          rightSection={
            typed ? (
              <CloseButton size="sm" aria-label="Clear the filter" onClick={() => setTyped('')} />
            ) : undefined
          }
          value={typed}
          onChange={(event) => setTyped(event.currentTarget.value)}
        />
        {(sites.length > 1 || view.site !== undefined) && (
          <NativeSelect
            size="xs"
            aria-label="Site"
            value={view.site ?? ''}
            onChange={({ currentTarget: { value } }) => change({ site: value || undefined })}
            data={[
              { value: '', label: 'All sites' },
              ...withCurrent(sites, view.site).map(([site, count]) => ({
                value: site,
                label: `${site} (${sayCount(count)})`,
              })),
            ]}
          />
        )}
        <FleetViews view={view} />
        <FleetColumns view={view} onColumns={({ cols }) => change({ cols })} />
        {moved > 0 && (
          <Button size="compact-xs" variant="default" onClick={refresh}>
            {sayOf(moved, 'change')}: refresh
          </Button>
        )}
        <span className={classes.total} role="status">
          {shown.length === rows.length
            ? sayOf(rows.length, 'device')
            : `${sayCount(shown.length)} of ${sayOf(rows.length, 'device')}`}
        </span>
      </div>
      {selected && selected.ids.length > 0 && (
        <SelectionBar
          deviceIds={selected.ids}
          hidden={selected.hidden}
          shown={shown.length}
          all={rows.length}
          onClear={() => setSelection(nobody)}
        />
      )}
      {shown.length === 0 ? (
        <Empty
          title="No device fits these filters"
          text={`${sayOf(rows.length, 'device')} without them.`}
        >
          <Button variant="default" size="xs" onClick={() => void navigate({ search: {} })}>
            Clear the filters
          </Button>
        </Empty>
      ) : (
        <FleetTable
          rows={shown}
          columns={columns}
          selection={selection}
          onSelect={setSelection}
          sort={view.sort ?? 'health'}
          down={view.down ?? false}
          onSort={sort}
        />
      )}
    </>
  )
}

/**
 * The rows in the order that was right when the view last changed. Live figures change in place; a
 * device that should now stand elsewhere is counted, and moves when somebody asks for it.
 */
function useStandingOrder(rows: readonly DeviceRow[], view: FleetView) {
  const [order, setOrder] = useState(() => ({ view, ids: arrange(rows, view) }))
  let ids = order.ids
  if (order.view !== view) {
    ids = arrange(rows, view)
    setOrder({ view, ids })
  }
  // Of use to a count that may come a moment late: it waits for whatever is more urgent.
  const settled = useDeferredValue(rows)
  const fresh = useMemo(() => arrange(settled, view), [settled, view])
  const shown = useMemo(() => {
    const byId = new Map(rows.map((row) => [row.deviceId, row]))
    return ids.map((id) => byId.get(id)).filter((row) => row !== undefined)
  }, [rows, ids])
  return { shown, moved: countMoved(ids, fresh), refresh: () => setOrder({ view, ids: fresh }) }
}

/** A filter that names a site without devices still shows itself. */
const withCurrent = (
  sites: readonly (readonly [string, number])[],
  current: string | undefined,
): readonly (readonly [string, number])[] =>
  current === undefined || sites.some(([site]) => site === current)
    ? sites
    : [...sites, [current, 0]]

/** The address follows this long after the last letter: ten thousand rows need not be sorted for each. */
const typedMs = 80

/** Text that is shown at once and told when typing rests; follows `value` when that changes elsewhere. */
function useTyped(value: string, tell: (text: string) => void) {
  const [state, setState] = useState({ text: value, value })
  if (state.value !== value) setState({ text: value, value })
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined)
  useEffect(() => () => clearTimeout(timer.current), [])
  const type = (text: string) => {
    setState({ text, value })
    clearTimeout(timer.current)
    timer.current = setTimeout(() => tell(text), typedMs)
  }
  return [state.value === value ? state.text : value, type] as const
}

/** New values for parts of the view; undefined takes a part out. */
type Change = { readonly [K in keyof FleetView]?: FleetView[K] | undefined }

const withoutUnset = (view: Change): FleetView =>
  Object.fromEntries(Object.entries(view).filter(([, value]) => value !== undefined))

function FleetSkeleton() {
  return (
    <div>
      <Skeleton height={32} width={420} maw="100%" mb={12} />
      {Array.from({ length: 6 }, (_, index) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: placeholders are all alike and never move
        <Skeleton key={index} height={32} mb={8} />
      ))}
    </div>
  )
}
