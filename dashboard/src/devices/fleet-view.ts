/**
 * The fleet as somebody wants to see it: filter, search, order and columns, all of it in the address bar. The
 * order is decided when the view changes, not when a figure does, so no row moves under a pointer.
 */
import { type DeviceHealth, type DeviceRow, deviceHealths } from '@edgeloop/protocol'

export const sortKeys = [
  'name',
  'site',
  'health',
  'streams',
  'fps',
  'cpu',
  'memory',
  'events',
  'seen',
] as const
export type SortKey = (typeof sortKeys)[number]

/** Columns that can be left out; the name always stays. */
export const columnKeys = sortKeys.filter((key) => key !== 'name')
export type ColumnKey = Exclude<SortKey, 'name'>

/** Parts with their default are left out of the address. */
export type FleetView = {
  /** Words that must be in a row; one that begins with `-` must not. */
  readonly q?: string
  readonly health?: DeviceHealth
  readonly site?: string
  readonly sort?: SortKey
  readonly down?: true
  /** Columns beside the name, with commas between; all where left out. */
  readonly cols?: string
}

/** Reads a view from the search part of an address; what does not fit is dropped. */
export function readFleetView(search: Record<string, unknown>): FleetView {
  const { q, health, site, sort, down, cols } = search
  const knownHealth = deviceHealths.find((each) => each === health)
  const knownSort = sortKeys.find((each) => each === sort)
  return {
    ...(typeof q === 'string' || typeof q === 'number' ? (q === '' ? {} : { q: String(q) }) : {}),
    ...(knownHealth ? { health: knownHealth } : {}),
    ...(typeof site === 'string' && site !== '' ? { site } : {}),
    ...(knownSort && knownSort !== 'health' ? { sort: knownSort } : {}),
    ...(down === true ? { down } : {}),
    ...(typeof cols === 'string' ? withColumns(columnsOf({ cols })) : {}),
  }
}

/** The columns that a view shows beside the name, in their usual order; unknown ones are dropped. */
export function columnsOf({ cols }: FleetView): readonly ColumnKey[] {
  if (cols === undefined) return columnKeys
  const wanted = cols.split(',')
  return columnKeys.filter((key) => wanted.includes(key))
}

/** The part of a view that says which columns to show. */
export function withColumns(columns: readonly ColumnKey[]): Pick<FleetView, 'cols'> {
  const kept = columnKeys.filter((key) => columns.includes(key))
  return kept.length === columnKeys.length ? {} : { cols: kept.join(',') }
}

/** The order by default puts what needs somebody first. */
const urgency: Record<DeviceHealth, number> = {
  offline: 0,
  degraded: 1,
  never: 2,
  ok: 3,
  retired: 4,
}

const measures: Record<SortKey, (row: DeviceRow) => number | string> = {
  name: (row) => textsOf(row).name,
  site: (row) => row.site,
  health: (row) => urgency[row.health],
  streams: (row) => row.streamsLive,
  fps: (row) => row.analysedFps,
  cpu: (row) => row.cpuShare,
  memory: (row) => row.memoryBytes,
  events: (row) => row.eventsStored,
  seen: (row) => row.lastSeenAt ?? '',
}

type Texts = { readonly name: string; readonly all: string }

/** What is searched and sorted by, made once per row: rows keep their identity until they change. */
const texts = new WeakMap<DeviceRow, Texts>()

function textsOf(row: DeviceRow): Texts {
  let known = texts.get(row)
  if (!known) {
    const name = row.name.toLowerCase()
    const all = `${name} ${row.deviceId} ${row.site} ${row.agentVersion} ${row.reason.toLowerCase()}`
    known = { name, all }
    texts.set(row, known)
  }
  return known
}

/** The ids of the rows that the view shows, in its order; equal ones by name, then by id. */
export function arrange(rows: readonly DeviceRow[], view: FleetView): string[] {
  const measure = measures[view.sort ?? 'health']
  const direction = view.down ? -1 : 1
  return rows
    .filter(filterOf(view))
    .sort(
      (a, b) =>
        direction * compare(measure(a), measure(b)) ||
        compare(textsOf(a).name, textsOf(b).name) ||
        compare(a.deviceId, b.deviceId),
    )
    .map((row) => row.deviceId)
}

const compare = (a: number | string, b: number | string): number => (a < b ? -1 : a > b ? 1 : 0)

/** Tells which rows pass the view's filters. */
export function filterOf(view: FleetView): (row: DeviceRow) => boolean {
  const words = (view.q ?? '')
    .toLowerCase()
    .split(/\s+/)
    .filter((word) => word !== '')
  return (row) => {
    if (view.health && row.health !== view.health) return false
    if (view.site && row.site !== view.site) return false
    return words.every((word) =>
      word.startsWith('-') && word.length > 1
        ? !textsOf(row).all.includes(word.slice(1))
        : textsOf(row).all.includes(word),
    )
  }
}

/** How many devices are in each health, under the view's other filters. */
export function countByHealth(
  rows: readonly DeviceRow[],
  view: FleetView,
): Record<DeviceHealth, number> {
  const counts: Record<DeviceHealth, number> = {
    ok: 0,
    degraded: 0,
    offline: 0,
    never: 0,
    retired: 0,
  }
  const { health: _, ...others } = view
  const passes = filterOf(others)
  for (const row of rows) if (passes(row)) counts[row.health]++
  return counts
}

/** Every site of the fleet with how many devices it has, in order of its name. */
export function countBySite(rows: readonly DeviceRow[]): readonly (readonly [string, number])[] {
  const counts = new Map<string, number>()
  for (const { site } of rows) counts.set(site, (counts.get(site) ?? 0) + 1)
  return [...counts].sort(([a], [b]) => compare(a, b))
}

/** How many rows the order on screen has at another place than a fresh one would. */
export function countMoved(shown: readonly string[], fresh: readonly string[]): number {
  const place = new Map(shown.map((id, index) => [id, index]))
  const moved = fresh.filter((id, index) => place.get(id) !== index).length
  const gone = shown.length - fresh.filter((id) => place.has(id)).length
  return moved + gone
}
