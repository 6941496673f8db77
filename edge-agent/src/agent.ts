/**
 * The supervisor: wires the rooms of the agent together and holds no native media code itself.
 * What media processes see is recorded in the outbox; the link takes it to the hub; what the hub
 * wishes is checked, kept and handed to the media processes.
 */
import { randomUUID } from 'node:crypto'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import type {
  Desired,
  LiveRequest,
  LogAnswer,
  LogRequest,
  NewEvent,
  Offers,
  Reported,
  SampleRequest,
} from '@edgeloop/protocol'
import type { Logger } from 'pino'
import { ClipFolder } from './clips/clip-folder.ts'
import type { AgentConfig } from './configuration.ts'
import { checkDesired, readDesired, versionOf, writeDesired } from './desired.ts'
import { reportHealth } from './health/health.ts'
import { describeMachine, type Machine } from './health/machine.ts'
import { LiveViews } from './local/live-views.ts'
import type { LocalSurface } from './local/surface.ts'
import { LogRing } from './log/log-ring.ts'
import { streamsMaxOf } from './media/groups.ts'
import { MediaFleet } from './media/media-fleet.ts'
import { type Outbox, openOutbox } from './outbox/outbox.ts'
import type { Ask } from './sampling/chooser.ts'
import { openSamples, type Samples } from './sampling/open-samples.ts'
import { AgentUpdates, type UpdateLink } from './update/agent-updates.ts'
import { FleetModelHost } from './update/fleet-model-host.ts'

/** The agent's way to the hub. */
export interface AgentLink extends AsyncDisposable {
  /** Tells the hub what runs here; only the newest counts. */
  report(reported: Reported): void
  /** A picture is complete in the snapshot folder. */
  offerSnapshot(digest: string, sizeBytes: number): void
  /** Frames of a stream that its samplers would have kept, budgets apart. */
  wishSamples(streamId: string, frames: number): void
  /** A live picture, for whoever looks now. */
  showLive(streamId: string, bytes: Uint8Array): void
  /** Where models come from; absent where there is no such way. */
  readonly updates?: UpdateLink
}

/** What the agent gives a link to work with, and does with what comes in over it. */
export type LinkDeps = {
  readonly outbox: Outbox
  readonly config: AgentConfig
  readonly snapshotFolder: string
  /** Clips that are on this box. */
  readonly clips: Pick<ClipFolder, 'find' | 'keep'>
  /** Frames kept for learning that are on this box, and what may be sent of them today. */
  readonly samples: Samples
  readonly log: Logger
  readonly record: (event: NewEvent) => Promise<number | undefined>
  /** A wish as it came: not checked yet. */
  readonly onDesired: (value: unknown) => void
  readonly onLiveRequest: (request: LiveRequest) => void
  /** Somebody wants frames of a stream. */
  readonly onSampleRequest: (request: SampleRequest) => void
  /** What the hub wants of this box's models. */
  readonly onOffers: (offers: Offers) => void
  /** What the hub is told of the log. */
  readonly readLog: (request: LogRequest) => LogAnswer
}

export type AgentOptions = {
  readonly config: AgentConfig
  readonly deviceId: string
  readonly connect: (deps: LinkDeps) => Promise<AgentLink>
  readonly log: Logger
  /** What `log` has written, for who asks from afar; nothing is told of it where it is left out. */
  readonly logRing?: LogRing
  /** Another program in place of the media process; for tests. */
  readonly mediaModule?: string | URL
  /** Stops everything when it aborts. */
  readonly signal: AbortSignal
}

const heartbeatIntervalMs = 1_000

/**
 * Runs the agent until `signal` aborts; then everything it had started is gone.
 * @throws {Error} when its data folder cannot be used, or the outbox can no longer be written
 */
