/**
 * The agent's way to the hub: one MQTT connection at a time, made again when it breaks; over it the
 * status, what runs here, and the outbox; beside it pictures by HTTPS.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import {
  batchEntriesMax,
  messages,
  type Reported,
  type Status,
  type Updates,
} from '@edgeloop/protocol'
import { parseJson, parsePayload } from '@edgeloop/protocol/check'
import type { AgentLink, LinkDeps } from '../agent.ts'
import type { Identity } from '../identity/identity.ts'
import { IdentityKeeper } from '../identity/identity-keeper.ts'
import { endedText, keepRenewing } from '../identity/renewal.ts'
import { hasEnded } from '../identity/validity.ts'
import { signRedaction } from '../privacy/sign-redaction.ts'
import { openHubTrust } from '../update/box-trust.ts'
import { openHubArtifacts, openMirrorArtifacts } from '../update/hub-artifacts.ts'
import { reconnectBackoff, waitMs } from './backoff.ts'
import { BlobUpload } from './blob-upload.ts'
import { ClipUpload } from './clip-upload.ts'
import { watchClock } from './clock-watch.ts'
import { openDeviceHttps } from './device-https.ts'
import { LiveUpload } from './live-upload.ts'
import { LogUpload } from './log-upload.ts'
import { SampleUpload } from './sample-upload.ts'
import { Acknowledgements, sendEvents } from './sender.ts'
import { type FromHub, isRefusal, openSession, type Session } from './session.ts'
import { openUploadBudget } from './upload-budget.ts'

/** Changes of what runs here come in swarms at a start; they are told together. */
const reportDelayMs = 200
/** After a connection that lasted so long, or took events to the hub, the next failure is a first one. */
const goodConnectionMs = 10_000
/** How often it is looked whether it is the turn of snapshots. */
const turnIntervalMs = 250
/** Messages that make no sense are logged so often at most. */
const nonsenseLogIntervalMs = 60_000
/** That the hub does not let the box in is logged so often at most. */
const shutOutLogIntervalMs = 3_600_000
const refusedText =
  'The hub does not let this box in: it was retired, removed or enrolled elsewhere. What it records is kept. Make a token at the hub with "./edgeloop device add NAME", and run the agent once with what that prints and --enrol-again'

export type LinkOptions = LinkDeps & {
  readonly identity: Identity
  readonly random?: () => number
  /** Wall clock by which the certificate is renewed, ms. */
  readonly now?: () => number
  /** How often it is looked whether the certificate is to be renewed, for tests. */
  readonly renewalIntervalMs?: number
}

/** Opens the link; it connects by itself, now and whenever it has to. */
export async function openLink(options: LinkOptions): Promise<AgentLink> {
  const { config, identity, snapshotFolder, log, record } = options
  const random = options.random ?? Math.random
  const stop = new AbortController()
  const { signal } = stop
  const keeper = await IdentityKeeper.open(config.dataDir, identity)
  const https = openDeviceHttps(keeper.current)
  const trust = openHubTrust(keeper.current)
  const hub = openHubArtifacts(keeper.current)
  const mirrors = openMirrorArtifacts(keeper.current)
  const budget = openUploadBudget(config.linkBytesPerSecondMax)
  const now = options.now ?? Date.now
  const logs = new LogUpload(options.readLog, https, budget, signal)
  const clips = new ClipUpload({
    clips: options.clips,
    https,
    budget,
    log,
    random,
    signal,
    turn: () => connection.snapshotsTurn(),
  })
  const connection: Connection = new Connection({
    ...options,
    clipUpload: clips,
    keeper,
    show: (shown) => {
      for (const way of [https, trust, hub, mirrors]) way.show(shown)
    },
    now,
    random,
    budget,
    signal,
    logs,
  })
  const live = new LiveUpload(https, budget, signal)
  const blobs = await BlobUpload.open({
    folder: snapshotFolder,
    bytesMax: config.snapshotsBytesMax,
    https,
    budget,
    log,
    random,
    signal,
    turn: () => connection.snapshotsTurn(),
  })
  const samples = new SampleUpload({
    samples: options.samples.folder,
    day: options.samples.day,
    https,
    budget,
    log,
    random,
    now,
    signal,
    monotonicMs: () => performance.now(),
    turn: () => connection.snapshotsTurn(),
    signed: (sample) => signRedaction(keeper.current, sample, sample.redaction),
  })
  const running = [
    connection.run(),
    blobs.run(),
    clips.run(),
    samples.run(),
    watchClock({
      read: () => ({ wallMs: Date.now(), monotonicMs: performance.now() }),
      record,
      signal,
    }),
    keepRenewing({
      keeper,
      log,
      random,
      now,
      signal,
      renewed: () => connection.makeAnew(),
      ...(options.renewalIntervalMs !== undefined && { lookIntervalMs: options.renewalIntervalMs }),
    }),
  ]
  return {
    report: (reported) => connection.report(reported),
    offerSnapshot: (digest, sizeBytes) => blobs.offer(digest, sizeBytes),
    wishSamples: (streamId, frames) => samples.wish(streamId, frames),
    showLive: (streamId, bytes) => live.show(streamId, bytes),
    updates: {
      trust,
      hub,
      mirror: mirrors.source,
      identity: () => keeper.current,
      tell: (updates) => connection.tellUpdates(updates),
    },
    async [Symbol.asyncDispose]() {
      stop.abort(new Error('the agent stops'))
      await Promise.all(running)
      await Promise.all([https, trust, hub, mirrors].map((way) => way[Symbol.asyncDispose]()))
    },
  }
}

