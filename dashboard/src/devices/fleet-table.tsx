/**
 * The fleet as a table that draws only the rows on screen: ten thousand devices scroll as one does.
 * Plain table markup, so a screen reader and `Ctrl+C` know what it is.
 */
import type { DeviceRow } from '@edgeloop/protocol'
import { Table } from '@mantine/core'
import { IconArrowDown, IconArrowUp } from '@tabler/icons-react'
import { Link } from '@tanstack/react-router'
import { createColumnHelper, tableFeatures, useTable } from '@tanstack/react-table'
import { useVirtualizer } from '@tanstack/react-virtual'
import { memo, type ReactNode, useRef } from 'react'
import { Ago } from '../shell/now.tsx'
import { sayBytes, sayCount, sayNumber, sayShare } from '../shell/say.ts'
import { Scroller } from '../shell/scroller.tsx'
import { Status } from '../shell/status.tsx'
import { healthWords } from './device-status.ts'
import classes from './fleet-table.module.css'
import type { SortKey } from './fleet-view.ts'

const rowHeightPx = 40

const features = tableFeatures({})
const column = createColumnHelper<typeof features, DeviceRow>()

/** Not known yet, or not known any more. */
const unknown = <span className="dim">–</span>
/** Figures of a device that is connected and has reported any. */
const figure = (row: DeviceRow, text: string): ReactNode =>
  row.connectivity === 'online' && row.memoryBytes > 0 ? text : unknown

const columns = column.columns([
  column.accessor('name', {
    header: 'Name',
    cell: ({ row: { original: row } }) => (
      <Link
        to="/devices/$deviceId"
        params={{ deviceId: row.deviceId }}
        className={`clip ${classes.name}`}
      >
        <bdi>{row.name}</bdi>
      </Link>
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

export function FleetTable(props: {
  rows: DeviceRow[]
  sort: SortKey
  down: boolean
  onSort: (key: SortKey) => void
}) {
  const scroller = useRef<HTMLElement>(null)
  const table = useTable({ features, columns, data: props.rows, getRowId: (row) => row.deviceId })
  const { rows } = table.getRowModel()
  const virtual = useVirtualizer({
    count: rows.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => rowHeightPx,
    getItemKey: (index) => rows[index]?.id ?? index,
    overscan: 12,
  })
  const items = virtual.getVirtualItems()
  const before = items[0]?.start ?? 0
  const after = virtual.getTotalSize() - (items.at(-1)?.end ?? 0)

  return (
    <Scroller label="Devices" ref={scroller} filled>
      <Table className={classes.table ?? ''} aria-rowcount={rows.length + 1}>
        <Table.Thead className={classes.head ?? ''}>
          {table.getHeaderGroups().map((group) => (
            <Table.Tr key={group.id} aria-rowindex={1}>
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
        <Table.Tbody>
          {before > 0 && <tr aria-hidden style={{ height: before }} />}
          {items.map((item) => {
            const row = rows[item.index]
            if (!row) return null
            return (
              <Table.Tr key={row.id} aria-rowindex={item.index + 2} data-device={row.id}>
                <Cells row={row.original}>
                  {row.getAllCells().map((cell) => (
                    <Table.Td
                      key={cell.id}
                      data-column={cell.column.id}
                      data-numeric={numeric.has(cell.column.id)}
                    >
                      <table.FlexRender cell={cell} />
                    </Table.Td>
                  ))}
                </Cells>
              </Table.Tr>
            )
          })}
          {after > 0 && <tr aria-hidden style={{ height: after }} />}
        </Table.Tbody>
      </Table>
    </Scroller>
  )
}

/** Rows keep their identity while they do not change: then nothing in them is drawn again. */
const Cells = memo(
  (props: { row: DeviceRow; children: ReactNode }) => props.children,
  (before, after) => before.row === after.row,
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
