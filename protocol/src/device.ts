/** What a device says about itself, and what the hub tells people about it. */
import { type Static, Type } from 'typebox'
import { TargetName } from './artifact.ts'
import { BootId, DeviceId, DeviceTags, Digest, SiteId, StreamId, Timestamp } from './names.ts'
import { DeviceConfig } from './stream.ts'

/** Retained, and the last will. */
export const Status = Type.Object({
  state: Type.Union([Type.Literal('online'), Type.Literal('offline')]),
  at: Timestamp,
  bootId: BootId,
})
export type Status = Static<typeof Status>

export const streamStates = ['connecting', 'live', 'stalled', 'offline', 'ended', 'failed'] as const
export const StreamState = Type.Enum(streamStates)
export type StreamState = (typeof streamStates)[number]

/** One stream as the device runs it. */
export const ReportedStream = Type.Object({
  streamId: StreamId,
  name: Type.String({ maxLength: 120 }),
  /** Without its password. */
  source: Type.String({ maxLength: 2048 }),
  state: StreamState,
  /** Why it is not live; empty when it is. */
  reason: Type.String({ maxLength: 1000 }),
  since: Timestamp,
  /** Set while frames come faster than inference takes them and some are dropped. */
  shedding: Type.Optional(
    Type.Object({ since: Timestamp, reason: Type.String({ maxLength: 400 }) }),
  ),
  model: Type.Optional(Type.String({ maxLength: 120 })),
  decoder: Type.Optional(Type.String({ maxLength: 40 })),
  /** What decodes where hardware was asked for: `vaapi`, or `software: ` and why. */
  hardwareDecode: Type.Optional(Type.String({ maxLength: 300 })),
  /** Why no clips are recorded although they are wanted. */
  noClips: Type.Optional(Type.String({ maxLength: 300 })),
  width: Type.Optional(Type.Integer({ minimum: 0 })),
  height: Type.Optional(Type.Integer({ minimum: 0 })),
})
export type ReportedStream = Static<typeof ReportedStream>

/** What a device measured of one way to execute a model. */
export const MeasuredRuntime = Type.Object({
  /** Such as `ort:cpu`. */
  runtime: Type.String({ maxLength: 300 }),
  /** Of one inference; absent where it could not run. */
  medianMs: Type.Optional(Type.Number({ minimum: 0 })),
  /** Share 0..1 of the model's operators that ran where they were meant to, not on the CPU. */
  placedShare: Type.Optional(Type.Number({ minimum: 0, maximum: 1 })),
  /** Why it is not to be used; absent where it could be. */
  reason: Type.Optional(Type.String({ maxLength: 500 })),
})
export type MeasuredRuntime = Static<typeof MeasuredRuntime>

/** A model the device can run. */
export const ReportedModel = Type.Object({
  name: Type.String({ maxLength: 120 }),
  digest: Digest,
  /** The version that a rollout delivered; left out where it is the box's own file. */
  version: Type.Optional(Type.Integer({ minimum: 1, maximum: 1_000_000 })),
  layout: Type.String({ maxLength: 40 }),
  labels: Type.Array(Type.String({ maxLength: 100 }), { maxItems: 10_000 }),
  runtime: Type.String({ maxLength: 300 }),
  /** What the choice of the runtime rests on, where it was measured. */
  measured: Type.Optional(
    Type.Object({
      at: Timestamp,
      runtimes: Type.Array(MeasuredRuntime, { maxItems: 16 }),
    }),
  ),
})
export type ReportedModel = Static<typeof ReportedModel>

