/**
 * The fleet as a table that draws only the rows on screen: ten thousand devices scroll as one does.
 * Plain table markup, so a screen reader and `Ctrl+C` know what it is.
 */
import type { DeviceRow } from '@edgeloop/protocol'
import { Table } from '@mantine/core'
import { IconArrowDown, IconArrowUp } from '@tabler/icons-react'
import { useRouter } from '@tanstack/react-router'
import { createColumnHelper, tableFeatures, useTable } from '@tanstack/react-table'
import { useVirtualizer } from '@tanstack/react-virtual'
import {
  type MouseEvent as Click,
  memo,
  type ReactNode,
  useCallback,
  useEffect,
  useMemo,
  useRef,
  useState,
} from 'react'
import { Ago } from '../shell/now.tsx'
import { sayBytes, sayCount, sayNumber, sayShare } from '../shell/say.ts'
import { Scroller } from '../shell/scroller.tsx'
import { Status } from '../shell/status.tsx'
import { useKeys } from '../shell/use-keys.ts'
import { healthWords } from './device-status.ts'
import { addRange, type Selection, toggle, toggleAll } from './fleet-selection.ts'
import classes from './fleet-table.module.css'
import type { ColumnKey, SortKey } from './fleet-view.ts'
import { Sparkline, useSparklines } from './sparkline.tsx'

const rowHeightPx = 40

const features = tableFeatures({})
const column = createColumnHelper<typeof features, DeviceRow>()

/** Not known yet, or not known any more. */
const unknown = <span className="dim">–</span>
/** Figures of a device that is connected and has reported any. */
const figure = (row: DeviceRow, text: string): ReactNode =>
  row.connectivity === 'online' && row.memoryBytes > 0 ? text : unknown

const pathTo = (deviceId: string): string => `/devices/${encodeURIComponent(deviceId)}`

/** Every column; the ids are the sort keys. */
const allColumns = column.columns([
  column.accessor('name', {
    header: 'Name',
    cell: ({ row: { original: row } }) => (
      // Followed by the table: a link of the router in every row would double what a row costs.
      <a href={pathTo(row.deviceId)} className={`clip ${classes.name}`}>
        <bdi>{row.name}</bdi>
      </a>
    ),
  }),
  column.accessor('health', {
    header: 'Health',
    cell: ({ row: { original: row } }) => (
      <span className={classes.health} title={row.reason || undefined}>
        <Status kind={healthWords[row.health].kind} word={healthWords[row.health].word} />
        {row.reason && <span className={`dim clip ${classes.reason}`}>{row.reason}</span>}
      </span>
    ),
  }),
  column.accessor('site', { header: 'Site', cell: ({ getValue }) => getValue() }),
  column.accessor('streamsLive', {
    id: 'streams',
    header: 'Streams',
    cell: ({ row: { original: row } }) =>
      row.connectivity === 'online' ? `${row.streamsLive} of ${row.streamsTotal}` : unknown,
  }),
  column.accessor('analysedFps', {
    id: 'fps',
    header: 'Analysed',
    cell: ({ row: { original: row } }) => figure(row, `${sayNumber(row.analysedFps)} fps`),
  }),
  column.accessor('cpuShare', {
    id: 'cpu',
    header: 'CPU',
    cell: ({ row: { original: row } }) => figure(row, sayShare(row.cpuShare)),
  }),
  column.accessor('memoryBytes', {
    id: 'memory',
    header: 'Memory',
    cell: ({ row: { original: row } }) => figure(row, sayBytes(row.memoryBytes)),
  }),
  column.accessor('eventsStored', {
    id: 'events',
    header: 'Events',
    cell: ({ getValue }) => sayCount(getValue()),
  }),
  column.accessor('lastSeenAt', {
    id: 'seen',
    header: 'Last seen',
    cell: ({ getValue }) => {
      const at = getValue()
      return at === null ? unknown : <Ago at={at} />
    },
  }),
])

/** Set to the right, so that their digits line up. */
const numeric: ReadonlySet<string> = new Set(['streams', 'fps', 'cpu', 'memory', 'events', 'seen'])

/** A whole core fills the height of a line. */
const cpuShareAtTop = 1

