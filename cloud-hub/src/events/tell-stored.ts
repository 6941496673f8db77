/** Events that have just become durable: into the fleet's figures, the metrics, and onto open pages. */
import { type Event, isAggregate, type StoredEvent } from '@edgeloop/protocol'
import type { Changes } from '../changes/changes.ts'
import { aheadOf, type Health } from '../devices/device.ts'
import type { Fleet } from '../devices/fleet.ts'
import type { Stored } from '../ingest/ingest.ts'
import { historicalAfterMs } from '../ingest/plan-batch.ts'
import type { Metrics } from '../telemetry/metrics.ts'

/** Aggregates are not news: health reaches pages as the figures of its device, counts when asked for. */
export function tellStored(
  stored: Stored,
  { fleet, changes, metrics }: { fleet: Fleet; changes: Changes; metrics: Metrics },
): void {
  const { device, batch, events } = stored
  const health = newestHealth(stored)
  const last = events.at(-1)
  fleet.change(device, {
    ...(last ? { clockAheadMs: aheadOf(last.at, batch.receivedAt) } : {}),
    lastSeenAt: batch.receivedAt,
    eventsStored: device.eventsStored + events.length,
    ...(health ? { health } : {}),
  })
  for (const [kind, count] of countKinds(events)) metrics.ingestEvents.inc({ kind }, count)
  if (!changes.wanted) return
  for (const [index, event] of events.entries()) {
    if (isAggregate(event.kind)) continue
    changes.publish({ kind: 'event', event: storedEvent(stored, event, index) })
  }
}

/** The newest figures, where they are newer than those of the device: old ones may come in late. */
function newestHealth({ device, events }: Stored): Health | undefined {
  let newest = device.health ?? undefined
  for (const event of events) {
    if (event.kind === 'health' && (!newest || event.at > newest.at)) newest = event
  }
  return newest === device.health ? undefined : newest
}

function countKinds(events: readonly Event[]): Map<string, number> {
  const counts = new Map<string, number>()
  for (const { kind } of events) counts.set(kind, (counts.get(kind) ?? 0) + 1)
  return counts
}

function storedEvent(
  { device, firstEventId, batch }: Stored,
  event: Event,
  index: number,
): StoredEvent {
  const { receivedAt } = batch
  return {
    eventId: firstEventId + index,
    deviceId: device.deviceId,
    bootId: batch.bootId,
    sequence: event.sequence,
    kind: event.kind,
    at: event.at,
    receivedAt: new Date(receivedAt).toISOString(),
    historical: receivedAt - Date.parse(event.at) > historicalAfterMs,
    streamId: 'streamId' in event ? (event.streamId ?? null) : null,
    label: 'label' in event ? event.label : null,
    score: 'score' in event ? event.score : null,
    snapshot: snapshotOf(event),
    data: { ...event },
    marks: [],
  }
}

/** The JPEG to show beside an event: of a track that has left, the best it ever had. */
function snapshotOf(event: Event): string | null {
  if (event.kind === 'left') return event.best.snapshot ?? null
  return 'snapshot' in event ? (event.snapshot ?? null) : null
}
