/** Drift as people and programs of the hub see it, and what they may say to it. */
import {
  type AccuracyEstimate,
  type DriftAlarm,
  type DriftDetail,
  type DriftFigure,
  type DriftFigureName,
  type DriftHistogram,
  type DriftStream,
  driftAlarmsListed,
  driftFigureNames,
  placeColumns,
  placeRows,
  Refusal,
  type RouteQuery,
  type SampleAnnotation,
  type SampleOffer,
  scoreBins,
  sizeSteps,
} from '@edgeloop/protocol'
import type { AuditNote } from '../audit/audit.ts'
import type { Device } from '../devices/device.ts'
import type { Fleet } from '../devices/fleet.ts'
import type { Store } from '../store/store.ts'
import type { DriftStreamTable } from '../store/tables.ts'
import { estimateAccuracy, fittedOnFrames } from './accuracy.ts'
import {
  alarmOf,
  type DriftAlarmRow,
  pointFigures,
  referenceOf,
  stateOf,
  stateText,
  streamKey,
  streamOf,
} from './drift-rows.ts'
import { sharesOf, totalOf } from './histogram-distance.ts'
import { comparedHistograms } from './reference.ts'
import type { TestWorth } from './test-worth.ts'
import { startOver, type WatchState } from './watch.ts'

const streamsListed = 1000
/** Points of one chart: the least and the greatest of each stretch stay. */
const pointsMax = 400
const pointsRead = 12_000
const pastListed = 50
/** Labelled frames that an estimate of accuracy rests on: the newest. */
const labelledMax = 1000
/** How often a change is tried again that the keeper was faster with. */
const triesMax = 10

export type DriftDesk = {
  list(query: RouteQuery<'driftStreamList'>): Promise<DriftStream[]>
  /** @throws {Refusal} notFound; so all of the following */
  show(deviceId: string, streamId: string, hours: number): Promise<DriftDetail>
  accept(deviceId: string, streamId: string, note: AuditNote): Promise<DriftStream>
  alarms(query: RouteQuery<'driftAlarmList'>): Promise<DriftAlarm[]>
  snooze(alarmId: number, minutes: number, note: AuditNote): Promise<DriftAlarm>
}

