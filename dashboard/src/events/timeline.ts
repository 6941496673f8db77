/** How much of the past a timeline shows, and what its slots say. */
import type { EventDensity } from '@edgeloop/protocol'
import { sayClock, sayCount, sayOf } from '../shell/say.ts'

export const spans = {
  '1h': { word: '1 h', ms: 3_600_000, slots: 60 },
  '6h': { word: '6 h', ms: 6 * 3_600_000, slots: 120 },
  '24h': { word: '24 h', ms: 24 * 3_600_000, slots: 144 },
  '7d': { word: '7 d', ms: 7 * 24 * 3_600_000, slots: 168 },
} as const
export type Span = keyof typeof spans
export const spanNames = Object.keys(spans) as readonly Span[]
export const standardSpan: Span = '6h'

/**
 * The time a span covers at `now`: it ends with the slot that runs, so that slots stay what they are while
 * time goes on.
 */
export function windowOf(span: Span, now: number): { from: string; to: string; slots: number } {
  const { ms, slots } = spans[span]
  const slotMs = ms / slots
  const to = (Math.floor(now / slotMs) + 1) * slotMs
  return { from: new Date(to - ms).toISOString(), to: new Date(to).toISOString(), slots }
}

/** The time of one slot, as the filter of a list takes it. */
export function slotWindow(
  density: Pick<EventDensity, 'from' | 'slotMs'>,
  slot: number,
): { from: string; to: string } {
  const from = Date.parse(density.from) + slot * density.slotMs
  return { from: new Date(from).toISOString(), to: new Date(from + density.slotMs).toISOString() }
}

export type Lane = EventDensity['lanes'][number]

/** Bars of a lane as one path in a frame of 1×1 per slot: 0 is the lower edge, `peak` the upper. */
export function barsPath(counts: readonly number[], peak: number): string {
  return counts
    .map((count, slot) => {
      if (count === 0) return ''
      // A single event must be seen beside a slot with thousands.
      const height = Math.max(0.12, Math.sqrt(count / Math.max(1, peak)))
      return `M${slot} 1v${-round(height)}h0.86v${round(height)}z`
    })
    .join('')
}

/** A dot at the upper edge of each slot that has any, in the same frame. */
export const dotsPath = (counts: readonly number[]): string =>
  counts.map((count, slot) => (count > 0 ? `M${slot} 0h0.86v0.2h-0.86z` : '')).join('')

const round = (value: number): number => Math.round(value * 1000) / 1000

/** `214 events, 2 alarms, most at 14:05` */
export function sayLane(lane: Lane, density: Pick<EventDensity, 'from' | 'slotMs'>): string {
  const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0)
  const total = sum(lane.counts)
  if (total === 0) return 'no events'
  const alarms = sum(lane.alarms)
  const important = sum(lane.important)
  const busiest = lane.counts.indexOf(Math.max(...lane.counts))
  return [
    sayOf(total, 'event'),
    alarms > 0 && sayOf(alarms, 'alarm'),
    important > 0 && `${sayCount(important)} important`,
    `most at ${sayClock(Date.parse(slotWindow(density, busiest).from))}`,
  ]
    .filter((part) => part !== false)
    .join(', ')
}
