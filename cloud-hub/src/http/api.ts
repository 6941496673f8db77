/** What each route of the table does, in one place: every handler is a call into the room that knows. */

import { Readable } from 'node:stream'
import { Refusal, type RunFileKind } from '@edgeloop/protocol'
import { jsonLengthHeader } from '@edgeloop/protocol/oip'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Logger } from 'pino'
import type { ArtifactDesk } from '../artifacts/artifacts.ts'
import type { Audit } from '../audit/audit.ts'
import type { Blobs } from '../blobs/blobs.ts'
import { streamChanges } from '../changes/change-stream.ts'
import type { Changes } from '../changes/changes.ts'
import type { Clips } from '../clips/clips.ts'
import type { AugmentationPreviews } from '../datasets/augmentation-preview.ts'
import type { DatasetJobs } from '../datasets/dataset-jobs.ts'
import type { DatasetDesk } from '../datasets/datasets.ts'
import type { EventSamples } from '../datasets/event-samples.ts'
import type { DatasetExports } from '../datasets/exports.ts'
import type { SamplePictures, ShownPicture } from '../datasets/sample-pictures.ts'
import type { VersionDesk } from '../datasets/versions.ts'
import { type DesiredDesk, withoutSecrets } from '../devices/desired.ts'
import { connectionsOf, rowOf } from '../devices/device.ts'
import type { DeviceActsDesk } from '../devices/device-acts.ts'
import type { DeviceLogs } from '../devices/device-logs.ts'
import type { EnrolmentDesk } from '../devices/enrolment.ts'
import type { Fleet } from '../devices/fleet.ts'
import { readHealthSeries } from '../devices/health-series.ts'
import type { PlaceDesk } from '../devices/places.ts'
import type { RetirementDesk } from '../devices/retirement.ts'
import { readSparklines } from '../devices/sparklines.ts'
import { listStreams } from '../devices/stream-list.ts'
import type { DriftDesk } from '../drift/drift.ts'
import { readDensity } from '../events/density.ts'
import type { Events } from '../events/events.ts'
import { setMark } from '../events/marks.ts'
import type { Inference } from '../inference/inference.ts'
import type { JobQueue } from '../jobs/jobs.ts'
import type { Labelling } from '../labelling/labelling.ts'
import type { Live } from '../live/live.ts'
import type { ModelDesk } from '../models/models.ts'
import type { People } from '../people/people.ts'
import { type Origin, type Person, sessionOf } from '../people/person.ts'
import { type Bought, sessionMs } from '../people/sessions.ts'
import type { PipelineDesk } from '../pipelines/pipelines.ts'
import type { ReceiverDesk } from '../receivers/receivers.ts'
import { readProgress } from '../rollouts/progress.ts'
import type { RolloutDesk } from '../rollouts/rollouts.ts'
import type { Sites } from '../rollouts/sites.ts'
import type { DeliveryDesk } from '../rules/queue.ts'
import type { RuleDesk } from '../rules/rules.ts'
import type { SampleDesk } from '../samples/ask-box.ts'
import type { FieldSamples } from '../samples/field-samples.ts'
import type { ForgetDesk } from '../samples/forget.ts'
import type { SamplePurse } from '../samples/sample-purse.ts'
import type { Backups } from '../store/backups.ts'
import type { RetentionDesk } from '../store/retention-desk.ts'
import type { Store } from '../store/store.ts'
import { receiveBeacon } from '../telemetry/faro.ts'
import type { Metrics } from '../telemetry/metrics.ts'
import type { RunDesk } from '../training/runs.ts'
import type { ScheduleDesk } from '../training/schedules.ts'
import type { SearchDesk } from '../training/searches.ts'
import type { BundleDesk } from '../trust/bundles.ts'
import { type TrustDesk, trustFile } from '../trust/trust-desk.ts'
import type { Uploads } from '../uploads/uploads.ts'
import { sessionCookie } from './access.ts'
import { byteRange } from './byte-range.ts'
import type { Handlers } from './mount.ts'
import { openApi } from './openapi.ts'