type ConnectionOptions = LinkOptions & {
  readonly keeper: IdentityKeeper
  /** From now on every way to the hub shows this identity. */
  readonly show: (identity: Identity) => void
  readonly random: () => number
  readonly now: () => number
  readonly budget: ReturnType<typeof openUploadBudget>
  readonly logs: LogUpload
  readonly clipUpload: ClipUpload
  readonly signal: AbortSignal
}

/** Connects, converses until the connection breaks, waits, connects again. */
class Connection {
  readonly #options: ConnectionOptions
  readonly #acknowledgements = new Acknowledgements()
  #online = false
  /** The hub has acknowledged something over this connection. */
  #acknowledged = false
  readonly #reported = new Newest<Reported>()
  readonly #updates = new Newest<Updates>()
  #nonsenseLoggedAt = Number.NEGATIVE_INFINITY
  #shutOutLoggedAt = Number.NEGATIVE_INFINITY
  #makeAnew: (() => void) | undefined

  constructor(options: ConnectionOptions) {
    this.#options = options
  }

  report(reported: Reported): void {
    this.#reported.set(reported)
  }

  tellUpdates(updates: Updates): void {
    this.#updates.set(updates)
  }

  /** Ends the connection that is there, and makes one with the identity that is to be shown now. */
  makeAnew(): void {
    this.#makeAnew?.()
  }

  /** Resolves when the hub is there and not more than a batch of events waits. */
  async snapshotsTurn(): Promise<void> {
    const { outbox, signal } = this.#options
    while (!this.#online || outbox.figures.entries > batchEntriesMax) {
      await sleep(turnIntervalMs, undefined, { signal, ref: false })
    }
  }

