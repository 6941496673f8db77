/** Maintenance windows, read in the time zone of a site. Pure, but for the time zones that Node brings. */
import { type MaintenanceWindow, Refusal } from '@edgeloop/protocol'

const minuteMs = 60_000
const dayMinutes = 24 * 60

/** A stretch of time, ms of the clock; open for ever where there are no windows. */
export type Opening = { readonly from: number; readonly until: number }

const always: Opening = { from: Number.NEGATIVE_INFINITY, until: Number.POSITIVE_INFINITY }

/**
 * The window that is open at `at`, or undefined where none is; of several the one that closes last.
 * @param zone as IANA names it
 */
export function openingAt(
  windows: readonly MaintenanceWindow[],
  zone: string,
  at: number,
): Opening | undefined {
  if (windows.length === 0) return always
  const { weekday, minute } = localTime(zone, at)
  let open: Opening | undefined
  for (const { days, from, to } of windows) {
    const begin = minutesOf(from)
    const lasts = ((minutesOf(to) - begin + dayMinutes - 1) % dayMinutes) + 1
    // It may have begun today or, past midnight, yesterday.
    for (const daysAgo of [0, 1]) {
      const elapsed = minute - begin + daysAgo * dayMinutes
      const day = ((weekday - 1 - daysAgo + 7) % 7) + 1
      if (!days.includes(day) || elapsed < 0 || elapsed >= lasts) continue
      const since = atLocal(zone, at, -elapsed, begin)
      const until = atLocal(zone, at, lasts - elapsed, minutesOf(to))
      if (!open || until > open.until) open = { from: since, until }
    }
  }
  return open
}

/** The instant about `minutes` from `at` at which clocks of the zone show `local`: clocks may be put on or back between. */
function atLocal(zone: string, at: number, minutes: number, local: number): number {
  const guess = Math.floor(at / minuteMs) * minuteMs + minutes * minuteMs
  let off = local - localTime(zone, guess).minute
  if (off > dayMinutes / 2) off -= dayMinutes
  if (off < -dayMinutes / 2) off += dayMinutes
  return guess + off * minuteMs
}

/** Hour of the day that clocks of the zone show at `at`, 0..24 with its fraction. */
export const localHour = (zone: string, at: number): number => localTime(zone, at).minute / 60

const formats = new Map<string, Intl.DateTimeFormat>()
const weekdays = ['Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat', 'Sun']

function localTime(zone: string, at: number): { weekday: number; minute: number } {
  let format = formats.get(zone)
  if (!format) {
    format = new Intl.DateTimeFormat('en-GB', {
      timeZone: zone,
      weekday: 'short',
      hour: '2-digit',
      minute: '2-digit',
      hourCycle: 'h23',
    })
    formats.set(zone, format)
  }
  const parts = Object.fromEntries(format.formatToParts(at).map(({ type, value }) => [type, value]))
  return {
    weekday: weekdays.indexOf(parts.weekday ?? '') + 1,
    minute: Number(parts.hour) * 60 + Number(parts.minute),
  }
}

function minutesOf(time: string): number {
  const [hours = 0, minutes = 0] = time.split(':').map(Number)
  return hours * 60 + minutes
}

/** @throws {Refusal} badRequest for a time zone that there is not */
export function checkTimeZone(zone: string): void {
  try {
    new Intl.DateTimeFormat('en-GB', { timeZone: zone })
  } catch (error) {
    throw new Refusal(
      'badRequest',
      `Cannot use "${zone}" as a time zone: there is none of that name; write it as "Europe/Berlin"`,
      { cause: error },
    )
  }
}