export type Rooms = {
  readonly store: Store
  readonly backups: Backups
  readonly retention: RetentionDesk
  readonly fleet: Fleet
  readonly people: People
  readonly audit: Audit
  readonly enrolment: EnrolmentDesk
  readonly retirement: RetirementDesk
  readonly acts: DeviceActsDesk
  readonly desired: DesiredDesk
  readonly logs: DeviceLogs
  readonly clips: Clips
  readonly places: PlaceDesk
  readonly events: Events
  readonly blobs: Blobs
  readonly live: Live
  readonly uploads: Uploads
  readonly models: ModelDesk
  readonly artifacts: ArtifactDesk
  readonly trust: TrustDesk
  readonly bundles: BundleDesk
  readonly jobs: JobQueue
  readonly datasets: DatasetDesk
  readonly samples: SamplePictures
  readonly versions: VersionDesk
  readonly datasetJobs: DatasetJobs
  readonly exports: DatasetExports
  readonly eventSamples: EventSamples
  readonly previews: AugmentationPreviews
  readonly labelling: Labelling
  readonly runs: RunDesk
  readonly searches: SearchDesk
  readonly schedules: ScheduleDesk
  readonly rollouts: RolloutDesk
  readonly drift: DriftDesk
  readonly pipelines: PipelineDesk
  readonly sites: Sites
  readonly fieldSamples: FieldSamples
  readonly samplePurse: SamplePurse
  readonly sampleDesk: SampleDesk
  readonly forgetting: ForgetDesk
  readonly rules: RuleDesk
  readonly receivers: ReceiverDesk
  readonly deliveries: DeliveryDesk
  readonly inference: Inference
  /** Requests for inferences whose bodies are in memory at once. */
  readonly inferenceBodiesMax: number
  readonly inferencesPerMinuteMax: number
  readonly changes: Changes
  readonly metrics: Metrics
  readonly log: Logger
  readonly clock: () => number
  /** False while events cannot be committed. */
  readonly storing: () => boolean
  readonly version: string
  /** True where people come over TLS: cookies are then `Secure`. */
  readonly secure: boolean
}

const dayMs = 86_400_000
/** A trial of a rule or of a receiver. */
const trialTimeoutMs = 45_000

