/**
 * The fleet as somebody wants to see it: filter, search and order, all of it in the address bar. The
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

/** Parts with their default are left out of the address. */
export type FleetView = {
  readonly q?: string
  readonly health?: DeviceHealth
  readonly site?: string
  readonly sort?: SortKey
  readonly down?: true
}

/** Reads a view from the search part of an address; what does not fit is dropped. */
export function readFleetView(search: Record<string, unknown>): FleetView {
  const { q, health, site, sort, down } = search
  const knownHealth = deviceHealths.find((each) => each === health)
  const knownSort = sortKeys.find((each) => each === sort)
  return {
    ...(typeof q === 'string' || typeof q === 'number' ? (q === '' ? {} : { q: String(q) }) : {}),
    ...(knownHealth ? { health: knownHealth } : {}),
    ...(typeof site === 'string' && site !== '' ? { site } : {}),
    ...(knownSort && knownSort !== 'health' ? { sort: knownSort } : {}),
    ...(down === true ? { down } : {}),
  }
}

/** The order by default puts what needs somebody first. */
const urgency: Record<DeviceHealth, number> = { offline: 0, degraded: 1, never: 2, ok: 3 }

const measures: Record<SortKey, (row: DeviceRow) => number | string> = {
  name: (row) => row.name.toLowerCase(),
  site: (row) => row.site,
  health: (row) => urgency[row.health],
  streams: (row) => row.streamsLive,
  fps: (row) => row.analysedFps,
  cpu: (row) => row.cpuShare,
  memory: (row) => row.memoryBytes,
  events: (row) => row.eventsStored,
  seen: (row) => row.lastSeenAt ?? '',
}

/** The ids of the rows that the view shows, in its order; equal ones by name, then by id. */
export function arrange(rows: readonly DeviceRow[], view: FleetView): string[] {
  const measure = measures[view.sort ?? 'health']
  const direction = view.down ? -1 : 1
  return rows
    .filter((row) => shows(row, view))
    .sort(
      (a, b) =>
        direction * compare(measure(a), measure(b)) ||
        compare(a.name.toLowerCase(), b.name.toLowerCase()) ||
        compare(a.deviceId, b.deviceId),
    )
    .map((row) => row.deviceId)
}

const compare = (a: number | string, b: number | string): number => (a < b ? -1 : a > b ? 1 : 0)

/** True where the row passes the view's filters; every word of `q` must be somewhere in it. */
export function shows(row: DeviceRow, view: FleetView): boolean {
  if (view.health && row.health !== view.health) return false
  if (view.site && row.site !== view.site) return false
  if (!view.q) return true
  const text =
    `${row.name} ${row.deviceId} ${row.site} ${row.agentVersion} ${row.reason}`.toLowerCase()
  return view.q
    .toLowerCase()
    .split(/\s+/)
    .every((word) => text.includes(word))
}

/** How many devices are in each health, under the view's other filters. */
export function countByHealth(
  rows: readonly DeviceRow[],
  view: FleetView,
): Record<DeviceHealth, number> {
  const counts: Record<DeviceHealth, number> = { ok: 0, degraded: 0, offline: 0, never: 0 }
  const { health: _, ...others } = view
  for (const row of rows) if (shows(row, others)) counts[row.health]++
  return counts
}

/** How many rows the order on screen has at another place than a fresh one would. */
export function countMoved(shown: readonly string[], fresh: readonly string[]): number {
  const place = new Map(shown.map((id, index) => [id, index]))
  const moved = fresh.filter((id, index) => place.get(id) !== index).length
  const gone = shown.length - fresh.filter((id) => place.has(id)).length
  return moved + gone
}
