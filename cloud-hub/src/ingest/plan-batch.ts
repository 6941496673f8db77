/**
 * What to do with a batch: a decision without effects. The mark only ever moves over an unbroken sequence;
 * what lies at or below it is a duplicate, what lies beyond a gap waits until the gap is closed.
 */
import { type Event, type EventBatch, eventBytesMax, type Loss } from '@edgeloop/protocol'
import { checkEvent } from '@edgeloop/protocol/check'
import { type Cell, type CheckedBatch, quarantineColumns } from '../store/store.ts'
import type { ReceivedBatch } from './read-batch.ts'

/** An event that came in later than this after it happened is marked historical. */
export const historicalAfterMs = 60_000
/** Characters of a quarantined entry that are kept for whoever looks into it. */
const quarantineTextMax = 4096

export type Plan = {
  readonly batch: CheckedBatch
  /** The events of `batch`, in its order. */
  readonly events: readonly Event[]
  /** Entries that had been received before. */
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
  { batch: { bootId, acknowledgedThrough, entries }, texts }: ReceivedBatch,
): Plan {
  const draft: Draft = { receivedAt, events: [], eventCells: [], health: [], quarantined: [] }
  let through = mark
  let duplicates = 0
  let beyondGap = 0
  if (acknowledgedThrough > mark) {
    // An earlier store acknowledged these, and the device has let go of them: this store is older.
    const loss = earlierLoss(mark + 1, acknowledgedThrough, receivedAt)
    take(draft, loss, JSON.stringify(loss), receivedAt)
    through = acknowledgedThrough
  }
  for (let i = 0; i < entries.length; i++) {
    const entry = entries[i]!
    const end = endOf(entry)
    if (end <= through) {
      duplicates++
      continue
    }
    if (entry.sequence > through + 1) {
      beyondGap = entries.length - i
      break
    }
    judge(draft, entry, texts[i]!, through + 1)
    through = end
  }
  const { events, eventCells, health, quarantined } = draft
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
    quarantined: quarantined.length / quarantineColumns.length,
    beyondGap,
  }
}

type Entry = EventBatch['entries'][number]
type Draft = {
  readonly receivedAt: number
  readonly events: Event[]
  readonly eventCells: Cell[]
  readonly health: Cell[]
  readonly quarantined: Cell[]
}

/**
 * Last sequence that an entry stands for. Only a loss stands for more than one, and it does whatever else is
 * wrong with it: otherwise the device could never get past its range.
 */
function endOf(entry: Entry): number {
  const isLoss = (entry as { kind?: unknown }).kind === 'loss'
  return isLoss ? Math.max(entry.sequence, entry.through ?? 0) : entry.sequence
}

/** @param first lowest sequence that has not been received: a loss that begins before it is cut there */
function judge(draft: Draft, entry: Entry, text: string, first: number): void {
  const checked = checkEvent(entry)
  const at = 'misfit' in checked ? Number.NaN : Date.parse(checked.event.at)
  const misfit = 'misfit' in checked ? checked.misfit : misfitOf(checked.event, text, at)
  if (misfit !== undefined) {
    draft.quarantined.push(entry.sequence, misfit, text.slice(0, quarantineTextMax))
  } else if ('event' in checked && checked.event.sequence >= first) {
    take(draft, checked.event, text, at)
  } else if ('event' in checked) {
    const cut = { ...checked.event, sequence: first }
    take(draft, cut, JSON.stringify(cut), at)
  }
}

/** What no schema can say. */
function misfitOf(event: Event, text: string, at: number): string | undefined {
  if (text.length > eventBytesMax) {
    return `/ has ${text.length} characters, allowed ${eventBytesMax}`
  }
  if (Number.isNaN(at)) return `/at "${event.at}" is no time`
  if (event.kind === 'loss' && event.through < event.sequence) {
    return `/through ${event.through} is below /sequence ${event.sequence}`
  }
  return undefined
}

function take(draft: Draft, event: Event, text: string, at: number): void {
  const { events, eventCells, health, receivedAt } = draft
  const historical = receivedAt - at > historicalAfterMs ? 1 : 0
  eventCells.push(event.sequence, event.kind, at, historical)
  // Columns by which events are found: stream, label, score, snapshot.
  switch (event.kind) {
    case 'appeared':
    case 'zone':
    case 'line':
      eventCells.push(event.streamId, event.label, event.score, event.snapshot ?? null)
      break
    case 'left':
      eventCells.push(event.streamId, event.label, event.score, event.best.snapshot ?? null)
      break
    case 'stream':
    case 'alarm':
    case 'counts':
    case 'sketch':
    case 'clip':
      eventCells.push(event.streamId ?? null, null, null, null)
      break
    case 'health':
      health.push(events.length, at, event.cpuShare, event.memoryBytes, event.loopP99Ms)
      health.push(event.outboxEvents, JSON.stringify(event.streams))
      eventCells.push(null, null, null, null)
      break
    case 'loss':
      eventCells.push(null, null, null, null)
  }
  eventCells.push(text)
  events.push(event)
}

function earlierLoss(sequence: number, through: number, receivedAt: number): Loss {
  const at = new Date(receivedAt).toISOString()
  const unknown = { aggregates: 0, events: 0, alarms: 0 }
  return { sequence, through, kind: 'loss', at, reason: 'acknowledgedEarlier', ...unknown }
}
