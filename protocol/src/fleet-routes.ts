/** Routes of devices as people see them: the fleet, one device, its streams and its configuration. */
import { type Static, Type } from 'typebox'
import { ConfigDiff, ConfigVersion, ConfigVersionDetail } from './config-versions.ts'
import {
  ConnectionChange,
  Desired,
  DeviceDetail,
  DeviceName,
  DevicePlace,
  DeviceRow,
  ReportedStream,
} from './device.ts'
import { DeviceLog, logLinesMax } from './device-log.ts'
import { PictureAbsent } from './live.ts'
import { BootId, DeviceId, SiteId, StreamId, Timestamp } from './names.ts'
import type { Route } from './route.ts'
import { SampleAsk, SampleAsked } from './samples.ts'
import { DeviceConfig, StreamConfig } from './stream.ts'

const closed = { additionalProperties: false } as const

const device = Type.Object({ deviceId: DeviceId }, closed)
const deviceStream = Type.Object({ deviceId: DeviceId, streamId: StreamId }, closed)

export const EnrolmentToken = Type.Object(
  {
    token: Type.String(),
    deviceId: DeviceId,
    site: SiteId,
    expiresAt: Timestamp,
    /** SHA-256 of the hub CA's public key (SPKI, base64): what the device pins. */
    caFingerprint: Type.String(),
    /** Where the device enrols. */
    deviceUrl: Type.String(),
    /** One line for the box's shell that installs the agent; null where this hub has no agent to give. */
    installCommand: Type.Union([Type.String(), Type.Null()]),
  },
  { $id: 'EnrolmentToken' },
)
export type EnrolmentToken = Static<typeof EnrolmentToken>

/** Rows that go with a device. Pictures stay for as long as pictures are kept: devices may share them. */
export const Removal = Type.Object(
  {
    deviceId: DeviceId,
    /** Only a retired device can be removed. */
    retired: Type.Boolean(),
    events: Type.Integer(),
    healthFigures: Type.Integer(),
    /** What came in and could not be taken. */
    quarantined: Type.Integer(),
    configVersions: Type.Integer(),
  },
  { $id: 'Removal' },
)
export type Removal = Static<typeof Removal>

/** Health figures over time, oldest first, at most `points` of them; columns of one length. */
export const HealthSeries = Type.Object(
  {
    /** Unix seconds. */
    at: Type.Array(Type.Number()),
    cpuShare: Type.Array(Type.Number()),
    memoryBytes: Type.Array(Type.Number()),
    loopP99Ms: Type.Array(Type.Number()),
    outboxEvents: Type.Array(Type.Number()),
    streams: Type.Array(
      Type.Object({
        streamId: StreamId,
        inputFps: Type.Array(Type.Union([Type.Number(), Type.Null()])),
        analysedFps: Type.Array(Type.Union([Type.Number(), Type.Null()])),
        latencyP95Ms: Type.Array(Type.Union([Type.Number(), Type.Null()])),
        inferenceMs: Type.Array(Type.Union([Type.Number(), Type.Null()])),
        dropped: Type.Array(Type.Union([Type.Number(), Type.Null()])),
      }),
    ),
  },
  { $id: 'HealthSeries' },
)
export type HealthSeries = Static<typeof HealthSeries>

/** Streams as their devices report them: by device id, then in the device's own order. */
export const StreamPage = Type.Object(
  {
    streams: Type.Array(
      Type.Object({
        deviceId: DeviceId,
        deviceName: Type.String(),
        site: SiteId,
        /** Whether the device is connected: without it the rest is its last word. */
        online: Type.Boolean(),
        stream: ReportedStream,
        /** What is tracked scores at least this, where the configuration says so. */
        scoreMin: Type.Union([Type.Number(), Type.Null()]),
      }),
    ),
    /** All that fit the query, on every page together. */
    total: Type.Integer(),
  },
  { $id: 'StreamPage' },
)
export type StreamPage = Static<typeof StreamPage>

/** A line for each asked device that the hub knows, in the order asked for. */
export const Sparklines = Type.Object(
  {
    /** Begin of the first slot. */
    from: Timestamp,
    slotMs: Type.Integer({ minimum: 1 }),
    devices: Type.Array(
      Type.Object({
        deviceId: DeviceId,
        /** Greatest share of one core in each slot; null where nothing was measured. */
        cpuShare: Type.Array(Type.Union([Type.Number(), Type.Null()])),
      }),
    ),
  },
  { $id: 'Sparklines' },
)
export type Sparklines = Static<typeof Sparklines>

/** Devices in one request for sparklines: more than any window shows. */
export const sparklineDevicesMax = 100

/** Devices in one act. */
export const actDevicesMax = 10_000

const actDevices = Type.Array(DeviceId, { minItems: 1, maxItems: actDevicesMax })

