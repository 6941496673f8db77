/** Which entries of the audit log are shown: what the address bar holds. */
import type { AuditQuery } from '@edgeloop/protocol'

/** Parts that are left out let everything through. Times are UTC, as in every address. */
export type AuditFilter = Pick<
  AuditQuery,
  'actor' | 'action' | 'target' | 'outcome' | 'from' | 'to'
>

const texts = { actor: 63, action: 63, target: 200, outcome: 40 } as const

/** Reads a filter from the search part of an address; what does not fit is dropped. */
export function readAuditFilter(search: Record<string, unknown>): AuditFilter {
  const filter: Record<string, string> = {}
  for (const [key, lengthMax] of Object.entries(texts)) {
    const value = search[key]
    // The router reads a search that looks like a number as one.
    const text = typeof value === 'number' ? String(value) : value
    if (typeof text === 'string' && text !== '' && text.length <= lengthMax) filter[key] = text
  }
  for (const key of ['from', 'to'] as const) {
    const at = typeof search[key] === 'string' ? Date.parse(search[key]) : Number.NaN
    if (!Number.isNaN(at)) filter[key] = new Date(at).toISOString()
  }
  return filter
}

/** The midnight that begins a day, in the viewer's zone, as the address holds it. */
export function startOfDay(day: string): string | undefined {
  const at = new Date(`${day}T00:00:00`)
  return Number.isNaN(at.getTime()) ? undefined : at.toISOString()
}

/** The day of a time as an input of the type `date` wants it, in the viewer's zone. */
export function dayOf(time: string | undefined): string {
  if (time === undefined) return ''
  const at = new Date(time)
  const two = (value: number) => String(value).padStart(2, '0')
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`
}
