/**
 * The hub, wired: every room is opened here, given what it needs, and closed in reverse. Read this file to
 * see how an event gets from a device's connection into the store and onto a page.
 */
import { mkdir, rm } from 'node:fs/promises'
import type { Server as HttpsServer } from 'node:https'
import type { Server } from 'node:net'
import { join } from 'node:path'
import { localUser } from '@edgeloop/protocol'
import type { Logger } from 'pino'
import packageJson from '../package.json' with { type: 'json' }
import { openArtifactDesk, publishedFilesIn } from './artifacts/artifacts.ts'
import { openDownloads } from './artifacts/downloads.ts'
import { publishAct } from './artifacts/publish-job.ts'
import { openAudit } from './audit/audit.ts'
import type { Blobs } from './blobs/blobs.ts'
import { parseS3Address } from './blobs/blobs-address.ts'
import { openFolderBlobs } from './blobs/folder-blobs.ts'
import { openS3Blobs } from './blobs/s3-blobs.ts'
import { type Broker, type BrokerListener, retainedMessages } from './broker/broker.ts'
import { brokerFiles, readBrokerFiles } from './broker/broker-config.ts'
import { openEmbeddedBroker } from './broker/embedded-broker.ts'
import { openExternalBroker } from './broker/external-broker.ts'
import { beatIntervalMs } from './changes/change-stream.ts'
import { openChanges } from './changes/changes.ts'
import { openClips } from './clips/clips.ts'
import type { HubConfig } from './configuration.ts'
import { openAugmentationPreviews } from './datasets/augmentation-preview.ts'
import { openDatasetJobs } from './datasets/dataset-jobs.ts'
import { openDatasetDesk } from './datasets/datasets.ts'
import { openEventSamples } from './datasets/event-samples.ts'
import { openDatasetExports } from './datasets/exports.ts'
import { openSamplePictures } from './datasets/sample-pictures.ts'
import { openVersionDesk } from './datasets/versions.ts'
import {
  type CertificateDesk,
  expiryIntervalMs,
  openCertificateDesk,
} from './devices/certificates.ts'
import { openDesiredDesk } from './devices/desired.ts'
import { type Device, siteOf, validSerials } from './devices/device.ts'
import { openDeviceActs } from './devices/device-acts.ts'
import { openDeviceLogs } from './devices/device-logs.ts'
import { openEnrolmentDesk } from './devices/enrolment.ts'
import { openFleet } from './devices/fleet.ts'
import { openPlaceDesk } from './devices/places.ts'
import { openReports } from './devices/reports.ts'
import { openRetirementDesk } from './devices/retirement.ts'
import { openDriftDesk } from './drift/drift.ts'
import { openDriftKeeper } from './drift/drift-keeper.ts'
import { openTestWorth } from './drift/test-worth.ts'
import { openEvents } from './events/events.ts'
import { tellStored } from './events/tell-stored.ts'
import { type HomeAssistant, openHomeAssistant } from './home-assistant/emitter.ts'
import { installHere } from './home-assistant/install.ts'
import { latestVersionFor } from './home-assistant/latest-version.ts'
import { buildBrowserListener } from './http/browser-listener.ts'
import { readBrowserTls } from './http/browser-tls.ts'
import { type DeviceConnections, watchConnections } from './http/device-connections.ts'
import { buildDeviceListener } from './http/device-listener.ts'
import { hostInUrl, listen } from './http/listen.ts'
import { openAuthority } from './identity/authority.ts'
import { openRevocations } from './identity/revocations.ts'
import { makeStandIn } from './identity/stand-in.ts'
import type { InferenceEngine } from './inference/engine.ts'
import { openInference } from './inference/inference.ts'
import { openIngest } from './ingest/ingest.ts'
import { type AgentBundles, installCommand } from './installs/installs.ts'
import { openJobWorker } from './jobs/job-worker.ts'
import { openJobQueue } from './jobs/jobs.ts'
import { openLabelling } from './labelling/labelling.ts'
import type { Proposer } from './labelling/proposer.ts'
import { openLive } from './live/live.ts'
import { compileAct } from './models/compile-job.ts'
import type { Compiler } from './models/compiler.ts'
import { openModelDesk } from './models/models.ts'
import { readLocalToken } from './people/local-token.ts'
import type { PasswordCost } from './people/password.ts'
import { openPeople } from './people/people.ts'
import { openPipelineKeeper, type PipelineKeeper } from './pipelines/keeper.ts'
import { openPipelineDesk } from './pipelines/pipelines.ts'
import { openCourier } from './receivers/courier.ts'
import { openReceiverDesk } from './receivers/receivers.ts'
import { openSend } from './receivers/send.ts'
import { openRolloutKeeper } from './rollouts/keeper.ts'
import type { PublishedArtifacts } from './rollouts/published-cache.ts'
import { openRolloutDesk } from './rollouts/rollouts.ts'
import { openSites } from './rollouts/sites.ts'
import { openDeliveryDesk } from './rules/queue.ts'
import { openRuleDesk } from './rules/rules.ts'
import { openSampleDesk } from './samples/ask-box.ts'
import { openFieldSamples } from './samples/field-samples.ts'
import { openForgetDesk } from './samples/forget.ts'
import { openPictureCheck } from './samples/picture-check.ts'
import { openSamplePurse } from './samples/sample-purse.ts'
import { openStreamKnowledge } from './samples/stream-knowledge.ts'
import { openBackups } from './store/backups.ts'
import { openStore } from './store/open-store.ts'
import { openRetention } from './store/retention-desk.ts'
import { parseStoreAddress } from './store/store-address.ts'
import { watchStore } from './store/store-watch.ts'
import { openMetrics } from './telemetry/metrics.ts'
import { dropCheckpoints } from './training/run-record.ts'
import { openRunDesk } from './training/runs.ts'
import { openScheduledDatasets } from './training/scheduled-datasets.ts'
import { openSchedules, type ScheduleDesk } from './training/schedules.ts'
import { openSearches } from './training/searches.ts'
import { trainAct } from './training/train-job.ts'
import type { Trainer } from './training/trainer.ts'
import { openBundleDesk } from './trust/bundles.ts'
import { openTrustDesk } from './trust/trust-desk.ts'
import { openFirstRoot, openTrustKeys } from './trust/trust-keys.ts'
import { openUploads } from './uploads/uploads.ts'

