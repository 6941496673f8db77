/** Decides how changes reach the rows of the fleet: in place, never backwards, never moving one. */
import type { Change, DeviceRow } from '@edgeloop/protocol'

export type DeviceChange = Extract<Change, { kind: 'device' }>

/** @returns the row with the change, or the same row where the change is not newer */
export function patchRow(row: DeviceRow, change: DeviceChange): DeviceRow {
  if (change.revision <= row.revision) return row
  // What the patch leaves out stays; it holds no undefined values, JSON has none.
  return { ...row, ...(change.patch as Partial<DeviceRow>), revision: change.revision }
}

/**
 * Applies a batch of changes.
 * @returns the rows (the same array where nothing changed; unchanged rows keep their identity) and
 *   whether a device appeared that the list does not have
 */
export function patchRows(
  rows: readonly DeviceRow[],
  changes: readonly DeviceChange[],
): { rows: readonly DeviceRow[]; unknown: boolean } {
  const byDevice = Map.groupBy(changes, (change) => change.deviceId)
  let changed = false
  const next = rows.map((row) => {
    const mine = byDevice.get(row.deviceId)
    byDevice.delete(row.deviceId)
    const patched = mine?.reduce(patchRow, row) ?? row
    changed ||= patched !== row
    return patched
  })
  return { rows: changed ? next : rows, unknown: byDevice.size > 0 }
}

/** Figures that come with every health report and change nothing else about a device. */
const figures: ReadonlySet<string> = new Set([
  'lastSeenAt',
  'analysedFps',
  'cpuShare',
  'memoryBytes',
  'eventsStored',
  'revision',
] satisfies (keyof DeviceRow)[])

/** True where a change may mean that the device reports something new: streams, models, versions. */
export const mayChangeReport = (change: DeviceChange): boolean =>
  Object.keys(change.patch).some((key) => !figures.has(key))
