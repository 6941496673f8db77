/** Events that have just become durable: into the fleet's figures, the metrics, and onto open pages. */
import type { StoredEvent } from '@edgeloop/protocol'
import type { Changes } from '../changes/changes.ts'
import type { Device, Health } from '../devices/device.ts'
import type { Fleet } from '../devices/fleet.ts'
import type { Stored } from '../ingest/ingest.ts'
import type { Metrics } from '../telemetry/metrics.ts'

/** Health events reach pages as the figures of their device, not as events. */
export function tellStored(
  stored: Stored,
  { fleet, changes, metrics }: { fleet: Fleet; changes: Changes; metrics: Metrics },
): void {
  const { device, events } = stored
  const health = newestHealth(stored)
  fleet.change(device, {
    lastSeenAt: stored.receivedAt,
    eventsStored: device.eventsStored + events.length,
    ...(health ? { health } : {}),
  })
  for (const [kind, count] of countKinds(stored)) metrics.ingestEvents.inc({ kind }, count)
  if (!changes.wanted) return
  for (const [index, planned] of events.entries()) {
    if (planned.event.kind === 'health') continue
    changes.publish({ kind: 'event', event: storedEventAt(stored, index) })
  }
}

/** The newest figures, where they are newer than those of the device: old ones may come in late. */
function newestHealth({ device, events }: Stored): Health | undefined {
  let newest = device.health ?? undefined
  for (const { event } of events) {
    if (event.kind === 'health' && (!newest || event.at > newest.at)) newest = event
  }
  return newest === device.health ? undefined : newest
}

function countKinds({ events }: Stored): Map<string, number> {
  const counts = new Map<string, number>()
  for (const { event } of events) counts.set(event.kind, (counts.get(event.kind) ?? 0) + 1)
  return counts
}

function storedEventAt(stored: Stored, index: number): StoredEvent {
  const { event, historical, streamId, label, score, snapshot } = stored.events[index]!
  const device: Device = stored.device
  return {
    eventId: stored.firstEventId + index,
    deviceId: device.deviceId,
    bootId: stored.bootId,
    sequence: event.sequence,
    kind: event.kind,
    at: event.at,
    receivedAt: new Date(stored.receivedAt).toISOString(),
    historical,
    streamId,
    label,
    score,
    snapshot,
    data: { ...event },
  }
}
