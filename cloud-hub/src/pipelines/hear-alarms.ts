/**
 * Which alarms of drift a pipeline has to answer: read from the store by their number, so that an alarm counts once
 * however hubs start and end between its raising and the round, and no longer once somebody said that it is nothing.
 */
import { driftKinds, type PipelineAlarm, pipelineAlarmsMax } from '@edgeloop/protocol'
import type { Device } from '../devices/device.ts'
import type { Fleet } from '../devices/fleet.ts'
import type { DriftAlarmRow } from '../drift/drift-rows.ts'
import type { Store } from '../store/store.ts'
import type { KeptPipeline } from './pipeline-rows.ts'

/** Alarms of one look; the next look goes on behind them. */
const heardMax = 200
/** Ends that leave nothing to answer. One that is over by itself was drift all the same. */
const answeredBy = ['accepted', 'explained', 'relearnt', 'removed']

/** @returns the pipeline with what it has to answer now; undefined where nothing has changed */
export async function hearAlarms(
  pipeline: KeptPipeline,
  deps: {
    store: Store
    fleet: Fleet
    clock: () => number
    /** Digests of every file of a model. */
    digests: (model: string) => Promise<ReadonlyMap<string, number>>
  },
): Promise<KeptPipeline | undefined> {
  const { store, fleet, clock } = deps
  const rows = await store.writer
    .selectFrom('drift_alarm')
    .selectAll()
    .where('alarm_id', '>', pipeline.alarmsThrough)
    .orderBy('alarm_id')
    .limit(heardMax)
    .execute()
  const kept = await stillOpen(store, pipeline.alarms)
  const newest = rows.at(-1)
  if (!newest && kept.length === pipeline.alarms.length) return undefined
  const heard: PipelineAlarm[] = []
  if (pipeline.config.trigger.drift !== null && newest) {
    const devices = new Map([...fleet.all()].map((device) => [device.deviceKey, device]))
    const digests = await deps.digests(pipeline.model)
    for (const row of rows) {
      const device = devices.get(row.device_key)
      const isSnoozed = row.snoozed_until !== null && row.snoozed_until > clock()
      const isAnswered = row.ended_by !== null && answeredBy.includes(row.ended_by)
      if (!device || row.kind === 'night' || isSnoozed || isAnswered) continue
      if (runsModel(device, row, pipeline.model, digests)) heard.push(alarmOf(row, device))
    }
  }
  return {
    ...pipeline,
    alarms: [...kept, ...heard].slice(-pipelineAlarmsMax),
    alarmsThrough: newest?.alarm_id ?? pipeline.alarmsThrough,
  }
}

/** Without those that need no answer any more, or that nobody knows any more. */
async function stillOpen(
  store: Store,
  alarms: readonly PipelineAlarm[],
): Promise<readonly PipelineAlarm[]> {
  if (alarms.length === 0) return alarms
  const rows = await store.writer
    .selectFrom('drift_alarm')
    .select('alarm_id')
    .where(
      'alarm_id',
      'in',
      alarms.map(({ alarmId }) => alarmId),
    )
    .where((e) => e.or([e('ended_by', 'is', null), e('ended_by', 'not in', answeredBy)]))
    .execute()
  const open = new Set(rows.map(({ alarm_id }) => alarm_id))
  return alarms.filter(({ alarmId }) => open.has(alarmId))
}

/** By the name that the stream is configured with, or by the file that it ran. */
function runsModel(
  device: Device,
  { stream_id, model_digest }: DriftAlarmRow,
  model: string,
  digests: ReadonlyMap<string, number>,
): boolean {
  const streams = device.desired?.config.streams ?? []
  if (streams.some((one) => one.streamId === stream_id && one.model === model)) return true
  return model_digest !== null && digests.has(model_digest)
}

const alarmOf = (row: DriftAlarmRow, device: Device): PipelineAlarm => ({
  alarmId: row.alarm_id,
  kind: driftKinds.find((kind) => kind === row.kind) ?? 'data',
  at: new Date(row.raised_at).toISOString(),
  stream: `${device.deviceId}/${row.stream_id}`,
  text: row.why,
})