export function openDriftDesk(deps: {
  store: Store
  fleet: Fleet
  clock: () => number
  learnsFrom: number
  testWorth: TestWorth
  changed: (deviceId: string, streamId: string) => void
}): DriftDesk {
  const { store, fleet, clock, learnsFrom, testWorth, changed } = deps

  function deviceOf(deviceId: string): Device {
    const device = fleet.find(deviceId)
    if (!device) throw new Refusal('notFound', `Cannot find device "${deviceId}": there is none`)
    return device
  }

  async function rowOf(device: Device, streamId: string): Promise<DriftStreamTable> {
    const row = await store.writer
      .selectFrom('drift_stream')
      .selectAll()
      .where('device_key', '=', device.deviceKey)
      .where('stream_id', '=', streamId)
      .executeTakeFirst()
    if (row) return row
    throw new Refusal(
      'notFound',
      `Cannot find stream "${streamId}" of "${device.deviceId}": no sketch of it has come yet`,
    )
  }

  async function openAlarms(keys: readonly number[]): Promise<Map<string, DriftAlarmRow[]>> {
    if (keys.length === 0) return new Map()
    const rows = await store.writer
      .selectFrom('drift_alarm')
      .selectAll()
      .where('ended_at', 'is', null)
      .where('device_key', 'in', [...keys])
      .orderBy('alarm_id', 'desc')
      .execute()
    return Map.groupBy(rows, (row) => streamKey(row.device_key, row.stream_id))
  }

  /** From what people said of frames of the same model, on whatever stream, or else of its test samples; null where too little is known. */
  async function accuracyOf(state: WatchState): Promise<AccuracyEstimate | null> {
    const { modelDigest, windows } = state
    const [scores, sizes] = [windows.scores[1], windows.sizes[1]]
    if (modelDigest === null || !scores || !sizes) return null
    const rows = await store.reader
      .selectFrom('field_sample')
      .innerJoin('label_task', 'label_task.digest', 'field_sample.digest')
      .innerJoin('label_queue', 'label_queue.name', 'label_task.queue')
      .innerJoin('dataset_sample', (on) =>
        on
          .onRef('dataset_sample.dataset', '=', 'label_queue.dataset')
          .onRef('dataset_sample.digest', '=', 'field_sample.digest'),
      )
      .select(['field_sample.offer', 'dataset_sample.annotations'])
      .where('label_task.state', '=', 'done')
      .orderBy('field_sample.sample_id', 'desc')
      .limit(labelledMax)
      .execute()
    // Both were checked before they were stored.
    const frames = rows.flatMap(({ offer, annotations }) => {
      const { model, detections, probability } = JSON.parse(offer) as SampleOffer
      if (model.digest !== modelDigest) return []
      const said = JSON.parse(annotations) as SampleAnnotation[]
      return [{ detections, probability, annotations: said }]
    })
    const objects = totalOf(sizes)
    const onFrames = fittedOnFrames(frames)
    const byField = onFrames && estimateAccuracy(onFrames, scores, objects)
    if (byField) return byField
    const onTest = await testWorth(modelDigest)
    return onTest && estimateAccuracy(onTest, scores, objects)
  }

  async function shown(
    device: Device,
    row: DriftStreamTable,
    accuracy: AccuracyEstimate | null = null,
  ): Promise<DriftStream> {
    const open = await openAlarms([device.deviceKey])
    const alarms = open.get(streamKey(device.deviceKey, row.stream_id)) ?? []
    return streamOf(row, {
      device,
      learnsFrom,
      now: clock(),
      accuracy,
      alarms: alarms.map((alarm) => alarmOf(alarm, device)),
    })
  }

  return {
    list: async ({ device: deviceId }) => {
      const devices = new Map(
        (deviceId === undefined ? [...fleet.all()] : [deviceOf(deviceId)]).map((device) => [
          device.deviceKey,
          device,
        ]),
      )
      let query = store.writer
        .selectFrom('drift_stream')
        .select(['device_key', 'stream_id', 'figures', 'learnt', 'is_night', 'model_digest'])
        .select(['newest_at', 'seen_at', 'interval_ms', 'revision'])
        .orderBy('device_key')
        .orderBy('stream_id')
        .limit(streamsListed)
      if (deviceId !== undefined) query = query.where('device_key', 'in', [...devices.keys()])
      const rows = await query.execute()
      const open = await openAlarms([...new Set(rows.map(({ device_key }) => device_key))])
      const streams = rows.flatMap((row) => {
        const device = devices.get(row.device_key)
        if (!device) return []
        const alarms = open.get(streamKey(row.device_key, row.stream_id)) ?? []
        return [
          streamOf(
            { ...row, state: '' },
            {
              device,
              learnsFrom,
              now: clock(),
              accuracy: null,
              alarms: alarms.map((alarm) => alarmOf(alarm, device)),
            },
          ),
        ]
      })
      const isTold = ({ alarms }: DriftStream): number =>
        alarms.some(({ kind }) => kind !== 'night') ? 0 : 1
      return streams.sort((a, b) => isTold(a) - isTold(b))
    },

    show: async (deviceId, streamId, hours) => {
      const device = deviceOf(deviceId)
      const row = await rowOf(device, streamId)
      const ofStream = { device_key: device.deviceKey, stream_id: streamId }
      const points = await store.reader
        .selectFrom('drift_point')
        .select(['at', 'figures'])
        .where('device_key', '=', ofStream.device_key)
        .where('stream_id', '=', streamId)
        .where('at', '>', row.newest_at - hours * 3_600_000)
        .where('at', '<=', row.newest_at)
        .orderBy('at', 'desc')
        .limit(pointsRead)
        .execute()
      const past = await store.reader
        .selectFrom('drift_alarm')
        .selectAll()
        .where('device_key', '=', ofStream.device_key)
        .where('stream_id', '=', streamId)
        .orderBy('alarm_id', 'desc')
        .limit(pastListed)
        .execute()
      return {
        stream: await shown(device, row, await accuracyOf(stateOf(row))),
        ...seriesOf(points.reverse()),
        histograms: histogramsOf(stateOf(row)),
        past: past.map((alarm) => alarmOf(alarm, device)),
      }
    },

    accept: async (deviceId, streamId, note) => {
      const device = deviceOf(deviceId)
      for (let attempt = 0; attempt < triesMax; attempt++) {
        const row = await rowOf(device, streamId)
        const state = stateOf(row)
        startOver(state)
        const isDone = await store.writer.transaction().execute(async (tx) => {
          const { numUpdatedRows } = await tx
            .updateTable('drift_stream')
            .set({ state: stateText(state), learnt: 0, revision: row.revision + 1 })
            .where('device_key', '=', device.deviceKey)
            .where('stream_id', '=', streamId)
            .where('revision', '=', row.revision)
            .executeTakeFirst()
          if (numUpdatedRows === 0n) return false
          await tx
            .updateTable('drift_alarm')
            .set({ ended_at: row.newest_at, ended_by: 'accepted' })
            .where('device_key', '=', device.deviceKey)
            .where('stream_id', '=', streamId)
            .where('ended_at', 'is', null)
            // The night is not over because a person says so.
            .where('kind', '<>', 'night')
            .execute()
          await note.within(tx)
          return true
        })
        if (!isDone) continue
        changed(deviceId, streamId)
        return await shown(device, await rowOf(device, streamId))
      }
      throw new Refusal(
        'conflict',
        `Cannot learn stream "${streamId}" of "${deviceId}" anew: its sketches keep coming in; try again`,
      )
    },

    alarms: async ({ device: deviceId, stream, kind, state, before }) => {
      let query = store.writer
        .selectFrom('drift_alarm')
        .selectAll()
        .orderBy('alarm_id', 'desc')
        .limit(driftAlarmsListed)
      if (deviceId !== undefined) {
        query = query.where('device_key', '=', deviceOf(deviceId).deviceKey)
      }
      if (stream !== undefined) query = query.where('stream_id', '=', stream)
      if (kind !== undefined) query = query.where('kind', '=', kind)
      if (state === 'active') query = query.where('ended_at', 'is', null)
      if (state === 'ended') query = query.where('ended_at', 'is not', null)
      if (before !== undefined) query = query.where('alarm_id', '<', before)
      const devices = new Map([...fleet.all()].map((device) => [device.deviceKey, device]))
      return (await query.execute()).flatMap((row) => {
        const device = devices.get(row.device_key)
        return device ? [alarmOf(row, device)] : []
      })
    },

    snooze: async (alarmId, minutes, note) => {
      const until = minutes === 0 ? null : clock() + minutes * 60_000
      const row = await store.writer.transaction().execute(async (tx) => {
        const updated = await tx
          .updateTable('drift_alarm')
          .set({ snoozed_until: until })
          .where('alarm_id', '=', alarmId)
          .returningAll()
          .executeTakeFirst()
        if (updated) await note.within(tx)
        return updated
      })
      const device = row && [...fleet.all()].find(({ deviceKey }) => deviceKey === row.device_key)
      if (!row || !device) {
        throw new Refusal('notFound', `Cannot find alarm ${alarmId} of drift: there is none`)
      }
      changed(device.deviceId, row.stream_id)
      return alarmOf(row, device)
    },
  }
}