export async function superviseAgent(options: AgentOptions): Promise<void> {
  const { config, log, logRing = new LogRing() } = options
  const bootId = randomUUID()
  const startedAt = new Date().toISOString()
  const snapshotFolder = join(config.dataDir, 'snapshots')
  const clipFolder = join(config.dataDir, 'clips')
  const sampleFolder = join(config.dataDir, 'samples')
  const cacheFolder = join(config.dataDir, 'cache')
  for (const folder of [snapshotFolder, clipFolder, cacheFolder]) {
    await mkdir(folder, { recursive: true, mode: 0o700 })
  }
  const machine = await describeMachine()
  const failure = new AbortController()
  const signal = AbortSignal.any([options.signal, failure.signal])

  const updates = await AgentUpdates.open({
    dataDir: config.dataDir,
    config: config.updates,
    own: config.models,
    bootId,
    log,
    box: machine,
    now: Date.now,
  })

  await using stack = new AsyncDisposableStack()
  const models = stack.use(
    await FleetModelHost.open({
      configured: config.models,
      delivered: await updates.delivered(),
      dataDir: config.dataDir,
      cacheFolder,
      log,
      signal,
      now: Date.now,
      monotonicMs: () => performance.now(),
    }),
  )
  const outbox = stack.use(
    await openOutbox({
      file: join(config.dataDir, 'outbox.db'),
      bootId,
      bytesMax: config.outboxBytesMax,
      onDamage: (text) => log.error(text),
      onFailure: (error) => failure.abort(error),
    }),
  )
  const clips = stack.use(
    await ClipFolder.open({
      folder: clipFolder,
      bytesMax: config.clipsBytesMax,
      keptDays: config.clipsKeptDays,
      log,
      now: Date.now,
    }),
  )
  const samples = await openSamples(sampleFolder, config.samples, log)
  const parts = {
    signal,
    logRing,
    snapshotFolder,
    clipFolder,
    sampleFolder,
    cacheFolder,
    clips,
    models,
    updates,
    samples,
  }
  const identified = { bootId, startedAt, ...machine }
  const agent = new Agent({ ...options, ...parts }, outbox, identified)
  const link = await options.connect({
    outbox,
    config,
    snapshotFolder,
    clips,
    samples,
    log,
    record: (event) => outbox.append(event),
    onDesired: (value) => {
      // Before anything can be said about it.
      logRing.hide(value)
      agent.wish(value)
    },
    onLiveRequest: (request) => agent.live.hubAsks(request),
    onSampleRequest: (request) => agent.fleet.ask(request.streamId, askOf(request, Date.now())),
    onOffers: (offers) => updates.take(offers),
    readLog: (request) => logRing.read(request, bootId),
  })
  stack.use(link)
  const local = await agent.openLocalSurface()
  if (local) stack.use(local)
  await agent.run(link)
  if (failure.signal.aborted) throw failure.signal.reason
}

/** Clocks of hub and box may differ: what is asked for is wanted for a while at least, and not for ever. */
const askedMs = { min: 30_000, max: 3_600_000 }

const askOf = ({ frames, why, until }: SampleRequest, now: number): Ask => ({
  reason: 'asked',
  frames,
  why,
  withinMs: Math.min(askedMs.max, Math.max(askedMs.min, Date.parse(until) - now)),
})

type AgentParts = {
  readonly logRing: LogRing
  readonly snapshotFolder: string
  readonly clipFolder: string
  readonly sampleFolder: string
  readonly cacheFolder: string
  readonly clips: ClipFolder
  readonly samples: Samples
  readonly models: FleetModelHost
  readonly updates: AgentUpdates
}
type Identified = Machine & Pick<Reported, 'bootId' | 'startedAt'>

class Agent {
  readonly fleet: MediaFleet
  readonly live: LiveViews
  readonly #options: AgentOptions & AgentParts
  readonly #outbox: Outbox
  readonly #identified: Identified
  readonly #streamsMax: number
  readonly #desiredFile: string
  #link: AgentLink | undefined
  #desired: Desired | undefined
  #config: Reported['config']
  /** Wishes are taken one after the other. */
  #wishing: Promise<void> = Promise.resolve()

  constructor(options: AgentOptions & AgentParts, outbox: Outbox, identified: Identified) {
    const { config, deviceId, log, signal, models, clips, samples } = options
    const { snapshotFolder, clipFolder, sampleFolder, cacheFolder } = options
    this.#options = options
    this.#outbox = outbox
    this.#identified = identified
    this.#streamsMax = streamsMaxOf(config)
    this.#desiredFile = join(config.dataDir, 'desired.json')
    this.fleet = new MediaFleet({
      module: options.mediaModule ?? new URL('./media/media-process.ts', import.meta.url),
      start: {
        deviceId,
        snapshotFolder,
        clipFolder,
        sampleFolder,
        cacheFolder,
        heartbeatIntervalMs,
        models: models.sources,
        figuresIntervalMs: config.healthIntervalMs,
      },
      only: config.models.length === 1 ? config.models[0]?.name : undefined,
      processesMax: config.processesMax,
      streamsPerProcess: config.streamsPerProcess,
      heartbeatTimeoutMs: config.heartbeatTimeoutMs,
      record: (event) => outbox.append(event),
      onSnapshot: (digest, sizeBytes) => this.#link?.offerSnapshot(digest, sizeBytes),
      onClip: (digest, sizeBytes) => clips.add(digest, sizeBytes),
      onSample: (digest) => void samples.folder.add(digest),
      onWish: (streamId, frames) => this.#link?.wishSamples(streamId, frames),
      onLive: (streamId, bytes) => this.live.take(streamId, bytes),
      onSeen: (block) => models.saw(block),
      onDown: (code, streams) => models.fell(code, streams),
      onChange: () => this.#report(),
      now: Date.now,
      monotonicMs: () => performance.now(),
      random: Math.random,
      log,
      signal,
    })
    models.join(this.fleet)
    this.live = new LiveViews({
      ask: (request) => this.fleet.setLive(request),
      forward: (streamId, bytes) => this.#link?.showLive(streamId, bytes),
      now: Date.now,
    })
  }