  async run(): Promise<void> {
    const { log, random, signal, keeper } = this.#options
    let failures = 0
    while (!signal.aborted) {
      const startedAt = performance.now()
      const identity = keeper.attempt()
      try {
        await this.#connectAndConverse(identity)
        // To be made anew: nothing has failed.
        continue
      } catch (error) {
        if (signal.aborted) return
        const why = (error as Error).message
        if (!this.#online) await this.#notLetIn(identity, error as Error)
        const lastedMs = this.#online ? performance.now() - startedAt : 0
        if (lastedMs >= goodConnectionMs || this.#acknowledged) failures = 0
        const level = this.#online || failures === 0 ? 'warn' : 'debug'
        log[level]({ hub: identity.mqttUrl, why }, 'No connection to the hub')
      } finally {
        this.#online = false
        this.#acknowledged = false
      }
      const delayMs = waitMs(reconnectBackoff, failures++, random())
      await sleep(delayMs, undefined, { signal, ref: false }).catch(() => {})
    }
  }

  /** The hub is away, or does not want this identity; a person learns of the second once an hour. */
  async #notLetIn(identity: Identity, error: Error): Promise<void> {
    const { keeper, log, now } = this.#options
    const refused = isRefusal(error)
    await keeper
      .failed(identity, refused)
      .catch((why: Error) => log.error(`Cannot drop a certificate: ${why.message}`))
    const ended = hasEnded(identity.certificate, now())
    const at = performance.now()
    if (!(refused || ended) || keeper.renewed) return
    if (at - this.#shutOutLoggedAt < shutOutLogIntervalMs) return
    this.#shutOutLoggedAt = at
    log.error(ended ? endedText(identity.certificate) : refusedText)
  }

  async #connectAndConverse(identity: Identity): Promise<void> {
    const { log, outbox, signal, budget, keeper, show } = this.#options
    using session = await openSession({
      identity,
      signal,
      lastWill: this.#status('offline'),
      onMessage: (name, payload) => this.#hear(name, payload),
    })
    await session.publish('status', JSON.stringify(this.#status('online')))
    this.#online = true
    log.info({ hub: identity.mqttUrl }, 'Connected to the hub')
    if (await keeper.letIn(identity)) show(identity)
    const anew = new Promise<void>((resolve) => (this.#makeAnew = resolve))
    const tasks = [
      sendEvents({
        outbox,
        budget,
        signal: session.ended,
        acknowledgements: this.#acknowledgements,
        publishEvents: (payload) => session.publish('events', payload),
      }),
      tellNewest(this.#reported, 'reported', session),
      tellNewest(this.#updates, 'updates', session),
    ]
    try {
      await Promise.race([...tasks, anew])
    } finally {
      this.#makeAnew = undefined
      session[Symbol.dispose]()
      // Both are over before a new connection starts: there is one sender at a time.
      await Promise.allSettled(tasks)
    }
  }

  #status(state: Status['state']): Status {
    return { state, at: new Date().toISOString(), bootId: this.#options.outbox.bootId }
  }

  /** Takes what the hub says; what makes no sense is logged and changes nothing. */
  #hear(name: FromHub, payload: Uint8Array): void {
    const { onDesired, onLiveRequest, onSampleRequest, onOffers, logs, clipUpload, log } =
      this.#options
    try {
      if (name === 'acknowledged') {
        this.#acknowledgements.offer(parsePayload(name, payload))
        this.#acknowledged = true
      } else if (name === 'liveRequest') {
        onLiveRequest(parsePayload(name, payload))
      } else if (name === 'sampleRequest') {
        onSampleRequest(parsePayload(name, payload))
      } else if (name === 'logRequest') {
        logs.answer(parsePayload(name, payload))
      } else if (name === 'clipRequest') {
        clipUpload.take(parsePayload(name, payload))
      } else if (name === 'offers') {
        // Cleared: nothing is known of what the hub wants, which is not the same as nothing.
        if (payload.length > 0) onOffers(parsePayload(name, payload))
      } else if (payload.length > 0) {
        // An empty retained message is a cleared one: nothing is wished.
        onDesired(parseJson(payload.subarray(0, messages.desired.bytesMax), 'desired payload'))
      }
    } catch (error) {
      const now = performance.now()
      if (now - this.#nonsenseLoggedAt < nonsenseLogIntervalMs) return
      this.#nonsenseLoggedAt = now
      log.warn(
        { message: name, why: (error as Error).message },
        'The hub said something unreadable',
      )
    }
  }
}

/** What is told whole: only the newest counts. */
class Newest<T> {
  value: T | undefined
  #changed = Promise.withResolvers<void>()

  set(value: T): void {
    this.value = value
    this.#changed.resolve()
  }

  /** Resolves when it changes from now on. @throws the signal's reason */
  async change(signal: AbortSignal): Promise<void> {
    const stop = () => this.#changed.resolve()
    signal.addEventListener('abort', stop, { once: true })
    await this.#changed.promise
    signal.removeEventListener('abort', stop)
    signal.throwIfAborted()
  }

  /** What changes from now on is a change. */
  heed(): void {
    this.#changed = Promise.withResolvers()
  }
}

/** Sends what there is to tell, and again whenever it has changed. */
async function tellNewest(
  newest: Newest<Reported> | Newest<Updates>,
  name: 'reported' | 'updates',
  session: Session,
): Promise<never> {
  const { ended } = session
  for (;;) {
    newest.heed()
    if (newest.value) await session.publish(name, JSON.stringify(newest.value))
    await newest.change(ended)
    await sleep(reportDelayMs, undefined, { signal: ended, ref: false })
  }
}
