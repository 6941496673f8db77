/**
 * Every HTTP route of the hub: path, role, and the schema of what goes in and out. The hub mounts
 * from this table, the OpenAPI document and the typed clients are made from it, and a test walks it
 * to see that each route refuses everybody without its role.
 */
import { type Static, type TSchema, Type } from 'typebox'
import { ClipReceived, clipPartBytes, EventClip } from './clip.ts'
import { ConfigDiff, ConfigVersion, ConfigVersionDetail } from './config-versions.ts'
import {
  AugmentationPreview,
  augmentationPictures,
  DatasetDetail,
  DatasetEdit,
  DatasetInspection,
  DatasetName,
  DatasetRequest,
  DatasetRow,
  DatasetSample,
  DatasetVersion,
  DatasetVersionNumber,
  datasetArchiveBytesMax,
  datasetFormats,
  EventSamplesPut,
  FreezeRequest,
  ImportRequest,
  picturePackBytesMax,
  SampleDetail,
  SamplePage,
  SampleQuery,
  samplesBatchMax,
} from './datasets.ts'
import {
  ConnectionChange,
  Desired,
  DeviceDetail,
  DeviceName,
  DevicePlace,
  DeviceRow,
  ReportedStream,
} from './device.ts'
import {
  DeviceLog,
  LogAnswer,
  LogRequestPath,
  logAnswerBytesMax,
  logLinesMax,
} from './device-log.ts'
import { driftRoutes } from './drift.ts'
import { eventKinds, Mark, MarkKind, markKinds, StoredEvent } from './event.ts'
import { ruleRoutes } from './event-rules.ts'
import { Job, JobId } from './jobs.ts'
import { labelRoutes, QueueName } from './labelling.ts'
import { PictureAbsent } from './live.ts'
import {
  CompileRequest,
  CompilerShown,
  ModelName,
  ModelRequest,
  ModelRow,
  ModelVersion,
  ModelVersionDetail,
  ModelVersionNumber,
  Upload,
  UploadId,
  uploadPartBytesMax,
} from './models.ts'
import { BootId, DeviceId, Digest, Label, SiteId, StreamId, Timestamp } from './names.ts'
import {
  ApiTokenMade,
  ApiTokenRequest,
  ApiTokenRow,
  AuditPage,
  AuditQuery,
  NewPassword,
  OneTimeLink,
  passwordCharactersMax,
  type Role,
  roles,
  Secret,
  Session,
  SessionRow,
  UserName,
  UserRow,
} from './people.ts'
import { pipelineRoutes } from './pipelines.ts'
import { Published, PublishRequest } from './publishing.ts'
import { RolloutRow, rolloutRoutes } from './rollouts.ts'
import {
  curvePointsMax,
  Run,
  RunCurves,
  RunDetail,
  RunId,
  RunPoints,
  RunRequest,
  runFileKinds,
  runStates,
  ScheduleRequest,
  TrainerShown,
  TrainingSchedule,
} from './runs.ts'
import { fieldSampleRoutes, SampleAsk, SampleAsked, sampleDeviceRoutes } from './samples.ts'
import { clipBytesMax, DeviceConfig, StreamConfig } from './stream.ts'
import {
  BundleImport,
  BundleRequest,
  BundleTaken,
  OnlineTrustRole,
  TrustDocument,
  TrustFileName,
  TrustKey,
  TrustRoot,
  TrustRootChange,
  TrustShown,
  trustDocumentBytesMax,
} from './trust.ts'

/**
 * `public` needs nothing; a role needs a session or an API token; `device` needs a device's
 * certificate; `enrolment` needs a one-time token.
 */
export type Access = 'public' | Role | 'device' | 'enrolment'

export type Route = {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE'
  readonly path: string
  readonly access: Access
  /** One sentence for the OpenAPI document. */
  readonly summary: string
  readonly params?: TSchema
  readonly query?: TSchema
  readonly body?: TSchema
  /** JSON reply. Of a route that `produces` something: what it may answer instead. */
  readonly response?: TSchema
  /** Media type of routes that answer bytes or a stream. */
  readonly produces?: string
  /** Media type of a body that is not JSON, and its limit. */
  readonly consumes?: string
  readonly bytesMax?: number
  /** Success status; 200 unless said. */
  readonly status?: 201 | 204
  /** True where a method that usually changes something changes nothing one must answer for: not audited. */
  readonly unaudited?: true
}

const closed = { additionalProperties: false } as const
const Time = Timestamp

export const HubHealth = Type.Object(
  {
    status: Type.Union([Type.Literal('ok'), Type.Literal('degraded')]),
    devicesOnline: Type.Integer(),
    eventsStored: Type.Integer(),
    version: Type.String(),
  },
  { $id: 'HubHealth' },
)
export type HubHealth = Static<typeof HubHealth>