export type HubUrls = {
  /** For people and the command line. */
  readonly browser: string
  /** Where devices enrol and send pictures. */
  readonly device: string
  /** The broker. */
  readonly mqtt: string
}

export type Hub = AsyncDisposable & {
  readonly urls: HubUrls
  /** File with the API token of the machine's owner. */
  readonly localTokenFile: string
  /** SHA-256 of the CA's public key, base64: what devices pin. */
  readonly caFingerprint: string
  /** File with the CA's certificate. */
  readonly caFile: string
  /** True where browsers are shown a certificate of that CA: programs need the file to trust it. */
  readonly ownCertificate: boolean
  /** An address that signs its bearer in once, within a day. */
  signInLink(): Promise<string>
}

const pruneIntervalMs = 3_600_000
const dayMs = 86_400_000
/** How often it is looked whether a certificate is no longer valid that was. */
const revokeIntervalMs = 10_000
/** How often it is looked whether signed metadata has to be renewed. */
const trustIntervalMs = 600_000

/**
 * Opens a hub; when the promise resolves every listener is open.
 * @throws {Error} when the store, the keys or a port cannot be opened; what was opened is closed again
 */
export async function openHub(
  config: HubConfig,
  deps: {
    log: Logger
    clock?: () => number
    /** Agents for new boxes; without them nothing can be installed from this hub. */
    bundles?: AgentBundles
    /** Looks into models and compiles them; without it none can be added. */
    compiler?: Compiler
    /** Trains and evaluates models; without it, or without a compiler, no run can be asked for. */
    trainer?: Trainer
    /** Executes models for others; without it none is served, and no batch can be asked for. */
    engine?: InferenceEngine
    /** Proposes annotations for samples that wait; without it only boxes and people do. */
    proposer?: Proposer
    /** What devices may be offered, instead of what was published and signed here. */
    artifacts?: PublishedArtifacts
    /** Of passwords that are chosen from now on, for tests of something else; what is safe takes long. */
    passwordCost?: PasswordCost
  },
): Promise<Hub> {
  const { log, clock = Date.now } = deps
  const { dataDir, publicHost } = config
  const closing = new AbortController()
  const failed = (error: unknown): void => log.error({ err: error }, 'a task of the hub failed')
  await using opened = new AsyncDisposableStack()
  await mkdir(dataDir, { recursive: true, mode: 0o700 })

  // What is kept.
  const storeAddress = parseStoreAddress(config.store, join(dataDir, 'hub.db'))
  const store = opened.use(await openStore(storeAddress))
  const storeWatch = opened.use(
    watchStore(store, (gone) => {
      if (gone) log.error({ err: gone }, 'the store is gone; devices keep their events')
      else log.info('the store is back')
    }),
  )
  /** @param room folder of the data, or what is put after the prefix in S3 */
  const openBlobs = async (room: string, inS3: string): Promise<Blobs> => {
    if (config.blobs.url === '') return await openFolderBlobs(join(dataDir, room))
    const address = parseS3Address(config.blobs.url)
    return await openS3Blobs({
      address: { ...address, prefix: `${address.prefix}${inS3}` },
      credentials: config.blobs,
      away: (why) => log.warn({ why }, 'S3 is away; boxes keep their pictures'),
    })
  }
  const blobs = await openBlobs('blobs', '')
  // Apart from what goes with time.
  const modelFiles = await openBlobs('models', 'models/')
  const sampleFiles = await openBlobs('samples', 'samples/')
  const authority = await openAuthority({
    folder: join(dataDir, 'keys'),
    publicHost,
    deviceCertificateMs: config.certificateDays * dayMs,
    clock,
  })
  const trustFolders = { online: join(dataDir, 'keys', 'trust'), root: join(dataDir, 'root-keys') }
  await mkdir(trustFolders.online, { recursive: true, mode: 0o700 })
  const firstRoot = await openFirstRoot(trustFolders, clock)
  if (firstRoot.made) {
    log.warn(
      { folder: trustFolders.root },
      'the keys of the root were made: two of these three own what all boxes run; take them away from this machine (docs/trust.md)',
    )
  }
  const trust = await openTrustDesk({
    store,
    clock,
    log,
    keys: await openTrustKeys(trustFolders.online),
    firstRoot: firstRoot.root,
  })
  const renewing = setInterval(() => void trust.tick().catch(failed), trustIntervalMs)
  opened.defer(() => clearInterval(renewing))
  const localTokenFile = join(dataDir, 'local-token')
  const localToken = await readLocalToken(localTokenFile)

  const backups = opened.use(
    openBackups({
      address: storeAddress,
      dataDir,
      ownBlobs: config.blobs.url === '',
      version: packageJson.version,
      clock,
      failed,
    }),
  )

  // Who is there, and what is told of it. An epoch per start: clients of the last one fetch anew.
  const changes = openChanges({ epoch: clock().toString(36), clock })
  const fleet = opened.use(await openFleet({ store, clock, tell: changes.publish, failed }))
  const audit = openAudit({ store, log, clock })
  const people = opened.use(
    await openPeople({
      store,
      localToken,
      clock,
      failed,
      ...(deps.passwordCost && { passwordCost: deps.passwordCost }),
    }),
  )
  const metrics = openMetrics({
    devicesOnline: () => fleet.online,
    eventsStored: () => fleet.eventsStored,
    changeClients: () => changes.subscribers,
    liveClients: () => live.viewers,
    artifactTransfers: () => downloads.open,
    rolloutsOpen: () => keeper.open,
    modelsOpen: () => inference.open,
    driftAlarms: () => driftKeeper.active,
  })
  const beat = setInterval(changes.beat, beatIntervalMs)
  opened.defer(() => clearInterval(beat))

  // The rooms that talk to devices reach the broker through these; it opens last.
  let broker: Broker | undefined
  const publishDesired = (device: Device): void => {
    if (device.desired) broker?.publish('desired', device, device.desired)
    // A broker that outlives the hub may hold what was wanted of a removed device of that name.
    else broker?.clear('desired', device)
  }
  const revocations = openRevocations({
    folder: join(dataDir, 'keys'),
    copyTo: config.broker.url === '' ? '' : join(config.broker.files, brokerFiles.revoked),
    authority,
    clock,
  })
  const revoke = async (): Promise<void> => {
    await revocations.settle([...fleet.all()].flatMap(validSerials)).catch(failed)
  }
  let connections: DeviceConnections | undefined
  const cut = (device: Device, except?: string): void => {
    void revoke()
    broker?.disconnect(device)
    connections?.cut(device.deviceId, except)
  }
  const urls: { -readonly [K in keyof HubUrls]: string } = { browser: '', device: '', mqtt: '' }
  const desk = openCertificateDesk({ store, fleet, authority, clock, cut, failed })
  const certificates: CertificateDesk = {
    ...desk,
    renew: async (device, csr, shown) => {
      const renewal = await desk.renew(device, csr, shown)
      // Noted as valid before it can be replaced.
      void revoke()
      return renewal
    },
  }
  opened.defer(certificates.settled)
  certificates.expire()
  const expiry = setInterval(certificates.expire, expiryIntervalMs)
  opened.defer(() => clearInterval(expiry))
  const enrolment = openEnrolmentDesk({
    store,
    fleet,
    authority,
    clock,
    defaultSite: config.site,
    urls: () => urls,
    enrolled: (device, again) => {
      if (again) cut(device, device.certificate.serial)
      else {
        void revoke()
        publishDesired(device)
      }
    },
    trustRoot: trust.root,
    installCommand: (token) =>
      deps.bundles ? installCommand({ ...authority, deviceUrl: urls.device }, token) : null,
  })
  const retirement = openRetirementDesk({
    store,
    fleet,
    clock,
    cut,
    removed: (device) => {
      for (const name of retainedMessages) broker?.clear(name, device)
    },
  })
  const desired = openDesiredDesk({ store, fleet, clock, publish: publishDesired, failed })
  opened.defer(desired.settled)
  const live = opened.use(
    openLive({
      fleet,
      clock,
      metrics,
      request: (device, request) => broker?.publish('liveRequest', device, request),
    }),
  )
  const logs = openDeviceLogs({
    request: (device, request) => broker?.publish('logRequest', device, request),
  })
  const clips = opened.use(
    await openClips({
      store,
      blobs,
      fleet,
      clock,
      failed,
      folder: join(dataDir, 'clips-coming'),
      request: (device, request) => broker?.publish('clipRequest', device, request),
    }),
  )
  const sampleDesk = openSampleDesk({
    clock,
    request: (device, request) => broker?.publish('sampleRequest', device, request),
  })
  const samplePurse = openSamplePurse({
    store,
    fleet,
    clock,
    known: openStreamKnowledge({ store, clock }),
  })
  const fieldSamples = opened.use(
    await openFieldSamples({
      store,
      fleet,
      audit,
      changes,
      clock,
      log,
      failed,
      files: sampleFiles,
      purse: samplePurse,
      check: openPictureCheck(),
      folder: join(dataDir, 'samples-coming'),
    }),
  )
  const offered: PublishedArtifacts = {
    artifactFor: (...asked) => (deps.artifacts ?? artifacts).artifactFor(...asked),
  }
  const sites = await openSites({ store, fleet, clock, changed: () => keeper.mayJoin() })
  const keeper = openRolloutKeeper({
    store,
    fleet,
    sites,
    artifacts: offered,
    clock,
    log,
    metrics,
    failed,
    alone: storeAddress.kind === 'sqlite',
    publish: (device, offers) => broker?.publish('offers', device, offers),
    tell: changes.publish,
  })
  const learnsFrom = config.driftLearnsFrom
  const driftKeeper = opened.use(
    openDriftKeeper({
      store,
      fleet,
      sites,
      clock,
      log,
      learnsFrom,
      failed,
      alone: storeAddress.kind === 'sqlite',
      tell: changes.publish,
    }),
  )
  const reports = openReports({
    fleet,
    heard: (device, reported) => {
      desired.heard(device, reported)
      keeper.reported(device)
    },
    clock,
    log,
    isConnected: (deviceId) => broker?.isConnected(deviceId) ?? false,
  })
  const rulesChanged = () => changes.publish({ kind: 'rules' })
  const send = openSend({ clock, readPicture: (digest) => blobs.read(digest) })
  const courier = opened.use(
    openCourier({
      store,
      clock,
      send,
      failed,
      changed: rulesChanged,
      told: (outcome) => metrics.ruleDeliveries.inc({ outcome }),
    }),
  )
  const deliveries = openDeliveryDesk({ store, clock, queued: courier.wake })
  const rules = opened.use(
    openRuleDesk({
      store,
      fleet,
      clock,
      deliveries,
      failed,
      zoneOf: sites.zoneOf,
      queued: courier.wake,
      changed: rulesChanged,
    }),
  )
  const receivers = openReceiverDesk({ store, clock, send, changed: rulesChanged })
  // Opens when there are rollouts; events may come before.
  let homeAssistant: HomeAssistant | undefined
  const ingest = opened.use(
    openIngest({
      store,
      clock,
      log,
      metrics,
      acknowledge: (device, bootId, through) =>
        broker?.publish('acknowledged', device, { bootId, through }),
      stored: (stored) => {
        tellStored(stored, { fleet, changes, metrics })
        clips.stored(stored.device, stored.events)
        rules.wake()
        if (stored.events.some(({ kind }) => kind === 'sketch')) driftKeeper.wake()
        homeAssistant?.wake()
      },
    }),
  )

  await revoke()
  const revoking = setInterval(() => void revoke(), revokeIntervalMs)
  opened.defer(async () => {
    clearInterval(revoking)
    await revoke()
  })
  const publishAllDesired = (): void => {
    for (const device of fleet.all()) publishDesired(device)
    keeper.sayAgain()
  }
  const listener: BrokerListener = {
    receive: (name, { site, deviceId }, payload) => {
      const device = fleet.find(deviceId)
      if (device?.site !== site || device.retiredAt !== null) return
      if (name === 'events') ingest.take(device, payload)
      else if (name === 'updates') keeper.take(device, payload)
      else reports.take(name, device, payload)
    },
    room: (name) => (name === 'events' ? ingest.room() : undefined),
    left: (deviceId) => {
      const device = fleet.find(deviceId)
      if (device) reports.left(device)
    },
  }
  if (config.broker.url === '') {
    broker = opened.use(
      await openEmbeddedBroker({
        ...listener,
        ...config.mqtt,
        publicHost,
        authority,
        log,
        metrics,
        refusal: (identity) => {
          const device = certificates.admit(identity)
          return 'refusal' in device ? device.refusal : undefined
        },
      }),
    )
    publishAllDesired()
  } else {
    broker = opened.use(
      openExternalBroker({
        ...listener,
        url: config.broker.url,
        publicUrl: config.broker.publicUrl || config.broker.url,
        tls: await readBrokerFiles(config.broker.files),
        deviceCa: authority.certificate,
        standIn: (device) => makeStandIn(authority, device),
        opened: publishAllDesired,
        log,
        metrics,
      }),
    )
  }
  urls.mqtt = broker.url

  const downloads = openDownloads({
    fileOf: publishedFilesIn(store),
    files: modelFiles,
    metrics,
    limits: config.downloads,
  })
  const deviceListener = await buildDeviceListener({
    authority,
    ...config.mqtt,
    enrolment,
    certificates,
    audit,
    blobs,
    live,
    logs,
    clips,
    fieldSamples,
    trust,
    downloads,
    bundles: deps.bundles,
    closing: closing.signal,
    log,
  })
  opened.defer(() => deviceListener.close())
  connections = watchConnections(deviceListener.server as unknown as HttpsServer)
  await deviceListener.ready()
  const devicePort = await listen(deviceListener.server as Server, {
    ...config.device,
    flag: '--device-port',
  })
  urls.device = `https://${hostInUrl(publicHost)}:${devicePort}`

  const retention = opened.use(
    openRetention({ store, blobs, files: sampleFiles, audit, config, clock, log, failed }),
  )
  const uploads = opened.use(await openUploads({ folder: join(dataDir, 'uploads'), clock }))
  const jobs = openJobQueue({
    store,
    clock,
    tell: (job) => {
      changes.publish({ kind: 'job', job })
      void runs.heard(job).catch(failed)
      labelling.heard(job)
      void inference.heard(job).catch(failed)
      if (job.endedAt !== null) pipelineKeeper?.wake()
    },
  })
  const models = openModelDesk({
    store,
    uploads,
    clock,
    compiler: deps.compiler,
    files: modelFiles,
    queue: jobs,
    queued: () => worker?.wake(),
    changed: () => {
      changes.publish({ kind: 'models' })
      labelling.modelsChanged()
    },
  })
  const artifacts = openArtifactDesk({
    store,
    models,
    signer: trust,
    queue: jobs,
    queued: () => publishWorker?.wake(),
    changed: () => {
      changes.publish({ kind: 'models' })
      keeper.mayJoin()
    },
  })
  // What devices said since the broker opened was kept for it.
  opened.use(keeper)
  keeper.begin()
  driftKeeper.begin()
  const rollouts = openRolloutDesk({ store, fleet, sites, artifacts: offered, keeper, clock })
  if (config.homeAssistant.url !== '') {
    homeAssistant = opened.use(
      openHomeAssistant({
        config: config.homeAssistant,
        store,
        fleet,
        clock,
        log,
        failed,
        alone: storeAddress.kind === 'sqlite',
        version: packageJson.version,
        url: () => urls.browser,
        readPicture: (digest) => blobs.read(digest),
        updatesOf: rollouts.deviceUpdates,
        latestFor: (model, device) =>
          latestVersionFor({ store, artifacts: offered }, model, device),
        begin: installHere({ rollouts, audit }),
      }),
    )
  }
  const workFolder = join(dataDir, 'work')
  // Of jobs that a hub was killed over.
  await rm(workFolder, { recursive: true, force: true })
  await mkdir(workFolder, { recursive: true, mode: 0o700 })
  const datasetChanged = (name: string) => {
    changes.publish({ kind: 'dataset', name })
    schedules?.wake()
    pipelineKeeper?.datasetChanged(name)
  }
  const datasets = openDatasetDesk({ store, clock, changed: datasetChanged })
  const versions = openVersionDesk({ store, files: sampleFiles, clock, changed: datasetChanged })
  const samples = openSamplePictures({ store, files: sampleFiles, clock })
  const datasetJobs = openDatasetJobs({
    store,
    datasets,
    versions,
    samples,
    uploads,
    files: sampleFiles,
    queue: jobs,
    queued: () => datasetWorker.wake(),
    folder: workFolder,
  })
  const labelling = opened.use(
    openLabelling({
      store,
      datasets,
      models,
      jobs,
      audit,
      clock,
      failed,
      datasetChanged,
      proposer: deps.proposer,
      files: sampleFiles,
      folder: workFolder,
      queueChanged: (name) => changes.publish({ kind: 'labelQueue', name }),
      queued: () => labelWorker?.wake(),
    }),
  )
  opened.defer(fieldSamples.onArrived(labelling.arrived))
  const inference = opened.use(
    openInference({
      store,
      models,
      samples,
      versions,
      queue: jobs,
      engine: deps.engine,
      metrics,
      clock,
      limits: {
        modelsMax: config.inference.modelsMax,
        waitingMax: config.inference.requestsMax,
        inferTimeoutMs: config.inference.timeoutMs,
      },
      folder: workFolder,
      version: packageJson.version,
      queued: () => inferenceWorker?.wake(),
    }),
  )
  const inferenceWorker =
    deps.engine && opened.use(openJobWorker({ queue: jobs, failed, acts: inference.acts }))
  // People wait for what is proposed, not for archives.
  const labelWorker =
    deps.proposer && opened.use(openJobWorker({ queue: jobs, failed, acts: labelling.acts }))
  // Apart from compilations: neither stands before the other.
  const datasetWorker = opened.use(openJobWorker({ queue: jobs, failed, acts: datasetJobs.acts }))
  let schedules: ScheduleDesk | undefined
  let pipelineKeeper: PipelineKeeper | undefined
  // Beside `work`, which is emptied: a trainer of others goes on in its own folder.
  const externalFolder = (runId: string) => join(dataDir, 'external-runs', runId)
  const runs = openRunDesk({
    store,
    clock,
    models,
    datasets: versions,
    files: modelFiles,
    queue: jobs,
    trainer: deps.compiler && deps.trainer,
    queued: () => trainingWorker?.wake(),
    tell: (run, points) => {
      changes.publish({ kind: 'run', run })
      searches.heard(run)
      if (points && points.points.length > 0) changes.publish({ kind: 'runPoints', points })
    },
    removed: (runId) => {
      changes.publish({ kind: 'runRemoved', runId })
      void rm(externalFolder(runId), { recursive: true, force: true }).catch(failed)
    },
  })
  const searches = opened.use(
    openSearches({
      store,
      runs,
      clock,
      failed,
      datasets: versions,
      trainer: deps.compiler && deps.trainer,
      dropCheckpoints: (runId) => dropCheckpoints({ store, files: modelFiles }, runId, 0),
      tell: (search) => changes.publish({ kind: 'search', search }),
      removed: (searchId) => changes.publish({ kind: 'searchRemoved', searchId }),
    }),
  )
  await runs.settle()
  searches.begin()
  const worker =
    deps.compiler &&
    opened.use(
      openJobWorker({
        queue: jobs,
        failed,
        acts: {
          compile: compileAct({
            store,
            blobs,
            models,
            compiler: deps.compiler,
            folder: workFolder,
          }),
        },
      }),
    )
  // Nobody who rolls out waits for a compilation.
  const publishWorker =
    deps.compiler &&
    opened.use(
      openJobWorker({
        queue: jobs,
        failed,
        acts: {
          publish: publishAct({
            artifacts,
            models,
            files: modelFiles,
            compiler: deps.compiler,
            signer: trust,
            running: rollouts.running,
            clock,
            folder: workFolder,
          }),
        },
      }),
    )
  // Training lasts for hours: it has a worker of its own, one run at a time, beside the compilations.
  const trainingWorker =
    deps.compiler &&
    deps.trainer &&
    opened.use(
      openJobWorker({
        queue: jobs,
        failed,
        acts: {
          train: trainAct({
            runs,
            models,
            datasets: versions,
            trainer: deps.trainer,
            compiler: deps.compiler,
            dropCheckpoints: (runId) => dropCheckpoints({ store, files: modelFiles }, runId, 0),
            compile: async ({ name, version }, request, by) => {
              const target = `${name}/${version}`
              const facts = { actor: by, via: 'hub', action: 'modelCompile' } as const
              const note = audit.begin({ ...facts, target, address: '', detail: 'after its run' })
              await models.compile(name, version, request, by, note)
            },
            folder: workFolder,
            externalFolder,
          }),
        },
      }),
    )
  const scheduledDatasets = openScheduledDatasets({
    store,
    audit,
    datasets,
    versions,
    queue: jobs,
    jobs: datasetJobs,
  })
  schedules = opened.use(
    await openSchedules({
      store,
      audit,
      runs,
      models,
      clock,
      failed,
      datasets: scheduledDatasets,
      changed: () => changes.publish({ kind: 'trainingSchedules' }),
    }),
  )
  const pipelineRooms = {
    store,
    clock,
    audit,
    queue: jobs,
    datasets,
    versions,
    datasetJobs,
    runs,
    models,
    artifacts,
    rollouts,
    fleet,
    tell: (model: string) => changes.publish({ kind: 'pipeline', model }),
  }
  pipelineKeeper = opened.use(
    openPipelineKeeper({
      ...pipelineRooms,
      log,
      failed,
      alone: storeAddress.kind === 'sqlite',
      annotatedSince: scheduledDatasets.annotatedSince,
    }),
  )
  const pipelines = openPipelineDesk({
    ...pipelineRooms,
    keeper: pipelineKeeper,
    trainer: deps.compiler && deps.trainer,
  })
  opened.defer(driftKeeper.onAlarm(() => rules.wake()))
  opened.defer(driftKeeper.onAlarm(() => pipelineKeeper?.wake()))
  pipelineKeeper.begin()
  const events = openEvents({ store })
  const rooms = {
    datasets,
    versions,
    samples,
    datasetJobs,
    labelling,
    eventSamples: openEventSamples({
      events,
      datasets,
      samples,
      blobs,
      siteOf: (deviceId) => {
        const device = fleet.find(deviceId)
        return device && siteOf(device)
      },
    }),
    previews: openAugmentationPreviews({
      store,
      datasets,
      files: sampleFiles,
      folder: workFolder,
      closing: closing.signal,
    }),
    exports: openDatasetExports({ versions, folder: workFolder, closing: closing.signal }),
    uploads,
    runs,
    searches,
    schedules,
    rollouts,
    drift: openDriftDesk({
      store,
      fleet,
      clock,
      learnsFrom,
      testWorth: openTestWorth({ store, runFile: runs.file }),
      changed: (deviceId, streamId) => changes.publish({ kind: 'drift', deviceId, streamId }),
    }),
    pipelines,
    inference,
    sites,
    rules,
    receivers,
    deliveries,
    models,
    artifacts,
    trust,
    bundles: openBundleDesk({
      store,
      trust,
      artifacts,
      models,
      uploads,
      clock,
      files: modelFiles,
      folder: workFolder,
    }),
    jobs,
    store,
    backups,
    retention,
    fleet,
    people,
    audit,
    enrolment,
    retirement,
    desired,
    logs,
    clips,
    fieldSamples,
    samplePurse,
    sampleDesk,
    forgetting: openForgetDesk({
      store,
      blobs,
      fleet,
      datasets,
      changes,
      clock,
      files: sampleFiles,
    }),
    places: openPlaceDesk({ store, fleet }),
    acts: openDeviceActs({ fleet, retirement, desired }),
    events,
  }
  const tls = await readBrowserTls(config, authority.server)
  const browserListener = await buildBrowserListener(
    {
      ...rooms,
      blobs,
      live,
      changes,
      metrics,
      log,
      clock,
      inferenceBodiesMax: config.inference.requestsMax,
      inferencesPerMinuteMax: config.inference.perMinuteMax,
      // While the broker is away nothing arrives that could be stored.
      storing: () => ingest.storing && storeWatch.reachable && (broker?.reachable ?? true),
      version: packageJson.version,
      secure: tls !== undefined,
    },
    { dashboardDir: config.dashboardDir, tls },
  )
  opened.defer(() => browserListener.close())
  await browserListener.ready()
  const browserPort = await listen(browserListener.server as Server, {
    ...config.browser,
    flag: '--port',
  })
  const plainHost = config.browser.host === '127.0.0.1' ? 'localhost' : config.browser.host
  const [scheme, browserHost] = tls ? ['https', publicHost] : ['http', plainHost]
  urls.browser = `${scheme}://${hostInUrl(browserHost)}:${browserPort}`

  // What has expired by itself; what is only old goes by its own schedule.
  const pruneAll = async (): Promise<void> => {
    await people.sessions.prune()
    await enrolment.prune()
  }
  let pruning: Promise<void> = pruneAll().catch(failed)
  const prune = setInterval(() => {
    pruning = pruning.then(pruneAll).catch(failed)
  }, pruneIntervalMs)
  opened.defer(async () => {
    clearInterval(prune)
    closing.abort()
    await pruning
  })

  log.info({ ...urls, dataDir, store: storeAddress.shown, devices: fleet.size }, 'the hub is open')
  const resources = opened.move()
  return {
    urls,
    localTokenFile,
    caFingerprint: authority.fingerprint,
    caFile: join(dataDir, 'keys', 'ca.crt'),
    ownCertificate: tls !== undefined && !tls.strictTransport,
    signInLink: async () => {
      const { token } = await people.sessions.createSignInLink(localUser)
      return `${urls.browser}/#token=${token}`
    },
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  }
}