/** Points as lists, thinned so that every peak of every figure stays. */
function seriesOf(
  points: readonly { at: number; figures: string }[],
): Pick<DriftDetail, 'at' | 'series'> {
  const read = points.map((point) => ({ at: point.at, figures: pointFigures(point) }))
  const every = Math.max(1, Math.ceil(read.length / pointsMax))
  const groups: (typeof read)[] = []
  for (let i = 0; i < read.length; i += every) groups.push(read.slice(i, i + every))
  const known = driftFigureNames.filter((name) =>
    read.some(({ figures }) => figures.some((figure) => figure.name === name)),
  )
  return {
    at: groups.map((group) => group.at(-1)!.at / 1000),
    series: known.map((name) => {
      const farthest = groups.map((group) => farthestOf(group, name))
      return {
        name,
        now: farthest.map((figure) => figure?.now ?? null),
        low: farthest.map((figure) => (figure ? figure.usual - figure.tolerance : null)),
        high: farthest.map((figure) => (figure ? figure.usual + figure.tolerance : null)),
      }
    }),
  }
}

/** Of a stretch, the figure that is farthest from what was usual. */
function farthestOf(
  group: readonly { figures: readonly DriftFigure[] }[],
  name: DriftFigureName,
): DriftFigure | undefined {
  const off = ({ now, usual, tolerance }: DriftFigure): number =>
    Math.abs(now - usual) / Math.max(tolerance, 1e-9)
  return group
    .flatMap(({ figures }) => figures.find((figure) => figure.name === name) ?? [])
    .reduce<DriftFigure | undefined>((a, b) => (a && off(a) >= off(b) ? a : b), undefined)
}

function histogramsOf(state: WatchState): DriftHistogram[] {
  const { histograms } = referenceOf(state)
  const bins: Record<(typeof comparedHistograms)[number], DriftHistogram['bins']> = {
    scores: Array.from({ length: scoreBins }, (_, i) => i / scoreBins),
    sizes: [...sizeSteps],
    places: Array.from({ length: placeColumns * placeRows }, (_, i) => i),
    labels: [...state.labels, 'others'],
  }
  return comparedHistograms.flatMap((name) => {
    const usual = histograms[name].bins
    // Half an hour: long enough to be a shape, short enough to be now.
    const now = state.windows[name][1]
    if (usual.length === 0 || now === undefined) return []
    const named = name === 'labels' ? ofLabels(bins.labels.length) : (each: number[]) => each
    return [{ name, bins: bins[name], usual: named(sharesOf(usual)), now: named(sharesOf(now)) }]
  })
}

/** Slots of labels that are used, and that of all others. */
const ofLabels =
  (count: number) =>
  (shares: readonly number[]): number[] => [...shares.slice(0, count - 1), shares.at(-1) ?? 0]