export const EnrolmentToken = Type.Object(
  {
    token: Type.String(),
    deviceId: DeviceId,
    site: SiteId,
    expiresAt: Time,
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

export const EnrolmentRequest = Type.Object(
  {
    token: Type.String({ maxLength: 200 }),
    /** PKCS#10 in PEM; the key never leaves the box. */
    csr: Type.String({ maxLength: 8192 }),
  },
  { $id: 'EnrolmentRequest', ...closed },
)
export type EnrolmentRequest = Static<typeof EnrolmentRequest>

export const Enrolment = Type.Object(
  {
    site: SiteId,
    deviceId: DeviceId,
    certificate: Type.String(),
    ca: Type.String(),
    mqttUrl: Type.String(),
    deviceUrl: Type.String(),
    /** Newest root of the trust repository, as it is there; absent from hubs that have none. */
    trustRoot: Type.Optional(TrustRoot),
  },
  { $id: 'Enrolment' },
)
export type Enrolment = Static<typeof Enrolment>

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

/** A request of a device that has a certificate for its next one. */
export const RenewalRequest = Type.Object(
  {
    /** PKCS#10 in PEM, for a key that was made for it. */
    csr: Type.String({ maxLength: 8192 }),
  },
  { $id: 'RenewalRequest', ...closed },
)
export type RenewalRequest = Static<typeof RenewalRequest>

/** The next certificate. The one in use stays valid until this one is used for the first time. */
export const Renewal = Type.Object({ certificate: Type.String() }, { $id: 'Renewal' })
export type Renewal = Static<typeof Renewal>

export const markFilters = [...markKinds, 'unreviewed'] as const
export type MarkFilter = (typeof markFilters)[number]

/** Events in one request to mark them. */
export const markedEventsMax = 500

export const EventQuery = Type.Object(
  {
    device: Type.Optional(DeviceId),
    stream: Type.Optional(StreamId),
    /** All but `health`, `counts` and `clip` where left out: they come all the time and would bury the rest. */
    kind: Type.Optional(Type.Enum(eventKinds)),
    label: Type.Optional(Label),
    /** Events that anybody marked so; `unreviewed` are those that the caller has not reviewed. */
    mark: Type.Optional(Type.Enum(markFilters)),
    from: Type.Optional(Time),
    to: Type.Optional(Time),
    /** Only events stored before this one: the cursor of the next page. */
    before: Type.Optional(Type.Integer({ minimum: 1 })),
    limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 500, default: 50 })),
  },
  closed,
)
export type EventQuery = Static<typeof EventQuery>

/** Newest first. `next` is the `before` of the next page, or null at the end. */
export const EventPage = Type.Object(
  { events: Type.Array(StoredEvent), next: Type.Union([Type.Integer(), Type.Null()]) },
  { $id: 'EventPage' },
)
export type EventPage = Static<typeof EventPage>

/** How many events there were when: one lane per stream, the busiest first. */
export const EventDensity = Type.Object(
  {
    from: Time,
    slotMs: Type.Integer({ minimum: 1 }),
    slots: Type.Integer({ minimum: 1 }),
    /** Later than `from` where too many events lie between: before it nothing was counted. */
    countedFrom: Time,
    lanes: Type.Array(
      Type.Object({
        deviceId: DeviceId,
        streamId: Type.Union([StreamId, Type.Null()]),
        /** Events in each slot; figures that come all the time are none. */
        counts: Type.Array(Type.Integer()),
        /** Of them, alarms and losses. */
        alarms: Type.Array(Type.Integer()),
        /** Of them, those that somebody marked as important. */
        important: Type.Array(Type.Integer()),
      }),
    ),
    /** Lanes that found no room. */
    omitted: Type.Integer(),
  },
  { $id: 'EventDensity' },
)
export type EventDensity = Static<typeof EventDensity>

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
    from: Time,
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

const device = Type.Object({ deviceId: DeviceId }, closed)
const userPath = Type.Object({ user: UserName }, closed)
const deviceStream = Type.Object({ deviceId: DeviceId, streamId: StreamId }, closed)
const modelVersion = Type.Object({ name: ModelName, version: ModelVersionNumber }, closed)
const artifact = Type.Object({ artifactId: JobId }, closed)
const dataset = Type.Object({ dataset: DatasetName }, closed)
const datasetVersion = Type.Object({ dataset: DatasetName, version: DatasetVersionNumber }, closed)
const samplePath = Type.Object({ digest: Digest }, closed)
const digests = Type.Array(Digest, { minItems: 1, maxItems: samplesBatchMax })
const run = Type.Object({ runId: RunId }, closed)

export const RetentionKind = Type.Object({
  kind: Type.Union([
    Type.Literal('events'),
    Type.Literal('health'),
    Type.Literal('audit'),
    Type.Literal('snapshots'),
    Type.Literal('samples'),
  ]),
  keptDays: Type.Integer(),
  /** How many are too old now. */
  expired: Type.Integer(),
  oldestKeptAt: Type.Union([Time, Type.Null()]),
})
export type RetentionKind = Static<typeof RetentionKind>

export const Retention = Type.Object(
  {
    /** A cron expression, in the hub's time zone. */
    schedule: Type.String(),
    nextAt: Type.Union([Time, Type.Null()]),
    running: Type.Boolean(),
    kinds: Type.Array(RetentionKind),
  },
  { $id: 'Retention' },
)
export type Retention = Static<typeof Retention>

/** A backup of the embedded store; `folder` is on the hub's machine. */
export const StoreBackup = Type.Object(
  {
    name: Type.String(),
    folder: Type.String(),
    state: Type.Union([Type.Literal('making'), Type.Literal('whole'), Type.Literal('failed')]),
    /** Why it failed. */
    problem: Type.Union([Type.String(), Type.Null()]),
    databaseBytes: Type.Integer(),
    /** Null where pictures are kept outside of the data folder. */
    pictures: Type.Union([Type.Integer(), Type.Null()]),
    pictureBytes: Type.Integer(),
  },
  { $id: 'StoreBackup' },
)
export type StoreBackup = Static<typeof StoreBackup>