  /** Undefined where it is off, or cannot be opened, which is no reason to stop looking at cameras. */
  async openLocalSurface(): Promise<LocalSurface | undefined> {
    const { config, log, signal } = this.#options
    if (!config.local || signal.aborted) return undefined
    // A server costs memory: only for whom it is switched on.
    const { openLocalSurface } = await import('./local/surface.ts')
    try {
      const surface = await openLocalSurface({
        config: config.local,
        dataDir: config.dataDir,
        version: this.#identified.agentVersion,
        models: {
          names: () => this.fleet.modelNames,
          describe: async (name) => this.#describe(name),
          infer: (name, inputs) => this.fleet.infer(name, inputs),
        },
        streams: () => this.fleet.streams,
        figures: () => this.fleet.figures,
        outbox: () => this.#outbox.figures,
        live: this.live,
        now: Date.now,
        signal,
      })
      const { url, tokenFile, certificateFile } = surface
      log.info({ url, tokenFile, certificateFile }, 'Local surface is open')
      return surface
    } catch (error) {
      log.error(`${(error as Error).message}; the agent goes on without it`)
      return undefined
    }
  }

  #describe(name: string) {
    if (!this.fleet.modelNames.includes(name)) return undefined
    const signature = this.fleet.signatureOf(name)
    if (signature) return { signature }
    return { refusal: this.fleet.refusalOf(name) ?? `Model "${name}" is being opened; try again` }
  }

  /** Runs until the signal aborts and every media process has gone. */
  async run(link: AgentLink): Promise<void> {
    const { config, signal, log, updates, models } = this.#options
    this.#link = link
    await this.#resume()
    this.#report()
    const updating = link.updates && updates.run(models, link.updates, signal)
    await reportHealth({
      intervalMs: config.healthIntervalMs,
      dataDir: config.dataDir,
      pids: () => [process.pid, ...this.fleet.pids],
      outbox: () => this.#outbox.figures,
      streams: () => this.fleet.figures,
      record: (event) => void this.#outbox.append(event),
      now: Date.now,
      monotonicMs: () => performance.now(),
      signal,
    })
    await updating
    await this.fleet.done()
    await this.#wishing
    log.info('All media processes have stopped')
  }

  /** Takes the hub's wish, or says why not and goes on as before. */
  wish(value: unknown): void {
    this.#wishing = this.#wishing.then(() => this.#take(value))
  }

  /** Goes on with the last wish that was in force: the hub may be away. */
  async #resume(): Promise<void> {
    try {
      const desired = await readDesired(this.#desiredFile, this.#streamsMax)
      // The hub may have been faster.
      if (!desired || this.#desired) return
      this.#options.logRing.hide(desired)
      this.fleet.setStreams(desired.config.streams)
      this.#desired = desired
      this.#config = { version: desired.version, accepted: true, reason: '' }
    } catch (error) {
      this.#options.log.error(`${(error as Error).message}; waiting for the hub to send it again`)
    }
  }

  async #take(value: unknown): Promise<void> {
    const { log, signal } = this.#options
    if (signal.aborted) return
    try {
      const desired = checkDesired(value, this.#streamsMax)
      const isNew = desired.version !== this.#desired?.version || desired.at !== this.#desired.at
      if (isNew) {
        this.fleet.setStreams(desired.config.streams)
        this.#desired = desired
        log.info({ version: desired.version }, 'Desired configuration is in force')
        // In force all the same: the hub sends it again after the next start.
        await writeDesired(this.#desiredFile, desired).catch((error: Error) =>
          log.error(`Cannot keep the desired configuration for the next start: ${error.message}`),
        )
      }
      await this.#conclude(desired.version, undefined)
    } catch (error) {
      await this.#conclude(versionOf(value), (error as Error).message)
    }
    this.#report()
  }

  /** Reports why a wish was not taken, or with undefined that it was. */
  async #conclude(version: number, reason: string | undefined): Promise<void> {
    const before = this.#config?.reason ?? ''
    this.#config = { version, accepted: reason === undefined, reason: reason?.slice(0, 2000) ?? '' }
    if (before === this.#config.reason) return
    if (reason !== undefined) this.#options.log.error(reason)
    await this.#outbox.append({
      kind: 'alarm',
      at: new Date().toISOString(),
      code: 'configRefused',
      active: reason !== undefined,
      text: (reason ?? 'The desired configuration was taken').slice(0, 1000),
    })
  }

  #report(): void {
    this.#options.updates.changed()
    this.#link?.report({
      at: new Date().toISOString(),
      ...this.#identified,
      configVersion: this.#desired?.version ?? 0,
      ...(this.#config && { config: this.#config }),
      streams: this.fleet.streams,
      models: this.fleet.models.map((model) => {
        const measured = this.#options.models.measuredOf(model.name)
        return { ...model, ...(measured && { measured }) }
      }),
    })
  }
}
