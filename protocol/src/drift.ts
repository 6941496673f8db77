/**
 * Drift: what a stream shows is no longer what its model was chosen for. The hub compares a stream's sketches with
 * those of its own quiet past, says which kind of change it is and why, and ends what it said when it is over.
 */
import { type Static, Type } from 'typebox'
import { DeviceId, Digest, Label, SiteId, StreamId, Timestamp } from './names.ts'

const closed = { additionalProperties: false } as const

/**
 * What has changed. `data`: the pictures (light, colour, contrast); `output`: what the model says of them;
 * `camera-…`: the camera itself; `night`: darkness or infrared at an hour for it, which is told and is no alarm.
 * A kind explains those after it: of a camera that was moved, nothing else is said.
 */
export const driftKinds = [
  'camera-covered',
  'camera-moved',
  'camera-blurred',
  'night',
  'data',
  'output',
] as const
export const DriftKind = Type.Enum(driftKinds)
export type DriftKind = (typeof driftKinds)[number]

/** What is followed of a stream, sketch by sketch. */
export const driftFigureNames = [
  'brightness',
  'contrast',
  'saturation',
  'red',
  'blue',
  'sharpness',
  'confidence',
  'objects',
  'size',
  'labels',
  'places',
  'scores',
  'embedding',
  'shift',
  'covered',
  'likeness',
] as const
export type DriftFigureName = (typeof driftFigureNames)[number]

/** One figure beside what is usual here at this time of day. */
export const DriftFigure = Type.Object({
  name: Type.Enum(driftFigureNames),
  now: Type.Number(),
  usual: Type.Number(),
  /** How far it may be from `usual` without anybody being told. */
  tolerance: Type.Number(),
})
export type DriftFigure = Static<typeof DriftFigure>

/** Why an alarm is over: by itself, because a person said that this is the new normal, because another kind explains it, or because what it was about has gone. */
export const driftEnds = ['itself', 'accepted', 'explained', 'relearnt', 'removed'] as const

export const DriftAlarm = Type.Object(
  {
    alarmId: Type.Integer({ minimum: 1 }),
    deviceId: DeviceId,
    site: SiteId,
    streamId: StreamId,
    kind: DriftKind,
    /** Of the sketches, so in the time of the box. */
    raisedAt: Timestamp,
    endedAt: Type.Union([Timestamp, Type.Null()]),
    endedBy: Type.Union([Type.Enum(driftEnds), Type.Null()]),
    /** In words, with figures. */
    why: Type.String({ maxLength: 500 }),
    figures: Type.Array(DriftFigure, { maxItems: driftFigureNames.length }),
    modelDigest: Type.Union([Digest, Type.Null()]),
    /** Nobody is told of it again before; null where nobody asked for that. */
    snoozedUntil: Type.Union([Timestamp, Type.Null()]),
  },
  { $id: 'DriftAlarm' },
)
export type DriftAlarm = Static<typeof DriftAlarm>

/**
 * How right the model probably is on this stream, without a label from it: an estimate, never a measurement.
 * Of the objects that it reports, the share that is right.
 */
export const AccuracyEstimate = Type.Object({
  precision: Type.Number({ minimum: 0, maximum: 1 }),
  /** 95 % interval. */
  low: Type.Number({ minimum: 0, maximum: 1 }),
  high: Type.Number({ minimum: 0, maximum: 1 }),
  /** On the labelled data that it is fitted on. */
  there: Type.Number({ minimum: 0, maximum: 1 }),
  /** In words: what it was fitted on. */
  from: Type.String({ maxLength: 200 }),
})
export type AccuracyEstimate = Static<typeof AccuracyEstimate>

export const driftPhases = ['learning', 'watching', 'silent'] as const