export const routes = {
  health: {
    method: 'GET',
    path: '/api/health',
    access: 'public',
    summary: 'Says whether the hub works, and how much it has stored',
    response: HubHealth,
  },
  signIn: {
    method: 'POST',
    path: '/api/session',
    access: 'public',
    summary: 'Buys a session with a one-time sign-in token',
    body: Type.Object({ token: Secret }, closed),
    response: Session,
  },
  passwordSignIn: {
    method: 'POST',
    path: '/api/session/by-password',
    access: 'public',
    summary: 'Buys a session with a user name and a password',
    body: Type.Object(
      {
        user: Type.String({ minLength: 1, maxLength: 63 }),
        password: Type.String({ minLength: 1, maxLength: passwordCharactersMax }),
      },
      closed,
    ),
    response: Session,
  },
  passwordChoose: {
    method: 'POST',
    path: '/api/session/by-password-link',
    access: 'public',
    summary: 'Sets a password with a one-time password link, and buys a session',
    body: Type.Object({ token: Secret, password: NewPassword }, closed),
    response: Session,
  },
  session: {
    method: 'GET',
    path: '/api/session',
    access: 'viewer',
    summary: 'Says who is signed in',
    response: Session,
  },
  signOut: {
    method: 'DELETE',
    path: '/api/session',
    access: 'viewer',
    summary: 'Ends the session',
    status: 204,
  },
  signInLinkCreate: {
    method: 'POST',
    path: '/api/sign-in-links',
    access: 'admin',
    summary: 'Makes a one-time sign-in token for whoever asks; for a program, for the oldest admin',
    response: OneTimeLink,
    status: 201,
  },
  passwordChange: {
    method: 'PUT',
    path: '/api/password',
    access: 'viewer',
    summary: 'Changes the password of whoever is signed in; every other session of theirs ends',
    body: Type.Object(
      {
        /** Left out where there is none yet. */
        current: Type.Optional(Type.String({ minLength: 1, maxLength: passwordCharactersMax })),
        password: NewPassword,
      },
      closed,
    ),
    response: Session,
  },
  sessionList: {
    method: 'GET',
    path: '/api/sessions',
    access: 'viewer',
    summary: 'Lists the sessions of whoever asks; an admin may ask for those of another user',
    query: Type.Object({ user: Type.Optional(UserName) }, closed),
    response: Type.Array(SessionRow),
  },
  sessionEnd: {
    method: 'DELETE',
    path: '/api/sessions/:sessionId',
    access: 'viewer',
    summary: 'Ends a session of whoever asks; an admin may end any',
    params: Type.Object({ sessionId: Type.String({ maxLength: 40 }) }, closed),
    status: 204,
  },
  userList: {
    method: 'GET',
    path: '/api/users',
    access: 'admin',
    summary: 'Lists the accounts',
    response: Type.Array(UserRow),
  },
  userAdd: {
    method: 'POST',
    path: '/api/users',
    access: 'admin',
    summary: 'Adds an account, and makes the link by which its user chooses a password',
    body: Type.Object({ user: UserName, role: Type.Enum(roles) }, closed),
    response: OneTimeLink,
    status: 201,
  },
  userRoleSet: {
    method: 'PUT',
    path: '/api/users/:user/role',
    access: 'admin',
    summary: 'Gives an account another role; its sessions end',
    params: userPath,
    body: Type.Object({ role: Type.Enum(roles) }, closed),
    response: UserRow,
  },
  userRemove: {
    method: 'DELETE',
    path: '/api/users/:user',
    access: 'admin',
    summary: 'Removes an account with its sessions, links and API tokens',
    params: userPath,
    status: 204,
  },
  userSessionsEnd: {
    method: 'DELETE',
    path: '/api/users/:user/sessions',
    access: 'admin',
    summary: 'Ends all sessions of an account',
    params: userPath,
    response: Type.Object({ ended: Type.Integer() }),
  },
  passwordLinkCreate: {
    method: 'POST',
    path: '/api/users/:user/password-links',
    access: 'admin',
    summary: 'Makes a one-time link by which a user chooses a password; older ones end',
    params: userPath,
    response: OneTimeLink,
    status: 201,
  },
  apiTokenList: {
    method: 'GET',
    path: '/api/tokens',
    access: 'viewer',
    summary: 'Lists the API tokens of whoever asks; all of them for an admin',
    response: Type.Array(ApiTokenRow),
  },
  apiTokenAdd: {
    method: 'POST',
    path: '/api/tokens',
    access: 'viewer',
    summary: 'Makes an API token with at most the role of whoever asks; its secret is shown once',
    body: ApiTokenRequest,
    response: ApiTokenMade,
    status: 201,
  },
  apiTokenRemove: {
    method: 'DELETE',
    path: '/api/tokens/:tokenId',
    access: 'viewer',
    summary: 'Revokes an API token of whoever asks; an admin may revoke any',
    params: Type.Object({ tokenId: Type.String({ maxLength: 40 }) }, closed),
    status: 204,
  },
  auditList: {
    method: 'GET',
    path: '/api/audit',
    access: 'admin',
    summary: 'Lists who changed what, and who was refused, newest first',
    query: AuditQuery,
    response: AuditPage,
  },
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
        from: Type.Optional(Time),
        to: Type.Optional(Time),
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
  eventList: {
    method: 'GET',
    path: '/api/events',
    access: 'viewer',
    summary: 'Lists stored events, newest first',
    query: EventQuery,
    response: EventPage,
  },
  eventShow: {
    method: 'GET',
    path: '/api/events/:eventId',
    access: 'viewer',
    summary: 'Shows one event',
    params: Type.Object({ eventId: Type.Integer({ minimum: 1 }) }, closed),
    response: StoredEvent,
  },
  eventClipShow: {
    method: 'GET',
    path: '/api/events/:eventId/clip',
    access: 'viewer',
    summary: 'Says where the clip is that shows the moment of an event',
    params: Type.Object({ eventId: Type.Integer({ minimum: 1 }) }, closed),
    response: EventClip,
  },
  eventClipAsk: {
    method: 'POST',
    path: '/api/events/:eventId/clip',
    access: 'operator',
    summary: 'Asks the device for the clip that shows the moment of an event',
    params: Type.Object({ eventId: Type.Integer({ minimum: 1 }) }, closed),
    response: EventClip,
  },
  clipShow: {
    method: 'GET',
    path: '/api/clips/:digest',
    access: 'viewer',
    summary: 'Gives the video of a clip that the hub has, whole or the range that is asked for',
    params: Type.Object({ digest: Digest }, closed),
    produces: 'video/mp4',
  },
  eventDensity: {
    method: 'GET',
    path: '/api/event-density',
    access: 'viewer',
    summary: 'Counts events per stream in even slots of time',
    query: Type.Object(
      {
        device: Type.Optional(DeviceId),
        stream: Type.Optional(StreamId),
        kind: Type.Optional(Type.Enum(eventKinds)),
        label: Type.Optional(Label),
        from: Time,
        to: Time,
        slots: Type.Optional(Type.Integer({ minimum: 1, maximum: 500, default: 120 })),
      },
      closed,
    ),
    response: EventDensity,
  },
  eventMark: {
    method: 'POST',
    path: '/api/event-marks',
    access: 'operator',
    summary:
      "Sets or takes back a mark of the caller's on events; answers which events that changed",
    body: Type.Object(
      {
        eventIds: Type.Array(Type.Integer({ minimum: 1 }), {
          minItems: 1,
          maxItems: markedEventsMax,
        }),
        mark: MarkKind,
        /** False takes it back. */
        set: Type.Boolean(),
      },
      closed,
    ),
    response: Type.Object({ changed: Type.Array(Type.Integer()), at: Time }),
  },
  blobShow: {
    method: 'GET',
    path: '/api/blobs/:digest',
    access: 'viewer',
    summary: 'Gives the bytes of a snapshot',
    params: Type.Object({ digest: Digest }, closed),
    produces: 'image/jpeg',
  },
  uploadBegin: {
    method: 'POST',
    path: '/api/uploads',
    access: 'operator',
    summary: 'Begins to take a file in parts; what is not used within an hour is dropped',
    body: Type.Object(
      { sizeBytes: Type.Integer({ minimum: 1, maximum: datasetArchiveBytesMax }) },
      closed,
    ),
    response: Upload,
    status: 201,
    unaudited: true,
  },
  uploadPart: {
    method: 'PUT',
    path: '/api/uploads/:uploadId/:offset',
    access: 'operator',
    summary: 'Takes the part of a file that begins at `offset`, which is where the last one ended',
    params: Type.Object(
      { uploadId: UploadId, offset: Type.Integer({ minimum: 0, maximum: datasetArchiveBytesMax }) },
      closed,
    ),
    consumes: 'application/octet-stream',
    bytesMax: uploadPartBytesMax,
    response: Upload,
    unaudited: true,
  },
  compilerShow: {
    method: 'GET',
    path: '/api/compiler',
    access: 'viewer',
    summary: "Says what this hub's compiler takes and makes",
    response: CompilerShown,
  },
  trustShow: {
    method: 'GET',
    path: '/api/trust',
    access: 'viewer',
    summary: 'Says who signs models for boxes, until when, and what waits for a signature',
    response: TrustShown,
  },
  trustFile: {
    method: 'GET',
    path: '/api/trust/:file',
    access: 'viewer',
    summary: 'Gives a file of the trust repository, as boxes get it',
    params: Type.Object({ file: TrustFileName }, closed),
    produces: 'application/json',
  },
  trustStaged: {
    method: 'GET',
    path: '/api/trust/staged',
    access: 'admin',
    summary: 'Gives targets with all that waits, to be signed where the targets key is',
    response: TrustDocument,
  },
  trustTargets: {
    method: 'POST',
    path: '/api/trust/targets',
    access: 'admin',
    summary: 'Takes targets that were signed elsewhere',
    body: TrustDocument,
    bytesMax: trustDocumentBytesMax,
    status: 204,
  },
  trustKeyMake: {
    method: 'POST',
    path: '/api/trust/keys',
    access: 'admin',
    summary: 'Makes a key that the next root may name; its private half stays at the hub',
    body: Type.Object({ role: OnlineTrustRole }, closed),
    response: TrustKey,
    status: 201,
  },
  trustRoot: {
    method: 'POST',
    path: '/api/trust/root',
    access: 'admin',
    summary: 'Takes the next root, signed by the keys of the one before and of its own',
    body: TrustRootChange,
    bytesMax: 2 * trustDocumentBytesMax,
    status: 204,
  },
  bundleMake: {
    method: 'POST',
    path: '/api/bundle',
    access: 'operator',
    summary:
      'Gives published versions with everything that is signed about them as one file, for boxes and hubs that cannot reach this one',
    body: BundleRequest,
    produces: 'application/x-tar',
  },
  bundleTake: {
    method: 'POST',
    path: '/api/bundle/import',
    access: 'admin',
    summary: 'Takes an uploaded bundle of a hub with the same root: its models, published',
    body: BundleImport,
    response: BundleTaken,
    status: 201,
  },
  modelList: {
    method: 'GET',
    path: '/api/models',
    access: 'viewer',
    summary: 'Lists models, each with its newest version',
    response: Type.Array(ModelRow),
  },
  modelAdd: {
    method: 'POST',
    path: '/api/models',
    access: 'operator',
    summary: 'Looks into an uploaded ONNX file and keeps it as the next version of a name',
    body: ModelRequest,
    response: ModelVersion,
    status: 201,
  },
  modelShow: {
    method: 'GET',
    path: '/api/models/:name/:version',
    access: 'viewer',
    summary: 'Shows one version of a model with what was compiled of it',
    params: modelVersion,
    response: ModelVersionDetail,
  },
  modelRemove: {
    method: 'DELETE',
    path: '/api/models/:name/:version',
    access: 'admin',
    summary: 'Removes a version of a model with everything that was compiled of it',
    params: modelVersion,
    status: 204,
  },
  modelVersionList: {
    method: 'GET',
    path: '/api/models/:name',
    access: 'viewer',
    summary: 'Lists all versions of a model, newest first',
    params: Type.Object({ name: ModelName }, closed),
    response: Type.Array(ModelVersion),
  },
  modelPromote: {
    method: 'POST',
    path: '/api/models/:name/:version/promote',
    access: 'operator',
    summary: 'Makes a version the champion: what later versions are compared with',
    params: modelVersion,
    response: ModelVersion,
  },
  modelDemote: {
    method: 'POST',
    path: '/api/models/:name/:version/demote',
    access: 'operator',
    summary: 'Takes the place of the champion from a version; nobody has it then',
    params: modelVersion,
    response: ModelVersion,
  },
  modelFile: {
    method: 'GET',
    path: '/api/models/:name/:version/file',
    access: 'viewer',
    summary: 'Gives the ONNX file as it was uploaded',
    params: modelVersion,
    produces: 'application/octet-stream',
  },
  modelCompile: {
    method: 'POST',
    path: '/api/models/:name/:version/compile',
    access: 'operator',
    summary: 'Queues the compilation of a model for a target',
    params: modelVersion,
    body: CompileRequest,
    response: Job,
    status: 201,
  },
  modelPublish: {
    method: 'POST',
    path: '/api/models/:name/:version/publish',
    access: 'operator',
    summary:
      'Queues the publication of a model version: manifests, deltas and signatures for boxes',
    params: modelVersion,
    body: PublishRequest,
    response: Job,
    status: 201,
  },
  modelPublished: {
    method: 'GET',
    path: '/api/models/:name/:version/published',
    access: 'viewer',
    summary: 'Lists what boxes may be offered of a version, per kind of box',
    params: modelVersion,
    response: Type.Array(Published),
  },
  modelPublishedList: {
    method: 'GET',
    path: '/api/models/:name/published',
    access: 'viewer',
    summary: 'Lists what boxes may be offered of all versions of a model, newest first',
    params: Type.Object({ name: ModelName }, closed),
    response: Type.Array(Published),
  },
  artifactFile: {
    method: 'GET',
    path: '/api/artifacts/:artifactId/file',
    access: 'viewer',
    summary: 'Gives the compiled ONNX file',
    params: artifact,
    produces: 'application/octet-stream',
  },
  artifactManifest: {
    method: 'GET',
    path: '/api/artifacts/:artifactId/manifest',
    access: 'viewer',
    summary: 'Gives the manifest of a compiled model',
    params: artifact,
    produces: 'application/json',
  },
  artifactReport: {
    method: 'GET',
    path: '/api/artifacts/:artifactId/report',
    access: 'viewer',
    summary: 'Gives the report of a compilation as a page without scripts',
    params: artifact,
    produces: 'text/html; charset=utf-8',
  },
  sampleMissing: {
    method: 'POST',
    path: '/api/samples/missing',
    access: 'operator',
    summary: 'Says which of some pictures are not here, and have to be sent',
    body: Type.Object({ digests }, closed),
    response: Type.Object({ missing: Type.Array(Digest) }),
    unaudited: true,
  },
  samplePack: {
    method: 'POST',
    path: '/api/samples',
    access: 'operator',
    summary:
      'Takes pictures: the length of a head (4 bytes, big endian), the head (PicturePack as JSON), then their bytes',
    consumes: 'application/octet-stream',
    bytesMax: picturePackBytesMax,
    response: Type.Object({ stored: Type.Integer() }),
    unaudited: true,
  },
  samplePicture: {
    method: 'GET',
    path: '/api/samples/:digest/picture',
    access: 'viewer',
    summary: 'Gives the picture of a sample',
    params: samplePath,
    produces: 'image/*',
  },
  sampleThumbnail: {
    method: 'GET',
    path: '/api/samples/:digest/thumbnail',
    access: 'viewer',
    summary: 'Gives a small picture of a sample, or the whole one where none was made',
    params: samplePath,
    produces: 'image/*',
  },
  datasetList: {
    method: 'GET',
    path: '/api/datasets',
    access: 'viewer',
    summary: 'Lists datasets, the last changed first',
    response: Type.Array(DatasetRow),
  },
  datasetAdd: {
    method: 'POST',
    path: '/api/datasets',
    access: 'operator',
    summary: 'Adds an empty dataset',
    body: DatasetRequest,
    response: DatasetRow,
    status: 201,
  },
  datasetShow: {
    method: 'GET',
    path: '/api/datasets/:dataset',
    access: 'viewer',
    summary: 'Shows a dataset with what is in it, counted',
    params: dataset,
    response: DatasetDetail,
  },
  datasetEdit: {
    method: 'PUT',
    path: '/api/datasets/:dataset',
    access: 'operator',
    summary: 'Describes a dataset, or adds labels to it',
    params: dataset,
    body: DatasetEdit,
    response: DatasetRow,
  },
  datasetRemove: {
    method: 'DELETE',
    path: '/api/datasets/:dataset',
    access: 'admin',
    summary: 'Removes a dataset with all its versions',
    params: dataset,
    status: 204,
  },
  datasetSampleList: {
    method: 'GET',
    path: '/api/datasets/:dataset/samples',
    access: 'viewer',
    summary:
      'Lists samples of a dataset, or of one of its versions, in the order in which they came',
    params: dataset,
    query: SampleQuery,
    response: SamplePage,
  },
  datasetSamplePut: {
    method: 'PUT',
    path: '/api/datasets/:dataset/samples',
    access: 'operator',
    summary: 'Puts samples into a dataset, or changes what is said of them; all or none',
    params: dataset,
    body: Type.Object(
      { samples: Type.Array(DatasetSample, { minItems: 1, maxItems: samplesBatchMax }) },
      closed,
    ),
    bytesMax: 16 * 1024 * 1024,
    response: Type.Object({
      added: Type.Integer(),
      changed: Type.Integer(),
      unchanged: Type.Integer(),
    }),
  },
  datasetSampleRemove: {
    method: 'POST',
    path: '/api/datasets/:dataset/samples/remove',
    access: 'operator',
    summary: 'Takes samples out of a dataset; its versions keep them',
    params: dataset,
    body: Type.Object({ digests }, closed),
    response: Type.Object({ removed: Type.Integer() }),
  },
  datasetSampleShow: {
    method: 'GET',
    path: '/api/datasets/:dataset/samples/:digest',
    access: 'viewer',
    summary: 'Shows a sample of a dataset with what is and was said of it',
    params: Type.Object({ dataset: DatasetName, digest: Digest }, closed),
    response: SampleDetail,
  },
  datasetEventPut: {
    method: 'POST',
    path: '/api/datasets/:dataset/events',
    access: 'operator',
    summary: 'Puts the pictures of events into a dataset, with the boxes that the events speak of',
    params: dataset,
    body: Type.Object(
      {
        eventIds: Type.Array(Type.Integer({ minimum: 1 }), {
          minItems: 1,
          maxItems: markedEventsMax,
        }),
      },
      closed,
    ),
    response: EventSamplesPut,
  },
  datasetAugmentation: {
    method: 'GET',
    path: '/api/datasets/:dataset/augmentation',
    access: 'viewer',
    summary: 'Shows what an augmentation makes of a few samples of a dataset',
    params: dataset,
    query: Type.Object(
      {
        count: Type.Optional(
          Type.Integer({
            minimum: augmentationPictures.min,
            maximum: augmentationPictures.max,
            default: augmentationPictures.default,
          }),
        ),
        seed: Type.Optional(Type.Integer({ minimum: 0, maximum: 2 ** 31 - 1 })),
        /** Keys of `augment` in a recipe, as JSON. */
        augment: Type.Optional(Type.String({ maxLength: 2000 })),
      },
      closed,
    ),
    response: AugmentationPreview,
  },
  datasetImport: {
    method: 'POST',
    path: '/api/datasets/:dataset/import',
    access: 'operator',
    summary: 'Queues the import of an uploaded archive (zip, tar) of pictures and labels',
    params: dataset,
    body: ImportRequest,
    response: Job,
    status: 201,
  },
  datasetInspection: {
    method: 'GET',
    path: '/api/datasets/:dataset/inspection',
    access: 'viewer',
    summary: 'Gives what the last inspection of a dataset found; null before the first',
    params: dataset,
    response: Type.Union([DatasetInspection, Type.Null()]),
  },
  datasetInspect: {
    method: 'POST',
    path: '/api/datasets/:dataset/inspection',
    access: 'operator',
    summary: 'Queues a look at every picture of a dataset: broken ones, odd boxes, near copies',
    params: dataset,
    response: Job,
    status: 201,
  },
  datasetVersionList: {
    method: 'GET',
    path: '/api/datasets/:dataset/versions',
    access: 'viewer',
    summary: 'Lists the frozen versions of a dataset, newest first',
    params: dataset,
    response: Type.Array(DatasetVersion),
  },
  datasetFreeze: {
    method: 'POST',
    path: '/api/datasets/:dataset/versions',
    access: 'operator',
    summary: 'Queues the freezing of what is in a dataset now, with its split',
    params: dataset,
    body: FreezeRequest,
    response: Job,
    status: 201,
  },
  datasetExport: {
    method: 'GET',
    path: '/api/datasets/:dataset/versions/:version/export',
    access: 'viewer',
    summary: 'Gives a frozen version as a tar in one of the formats of datasets',
    params: datasetVersion,
    query: Type.Object({ format: Type.Optional(Type.Enum(datasetFormats)) }, closed),
    produces: 'application/x-tar',
  },
  datasetVersionShow: {
    method: 'GET',
    path: '/api/datasets/:dataset/versions/:version',
    access: 'viewer',
    summary: 'Shows a frozen version of a dataset',
    params: datasetVersion,
    response: DatasetVersion,
  },
  jobList: {
    method: 'GET',
    path: '/api/jobs',
    access: 'viewer',
    summary: 'Lists the newest 200 jobs, newest first',
    query: Type.Object({ subject: Type.Optional(Type.String({ maxLength: 200 })) }, closed),
    response: Type.Array(Job),
  },
  jobShow: {
    method: 'GET',
    path: '/api/jobs/:jobId',
    access: 'viewer',
    summary: 'Shows one job',
    params: Type.Object({ jobId: JobId }, closed),
    response: Job,
  },
  jobCancel: {
    method: 'POST',
    path: '/api/jobs/:jobId/cancel',
    access: 'operator',
    summary: 'Asks a job to end; one that has not begun ends at once',
    params: Type.Object({ jobId: JobId }, closed),
    response: Job,
  },
  trainerShow: {
    method: 'GET',
    path: '/api/trainer',
    access: 'viewer',
    summary: "Says what this hub's trainer builds, and the recipe where nothing else is said",
    response: TrainerShown,
  },
  runList: {
    method: 'GET',
    path: '/api/runs',
    access: 'viewer',
    summary: 'Lists the newest 500 runs, newest first',
    query: Type.Object(
      {
        state: Type.Optional(Type.Enum(runStates)),
        model: Type.Optional(ModelName),
        dataset: Type.Optional(ModelName),
      },
      closed,
    ),
    response: Type.Array(Run),
  },
  runAdd: {
    method: 'POST',
    path: '/api/runs',
    access: 'operator',
    summary: 'Asks for training on a frozen dataset; the result becomes a model version',
    body: RunRequest,
    response: Run,
    status: 201,
  },
  runShow: {
    method: 'GET',
    path: '/api/runs/:runId',
    access: 'viewer',
    summary: 'Shows one run with its evaluations, its log and its files',
    params: run,
    response: RunDetail,
  },
  runRemove: {
    method: 'DELETE',
    path: '/api/runs/:runId',
    access: 'admin',
    summary: 'Removes a run that is over with its files; the model version that it made stays',
    params: run,
    status: 204,
  },
  runCurves: {
    method: 'GET',
    path: '/api/runs/:runId/curves',
    access: 'viewer',
    summary:
      'Gives the curves of a run; where there are too many points, the least and the greatest of each stretch',
    params: run,
    query: Type.Object(
      {
        from: Type.Optional(Type.Integer({ minimum: 0 })),
        to: Type.Optional(Type.Integer({ minimum: 0 })),
        points: Type.Optional(Type.Integer({ minimum: 2, maximum: curvePointsMax })),
      },
      closed,
    ),
    response: RunCurves,
  },
  runFile: {
    method: 'GET',
    path: '/api/runs/:runId/files/:kind',
    access: 'viewer',
    summary: 'Gives a file of a run: the model, the report as JSON, the card',
    params: Type.Object({ runId: RunId, kind: Type.Enum(runFileKinds) }, closed),
    produces: 'application/octet-stream',
  },
  runReport: {
    method: 'GET',
    path: '/api/runs/:runId/report',
    access: 'viewer',
    summary: 'Gives the report of a run as a page without scripts',
    params: run,
    produces: 'text/html; charset=utf-8',
  },
  runPause: {
    method: 'POST',
    path: '/api/runs/:runId/pause',
    access: 'operator',
    summary: 'Asks a run to end at a checkpoint from which it can go on',
    params: run,
    response: Run,
  },
  runResume: {
    method: 'POST',
    path: '/api/runs/:runId/resume',
    access: 'operator',
    summary: 'Lets a run go on that is paused, has failed or was cancelled',
    params: run,
    response: Run,
  },
  runCancel: {
    method: 'POST',
    path: '/api/runs/:runId/cancel',
    access: 'operator',
    summary: 'Asks a run to end; one that waits ends at once',
    params: run,
    response: Run,
  },
  trainingScheduleList: {
    method: 'GET',
    path: '/api/training-schedules',
    access: 'viewer',
    summary: 'Lists what begins runs by itself, and when it is due next',
    response: Type.Array(TrainingSchedule),
  },
  trainingSchedulePut: {
    method: 'PUT',
    path: '/api/training-schedules/:name',
    access: 'operator',
    summary: 'Sets a schedule: when, and what run it begins',
    params: Type.Object({ name: ModelName }, closed),
    body: ScheduleRequest,
    response: TrainingSchedule,
  },
  trainingScheduleRemove: {
    method: 'DELETE',
    path: '/api/training-schedules/:name',
    access: 'operator',
    summary: 'Removes a schedule; its runs stay',
    params: Type.Object({ name: ModelName }, closed),
    status: 204,
  },
  storeBackupBegin: {
    method: 'POST',
    path: '/api/store/backups',
    access: 'admin',
    summary: "Begins a backup of the embedded store, in the hub's data folder",
    response: StoreBackup,
    status: 201,
  },
  storeBackupList: {
    method: 'GET',
    path: '/api/store/backups',
    access: 'admin',
    summary: 'Lists the backups of the embedded store, newest first',
    response: Type.Array(StoreBackup),
  },
  retentionShow: {
    method: 'GET',
    path: '/api/store/retention',
    access: 'admin',
    summary: 'Says what is older than it is kept, and when it will be removed',
    response: Retention,
  },
  retentionBegin: {
    method: 'POST',
    path: '/api/store/retention',
    access: 'admin',
    summary: 'Begins to remove what is older than it is kept; answers what that is',
    response: Retention,
    status: 201,
  },
  changes: {
    method: 'GET',
    path: '/api/changes',
    access: 'viewer',
    summary: 'Streams what changes, as server-sent events',
    produces: 'text/event-stream',
  },
  live: {
    method: 'GET',
    path: '/api/live',
    access: 'viewer',
    summary: 'WebSocket: live frames of the streams the client says it wants',
    produces: 'application/octet-stream',
  },
  telemetry: {
    method: 'POST',
    path: '/api/telemetry',
    access: 'viewer',
    summary: 'Receives Faro beacons of the dashboard',
    body: Type.Record(Type.String(), Type.Unknown()),
    bytesMax: 256 * 1024,
    status: 204,
    unaudited: true,
  },
  metrics: {
    method: 'GET',
    path: '/metrics',
    access: 'viewer',
    summary: 'Prometheus metrics of the hub',
    produces: 'text/plain',
  },
  ...rolloutRoutes,
  ...labelRoutes,
  ...fieldSampleRoutes,
  ...ruleRoutes,
  ...driftRoutes,
  ...pipelineRoutes,
  openapi: {
    method: 'GET',
    path: '/api/openapi.json',
    access: 'viewer',
    summary: 'This table as an OpenAPI document',
    produces: 'application/json',
  },
} as const satisfies Record<string, Route>

