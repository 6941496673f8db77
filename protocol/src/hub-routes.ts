/** Routes of the hub itself: health, jobs, its store, and what it says as it happens. */
import { type Static, Type } from 'typebox'
import { driftRoutes } from './drift.ts'
import { ruleRoutes } from './event-rules.ts'
import { Job, JobId } from './jobs.ts'
import { labelRoutes } from './labelling.ts'
import { Timestamp } from './names.ts'
import { pipelineRoutes } from './pipelines.ts'
import { rolloutRoutes } from './rollouts.ts'
import type { Route } from './route.ts'
import { fieldSampleRoutes } from './samples.ts'

const closed = { additionalProperties: false } as const

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

export const RetentionKind = Type.Object({
  kind: Type.Union([
    Type.Literal('events'),
    Type.Literal('health'),
    Type.Literal('audit'),
    Type.Literal('snapshots'),
    Type.Literal('samples'),
    Type.Literal('inferences'),
  ]),
  keptDays: Type.Integer(),
  /** How many are too old now. */
  expired: Type.Integer(),
  oldestKeptAt: Type.Union([Timestamp, Type.Null()]),
})
export type RetentionKind = Static<typeof RetentionKind>

export const Retention = Type.Object(
  {
    /** A cron expression, in the hub's time zone. */
    schedule: Type.String(),
    nextAt: Type.Union([Timestamp, Type.Null()]),
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

export const hubRoutes = {
  health: {
    method: 'GET',
    path: '/api/health',
    access: 'public',
    summary: 'Says whether the hub works, and how much it has stored',
    response: HubHealth,
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