export function FleetTable(props: {
  rows: DeviceRow[]
  columns: readonly ColumnKey[]
  sort: SortKey
  down: boolean
  onSort: (key: SortKey) => void
  selection: Selection
  /** Is given what makes the next selection of the newest one: rows may be older than that. */
  onSelect: (change: (before: Selection) => Selection) => void
}) {
  const { selection, onSelect } = props
  const scroller = useRef<HTMLElement>(null)
  const columns = useMemo(
    () =>
      allColumns.filter(({ id = 'name' }) =>
        props.columns.some((key) => key === id || id === 'name'),
      ),
    [props.columns],
  )
  const table = useTable({ features, columns, data: props.rows, getRowId: (row) => row.deviceId })
  const { rows } = table.getRowModel()
  // Made anew, it makes the virtualizer measure every row again.
  const getItemKey = useCallback((index: number) => rows[index]?.id ?? index, [rows])
  const virtual = useVirtualizer({
    count: rows.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => rowHeightPx,
    getItemKey,
    overscan: 12,
  })
  const items = virtual.getVirtualItems()
  const before = items[0]?.start ?? 0
  const after = virtual.getTotalSize() - (items.at(-1)?.end ?? 0)
  const drawn = items.flatMap(({ index }) => rows[index]?.id ?? [])
  const lines = useSparklines(columns.some(({ id }) => id === 'cpu') ? drawn : [])
  const ids = useMemo(() => rows.map(({ id }) => id), [rows])

  // Rows are drawn again only when they change: what they call must not hold an older list.
  const latest = useRef<{ ids: readonly string[]; picked: string | undefined }>({
    ids,
    picked: undefined,
  })
  useEffect(() => {
    latest.current.ids = ids
  }, [ids])
  const select = (id: string, range: boolean) => {
    const { ids: shown, picked } = latest.current
    onSelect((before) =>
      range && picked !== undefined ? addRange(before, shown, picked, id) : toggle(before, id),
    )
    latest.current.picked = id
  }
  const router = useRouter()
  const follow = (event: Click) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey)
      return
    const deviceId =
      event.target instanceof Element &&
      event.target.closest('a')?.closest('[data-device]')?.getAttribute('data-device')
    if (!deviceId) return
    event.preventDefault()
    void router.navigate({ to: '/devices/$deviceId', params: { deviceId } })
  }
  const cursor = useCursor(scroller, ids, (index) => virtual.scrollToIndex(index))
  useKeys({
    next: () => cursor.move(1),
    previous: () => cursor.move(-1),
    select: () => cursor.id !== undefined && select(cursor.id, false),
    selectAll: () => onSelect((before) => toggleAll(before, ids)),
  })
  const selected = useMemo(() => ids.filter((id) => selection.has(id)).length, [ids, selection])

  return (
    <Scroller label="Devices" ref={scroller} filled>
      <Table
        className={classes.table ?? ''}
        aria-rowcount={rows.length + 1}
        data-columns={columns.length}
      >
        <Table.Thead className={classes.head ?? ''}>
          {table.getHeaderGroups().map((group) => (
            <Table.Tr key={group.id} aria-rowindex={1}>
              <Table.Th className={classes.pick ?? ''}>
                <input
                  type="checkbox"
                  aria-label={`Select all ${sayCount(rows.length)} shown`}
                  checked={selected > 0 && selected === rows.length}
                  ref={(box) => {
                    if (box) box.indeterminate = selected > 0 && selected < rows.length
                  }}
                  onChange={() => onSelect((before) => toggleAll(before, ids))}
                />
              </Table.Th>
              {group.headers.map((header) => (
                <SortHeader
                  key={header.id}
                  // Every column's id is a sort key: `satisfies` cannot see through the column helper.
                  id={header.column.id as SortKey}
                  sort={props.sort}
                  down={props.down}
                  onSort={props.onSort}
                >
                  <table.FlexRender header={header} />
                </SortHeader>
              ))}
            </Table.Tr>
          ))}
        </Table.Thead>
        {/* biome-ignore lint/a11y/useKeyWithClickEvents: only follows links, which keys click */}
        <tbody onFocus={(event) => cursor.follow(event.target)} onClick={follow}>
          {before > 0 && <tr aria-hidden style={{ height: before }} />}
          {items.map((item) => {
            const row = rows[item.index]
            if (!row) return null
            const picked = selection.has(row.id)
            return (
              <tr
                key={row.id}
                aria-rowindex={item.index + 2}
                data-device={row.id}
                data-picked={picked || undefined}
              >
                <Cells
                  row={row.original}
                  line={lines.get(row.id)}
                  columns={columns}
                  picked={picked}
                  onPick={(range) => select(row.id, range)}
                >
                  {row.getAllCells().map((cell) => (
                    <td
                      key={cell.id}
                      data-column={cell.column.id}
                      data-numeric={numeric.has(cell.column.id)}
                    >
                      {cell.column.id === 'cpu' ? (
                        <span className={classes.spark}>
                          <Sparkline values={lines.get(row.id)} max={cpuShareAtTop} />
                          <table.FlexRender cell={cell} />
                        </span>
                      ) : (
                        <table.FlexRender cell={cell} />
                      )}
                    </td>
                  ))}
                </Cells>
              </tr>
            )
          })}
          {after > 0 && <tr aria-hidden style={{ height: after }} />}
        </tbody>
      </Table>
    </Scroller>
  )
}