/** Boxes that an agent can be made for, as the installer names them. */
export const platforms = ['linux-x64', 'linux-arm64'] as const
export type Platform = (typeof platforms)[number]

const platform = Type.Object({ platform: Type.Enum(platforms) }, closed)

/**
 * Routes of the other listener, where devices speak over mutual TLS. Those for `enrolment` without a body
 * take the token as a bearer: a box that is to be installed has no certificate yet.
 */
export const deviceRoutes = {
  installScript: {
    method: 'GET',
    path: '/install.sh',
    access: 'public',
    summary: 'Gives the installer; it holds no secret',
    produces: 'text/x-shellscript',
  },
  bundleDigest: {
    method: 'GET',
    path: '/bundles/:platform/digest',
    access: 'enrolment',
    summary:
      'Gives the SHA-256 of the agent for a platform, hex; builds it where that was not done yet',
    params: platform,
    produces: 'text/plain',
  },
  bundleShow: {
    method: 'GET',
    path: '/bundles/:platform',
    access: 'enrolment',
    summary: 'Gives the agent for a platform as a tar.gz',
    params: platform,
    produces: 'application/gzip',
  },
  enrol: {
    method: 'POST',
    path: '/enrol',
    access: 'enrolment',
    summary: 'Buys a certificate with a one-time token',
    body: EnrolmentRequest,
    response: Enrolment,
    status: 201,
  },
  trustGet: {
    method: 'GET',
    path: '/trust/:file',
    access: 'device',
    summary: 'Gives a file of the trust repository',
    params: Type.Object({ file: TrustFileName }, closed),
    produces: 'application/json',
  },
  renew: {
    method: 'POST',
    path: '/renew',
    access: 'device',
    summary: 'Gives a device its next certificate; the one in use is valid until that is used',
    body: RenewalRequest,
    response: Renewal,
    status: 201,
  },
  blobPut: {
    method: 'PUT',
    path: '/blobs/:digest',
    access: 'device',
    summary: 'Stores bytes under their digest',
    params: Type.Object({ digest: Digest }, closed),
    consumes: 'image/jpeg',
    bytesMax: 4 * 1024 * 1024,
    status: 204,
    unaudited: true,
  },
  artifactShow: {
    method: 'GET',
    path: '/artifacts/:digest',
    access: 'device',
    summary:
      'Gives the bytes of a manifest or of an encoding that is published, or a range of them; says when to come again where too many ask',
    params: Type.Object({ digest: Digest }, closed),
    produces: 'application/octet-stream',
  },
  livePut: {
    method: 'PUT',
    path: '/streams/:streamId/picture',
    access: 'device',
    summary: 'Takes one live frame with its detections; nothing is kept but the newest',
    params: Type.Object({ streamId: StreamId }, closed),
    consumes: 'application/octet-stream',
    bytesMax: 1024 * 1024,
    status: 204,
    unaudited: true,
  },
  logPut: {
    method: 'PUT',
    path: '/log-answers/:requestId',
    access: 'device',
    summary: 'Takes the lines of the log that the hub has asked for; nothing is kept',
    params: LogRequestPath,
    body: LogAnswer,
    bytesMax: logAnswerBytesMax,
    status: 204,
    unaudited: true,
  },
  clipPart: {
    method: 'PUT',
    path: '/clips/:digest/parts/:from',
    access: 'device',
    summary:
      'Takes the bytes of a clip from an offset on; answers where the next part begins, whatever this one was',
    params: Type.Object(
      { digest: Digest, from: Type.Integer({ minimum: 0, maximum: clipBytesMax }) },
      closed,
    ),
    consumes: 'application/octet-stream',
    bytesMax: clipPartBytes,
    response: ClipReceived,
    unaudited: true,
  },
  clipGone: {
    method: 'PUT',
    path: '/clips/:digest/gone',
    access: 'device',
    summary: 'Says that the device no longer has a clip that was asked for',
    params: Type.Object({ digest: Digest }, closed),
    body: Type.Object({}, closed),
    status: 204,
    unaudited: true,
  },
  ...sampleDeviceRoutes,
} as const satisfies Record<string, Route>