/** A stream as drift is watched on it. */
export const DriftStream = Type.Object(
  {
    deviceId: DeviceId,
    site: SiteId,
    streamId: StreamId,
    /** `learning`: what is usual is not known yet; `silent`: no sketch has come for a while. */
    phase: Type.Enum(driftPhases),
    /** Sketches that what is usual was learnt from, and how many it takes. */
    learnt: Type.Integer({ minimum: 0 }),
    learnsFrom: Type.Integer({ minimum: 1 }),
    /** By its own reference, apart from that of the day. */
    isNight: Type.Boolean(),
    newestAt: Timestamp,
    /** The model that what is usual was learnt of. */
    modelDigest: Type.Union([Digest, Type.Null()]),
    alarms: Type.Array(DriftAlarm, { maxItems: driftKinds.length }),
    figures: Type.Array(DriftFigure, { maxItems: driftFigureNames.length }),
    /** Null where nothing is known that it could be estimated from. */
    accuracy: Type.Union([AccuracyEstimate, Type.Null()]),
  },
  { $id: 'DriftStream' },
)
export type DriftStream = Static<typeof DriftStream>

/** One figure over time: a list for each of `at`, null where there was none. */
const Series = Type.Array(Type.Union([Type.Number(), Type.Null()]))

/** Shares of each bin, in the reference and in the newest sketches. */
export const DriftHistogram = Type.Object({
  name: Type.String({ maxLength: 100 }),
  /** Least of each bin, or what the bin is. */
  bins: Type.Array(Type.Union([Type.Number(), Label])),
  usual: Type.Array(Type.Number()),
  now: Type.Array(Type.Number()),
})
export type DriftHistogram = Static<typeof DriftHistogram>

export const DriftDetail = Type.Object(
  {
    stream: DriftStream,
    /** s since the epoch, oldest first. */
    at: Type.Array(Type.Number()),
    series: Type.Array(
      Type.Object({
        name: Type.Enum(driftFigureNames),
        now: Series,
        /** Between which it is usual. */
        low: Series,
        high: Series,
      }),
    ),
    histograms: Type.Array(DriftHistogram),
    /** Newest first. */
    past: Type.Array(DriftAlarm, { maxItems: 100 }),
  },
  { $id: 'DriftDetail' },
)
export type DriftDetail = Static<typeof DriftDetail>

/** Alarms in one list. */
export const driftAlarmsListed = 200
const streamOfDevice = Type.Object({ deviceId: DeviceId, streamId: StreamId }, closed)

export const driftRoutes = {
  driftStreamList: {
    method: 'GET',
    path: '/api/drift/streams',
    access: 'viewer',
    summary: 'Lists streams that send sketches, those with alarms first; at most 1,000',
    query: Type.Object({ device: Type.Optional(DeviceId) }, closed),
    response: Type.Array(DriftStream),
  },
  driftStreamShow: {
    method: 'GET',
    path: '/api/drift/streams/:deviceId/:streamId',
    access: 'viewer',
    summary: 'Shows a stream beside what is usual for it: figures over time, histograms, alarms',
    params: streamOfDevice,
    query: Type.Object(
      {
        /** Hours up to the newest sketch. */
        hours: Type.Optional(Type.Integer({ minimum: 1, maximum: 192, default: 24 })),
      },
      closed,
    ),
    response: DriftDetail,
  },
  driftAccept: {
    method: 'POST',
    path: '/api/drift/streams/:deviceId/:streamId/accept',
    access: 'operator',
    summary: 'Says that what a stream shows from now on is the new normal: it is learnt anew',
    params: streamOfDevice,
    response: DriftStream,
  },
  driftAlarmList: {
    method: 'GET',
    path: '/api/drift/alarms',
    access: 'viewer',
    summary: `Lists alarms of drift, newest first; at most ${driftAlarmsListed}`,
    query: Type.Object(
      {
        device: Type.Optional(DeviceId),
        stream: Type.Optional(StreamId),
        kind: Type.Optional(DriftKind),
        /** `active`: not over yet. */
        state: Type.Optional(Type.Enum(['active', 'ended'])),
        /** Only those before this one. */
        before: Type.Optional(Type.Integer({ minimum: 1 })),
      },
      closed,
    ),
    response: Type.Array(DriftAlarm),
  },
  driftSnooze: {
    method: 'POST',
    path: '/api/drift/alarms/:alarmId/snooze',
    access: 'operator',
    summary: 'Tells nobody of an alarm, nor of another of its kind on its stream, for a while',
    params: Type.Object({ alarmId: Type.Integer({ minimum: 1 }) }, closed),
    body: Type.Object(
      {
        /** 0 takes it back; at most 30 days. */
        minutes: Type.Integer({ minimum: 0, maximum: 43_200 }),
      },
      closed,
    ),
    response: DriftAlarm,
  },
} as const