/** Exhaustive: a row of the route table without a handler is a type error. */
export function apiHandlers(rooms: Rooms): Handlers {
  const { fleet, people, clock } = rooms
  const { accounts, sessions, apiTokens } = people
  const cookieName = sessionCookie(rooms.secure)
  const cookie = { path: '/', httpOnly: true, sameSite: 'strict', secure: rooms.secure } as const
  const enter = ({ secret, person }: Bought, reply: FastifyReply) => {
    reply.setCookie(cookieName, secret, { ...cookie, maxAge: sessionMs / 1000 })
    return sessionOf(person)
  }
  const infer = async (
    { request, reply }: { request: FastifyRequest; reply: FastifyReply },
    model: string,
    version?: number,
  ) => {
    const { served } = rooms.inference
    const length = request.headers[jsonLengthHeader]
    const answer = await served.infer(model, version, request.body, length)
    reply.headers(answer.headers)
    return answer.body
  }
  return {
    health: async () => ({
      status: rooms.storing() ? 'ok' : 'degraded',
      devicesOnline: fleet.online,
      eventsStored: fleet.eventsStored,
      version: rooms.version,
    }),

    signIn: async ({ body, request, reply, note }) =>
      enter(await sessions.signInByLink(body.token, originOf(request), note), reply),
    passwordSignIn: async ({ body, request, reply, note }) =>
      enter(await sessions.signInByPassword(body, originOf(request), note), reply),
    passwordChoose: async ({ body, request, reply, note }) =>
      enter(await sessions.choosePassword(body, originOf(request), note), reply),
    passwordChange: async ({ body, person, request, reply, note }) =>
      enter(await sessions.changePassword(signedIn(person), body, originOf(request), note), reply),
    session: async ({ person }) => sessionOf(signedIn(person)),
    signOut: async ({ person, reply, note }) => {
      const caller = signedIn(person)
      if (caller.via === 'session') await sessions.end(caller.credentialId, caller, note)
      reply.clearCookie(cookieName, cookie)
    },
    signInLinkCreate: ({ person, note }) => sessions.createSignInLink(signedIn(person).user, note),

    sessionList: async ({ person, query }) => {
      const caller = signedIn(person)
      const user = query.user ?? caller.user
      if (user !== caller.user && caller.role !== 'admin') {
        throw new Refusal('forbidden', `Cannot list the sessions of "${user}": only an admin may`)
      }
      return await sessions.list(user, caller.credentialId)
    },
    sessionEnd: ({ params, person, note }) => sessions.end(params.sessionId, keeper(person), note),
    userList: () => accounts.list(),
    userAdd: ({ body, note }) => accounts.add(body, note),
    userRoleSet: ({ params, body, note }) => accounts.setRole(params.user, body.role, note),
    userRemove: ({ params, note }) => accounts.remove(params.user, note),
    userSessionsEnd: async ({ params, note }) => ({
      ended: await sessions.endAll(params.user, note),
    }),
    passwordLinkCreate: ({ params, note }) => accounts.createPasswordLink(params.user, note),
    apiTokenList: ({ person }) => apiTokens.list(signedIn(person)),
    apiTokenAdd: ({ person, body, note }) => apiTokens.add(keeper(person), body, note),
    apiTokenRemove: ({ person, params, note }) =>
      apiTokens.remove(keeper(person), params.tokenId, note),
    auditList: async ({ query }) => {
      for (const time of [query.from, query.to]) if (time !== undefined) timeOf(time)
      return await rooms.audit.list(query)
    },

    deviceList: async () => [...fleet.all()].map(rowOf),
    deviceShow: async ({ params }) => {
      const device = fleet.get(params.deviceId)
      const { serial, notAfter } = device.certificate
      return {
        device: rowOf(device),
        reported: device.reported,
        desired: device.desired && withoutSecrets(device.desired),
        clockAheadMs: device.clockAheadMs,
        certificate: { site: device.site, serial, notAfter: new Date(notAfter).toISOString() },
      }
    },
    deviceEdit: async ({ params, body, note }) =>
      rowOf(await rooms.places.edit(params.deviceId, body, note)),
    deviceHealth: async ({ params, query }) => {
      const { deviceKey } = fleet.get(params.deviceId)
      const to = query.to === undefined ? clock() + 1 : timeOf(query.to)
      const from = query.from === undefined ? to - dayMs : timeOf(query.from)
      return await readHealthSeries(rooms.store, {
        deviceKey,
        from,
        to,
        points: query.points ?? 360,
      })
    },
    deviceSparklines: ({ query }) => {
      const devices = query.devices.split(',').flatMap((id) => fleet.find(id) ?? [])
      return readSparklines(rooms.store, devices, clock())
    },
    deviceConnectionList: async ({ params }) => connectionsOf(fleet.get(params.deviceId)),
    deviceLogShow: ({ params, query, request }) => {
      const { boot, after = 0, lines = 500 } = query
      const place = boot === undefined ? {} : { after: { bootId: boot, sequence: after } }
      const asked = { linesMax: lines, ...place }
      return rooms.logs.ask(fleet.get(params.deviceId), asked, request.signal)
    },
    devicesRetire: ({ body, note }) => {
      const { devices, dryRun = false } = body
      if (dryRun) note.changesNothing()
      note.about({ detail: `${devices.length} devices` })
      return rooms.acts.retire({ devices, dryRun }, note.of)
    },
    devicesStreamsSet: ({ body, person, note }) => {
      const { devices, set, dryRun = false } = body
      if (dryRun) note.changesNothing()
      note.about({ detail: `${JSON.stringify(set)} on ${devices.length} devices` })
      return rooms.acts.setStreams({ devices, set, dryRun }, signedIn(person).user, note.of)
    },
    devicesRollBack: ({ body, person, note }) => {
      note.about({ detail: `${body.devices.length} devices` })
      return rooms.acts.rollBack(body.devices, signedIn(person).user, note.of)
    },
    deviceRetire: async ({ params, note }) =>
      rowOf(await rooms.retirement.retire(params.deviceId, note)),
    deviceRemovalShow: ({ params }) => rooms.retirement.count(params.deviceId),
    deviceRemove: ({ params, note }) => rooms.retirement.remove(params.deviceId, note),
    enrolmentCreate: ({ body, note }) => {
      note.about({ target: body.deviceId })
      return rooms.enrolment.createToken(body)
    },
    desiredPut: async ({ params, body, person, note }) => {
      const { user } = signedIn(person)
      const { version, config } = body
      note.about({ detail: `instead of version ${version}` })
      return withoutSecrets(
        await rooms.desired.replace(params.deviceId, version, config, user, note),
      )
    },
    configVersionList: ({ params }) => rooms.desired.versions(params.deviceId),
    configVersionShow: ({ params }) => rooms.desired.version(params.deviceId, params.version),
    configDiff: ({ params, query }) => rooms.desired.diff(params.deviceId, query.from, query.to),
    configRollback: async ({ params, body, person, note }) => {
      const { user } = signedIn(person)
      note.about({ detail: `version ${body.to} again, instead of version ${body.version}` })
      return withoutSecrets(await rooms.desired.rollback(params.deviceId, body, user, note))
    },
    streamAdd: async ({ params, body, person, note }) => {
      note.about({ target: `${params.deviceId}/${body.streamId}` })
      const { user } = signedIn(person)
      return withoutSecrets(await rooms.desired.addStream(params.deviceId, body, user, note))
    },
    streamRemove: async ({ params, person, note }) => {
      const { user } = signedIn(person)
      const { deviceId, streamId } = params
      return withoutSecrets(await rooms.desired.removeStream(deviceId, streamId, user, note))
    },
    streamList: async ({ query }) => listStreams(fleet.all(), query),
    streamPicture: async ({ params, request, reply }) => {
      const device = fleet.get(params.deviceId)
      const picture = await rooms.live.picture(device, params.streamId, request.signal)
      if (picture instanceof Uint8Array) return Buffer.from(picture)
      reply.type('application/json')
      return picture
    },

    eventList: ({ query, person }) => rooms.events.list(query, signedIn(person).user),
    eventShow: ({ params }) => rooms.events.show(params.eventId),
    eventClipShow: ({ params }) => rooms.clips.show(params.eventId),
    eventClipAsk: ({ params }) => rooms.clips.ask(params.eventId),
    clipShow: async ({ params, request, reply }) => {
      const { digest } = params
      const sizeBytes = await rooms.blobs.sizeOf(digest)
      if (sizeBytes === undefined) throw new Refusal('notFound', `Cannot find clip ${digest}`)
      const range = byteRange(request.headers.range, sizeBytes)
      reply.header('accept-ranges', 'bytes')
      if (range === 'unsatisfiable') {
        reply.code(416).header('content-range', `bytes */${sizeBytes}`)
        return ''
      }
      const { from, through } = range === 'whole' ? { from: 0, through: sizeBytes - 1 } : range
      if (range !== 'whole') {
        reply.code(206).header('content-range', `bytes ${from}-${through}/${sizeBytes}`)
      }
      reply.header('content-length', through - from + 1)
      reply.header('cache-control', 'private, max-age=31536000, immutable')
      return reply.send(
        Readable.from(rooms.blobs.part(digest, from, through), { objectMode: false }),
      )
    },
    eventDensity: ({ query }) => readDensity(rooms.store, query),
    eventMark: async ({ body, person, note }) => {
      const { user } = signedIn(person)
      note.about({
        target: body.eventIds.join(','),
        detail: `${body.mark} ${body.set ? 'set on' : 'taken back from'} ${body.eventIds.length}`,
      })
      const marked = await setMark(rooms.store, { ...body, user, at: clock() })
      if (marked.changed.length > 0) {
        rooms.changes.publish({
          kind: 'marked',
          eventIds: marked.changed,
          mark: { mark: body.mark, user, at: marked.at },
          set: body.set,
        })
        if (body.mark === 'important') await rooms.clips.important(marked.changed, body.set)
      }
      return marked
    },
    blobShow: async ({ params, reply }) => {
      const bytes = await rooms.blobs.read(params.digest)
      if (!bytes) throw new Refusal('notFound', `Cannot find blob ${params.digest}`)
      reply.header('cache-control', 'private, max-age=31536000, immutable')
      return bytes
    },

    changes: async ({ person, request, reply }) =>
      streamChanges(rooms.changes, request, reply, (end) =>
        people.presence.watch(signedIn(person), end),
      ),
    uploadBegin: ({ body, person }) => rooms.uploads.begin(body.sizeBytes, signedIn(person).user),
    uploadPart: ({ params, person, request }) => {
      const { uploadId, offset } = params
      return rooms.uploads.take(uploadId, signedIn(person).user, offset, request.body as Buffer)
    },
    compilerShow: async () => rooms.models.compiler(),
    bundleMake: async ({ body, note, reply }) => {
      const tar = await rooms.bundles.make(body, note)
      attach(reply, 'edgeloop.bundle')
      return reply.send(tar)
    },
    bundleTake: ({ body, person, note }) =>
      rooms.bundles.take(body.uploadId, signedIn(person).user, note),
    trustShow: () => rooms.trust.shown(),
    trustFile: ({ params }) => trustFile(rooms.trust, params.file),
    trustStaged: async () => ({ document: Buffer.from(await rooms.trust.staged()).toString() }),
    trustTargets: ({ body }) => rooms.trust.takeTargets(Buffer.from(body.document)),
    trustKeyMake: async ({ body, note }) => {
      const key = await rooms.trust.makeKey(body.role)
      note.about({ target: body.role, detail: key.keyId })
      return key
    },
    trustRoot: ({ body: { document, targets } }) =>
      rooms.trust.takeRoot(
        Buffer.from(document),
        targets === undefined ? undefined : Buffer.from(targets),
      ),
    modelList: () => rooms.models.list(),
    modelAdd: ({ body, person, note }) => {
      note.about({ target: body.name })
      return rooms.models.add(body, signedIn(person).user, note)
    },
    modelShow: ({ params }) => rooms.models.show(params.name, params.version),
    modelRemove: ({ params, note }) => rooms.models.remove(params.name, params.version, note),
    modelVersionList: ({ params }) => rooms.models.versions(params.name),
    modelPromote: ({ params, person, note }) =>
      rooms.models.promote(params.name, params.version, signedIn(person).user, note),
    modelDemote: ({ params, person, note }) =>
      rooms.models.demote(params.name, params.version, signedIn(person).user, note),
    modelFile: async ({ params, reply }) => {
      const { name, version } = params
      const bytes = await rooms.models.file(name, version)
      attach(reply, `${name}-${version}.onnx`)
      return bytes
    },
    modelCompile: ({ params, body, person, note }) => {
      const { name, version } = params
      note.about({ detail: JSON.stringify(body) })
      return rooms.models.compile(name, version, body, signedIn(person).user, note)
    },
    modelPublish: ({ params, body, person, note }) => {
      const { name, version } = params
      return rooms.artifacts.publish(name, version, body, signedIn(person).user, note)
    },
    modelPublished: ({ params }) => rooms.artifacts.published(params.name, params.version),
    modelPublishedList: ({ params }) => rooms.artifacts.publishedList(params.name),
    artifactFile: async ({ params, reply }) => {
      const bytes = await rooms.models.part(params.artifactId, 'file')
      attach(reply, 'model.onnx')
      return bytes
    },
    artifactManifest: async ({ params }) => rooms.models.part(params.artifactId, 'manifest'),
    artifactReport: async ({ params, reply }) => {
      const bytes = await rooms.models.part(params.artifactId, 'report')
      asReport(reply)
      return bytes
    },
    sampleMissing: async ({ body }) => ({ missing: await rooms.samples.missing(body.digests) }),
    samplePack: ({ request }) =>
      rooms.samples.take((request.body as Buffer | undefined) ?? Buffer.alloc(0)),
    samplePicture: async ({ params, reply }) =>
      showPicture(reply, await rooms.samples.show(params.digest, 'whole')),
    sampleThumbnail: async ({ params, reply }) =>
      showPicture(reply, await rooms.samples.show(params.digest, 'small')),
    datasetList: () => rooms.datasets.list(),
    datasetAdd: ({ body, person, note }) => {
      note.about({ target: body.name })
      return rooms.datasets.add(body, signedIn(person).user, note)
    },
    datasetShow: ({ params }) => rooms.datasets.detail(params.dataset),
    datasetEdit: ({ params, body, note }) => rooms.datasets.edit(params.dataset, body, note),
    datasetRemove: ({ params, note }) => rooms.datasets.remove(params.dataset, note),
    datasetSampleList: ({ params, query }) =>
      query.version === undefined
        ? rooms.datasets.samples(params.dataset, query)
        : rooms.versions.samples(params.dataset, query.version, query),
    datasetSamplePut: ({ params, body, person, note }) =>
      rooms.datasets.put(params.dataset, body.samples, signedIn(person).user, note),
    datasetSampleRemove: ({ params, body, note }) =>
      rooms.datasets.takeOut(params.dataset, body.digests, note),
    datasetSampleShow: ({ params }) => rooms.datasets.sample(params.dataset, params.digest),

    datasetEventPut: ({ params, body, person, note }) =>
      rooms.eventSamples.put(params.dataset, body.eventIds, signedIn(person).user, note),
    datasetAugmentation: ({ params, query }) => rooms.previews.make(params.dataset, query),

    datasetImport: ({ params, body, person, note }) => {
      const by = signedIn(person).user
      return rooms.datasetJobs.import({ ...params, ...body, by }, note)
    },
    datasetInspection: ({ params }) => rooms.datasets.inspection(params.dataset),
    datasetInspect: ({ params, person, note }) =>
      rooms.datasetJobs.inspect({ ...params, by: signedIn(person).user }, note),
    datasetVersionList: ({ params }) => rooms.versions.list(params.dataset),
    datasetFreeze: ({ params, body, person, note }) => {
      note.about({ detail: JSON.stringify(body.split) })
      const by = signedIn(person).user
      return rooms.datasetJobs.freeze({ ...params, request: body, by }, note)
    },
    datasetExport: async ({ params, query, request, reply }) => {
      const { dataset, version } = params
      const { format = 'frozen' } = query
      const tar = await rooms.exports.open(dataset, version, format, request.signal)
      attach(reply, `${dataset}-${version}-${format}.tar`)
      return reply.send(tar)
    },
    datasetVersionShow: ({ params }) => rooms.versions.show(params.dataset, params.version),

    queueList: () => rooms.labelling.queues.list(),
    queuePut: ({ params, body, person, note }) =>
      rooms.labelling.queues.put(params.queue, body, signedIn(person).user, note),
    queueShow: ({ params }) => rooms.labelling.queues.show(params.queue),
    queueRemove: ({ params, note }) => rooms.labelling.queues.remove(params.queue, note),
    queueStatistics: ({ params }) => rooms.labelling.statistics(params.queue),
    queueSuggest: ({ params, person, note }) =>
      rooms.labelling.suggest(params.queue, signedIn(person).user, note),
    tasksTake: ({ params, body, person }) =>
      rooms.labelling.tasks.take(params.queue, body, signedIn(person).user),
    labelAnswer: ({ params, body, person, note }) =>
      rooms.labelling.answer(params.queue, body.answers, signedIn(person).user, note),
    taskList: ({ params, query, person }) =>
      rooms.labelling.tasks.list(params.queue, query, signedIn(person).user),
    tasksAdd: ({ params, body, note }) => rooms.labelling.tasks.add(params.queue, body, note),
    sampleSimilar: ({ params, query, request }) =>
      rooms.labelling.similar(params.digest, query, request.signal),
    taskShow: ({ params, person }) =>
      rooms.labelling.tasks.show(params.taskId, signedIn(person).user),

    jobList: ({ query }) => rooms.jobs.list(query.subject),
    jobShow: ({ params }) => rooms.jobs.get(params.jobId),
    jobCancel: ({ params, note }) => rooms.jobs.cancel(params.jobId, note),

    trainerShow: async () => rooms.runs.trainer(),
    runList: ({ query }) => rooms.runs.list(query),
    runAdd: ({ body, person, note }) => rooms.runs.add(body, signedIn(person).user, note),
    runShow: ({ params }) => rooms.runs.show(params.runId),
    runRemove: ({ params, note }) => rooms.runs.remove(params.runId, note),
    runCurves: ({ params, query }) => rooms.runs.curves(params.runId, query),
    runFile: async ({ params, reply }) => {
      const bytes = await rooms.runs.file(params.runId, params.kind)
      attach(reply, runFileNames[params.kind])
      return bytes
    },
    runReport: async ({ params, reply }) => {
      const bytes = await rooms.runs.file(params.runId, 'report')
      asReport(reply)
      return bytes
    },
    runPause: ({ params, note }) => rooms.runs.pause(params.runId, note),
    runResume: ({ params, person, note }) =>
      rooms.runs.resume(params.runId, signedIn(person).user, note),
    runCancel: ({ params, note }) => rooms.runs.cancel(params.runId, note),
    searchList: () => rooms.searches.list(),
    searchAdd: ({ body, person, note }) => rooms.searches.add(body, signedIn(person).user, note),
    searchShow: ({ params }) => rooms.searches.show(params.searchId),
    searchCancel: ({ params, note }) => rooms.searches.cancel(params.searchId, note),
    searchRemove: ({ params, note }) => rooms.searches.remove(params.searchId, note),
    trainingScheduleList: () => rooms.schedules.list(),
    trainingSchedulePut: ({ params, body, person, note }) => {
      note.about({ detail: JSON.stringify(body.cause) })
      return rooms.schedules.put(params.name, body, signedIn(person).user, note)
    },
    trainingScheduleRemove: ({ params, note }) => rooms.schedules.remove(params.name, note),

    driftStreamList: ({ query }) => rooms.drift.list(query),
    driftStreamShow: ({ params, query }) =>
      rooms.drift.show(params.deviceId, params.streamId, query.hours ?? 24),
    driftAccept: ({ params, note }) => rooms.drift.accept(params.deviceId, params.streamId, note),
    driftAlarmList: ({ query }) => rooms.drift.alarms(query),
    driftSnooze: ({ params, body, note }) => rooms.drift.snooze(params.alarmId, body.minutes, note),
    rolloutPreview: ({ body }) => rooms.rollouts.preview(body),
    rolloutCreate: ({ body, person, note }) =>
      rooms.rollouts.create(body, signedIn(person).user, note),
    rolloutList: ({ query }) => rooms.rollouts.list(query),
    rolloutProgress: ({ query }) => readProgress(rooms.store, query.rollouts.split(','), clock()),
    rolloutShow: ({ params }) => rooms.rollouts.show(params.rolloutId),
    rolloutBoxList: ({ params, query }) => rooms.rollouts.boxes(params.rolloutId, query),
    rolloutPause: ({ params, person, note }) =>
      rooms.rollouts.pause(params.rolloutId, signedIn(person).user, note),
    rolloutResume: ({ params, person, note }) =>
      rooms.rollouts.resume(params.rolloutId, signedIn(person).user, note),
    rolloutAbort: ({ params, body, person, note }) =>
      rooms.rollouts.abort(params.rolloutId, body.rollBack, signedIn(person).user, note),
    rolloutApprove: ({ params, body, person, note }) =>
      rooms.rollouts.approve(params.rolloutId, body.stage, signedIn(person).user, note),
    rolloutRetry: ({ params, body, person, note }) =>
      rooms.rollouts.retry(params.rolloutId, body.devices, signedIn(person).user, note),
    deviceUpdateList: ({ params }) => rooms.rollouts.deviceUpdates(params.deviceId),
    deviceModelRollBack: ({ params, person, note }) =>
      rooms.rollouts.rollBack(params.deviceId, params.name, signedIn(person).user, note),
    deviceTagsSet: async ({ params, body, note }) => {
      const { deviceId, tags } = await rooms.sites.setTags(params.deviceId, body.tags, note)
      return { deviceId, tags: [...tags] }
    },
    siteList: async () => rooms.sites.list(),
    siteTimeZoneSet: ({ params, body, note }) =>
      rooms.sites.setZone(params.site, body.timeZone, note),

    fieldSampleList: ({ query }) => rooms.fieldSamples.list(query),
    fieldSampleShow: ({ params }) => rooms.fieldSamples.show(params.sampleId),
    sampleAsk: async ({ params, body, person, note }) => {
      note.about({ detail: `${body.frames ?? 1} frames` })
      const { user } = signedIn(person)
      return rooms.sampleDesk.ask(fleet.get(params.deviceId), params.streamId, body, user)
    },
    forgetPreview: ({ body }) => rooms.forgetting.preview(body),
    forget: ({ body, person, note }) => rooms.forgetting.forget(body, signedIn(person).user, note),
    sampleBudgetShow: () => rooms.samplePurse.show(),
    sampleBudgetPut: ({ body, person, note }) => {
      note.about({ detail: `${body.framesPerDay} frames and ${body.bytesPerDay} bytes a day` })
      return rooms.samplePurse.set(body, signedIn(person).user, note)
    },
    ruleList: () => rooms.rules.list(),
    rulePut: ({ params, body, person, note }) =>
      rooms.rules.put(params.name, body, signedIn(person).user, note),
    ruleRemove: ({ params, note }) => rooms.rules.remove(params.name, note),
    ruleTest: ({ body }) =>
      rooms.rules.test(body.rule, body.hours ?? 24, AbortSignal.timeout(trialTimeoutMs)),
    deliveryList: ({ query }) => rooms.deliveries.list(query),
    deliveryRetry: async ({ body, note }) => ({
      retried: await rooms.deliveries.retry(body, note),
    }),
    receiverList: () => rooms.receivers.list(),
    receiverPut: ({ params, body, person, note }) =>
      rooms.receivers.put(params.name, body, signedIn(person).user, note),
    receiverRemove: ({ params, note }) => rooms.receivers.remove(params.name, note),
    receiverSecretRotate: ({ params, body, note }) =>
      rooms.receivers.rotate(params.name, body.overlapHours ?? 24, note),
    receiverTest: ({ params }) =>
      rooms.receivers.test(params.name, AbortSignal.timeout(trialTimeoutMs)),
    oipLive: async () => ({ live: true }),
    oipReady: async () => ({ ready: rooms.inference.served.ready }),
    oipServer: async () => rooms.inference.served.server(),
    oipModel: ({ params }) => rooms.inference.served.describe(params.model),
    oipModelReady: async ({ params }) => {
      await rooms.inference.served.describe(params.model)
      return { name: params.model, ready: true }
    },
    oipInfer: (call) => infer(call, call.params.model),
    oipVersion: ({ params }) => rooms.inference.served.describe(params.model, params.version),
    oipVersionReady: async ({ params }) => {
      await rooms.inference.served.describe(params.model, params.version)
      return { name: params.model, ready: true }
    },
    oipVersionInfer: (call) => infer(call, call.params.model, call.params.version),
    inferenceBatchAdd: ({ body, person, note }) =>
      rooms.inference.batches.add(body, signedIn(person).user, note),
    inferenceBatchList: ({ query }) => rooms.inference.batches.list(query),
    inferenceBatchShow: ({ params }) => rooms.inference.batches.show(params.taskId),
    inferenceBatchResults: async ({ params, reply }) => {
      const lines = await rooms.inference.batches.results(params.taskId)
      return reply.send(Readable.from(lines, { objectMode: false }))
    },
    inferenceBatchCancel: ({ params, note }) => rooms.inference.batches.cancel(params.taskId, note),
    inferenceBatchRetry: ({ params, person, note }) =>
      rooms.inference.batches.retry(params.taskId, signedIn(person).user, note),
    inferenceBatchRemove: ({ params, note }) => rooms.inference.batches.remove(params.taskId, note),
    pipelineList: () => rooms.pipelines.list(),
    pipelineShow: ({ params }) => rooms.pipelines.show(params.model),
    pipelinePut: ({ params, body, person, note }) =>
      rooms.pipelines.put(params.model, body, signedIn(person).user, note),
    pipelineRemove: ({ params, note }) => rooms.pipelines.remove(params.model, note),
    pipelineDryRun: ({ params }) => rooms.pipelines.dryRun(params.model),
    pipelineStart: ({ params, person, note }) =>
      rooms.pipelines.start(params.model, signedIn(person).user, note),
    pipelineRoundList: ({ params, query }) => rooms.pipelines.rounds(params.model, query.limit),
    pipelineRoundShow: ({ params }) => rooms.pipelines.round(params.model, params.round),
    pipelineRetry: ({ params, body, person, note }) => {
      const { user } = signedIn(person)
      return rooms.pipelines.retry(params.model, params.round, body.step, user, note)
    },
    pipelineApprove: ({ params, person, note }) =>
      rooms.pipelines.approve(params.model, params.round, signedIn(person).user, note),
    pipelineCancel: ({ params, person, note }) =>
      rooms.pipelines.cancel(params.model, params.round, signedIn(person).user, note),
    pipelineWaitSkip: ({ params, note }) => rooms.pipelines.skipWait(params.model, note),
    pipelinePark: ({ params, person, note }) =>
      rooms.pipelines.park(params.model, signedIn(person).user, note),
    pipelineResume: ({ params, note }) => rooms.pipelines.resume(params.model, note),

    storeBackupBegin: () => rooms.backups.begin(),
    storeBackupList: () => rooms.backups.list(),
    retentionShow: ({ request }) => rooms.retention.show(request.signal),
    retentionBegin: async ({ request }) => {
      const shown = await rooms.retention.show(request.signal)
      rooms.retention.begin()
      return { ...shown, running: true }
    },

    telemetry: async ({ body }) => receiveBeacon(body, rooms),
    metrics: async ({ reply }) => {
      reply.type(rooms.metrics.registry.contentType)
      return await rooms.metrics.registry.metrics()
    },
    openapi: async () => JSON.stringify(openApi()),
  }
}

