/** Drift as rows: what is kept of a stream, and alarms as they are given out. */
import {
  type DriftAlarm,
  type DriftFigure,
  type DriftKind,
  type DriftStream,
  driftEnds,
  driftKinds,
} from '@edgeloop/protocol'
import { type Device, siteOf } from '../devices/device.ts'
import type { DriftAlarmTable, DriftPointTable, DriftStreamTable } from '../store/tables.ts'
import type { Reference } from './reference.ts'
import { newWatch, type WatchState } from './watch.ts'

export type DriftAlarmRow = Omit<DriftAlarmTable, 'alarm_id'> & { alarm_id: number }

/** What a stream is called among those of all devices. */
export const streamKey = (deviceKey: number, streamId: string): string => `${deviceKey}/${streamId}`

/** Nothing that is drawn or compared needs more digits. */
const digits = (_: string, value: unknown): unknown =>
  typeof value === 'number' && !Number.isInteger(value) ? Number(value.toPrecision(6)) : value

export const stateText = (state: WatchState): string => JSON.stringify(state, digits)

// Written by this room alone; an earlier version knew less.
export const stateOf = ({ state }: Pick<DriftStreamTable, 'state'>): WatchState => ({
  ...newWatch(),
  ...(JSON.parse(state) as WatchState),
})

/** The reference that sketches are compared with now. */
export const referenceOf = (state: WatchState): Reference =>
  state.isNight ? state.night : state.day

export const pointText = (figures: readonly DriftFigure[]): string =>
  JSON.stringify(
    figures.map(({ name, now, usual, tolerance }) => [name, now, usual, tolerance]),
    digits,
  )

export const pointFigures = ({ figures }: Pick<DriftPointTable, 'figures'>): DriftFigure[] =>
  (JSON.parse(figures) as [DriftFigure['name'], number, number, number][]).map(
    ([name, now, usual, tolerance]) => ({ name, now, usual, tolerance }),
  )

export function alarmOf(row: DriftAlarmRow, device: Device): DriftAlarm {
  const time = (at: number | null) => (at === null ? null : new Date(at).toISOString())
  return {
    alarmId: row.alarm_id,
    deviceId: device.deviceId,
    site: siteOf(device),
    streamId: row.stream_id,
    kind: driftKinds.find((kind) => kind === row.kind) ?? ('data' satisfies DriftKind),
    raisedAt: new Date(row.raised_at).toISOString(),
    endedAt: time(row.ended_at),
    endedBy: driftEnds.find((each) => each === row.ended_by) ?? null,
    why: row.why,
    figures: JSON.parse(row.figures) as DriftFigure[],
    modelDigest: row.model_digest,
    snoozedUntil: time(row.snoozed_until),
  }
}

/** Sketches that may be missing before a stream is said to be silent. */
const missingMax = 5

export function streamOf(
  row: DriftStreamTable,
  rest: {
    device: Device
    alarms: DriftAlarm[]
    learnsFrom: number
    now: number
    accuracy: DriftStream['accuracy']
  },
): DriftStream {
  const { device, alarms, learnsFrom, now, accuracy } = rest
  const isSilent = now - row.seen_at > Math.max(60_000, missingMax * row.interval_ms)
  return {
    deviceId: device.deviceId,
    site: siteOf(device),
    streamId: row.stream_id,
    phase: isSilent ? 'silent' : row.learnt < learnsFrom ? 'learning' : 'watching',
    learnt: row.learnt,
    learnsFrom,
    isNight: row.is_night === 1,
    newestAt: new Date(row.newest_at).toISOString(),
    modelDigest: row.model_digest,
    alarms: alarms.slice(0, driftKinds.length),
    figures: JSON.parse(row.figures) as DriftFigure[],
    accuracy,
  }
}
