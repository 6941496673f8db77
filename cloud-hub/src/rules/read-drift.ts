/**
 * Alarms of drift as rules see them: the hub raises them and not a box, so they are no events of the store; they are given the form
 * of an alarm's event, under the negative of their number.
 */
import { siteOf } from '../devices/device.ts'
import type { Fleet } from '../devices/fleet.ts'
import type { Store } from '../store/store.ts'
import type { EventsRead } from './read-events.ts'

const pageRows = 200
/** No start of any agent. */
const noBoot = '00000000-0000-0000-0000-000000000000'

/** The newest alarm of all; 0 where there is none. */
export async function newestDriftAlarm(store: Store): Promise<number> {
  const { newest } = await store.reader
    .selectFrom('drift_alarm')
    .select(({ fn }) => fn.max('alarm_id').as('newest'))
    .executeTakeFirstOrThrow()
  return newest ?? 0
}

/** What was raised after `after`. Darkness is told nobody, nor is what somebody has snoozed. */
export async function readDriftAfter(
  { store, fleet, clock }: { store: Store; fleet: Fleet; clock: () => number },
  after: number,
): Promise<EventsRead> {
  const rows = await store.reader
    .selectFrom('drift_alarm')
    .innerJoin('device', 'device.device_key', 'drift_alarm.device_key')
    .select([
      ...(['drift_alarm.alarm_id', 'drift_alarm.stream_id', 'drift_alarm.kind'] as const),
      ...(['drift_alarm.raised_at', 'drift_alarm.why', 'drift_alarm.snoozed_until'] as const),
      'device.device_id',
    ])
    .where('drift_alarm.alarm_id', '>', after)
    .orderBy('drift_alarm.alarm_id')
    .limit(pageRows)
    .execute()
  const events = rows.flatMap((row) => {
    const device = fleet.find(row.device_id)
    if (!device || row.kind === 'night' || (row.snoozed_until ?? 0) > row.raised_at) return []
    const code = `drift-${row.kind}`
    const event = {
      eventId: -row.alarm_id,
      deviceId: row.device_id,
      bootId: noBoot,
      sequence: row.alarm_id,
      kind: 'alarm' as const,
      streamId: row.stream_id,
      label: null,
      score: null,
      snapshot: null,
      historical: false,
      marks: [],
      at: new Date(row.raised_at).toISOString(),
      receivedAt: new Date(clock()).toISOString(),
      data: { kind: 'alarm', code, active: true, text: row.why },
    }
    return [{ event, site: siteOf(device), tags: device.tags }]
  })
  return { events, through: rows.at(-1)?.alarm_id ?? after }
}