/** What can be set on all streams of a device; what is left out stays as it is on each. */
export const StreamSettings = Type.Object(
  {
    analysisFps: Type.Optional(StreamConfig.properties.analysisFps),
    scoreMin: Type.Optional(StreamConfig.properties.scoreMin),
    model: Type.Optional(StreamConfig.properties.model),
  },
  { $id: 'StreamSettings', minProperties: 1, ...closed },
)
export type StreamSettings = Static<typeof StreamSettings>

/** From one version of a device's configuration back to another. */
export const ConfigStep = Type.Object(
  { version: Type.Integer({ minimum: 1 }), to: Type.Integer({ minimum: 1 }) },
  closed,
)
export type ConfigStep = Static<typeof ConfigStep>

/** What an act on many devices did, or would do, in numbers and for each device in the order asked for. */
export const DeviceActs = Type.Object(
  {
    changed: Type.Integer(),
    /** They were so already. */
    unchanged: Type.Integer(),
    failed: Type.Integer(),
    devices: Type.Array(
      Type.Object({
        deviceId: DeviceId,
        outcome: Type.Union([
          Type.Literal('changed'),
          Type.Literal('unchanged'),
          Type.Literal('failed'),
        ]),
        /** What changed, or why nothing did. */
        text: Type.String(),
        /** Of a change that can be taken back: the version that it made, and the one from before. */
        undo: Type.Optional(ConfigStep),
      }),
    ),
  },
  { $id: 'DeviceActs' },
)
export type DeviceActs = Static<typeof DeviceActs>

