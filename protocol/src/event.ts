/**
 * Events: immutable facts a device reports. A device numbers them from 1 within one start of its
 * agent (`bootId`), keeps them until the hub acknowledges a high-water mark, and replaces what it had
 * to drop by a loss record that carries the dropped range, so that the sequence never has a hole.
 */
import { type Static, Type } from 'typebox'
import { AreaName } from './areas.ts'
import { StreamState } from './device.ts'
import { BootId, Box, DeviceId, Digest, Label, StreamId, Timestamp } from './names.ts'
import { Sketch } from './sketch.ts'
import { clipBytesMax, clipKinds, furtherModelsMax } from './stream.ts'

const Sequence = Type.Integer({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER })
const Score = Type.Number({ minimum: 0, maximum: 1 })
const TrackId = Type.Integer({ minimum: 1 })

/** Most numbers of an embedding in an event. */
export const embeddingMax = 1024

/** What a further model said of an object, on the crop of its best picture until then. */
export const Attribute = Type.Object({
  model: Type.String({ maxLength: 120 }),
  /** When the picture was taken. */
  at: Timestamp,
  /** Best first. */
  classes: Type.Optional(Type.Array(Type.Object({ label: Label, score: Score }), { maxItems: 5 })),
  /** Of length 1: a product of two is the cosine between them. */
  embedding: Type.Optional(Type.Array(Type.Number(), { minItems: 2, maxItems: embeddingMax })),
})
export type Attribute = Static<typeof Attribute>
const Attributes = Type.Array(Attribute, { maxItems: furtherModelsMax })

/** The track's best moment so far, with the JPEG that shows it where there is one. */
export const BestFrame = Type.Object({
  at: Timestamp,
  box: Box,
  score: Score,
  snapshot: Type.Optional(Digest),
  /**
   * When the snapshot was captured, where that is another moment than `at`: it then shows the large
   * picture of a stream that detects on a small one, and the box may no longer fit.
   */
  snapshotAt: Type.Optional(Timestamp),
})
export type BestFrame = Static<typeof BestFrame>

/** An object was confirmed on a stream. */
export const Appeared = Type.Object({
  sequence: Sequence,
  kind: Type.Literal('appeared'),
  at: Timestamp,
  streamId: StreamId,
  trackId: TrackId,
  label: Label,
  score: Score,
  box: Box,
  snapshot: Type.Optional(Digest),
  /** The file of the model that saw it: from an event back to what its model learned from. */
  modelDigest: Type.Optional(Digest),
})

/** It is gone; what was learned about it meanwhile. */
export const Left = Type.Object({
  sequence: Sequence,
  kind: Type.Literal('left'),
  at: Timestamp,
  streamId: StreamId,
  trackId: TrackId,
  label: Label,
  /** Best score over its life. */
  score: Score,
  box: Box,
  appearedAt: Timestamp,
  /** Analysed frames it was seen on. */
  frames: Type.Integer({ minimum: 1 }),
  best: BestFrame,
  attributes: Type.Optional(Attributes),
})

/** What every event about one track at one moment says. */
const sighting = {
  sequence: Sequence,
  at: Timestamp,
  streamId: StreamId,
  trackId: TrackId,
  label: Label,
  score: Score,
  box: Box,
  /** The frame of that moment. */
  snapshot: Type.Optional(Digest),
  /** Without embeddings, which `left` carries once. */
  attributes: Type.Optional(Attributes),
}

export const zoneActs = ['entered', 'dwelled', 'left'] as const

/** A track came into a zone, has stayed there for the zone's `dwellSeconds`, or has gone out of it. */
export const ZoneEvent = Type.Object({
  ...sighting,
  kind: Type.Literal('zone'),
  zone: AreaName,
  act: Type.Enum(zoneActs),
  /** How long it has been inside; left out of `entered`. */
  dwellMs: Type.Optional(Type.Integer({ minimum: 0 })),
})

/** A track crossed a line. */
export const LineEvent = Type.Object({
  ...sighting,
  kind: Type.Literal('line'),
  line: AreaName,
  /** To which side, walking along the line from its first point to its last. */
  direction: Type.Union([Type.Literal('toRight'), Type.Literal('toLeft')]),
})

/** Most rows of each kind in one `counts`. */
export const countRowsMax = 40
const Count = Type.Integer({ minimum: 0 })

/**
 * What a stream saw in an interval, summed up: an aggregate. Only what occurred is there, the most
 * frequent first; an interval without any object is not sent.
 */