export type RouteName = keyof typeof routes
export const routeNames = Object.keys(routes) as readonly RouteName[]

type Part<R, K extends string> = R extends { readonly [P in K]: infer S extends TSchema }
  ? Static<S>
  : undefined

/** What a caller gives to a route, and what it gets. */
export type RouteParams<N extends RouteName> = Part<(typeof routes)[N], 'params'>
export type RouteQuery<N extends RouteName> = Part<(typeof routes)[N], 'query'>
export type RouteBody<N extends RouteName> = Part<(typeof routes)[N], 'body'>
export type RouteReply<N extends RouteName> = Part<(typeof routes)[N], 'response'>

/**
 * The path of a route with its parameters and query filled in.
 * @throws {Error} when a parameter is missing
 */
export function pathOf(
  route: Route,
  params: Record<string, string | number> = {},
  query: Record<string, string | number | undefined> = {},
): string {
  const path = route.path.replace(/:(\w+)/g, (_, key: string) => {
    const value = params[key]
    if (value === undefined) throw new Error(`Cannot make path ${route.path}: no ${key}`)
    return encodeURIComponent(value)
  })
  const search = new URLSearchParams()
  for (const [key, value] of Object.entries(query)) {
    if (value !== undefined) search.set(key, String(value))
  }
  return search.size > 0 ? `${path}?${search}` : path
}