export const fleetRoutes = {
  deviceList: {
    method: 'GET',
    path: '/api/devices',
    access: 'viewer',
    summary: 'Lists the devices',
    response: Type.Array(DeviceRow),
  },
  deviceShow: {
    method: 'GET',
    path: '/api/devices/:deviceId',
    access: 'viewer',
    summary: 'Shows one device: what it reports and what is wanted of it',
    params: device,
    response: DeviceDetail,
  },
  deviceEdit: {
    method: 'PUT',
    path: '/api/devices/:deviceId/place',
    access: 'operator',
    summary: 'Changes the name or the site that people see of a device; nothing changes on the box',
    params: device,
    body: DevicePlace,
    response: DeviceRow,
  },
  deviceHealth: {
    method: 'GET',
    path: '/api/devices/:deviceId/health',
    access: 'viewer',
    summary: 'Gives the health figures of a device over time',
    params: device,
    query: Type.Object(
      {
        from: Type.Optional(Timestamp),
        to: Type.Optional(Timestamp),
        points: Type.Optional(Type.Integer({ minimum: 10, maximum: 2000, default: 360 })),
      },
      closed,
    ),
    response: HealthSeries,
  },
  deviceSparklines: {
    method: 'GET',
    path: '/api/device-sparklines',
    access: 'viewer',
    summary: 'Gives the last half hour of CPU of a few devices, for lists',
    query: Type.Object(
      {
        /** Device ids with commas between, at most 100; unknown ones are left out of the reply. */
        devices: Type.String({
          pattern: `^[a-z0-9_-]{1,63}(,[a-z0-9_-]{1,63}){0,${sparklineDevicesMax - 1}}$`,
          maxLength: 64 * sparklineDevicesMax,
        }),
      },
      closed,
    ),
    response: Sparklines,
  },
  deviceConnectionList: {
    method: 'GET',
    path: '/api/devices/:deviceId/connections',
    access: 'viewer',
    summary: 'Lists when a device came and went, newest first; the last 100',
    params: device,
    response: Type.Array(ConnectionChange),
  },
  deviceLogShow: {
    method: 'GET',
    path: '/api/devices/:deviceId/log',
    access: 'operator',
    summary: "Asks a device for the newest lines of its agent's log, or for those after one",
    params: device,
    query: Type.Object(
      {
        /** Start of the agent that `after` is of; another one gives all lines. */
        boot: Type.Optional(BootId),
        after: Type.Optional(Type.Integer({ minimum: 0 })),
        lines: Type.Optional(Type.Integer({ minimum: 1, maximum: logLinesMax, default: 500 })),
      },
      closed,
    ),
    response: DeviceLog,
  },
  deviceRetire: {
    method: 'POST',
    path: '/api/devices/:deviceId/retire',
    access: 'admin',
    summary: 'Shuts a device out at once and keeps what it told; enrolling it again brings it back',
    params: device,
    response: DeviceRow,
  },
  devicesRetire: {
    method: 'POST',
    path: '/api/device-acts/retire',
    access: 'admin',
    summary: 'Retires many devices, or with `dryRun` says what that would do to each',
    body: Type.Object({ devices: actDevices, dryRun: Type.Optional(Type.Boolean()) }, closed),
    response: DeviceActs,
  },
  devicesStreamsSet: {
    method: 'POST',
    path: '/api/device-acts/stream-settings',
    access: 'operator',
    summary:
      'Sets something on all streams of many devices, or with `dryRun` says what that would change',
    body: Type.Object(
      { devices: actDevices, set: StreamSettings, dryRun: Type.Optional(Type.Boolean()) },
      closed,
    ),
    response: DeviceActs,
  },
  devicesRollBack: {
    method: 'POST',
    path: '/api/device-acts/rollback',
    access: 'operator',
    summary:
      'Wishes an earlier version again of many devices; one whose newest is not `version` is left as it is',
    body: Type.Object(
      {
        devices: Type.Array(Type.Object({ deviceId: DeviceId, ...ConfigStep.properties }, closed), {
          minItems: 1,
          maxItems: actDevicesMax,
        }),
      },
      closed,
    ),
    response: DeviceActs,
  },
  deviceRemovalShow: {
    method: 'GET',
    path: '/api/devices/:deviceId/removal',
    access: 'admin',
    summary: 'Counts what removing a device would delete',
    params: device,
    response: Removal,
  },
  deviceRemove: {
    method: 'DELETE',
    path: '/api/devices/:deviceId',
    access: 'admin',
    summary: 'Deletes a retired device and everything it told',
    params: device,
    response: Removal,
  },
  enrolmentCreate: {
    method: 'POST',
    path: '/api/enrolment-tokens',
    access: 'admin',
    summary: 'Makes a one-time token that buys one device certificate',
    body: Type.Object(
      {
        deviceId: DeviceId,
        site: Type.Optional(SiteId),
        name: Type.Optional(DeviceName),
        validMinutes: Type.Optional(Type.Integer({ minimum: 1, maximum: 10_080, default: 60 })),
      },
      closed,
    ),
    response: EnrolmentToken,
    status: 201,
  },
  desiredPut: {
    method: 'PUT',
    path: '/api/devices/:deviceId/desired',
    access: 'operator',
    summary: 'Replaces the desired configuration; `version` is the one that was edited, 0 for none',
    params: device,
    body: Type.Object({ version: Type.Integer({ minimum: 0 }), config: DeviceConfig }, closed),
    response: Desired,
  },
  configVersionList: {
    method: 'GET',
    path: '/api/devices/:deviceId/config/versions',
    access: 'viewer',
    summary: 'Lists the versions that are kept of a configuration, newest first',
    params: device,
    response: Type.Array(ConfigVersion),
  },
  configVersionShow: {
    method: 'GET',
    path: '/api/devices/:deviceId/config/versions/:version',
    access: 'viewer',
    summary: 'Shows one version of a configuration, without passwords',
    params: Type.Object({ deviceId: DeviceId, version: Type.Integer({ minimum: 1 }) }, closed),
    response: ConfigVersionDetail,
  },
  configDiff: {
    method: 'GET',
    path: '/api/devices/:deviceId/config/diff',
    access: 'viewer',
    summary:
      'Says in what two versions of a configuration differ; 0 is the empty one before the first',
    params: device,
    query: Type.Object(
      { from: Type.Integer({ minimum: 0 }), to: Type.Integer({ minimum: 0 }) },
      closed,
    ),
    response: ConfigDiff,
  },
  configRollback: {
    method: 'POST',
    path: '/api/devices/:deviceId/config/rollback',
    access: 'operator',
    summary: 'Wishes an earlier version again, as a new one; `version` is the newest that was seen',
    params: device,
    body: ConfigStep,
    response: Desired,
  },
  streamAdd: {
    method: 'POST',
    path: '/api/devices/:deviceId/streams',
    access: 'operator',
    summary: 'Adds a stream to the desired configuration',
    params: device,
    body: StreamConfig,
    response: Desired,
    status: 201,
  },
  sampleAsk: {
    method: 'POST',
    path: '/api/devices/:deviceId/streams/:streamId/samples',
    access: 'operator',
    summary: 'Asks a device for frames of a stream that keeps some to be learned from',
    params: deviceStream,
    body: SampleAsk,
    response: SampleAsked,
  },
  streamRemove: {
    method: 'DELETE',
    path: '/api/devices/:deviceId/streams/:streamId',
    access: 'operator',
    summary: 'Removes a stream from the desired configuration',
    params: deviceStream,
    response: Desired,
  },
  streamList: {
    method: 'GET',
    path: '/api/streams',
    access: 'viewer',
    summary: 'Lists the streams of all devices, page by page',
    query: Type.Object(
      {
        device: Type.Optional(DeviceId),
        site: Type.Optional(SiteId),
        /** Words that must be in the names of stream, device or site. */
        q: Type.Optional(Type.String({ maxLength: 200 })),
        offset: Type.Optional(Type.Integer({ minimum: 0, maximum: 10_000_000, default: 0 })),
        limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 64, default: 16 })),
      },
      closed,
    ),
    response: StreamPage,
  },
  streamPicture: {
    method: 'GET',
    path: '/api/devices/:deviceId/streams/:streamId/picture',
    access: 'viewer',
    summary:
      'Gives the newest live frame with its detections, as one live message, or says why there is none',
    params: deviceStream,
    produces: 'application/octet-stream',
    response: PictureAbsent,
  },
} as const satisfies Record<string, Route>