export const Counts = Type.Object({
  sequence: Sequence,
  kind: Type.Literal('counts'),
  /** End of the interval. */
  at: Timestamp,
  streamId: StreamId,
  intervalMs: Type.Integer({ minimum: 1 }),
  /** Per label: tracks that appeared, and the most at a time. */
  objects: Type.Array(Type.Object({ label: Label, appeared: Count, most: Count }), {
    maxItems: countRowsMax,
  }),
  /** Per zone and label: visits that began and ended, and the most at a time. */
  zones: Type.Array(
    Type.Object({ zone: AreaName, label: Label, entered: Count, left: Count, most: Count }),
    { maxItems: countRowsMax },
  ),
  /** Per line and label: crossings to each side. */
  lines: Type.Array(Type.Object({ line: AreaName, label: Label, toRight: Count, toLeft: Count }), {
    maxItems: countRowsMax,
  }),
  /** Rows that found no room, all three lists together. */
  omitted: Count,
})
export type Counts = Static<typeof Counts>

/** A stream went live, stalled, ended… `gapMs`: how long no frame came before this. */
export const StreamChanged = Type.Object({
  sequence: Sequence,
  kind: Type.Literal('stream'),
  at: Timestamp,
  streamId: StreamId,
  state: StreamState,
  reason: Type.String({ maxLength: 1000 }),
  gapMs: Type.Optional(Type.Integer({ minimum: 0 })),
})

export const alarmCodes = [
  'mediaCrashed',
  'mediaHung',
  'modelFailed',
  'overloaded',
  'diskFull',
  'outboxFull',
  'clockJumped',
  'configRefused',
] as const

/** Something a person should know. `active: false` ends an alarm of the same code and stream. */
export const Alarm = Type.Object({
  sequence: Sequence,
  kind: Type.Literal('alarm'),
  at: Timestamp,
  streamId: Type.Optional(StreamId),
  code: Type.Enum(alarmCodes),
  active: Type.Boolean(),
  text: Type.String({ maxLength: 1000 }),
})

/** Figures of one stream over the interval of a health event. */
export const StreamFigures = Type.Object({
  streamId: StreamId,
  /** Frames per second that the camera sent. */
  inputFps: Type.Number(),
  /** Frames per second that went through the model. */
  analysedFps: Type.Number(),
  /** Frames per second that the motion gate let through: analysed or dropped. */
  wantedFps: Type.Optional(Type.Number()),
  /** Frames come faster than inference takes them. */
  shedding: Type.Optional(Type.Boolean()),
  /** Frames the motion gate let rest. */
  gated: Type.Integer(),
  /** Frames replaced by a newer one before the model got to them. */
  dropped: Type.Integer(),
  /** Median and 95th percentile of inference. */
  inferenceMs: Type.Number(),
  inferenceP95Ms: Type.Number(),
  /** 95th percentile from capture to detections. */
  latencyP95Ms: Type.Number(),
  reconnects: Type.Integer(),
  objects: Type.Integer(),
})
export type StreamFigures = Static<typeof StreamFigures>

/** How the device does: an aggregate, the first class to give way. */
export const Health = Type.Object({
  sequence: Sequence,
  kind: Type.Literal('health'),
  at: Timestamp,
  intervalMs: Type.Integer({ minimum: 1 }),
  /** Share of one core, all processes of the agent; may exceed 1. */
  cpuShare: Type.Number(),
  /** Resident memory of all processes of the agent. */
  memoryBytes: Type.Integer(),
  /** Supervisor event-loop delay. */
  loopP99Ms: Type.Number(),
  outboxEvents: Type.Integer(),
  outboxBytes: Type.Integer(),
  diskFreeBytes: Type.Integer(),
  streams: Type.Array(StreamFigures, { maxItems: 256 }),
})
export type Health = Static<typeof Health>

/**
 * A clip was recorded: it shows everything on the stream from `startedAt` to `at`. Its bytes are on the device,
 * which sends them when asked, for as long as it has them.
 */
export const ClipRecorded = Type.Object({
  sequence: Sequence,
  kind: Type.Literal('clip'),
  /** When its last picture came. */
  at: Timestamp,
  streamId: StreamId,
  startedAt: Timestamp,
  /** Of the video itself, which may differ by the unsteadiness of a network. */
  durationMs: Type.Integer({ minimum: 0 }),
  /** An MP4. */
  clip: Digest,
  sizeBytes: Type.Integer({ minimum: 1, maximum: clipBytesMax }),
  width: Type.Integer({ minimum: 1 }),
  height: Type.Integer({ minimum: 1 }),
})
export type ClipRecorded = Static<typeof ClipRecorded>

/** Classes in the order in which they give way: aggregates first, alarms last. */
export const eventClasses = ['aggregate', 'event', 'alarm'] as const
export type EventClass = (typeof eventClasses)[number]

/** Stands for the events `sequence`..`through`, which the device had to drop. */
export const Loss = Type.Object({
  sequence: Sequence,
  through: Sequence,
  kind: Type.Literal('loss'),
  /** When the loss happened. */
  at: Timestamp,
  reason: Type.Union([
    Type.Literal('outboxFull'),
    Type.Literal('diskFull'),
    Type.Literal('damaged'),
    /** Written by the hub: the device says that an earlier store acknowledged these. */
    Type.Literal('acknowledgedEarlier'),
  ]),
  /** How many of each class; their sum is `through - sequence + 1` where the classes are known. */
  aggregates: Type.Integer({ minimum: 0 }),
  events: Type.Integer({ minimum: 0 }),
  alarms: Type.Integer({ minimum: 0 }),
})
export type Loss = Static<typeof Loss>