/**
 * The row that keys act on: it has the focus, so that Enter opens it and a reader says it. Where it scrolls
 * out of what is drawn, the next key goes on from there.
 */
function useCursor(
  scroller: React.RefObject<HTMLElement | null>,
  ids: readonly string[],
  scrollTo: (index: number) => void,
) {
  const [id, setId] = useState<string>()
  const [wanted, setWanted] = useState<string>()
  useEffect(() => {
    if (wanted === undefined) return
    // The row may be drawn a frame after the scroll that brings it.
    let tries = 10
    let frame = requestAnimationFrame(function focus() {
      const row = scroller.current?.querySelector(`[data-device="${wanted}"] a`)
      if (row instanceof HTMLElement) row.focus({ preventScroll: true })
      else if (tries-- > 0) frame = requestAnimationFrame(focus)
    })
    return () => cancelAnimationFrame(frame)
  }, [wanted, scroller])
  return {
    id,
    /** One row on (1) or back (-1), from the first row where there is none yet. */
    move: (by: 1 | -1) => {
      const at = id === undefined ? -1 : ids.indexOf(id)
      const index = at < 0 ? 0 : Math.max(0, Math.min(ids.length - 1, at + by))
      const next = ids[index]
      if (next === undefined) return
      scrollTo(index)
      setId(next)
      setWanted(next)
    },
    /** Whatever gets the focus takes the cursor to its row. */
    follow: (element: Element) => {
      const row = element.closest('[data-device]')?.getAttribute('data-device')
      if (row) setId(row)
    },
  }
}

/** Rows keep their identity while they do not change: then nothing in them is drawn again. */
const Cells = memo(
  (props: {
    row: DeviceRow
    line: readonly (number | null)[] | undefined
    columns: unknown
    picked: boolean
    onPick: (range: boolean) => void
    children: ReactNode
  }) => (
    <>
      <td className={classes.pick}>
        <input
          type="checkbox"
          aria-label={`Select ${props.row.name}`}
          checked={props.picked}
          onChange={({ nativeEvent }) =>
            props.onPick(nativeEvent instanceof MouseEvent && nativeEvent.shiftKey)
          }
        />
      </td>
      {props.children}
    </>
  ),
  // `onPick` is left out: it does the same whenever it was made.
  (before, after) =>
    before.row === after.row &&
    before.line === after.line &&
    before.columns === after.columns &&
    before.picked === after.picked,
)

function SortHeader(props: {
  id: SortKey
  sort: SortKey
  down: boolean
  onSort: (key: SortKey) => void
  children: ReactNode
}) {
  const on = props.sort === props.id
  const Arrow = props.down ? IconArrowDown : IconArrowUp
  return (
    <Table.Th
      data-column={props.id}
      data-numeric={numeric.has(props.id)}
      aria-sort={on ? (props.down ? 'descending' : 'ascending') : undefined}
    >
      <button type="button" className={classes.sort} onClick={() => props.onSort(props.id)}>
        {props.children}
        {on && <Arrow size={14} aria-hidden />}
      </button>
    </Table.Th>
  )
}
