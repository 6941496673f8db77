/** Which samples of boxes are looked at, as the address says it. Pure. */
import { type FieldSampleQuery, type SampleReason, sampleReasons } from '@edgeloop/protocol'

/** Parts that are left out let everything through. */
export type FieldFilter = {
  readonly reason?: SampleReason
  readonly device?: string
  readonly stream?: string
  readonly site?: string
  /** Name of the model that was active. */
  readonly model?: string
  /** First and last day (UTC), as `2026-11-21`. */
  readonly from?: string
  readonly to?: string
}

const dayMs = 86_400_000

/** Reads a filter from an address; what does not fit is left out. */
export function readFieldFilter(search: Record<string, unknown>): FieldFilter {
  const text = (key: string, pattern: RegExp) => {
    // The address says 12 for a device that is called so.
    const value = typeof search[key] === 'number' ? String(search[key]) : search[key]
    return typeof value === 'string' && pattern.test(value) ? { [key]: value } : {}
  }
  const name = /^[a-z0-9][a-z0-9_-]{0,62}$/
  const day = (key: string) => {
    const value = search[key]
    return typeof value === 'string' && dayAt(value) !== undefined ? { [key]: value } : {}
  }
  const reason = sampleReasons.find((one) => one === search.reason)
  return {
    ...(reason ? { reason } : {}),
    ...text('device', name),
    ...text('stream', name),
    ...text('site', name),
    ...text('model', /^.{1,120}$/),
    ...day('from'),
    ...day('to'),
  }
}

/** When a day begins (ms); undefined where it is none. */
function dayAt(day: string): number | undefined {
  if (!/^\d{4}-\d{2}-\d{2}$/.test(day)) return undefined
  const at = Date.parse(`${day}T00:00:00.000Z`)
  return Number.isNaN(at) || new Date(at).toISOString().slice(0, 10) !== day ? undefined : at
}

/** What the hub is asked: the last day is in it as a whole. */
export function queryOf({ from, to, ...rest }: FieldFilter): FieldSampleQuery {
  const [first, last] = [dayAt(from ?? ''), dayAt(to ?? '')]
  return {
    ...rest,
    ...(first === undefined ? {} : { from: new Date(first).toISOString() }),
    ...(last === undefined ? {} : { to: new Date(last + dayMs).toISOString() }),
  }
}