export const eventSchemas = {
  appeared: Appeared,
  left: Left,
  zone: ZoneEvent,
  line: LineEvent,
  counts: Counts,
  sketch: Sketch,
  stream: StreamChanged,
  alarm: Alarm,
  clip: ClipRecorded,
  health: Health,
  loss: Loss,
} as const
export type EventKind = keyof typeof eventSchemas
export const eventKinds = Object.keys(eventSchemas) as readonly EventKind[]

/** One event as it travels. */
export type Event = { [K in EventKind]: Static<(typeof eventSchemas)[K]> }[EventKind]
/** An event before the outbox has numbered it. */
export type NewEvent = {
  [K in Exclude<EventKind, 'loss'>]: Omit<Extract<Event, { kind: K }>, 'sequence'>
}[Exclude<EventKind, 'loss'>]

/** Kinds that sum up an interval. They come all the time: lists show them only when asked for. */
export const aggregateKinds = ['health', 'counts', 'sketch'] as const

/** True for a kind that sums up an interval. */
export const isAggregate = (kind: EventKind): kind is (typeof aggregateKinds)[number] =>
  aggregateKinds.some((aggregate) => aggregate === kind)

/** Kinds that lists show only when asked for: figures, and clips, which are shown at what happened in them. */
export const unlistedKinds = [...aggregateKinds, 'clip'] as const

/** True for a kind that lists show only when asked for. */
export const isUnlisted = (kind: EventKind): boolean =>
  unlistedKinds.some((unlisted) => unlisted === kind)

/** Kinds that are about one object and carry its label: those a clip can be recorded around. */
export const objectKinds = clipKinds

/** True for a kind that is about one object. */
export const isObjectKind = (kind: EventKind): kind is (typeof objectKinds)[number] =>
  objectKinds.some((object) => object === kind)

/** Which class an event belongs to when something must give way. */
export function classOf(kind: Exclude<EventKind, 'loss'>): EventClass {
  if (isAggregate(kind)) return 'aggregate'
  return kind === 'alarm' ? 'alarm' : 'event'
}

/** Most entries in one batch, and most bytes of one entry. */
export const batchEntriesMax = 500
export const eventBytesMax = 32 * 1024

/**
 * A batch as it is parsed first: only what numbering needs. Each entry is then checked by itself, so
 * that one bad event is quarantined without holding up its neighbours.
 */
export const EventBatch = Type.Object({
  bootId: BootId,
  /** Everything up to here has been acknowledged to the device, by this hub or an earlier store. */
  acknowledgedThrough: Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER }),
  entries: Type.Array(
    Type.Object(
      { sequence: Sequence, through: Type.Optional(Sequence) },
      { additionalProperties: true },
    ),
    { minItems: 1, maxItems: batchEntriesMax },
  ),
})
export type EventBatch = Static<typeof EventBatch>

/** The hub has durably stored everything of this boot up to and including `through`. */
export const Acknowledged = Type.Object({
  bootId: BootId,
  through: Type.Integer({ minimum: 0 }),
})
export type Acknowledged = Static<typeof Acknowledged>

/** What a person says of an event. `reviewed`: has seen it; the others are a verdict on it. */
export const markKinds = ['reviewed', 'falseAlarm', 'important'] as const
export const MarkKind = Type.Enum(markKinds)
export type MarkKind = (typeof markKinds)[number]

/** A mark is its person's own: what one has reviewed is new to another. */
export const Mark = Type.Object({ mark: MarkKind, user: Type.String(), at: Timestamp })
export type Mark = Static<typeof Mark>

/** An event as the hub gives it out. `data` is the event as it was received. */
export const StoredEvent = Type.Object(
  {
    eventId: Type.Integer(),
    deviceId: DeviceId,
    bootId: BootId,
    sequence: Sequence,
    kind: Type.Enum(eventKinds),
    at: Timestamp,
    receivedAt: Timestamp,
    /** Delivered more than a minute after it happened. */
    historical: Type.Boolean(),
    streamId: Type.Union([StreamId, Type.Null()]),
    label: Type.Union([Label, Type.Null()]),
    score: Type.Union([Type.Number(), Type.Null()]),
    /** The JPEG to show beside it: a snapshot whose bytes may still be on their way. */
    snapshot: Type.Union([Digest, Type.Null()]),
    data: Type.Record(Type.String(), Type.Unknown()),
    /** Oldest first. */
    marks: Type.Array(Mark),
  },
  { $id: 'StoredEvent' },
)
export type StoredEvent = Static<typeof StoredEvent>