/** What the device runs now: retained, sent whole whenever it changes. */
export const Reported = Type.Object({
  at: Timestamp,
  bootId: BootId,
  startedAt: Timestamp,
  agentVersion: Type.String({ maxLength: 40 }),
  platform: Type.String({ maxLength: 80 }),
  /** Kinds of boxes it is, the most particular first: models compiled for the first are the fastest here. */
  targets: Type.Optional(Type.Array(TargetName, { maxItems: 16 })),
  cpu: Type.String({ maxLength: 200 }),
  cores: Type.Integer({ minimum: 0 }),
  memoryBytes: Type.Integer({ minimum: 0 }),
  /** Version of the desired configuration that is in force; 0 before the first. */
  configVersion: Type.Integer({ minimum: 0 }),
  /** What became of the newest wish that came; absent before the first. `reason` is why it was refused. */
  config: Type.Optional(
    Type.Object({
      version: Type.Integer({ minimum: 0 }),
      accepted: Type.Boolean(),
      reason: Type.String({ maxLength: 2000 }),
    }),
  ),
  streams: Type.Array(ReportedStream, { maxItems: 256 }),
  models: Type.Array(ReportedModel, { maxItems: 64 }),
})
export type Reported = Static<typeof Reported>

/** The hub's wish: retained, and only ever replaced by a higher version. */
export const Desired = Type.Object({
  version: Type.Integer({ minimum: 1 }),
  at: Timestamp,
  config: DeviceConfig,
})
export type Desired = Static<typeof Desired>

/** `never`: enrolled but not yet seen. */
export const connectivities = ['online', 'offline', 'never'] as const
export const Connectivity = Type.Enum(connectivities)
export type Connectivity = (typeof connectivities)[number]

/**
 * What a person should think of a device at a glance. `degraded`: online, but a stream is not live or sheds load.
 * `retired`: it is not let in any more, and what it told is kept.
 */
export const deviceHealths = ['ok', 'degraded', 'offline', 'never', 'retired'] as const
export const DeviceHealth = Type.Enum(deviceHealths)
export type DeviceHealth = (typeof deviceHealths)[number]

/** One row of the fleet. `revision` grows with every change of the row. */
export const DeviceRow = Type.Object(
  {
    deviceId: DeviceId,
    /** Where it stands now. */
    site: SiteId,
    name: Type.String(),
    /** Words that people put on it, to choose it by. */
    tags: DeviceTags,
    connectivity: Connectivity,
    health: DeviceHealth,
    /** The sentence behind `health`; empty when ok. */
    reason: Type.String(),
    agentVersion: Type.String(),
    lastSeenAt: Type.Union([Timestamp, Type.Null()]),
    enrolledAt: Timestamp,
    streamsLive: Type.Integer(),
    streamsTotal: Type.Integer(),
    /** Frames per second analysed over all streams, from the last health figures. */
    analysedFps: Type.Number(),
    /** Share 0..1 of one core, over all processes of the agent. */
    cpuShare: Type.Number(),
    memoryBytes: Type.Integer(),
    eventsStored: Type.Integer(),
    revision: Type.Integer(),
  },
  { $id: 'DeviceRow' },
)
export type DeviceRow = Static<typeof DeviceRow>

/** What people call a device: something that can be seen. */
export const DeviceName = Type.String({ pattern: '\\S', minLength: 1, maxLength: 120 })

/** What can be changed of how people see a device; what is left out stays. */
export const DevicePlace = Type.Object(
  { name: Type.Optional(DeviceName), site: Type.Optional(SiteId) },
  { $id: 'DevicePlace', minProperties: 1, additionalProperties: false },
)
export type DevicePlace = Static<typeof DevicePlace>

/** A device came to this hub, or went. */
export const ConnectionChange = Type.Object(
  { at: Timestamp, online: Type.Boolean() },
  { $id: 'ConnectionChange' },
)
export type ConnectionChange = Static<typeof ConnectionChange>

/** Everything the Device page shows above its tabs. */
export const DeviceDetail = Type.Object(
  {
    device: DeviceRow,
    reported: Type.Union([Reported, Type.Null()]),
    desired: Type.Union([Desired, Type.Null()]),
    /** By how much its clock was ahead of the hub's, at least, when it was last heard; 0 where nothing is known. */
    clockAheadMs: Type.Integer({ minimum: 0 }),
    certificate: Type.Object({
      /** Site in its certificate and topics: where it was when it was first enrolled. */
      site: SiteId,
      serial: Type.String(),
      notAfter: Timestamp,
    }),
  },
  { $id: 'DeviceDetail' },
)
export type DeviceDetail = Static<typeof DeviceDetail>