/**
 * One server-sent change. `device`: patch of a fleet row; `deviceRemoved`: the row is gone; `event`: a
 * stored event; `marked`: a mark on events; `job`: a job as it is now; `models`: the list of models is another
 * one; `dataset`: what is in a dataset is another; `run`: a run as it is now; `runPoints`: new points of its curves;
 * `runRemoved`: it is gone; `trainingSchedules`: what begins runs is another; `rollout`: a rollout as it is now;
 * `pipeline`: a pipeline, or its newest round, is another; `drift`: alarms of a stream are others; `labelQueue`: tasks of a queue came, went or were answered; `rules`: rules, receivers or deliveries are others; `counts`: figures for the header. The client ignores a patch whose
 * `revision` is not above the one it has.
 */
export const Change = Type.Union([
  Type.Object({
    kind: Type.Literal('device'),
    deviceId: DeviceId,
    revision: Type.Integer(),
    patch: Type.Partial(DeviceRow),
  }),
  Type.Object({ kind: Type.Literal('deviceRemoved'), deviceId: DeviceId }),
  Type.Object({ kind: Type.Literal('job'), job: Job }),
  Type.Object({ kind: Type.Literal('models') }),
  Type.Object({ kind: Type.Literal('dataset'), name: DatasetName }),
  Type.Object({ kind: Type.Literal('run'), run: Run }),
  Type.Object({ kind: Type.Literal('runPoints'), points: RunPoints }),
  Type.Object({ kind: Type.Literal('runRemoved'), runId: RunId }),
  Type.Object({ kind: Type.Literal('trainingSchedules') }),
  Type.Object({ kind: Type.Literal('rollout'), rollout: RolloutRow }),
  Type.Object({ kind: Type.Literal('labelQueue'), name: QueueName }),
  /** Samples of a stream have come, or are gone. */
  Type.Object({
    kind: Type.Literal('samples'),
    deviceId: DeviceId,
    streamId: Type.Union([StreamId, Type.Null()]),
  }),
  Type.Object({ kind: Type.Literal('rules') }),
  Type.Object({ kind: Type.Literal('drift'), deviceId: DeviceId, streamId: StreamId }),
  Type.Object({ kind: Type.Literal('pipeline'), model: ModelName }),
  Type.Object({ kind: Type.Literal('event'), event: StoredEvent }),
  Type.Object({
    kind: Type.Literal('marked'),
    eventIds: Type.Array(Type.Integer()),
    mark: Mark,
    /** False where it was taken back. */
    set: Type.Boolean(),
  }),
  Type.Object({
    kind: Type.Literal('counts'),
    devicesOnline: Type.Integer(),
    eventsStored: Type.Integer(),
  }),
])
export type Change = Static<typeof Change>
