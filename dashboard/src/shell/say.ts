/** How numbers, sizes and times are said. Pure: the moment to count from is an argument. */

const number = (digits: number) => new Intl.NumberFormat('en', { maximumFractionDigits: digits })
const whole = number(0)
const tenths = number(1)

/** `12,304` */
export const sayCount = (count: number): string => whole.format(count)

/** `4.8`, or `0` where there is none. */
export const sayNumber = (value: number): string => tenths.format(value)

/** A share of one core as `38 %`; more than one core gives more than 100 %. */
export const sayShare = (share: number): string => `${whole.format(share * 100)} %`

/** `212 MB`, `1.4 GB`: decimal units. */
export function sayBytes(bytes: number): string {
  if (bytes >= 1e9) return `${tenths.format(bytes / 1e9)} GB`
  if (bytes >= 1e6) return `${whole.format(bytes / 1e6)} MB`
  if (bytes >= 1e3) return `${whole.format(bytes / 1e3)} kB`
  return `${whole.format(bytes)} B`
}

/** `3 s`, `2 min`, `5 h`, `4 d`: one unit, rounded down. */
export function sayDuration(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000))
  if (seconds < 60) return `${seconds} s`
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h`
  return `${Math.floor(seconds / 86_400)} d`
}

/** `just now`, `2 min ago`, or `in 3 s` where a clock is ahead of ours. */
export function sayAgo(at: number, now: number): string {
  const past = now - at
  if (past < -2000) return `in ${sayDuration(-past)}`
  return past < 1000 ? 'just now' : `${sayDuration(past)} ago`
}

// Made once: a formatter costs more than a thousand uses of it, and lists say hundreds of times a second.
const hands = { hour: '2-digit', minute: '2-digit' } as const
const time = new Intl.DateTimeFormat('en-GB', { ...hands, second: '2-digit' })
const clock = new Intl.DateTimeFormat('en-GB', hands)
const moment = new Intl.DateTimeFormat('en-GB', {
  weekday: 'short',
  day: 'numeric',
  month: 'short',
  year: 'numeric',
  ...hands,
  second: '2-digit',
  timeZoneName: 'short',
})

const day = new Intl.DateTimeFormat('en-GB', { day: 'numeric', month: 'short', timeZone: 'UTC' })

/** `22 Nov`: of a day that is counted in UTC. */
export const sayDay = (at: number): string => day.format(at)

/** `14:02:11` in the viewer's zone. */
export const sayTime = (at: number): string => time.format(at)

/** `14:02` */
export const sayClock = (at: number): string => clock.format(at)

/** `Fri 20 Nov 2026, 14:02:11 GMT+1`: exact, for hover and details. */
export const sayMoment = (at: number): string => moment.format(at)

/** `1 device`, `3 devices` */
export const sayOf = (count: number, one: string, many = `${one}s`): string =>
  `${sayCount(count)} ${count === 1 ? one : many}`
