/**
 * What to do with a batch: a decision without effects. The mark only ever moves over an unbroken sequence;
 * what lies at or below it is a duplicate, what lies beyond a gap waits until the gap is closed.
 */
import { type Event, type EventBatch, eventBytesMax, type Loss } from '@edgeloop/protocol'
import { checkEvent } from '@edgeloop/protocol/check'
import type { Cell, CheckedBatch } from '../store/store.ts'

/** An event that came in later than this after it happened is marked historical. */
export const historicalAfterMs = 60_000
/** Characters of a quarantined entry that are kept for whoever looks into it. */
const quarantineTextMax = 4096

/** One event of a plan, for those who tell of it. */
export type PlannedEvent = {
  readonly event: Event
  readonly at: number
  readonly historical: boolean
  readonly streamId: string | null
  readonly label: string | null
  readonly score: number | null
  readonly snapshot: string | null
}

export type Plan = {
  readonly batch: CheckedBatch
  readonly events: readonly PlannedEvent[]
  readonly duplicates: number
  readonly quarantined: number
  /** Entries beyond a gap, which were not taken. */
  readonly beyondGap: number
}

/**
 * Plans a batch on a mark.
 * @param mark everything of the boot up to here has been received
 * @param receivedAt ms
 */
export function planBatch(
  { deviceKey, mark, receivedAt }: { deviceKey: number; mark: number; receivedAt: number },
  { bootId, acknowledgedThrough, entries }: EventBatch,
): Plan {
  const events: PlannedEvent[] = []
  const eventCells: Cell[] = []
  const health: Cell[] = []
  const quarantined: Cell[] = []
  let through = mark
  let duplicates = 0
  let beyondGap = 0

  function take(event: Event, data: string, at: number): void {
    const historical = receivedAt - at > historicalAfterMs
    const planned = { event, at, historical, ...subjectOf(event) }
    if (event.kind === 'health') {
      health.push(events.length, at, event.cpuShare, event.memoryBytes, event.loopP99Ms)
      health.push(event.outboxEvents, JSON.stringify(event.streams))
    }
    eventCells.push(event.sequence, event.kind, at, historical ? 1 : 0)
    eventCells.push(planned.streamId, planned.label, planned.score, planned.snapshot, data)
    events.push(planned)
  }

  if (acknowledgedThrough > mark) {
    // An earlier store acknowledged these, and the device has let go of them: this store is older.
    const loss = earlierLoss(mark + 1, acknowledgedThrough, receivedAt)
    take(loss, JSON.stringify(loss), receivedAt)
    through = acknowledgedThrough
  }
  for (const [index, entry] of entries.entries()) {
    const end = endOf(entry)
    if (end <= through) {
      duplicates++
      continue
    }
    if (entry.sequence > through + 1) {
      beyondGap = entries.length - index
      break
    }
    const checked = check(entry, through + 1)
    if ('misfit' in checked) {
      quarantined.push(entry.sequence, checked.misfit, textOf(entry))
    } else {
      take(checked.event, checked.data, checked.at)
    }
    through = end
  }
  return {
    batch: {
      deviceKey,
      bootId,
      expected: mark,
      through,
      receivedAt,
      events: eventCells,
      health,
      quarantined,
    },
    events,
    duplicates,
    quarantined: quarantined.length / 3,
    beyondGap,
  }
}

type Entry = EventBatch['entries'][number]

/** Last sequence that an entry stands for. Only a loss stands for more than one, whatever else is wrong with it. */
function endOf(entry: Entry): number {
  const isLoss = (entry as { kind?: unknown }).kind === 'loss'
  return isLoss ? Math.max(entry.sequence, entry.through ?? 0) : entry.sequence
}

/** @param first lowest sequence that has not been received: a loss that begins before it is cut there */
function check(
  entry: Entry,
  first: number,
): { event: Event; data: string; at: number } | { misfit: string } {
  const checked = checkEvent(entry)
  if ('misfit' in checked) return checked
  const { event } = checked
  if (event.kind === 'loss' && event.through < event.sequence) {
    return { misfit: `/through ${event.through} is below /sequence ${event.sequence}` }
  }
  const at = Date.parse(event.at)
  if (Number.isNaN(at)) return { misfit: `/at "${event.at}" is no time` }
  if (event.kind === 'health' && !isFiniteHealth(event)) {
    return { misfit: '/ holds a figure that is not finite' }
  }
  const cut = event.sequence < first ? { ...event, sequence: first } : event
  const data = JSON.stringify(cut)
  if (data.length > eventBytesMax) {
    return { misfit: `/ has ${data.length} characters, allowed ${eventBytesMax}` }
  }
  return { event: cut, data, at }
}

function isFiniteHealth(event: Extract<Event, { kind: 'health' }>): boolean {
  const { cpuShare, memoryBytes, loopP99Ms, outboxEvents } = event
  return Number.isFinite(cpuShare + memoryBytes + loopP99Ms + outboxEvents)
}

/** Columns by which events are found. */
function subjectOf(event: Event): Pick<PlannedEvent, 'streamId' | 'label' | 'score' | 'snapshot'> {
  switch (event.kind) {
    case 'appeared':
    case 'left': {
      const { streamId, label, score } = event
      const snapshot = event.kind === 'left' ? event.best.snapshot : event.snapshot
      return { streamId, label, score, snapshot: snapshot ?? null }
    }
    case 'stream':
      return { streamId: event.streamId, label: null, score: null, snapshot: null }
    case 'alarm':
      return { streamId: event.streamId ?? null, label: null, score: null, snapshot: null }
    case 'health':
    case 'loss':
      return { streamId: null, label: null, score: null, snapshot: null }
  }
}

function earlierLoss(sequence: number, through: number, receivedAt: number): Loss {
  const at = new Date(receivedAt).toISOString()
  const unknown = { aggregates: 0, events: 0, alarms: 0 }
  return { sequence, through, kind: 'loss', at, reason: 'acknowledgedEarlier', ...unknown }
}

function textOf(entry: unknown): string {
  return JSON.stringify(entry).slice(0, quarantineTextMax)
}
