/**
 * Receives what the dashboard's Faro SDK sends: web vitals become metrics, errors become log lines.
 * Everything is bounded, because a page can say whatever it likes.
 */
import type { Logger } from 'pino'
import type { Metrics } from './metrics.ts'

/** Items looked at per beacon, and characters of a text that reach the log. */
const itemsMax = 100
const textMax = 2000

const vitals = ['lcp', 'fcp', 'ttfb', 'inp', 'cls'] as const

/** Takes one beacon; what it does not know it leaves alone. */
export function receiveBeacon(
  beacon: Readonly<Record<string, unknown>>,
  { log, metrics }: { log: Logger; metrics: Metrics },
): void {
  for (const measurement of list(beacon.measurements)) {
    const values = record(measurement.values)
    for (const vital of vitals) {
      const value = values[vital]
      if (typeof value !== 'number' || !Number.isFinite(value) || value < 0) continue
      metrics.webVitals.observe({ vital }, vital === 'cls' ? value : value / 1000)
    }
  }
  for (const exception of list(beacon.exceptions)) {
    metrics.webErrors.inc()
    log.warn(
      { page: pageOf(beacon), type: text(exception.type), text: text(exception.value) },
      'the dashboard reported an error',
    )
  }
}

function pageOf(beacon: Readonly<Record<string, unknown>>): string {
  const page = record(record(beacon.meta).page)
  // Without its query, where a sign-in token could stand.
  return text(page.url).replace(/[?#].*$/s, '')
}

function list(value: unknown): Record<string, unknown>[] {
  return Array.isArray(value) ? value.slice(0, itemsMax).map(record) : []
}

function record(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}
}

function text(value: unknown): string {
  return typeof value === 'string' ? value.slice(0, textMax) : ''
}