const runFileNames: Readonly<Record<RunFileKind, string>> = {
  model: 'model.onnx',
  report: 'report.html',
  data: 'report.json',
  card: 'card.md',
  comparison: 'comparison.json',
}

/** A page that a program of ours wrote about files of somebody: it runs nothing and fetches nothing. */
const asReport = (reply: FastifyReply): void => {
  reply.header(
    'content-security-policy',
    "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'self'",
  )
}

/** Gives bytes as a file to keep; the name is ours. */
const attach = (reply: FastifyReply, name: string): void => {
  reply.header('content-disposition', `attachment; filename="${name}"`)
}

/** Pictures are named by their digest, and never change. What a stranger's file is, is said, not guessed. */
function showPicture(reply: FastifyReply, { type, bytes }: ShownPicture): Uint8Array {
  reply.type(type)
  reply.header('x-content-type-options', 'nosniff')
  reply.header('cache-control', 'private, max-age=31536000, immutable')
  return bytes
}

function signedIn<P>(person: P | undefined): P {
  if (!person) throw new Error('A route that needs a role was reached without one')
  return person
}

/**
 * Who may make and end what stands for a user: not a token with a small role, which would otherwise do more
 * than look.
 */
function keeper(person: Person | undefined): Person {
  const caller = signedIn(person)
  if (caller.via !== 'apiToken' || caller.role === 'admin') return caller
  throw new Refusal(
    'forbidden',
    `Cannot do this with an API token of the role ${caller.role}: sign in, or use one of an admin`,
  )
}

const originOf = (request: FastifyRequest): Origin => ({
  address: request.ip,
  client: request.headers['user-agent'] ?? '',
})

function timeOf(timestamp: string): number {
  const time = Date.parse(timestamp)
  if (Number.isNaN(time)) throw new Refusal('badRequest', `Cannot read the time "${timestamp}"`)
  return time
}
