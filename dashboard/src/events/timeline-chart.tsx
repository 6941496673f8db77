/** When things happened, one lane per stream: bars for how many, red for alarms, a dot for what is important. */
import type { EventDensity } from '@edgeloop/protocol'
import { keepPreviousData, queryOptions } from '@tanstack/react-query'
import { type KeyboardEvent, memo, useState } from 'react'
import { call } from '../api/call.ts'
import { sayClock, sayMoment, sayOf } from '../shell/say.ts'
import type { EventFilter } from './event-queries.ts'
import {
  barsPath,
  dotsPath,
  type Lane,
  type Span,
  sayLane,
  slotWindow,
  windowOf,
} from './timeline.ts'
import classes from './timeline-chart.module.css'

const refetchEveryMs = 30_000

/** Counts under a filter, but for its time: a timeline shows where in time the list is. */
export const densityQuery = (filter: EventFilter, span: Span) => {
  const { from: _, to: __, mark: ___, ...wanted } = filter
  return queryOptions({
    queryKey: ['density', wanted, span],
    queryFn: ({ signal }) =>
      call('eventDensity', { query: { ...wanted, ...windowOf(span, Date.now()) }, signal }),
    placeholderData: keepPreviousData,
    refetchInterval: refetchEveryMs,
    staleTime: 5000,
  })
}

export type TimeWindow = { readonly from: string; readonly to: string }

/** `3 events at 14:05` */
const saySlot = (lane: Lane, density: EventDensity, slot: number): string =>
  `${sayOf(lane.counts[slot] ?? 0, 'event')} at ${sayClock(Date.parse(slotWindow(density, slot).from))}`

/** @param onPick called with the time of the slot that was chosen */
export const LaneChart = memo(function LaneChart(props: {
  lane: Lane
  density: EventDensity
  /** The count at the upper edge. */
  peak: number
  name: string
  picked?: TimeWindow | undefined
  onPick: (picked: TimeWindow) => void
}) {
  const { lane, density, peak, picked } = props
  const { slots, slotMs } = density
  const start = Date.parse(density.from)
  const slotAt = (at: string) => (Date.parse(at) - start) / slotMs
  const [pointed, setPointed] = useState<number>()
  const within = (slot: number) => Math.max(0, Math.min(slots - 1, slot))
  const pressed = (event: KeyboardEvent) => {
    const { key } = event
    const at = pointed ?? slots - 1
    const steps: Readonly<Record<string, number>> = {
      ArrowLeft: at - 1,
      ArrowRight: at + 1,
      Home: 0,
      End: slots - 1,
    }
    const next = steps[key]
    if (next !== undefined) setPointed(within(next))
    else if (key === 'Enter') props.onPick(slotWindow(density, at))
    else return
    event.preventDefault()
  }
  return (
    <div
      className={classes.lane}
      role="slider"
      tabIndex={0}
      aria-label={`${props.name}: ${sayLane(lane, density)}. Enter shows the events of the moment`}
      aria-valuemin={0}
      aria-valuemax={slots - 1}
      aria-valuenow={pointed ?? slots - 1}
      aria-valuetext={saySlot(lane, density, pointed ?? slots - 1)}
      title={sayLane(lane, density)}
      onClick={({ currentTarget, clientX }) => {
        const { left, width } = currentTarget.getBoundingClientRect()
        const slot = Math.floor(((clientX - left) / width) * slots)
        props.onPick(slotWindow(density, within(slot)))
      }}
      onKeyDown={pressed}
      onBlur={() => setPointed(undefined)}
    >
      <svg viewBox={`0 0 ${slots} 1`} preserveAspectRatio="none" aria-hidden>
        {picked && (
          <rect
            className={classes.picked}
            x={slotAt(picked.from)}
            y={0}
            width={Math.max(0.5, slotAt(picked.to) - slotAt(picked.from))}
            height={1}
          />
        )}
        {pointed !== undefined && (
          <rect className={classes.picked} x={pointed} y={0} width={1} height={1} />
        )}
        <path className={classes.bars} d={barsPath(lane.counts, peak)} />
        <path className={classes.alarms} d={barsPath(lane.alarms, peak)} />
        <path className={classes.important} d={dotsPath(lane.important)} />
      </svg>
    </div>
  )
})

/** Begin, middle and end of the time that is shown. */
export function TimeAxis(props: { density: EventDensity }) {
  const { from, slotMs, slots, countedFrom } = props.density
  const start = Date.parse(from)
  const spanMs = slotMs * slots
  const say = (at: number) =>
    spanMs > 36 * 3_600_000
      ? new Date(at).toLocaleDateString('en-GB', { day: 'numeric', month: 'short' })
      : sayClock(at)
  return (
    <div className={classes.axis}>
      {[0, 0.25, 0.5, 0.75, 1].map((share) => (
        <time key={share} title={sayMoment(start + share * spanMs)}>
          {say(start + share * spanMs)}
        </time>
      ))}
      {countedFrom > from && (
        <span className={classes.partial}>
          Counted from {sayMoment(Date.parse(countedFrom))}: too many events before
        </span>
      )}
    </div>
  )
}

/** Everything at once: lanes with their names, and the time below them. */
export function Timeline(props: {
  density: EventDensity
  lanesMax: number
  nameOf: (lane: Lane) => string
  picked?: TimeWindow | undefined
  onPick: (lane: Lane, picked: TimeWindow) => void
}) {
  const { density, lanesMax, nameOf } = props
  const lanes = density.lanes.slice(0, lanesMax)
  const left = density.lanes.length - lanes.length + density.omitted
  const peak = Math.max(1, ...lanes.flatMap(({ counts }) => counts))
  if (lanes.length === 0) return <p className="dim">Nothing happened in this time.</p>
  return (
    <div className={classes.timeline}>
      {lanes.map((lane) => (
        <div key={`${lane.deviceId}/${lane.streamId}`} className={classes.row}>
          <span className={`clip ${classes.name}`}>
            <bdi>{nameOf(lane)}</bdi>
          </span>
          <LaneChart
            lane={lane}
            density={density}
            peak={peak}
            name={nameOf(lane)}
            picked={props.picked}
            onPick={(picked) => props.onPick(lane, picked)}
          />
        </div>
      ))}
      <TimeAxis density={density} />
      {left > 0 && <p className={classes.left}>{sayOf(left, 'quieter stream')} not shown</p>}
    </div>
  )
}
