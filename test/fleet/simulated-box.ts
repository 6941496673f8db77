/**
 * A box of a simulated fleet: the agent's own connection, trust, download, plan and updates, as they run on a box, over a
 * disk in memory and a host that looks at no frames. Its messages get lost now and then: then, as with TCP, its connection
 * turns out to be dead some time later, and it makes another.
 */
import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { checkModelFile, decode } from '@edgeloop/model-compiler/artifact'
import type { Offers, Reported, Updates } from '@edgeloop/protocol'
import { parsePayload } from '@edgeloop/protocol/check'
import type { Identity } from '../../edge-agent/src/identity/identity.ts'
import { type Backoff, waitMs } from '../../edge-agent/src/link/backoff.ts'
import { type FromHub, openSession, type Session } from '../../edge-agent/src/link/session.ts'
import { openBoxTrust, openHubTrust } from '../../edge-agent/src/update/box-trust.ts'
import { openHubArtifacts } from '../../edge-agent/src/update/hub-artifacts.ts'
import type { UpdateParts } from '../../edge-agent/src/update/model-updates.ts'
import { Updater } from '../../edge-agent/src/update/updater.ts'
import { MemoryDisk } from './memory-disk.ts'
import { type Conduct, ScriptedHost } from './scripted-host.ts'

export type BoxOptions = {
  readonly identity: Identity
  /** The box's own file. */
  readonly own: { readonly name: string; readonly digest: string; readonly bytes: Uint8Array }
  readonly targets: readonly string[]
  readonly conductOf: (version: number) => Conduct
  /** Share 0..1 of messages that are lost, each way. */
  readonly lossShare: number
  /** How often it says that it is there, ms. */
  readonly beatMs: number
  /** 0..1 */
  readonly random: () => number
}

export type BoxFigures = {
  readonly messages: number
  readonly messagesLost: number
  readonly connections: number
}

/** Faster than on a box, where nobody waits for the end of a test. */
const reconnectBackoff: Backoff = { firstMs: 500, maxMs: 5000 }
/** How long a connection that lost something still looks alive. */
const deadMs = 1000
const agentVersion = '0.1.0'
const quiet = { info: () => {}, warn: () => {}, error: () => {} }

export class SimulatedBox {
  readonly deviceId: string
  readonly disk = new MemoryDisk()
  readonly host: ScriptedHost
  readonly #options: BoxOptions
  #sequence = 0
  #on: { readonly control: AbortController; readonly over: Promise<void> } | undefined
  #messages = 0
  #lost = 0
  #connections = 0
  #updater: Updater | undefined
  #bootId = randomUUID() as string
  #changed = Promise.withResolvers<void>()

  constructor(options: BoxOptions) {
    const { own, conductOf, random } = options
    this.#options = options
    this.deviceId = options.identity.deviceId
    this.host = new ScriptedHost({
      own: new Map([[own.name, own.digest]]),
      conductOf: ({ version }) => conductOf(version),
      random,
    })
  }

  get figures(): BoxFigures {
    const [messages, messagesLost, connections] = [this.#messages, this.#lost, this.#connections]
    return { messages, messagesLost, connections }
  }

  /** What it says of itself. */
  get updates(): Omit<Updates, 'at' | 'sequence'> {
    const updater = this.#updater
    return {
      bootId: this.#bootId,
      running: this.host.running().map(({ name, digest }) => ({
        name,
        digest,
        version: updater?.versionOf(name, digest) ?? 0,
      })),
      updates: updater?.told ?? [],
    }
  }

  /** Power on. */
  start(): void {
    if (this.#on) return
    const control = new AbortController()
    this.#bootId = randomUUID()
    this.#on = { control, over: this.#live(control.signal) }
  }

  /** Power off, without a word; what is on the disk stays. */
  async cut(): Promise<void> {
    const on = this.#on
    this.#on = undefined
    on?.control.abort(new Error('no power'))
    await on?.over
  }

  async #live(signal: AbortSignal): Promise<void> {
    const { identity } = this.#options
    await using trust = openHubTrust(identity)
    await using artifacts = openHubArtifacts(identity)
    const refresh = openBoxTrust({ disk: this.disk, source: trust, now: Date.now })
    const updater = await Updater.open(this.#parts(artifacts, refresh.refresh))
    this.host.start(await updater.delivered())
    this.#updater = updater
    const [running] = await Promise.all([updater.run(signal), this.#stayConnected(signal)])
    return running
  }

  #parts(hub: UpdateParts['hub'], refreshTrust: UpdateParts['refreshTrust']): UpdateParts {
    const { own, targets, random } = this.#options
    return {
      disk: this.disk,
      host: this.host,
      hub,
      refreshTrust,
      box: { targets, agentVersion },
      mirror: () => hub,
      rebuild: rebuildOnce,
      bases: async (name) =>
        name === own.name ? [{ digest: own.digest, read: async () => own.bytes }] : [],
      keepsEncodings: false,
      onChange: () => this.#changed.resolve(),
      log: quiet,
      now: Date.now,
      monotonicMs: () => performance.now(),
      random,
      sleep: async (ms, signal) => void (await sleep(ms, undefined, { signal })),
    }
  }

  async #stayConnected(signal: AbortSignal): Promise<void> {
    for (let failures = 0; !signal.aborted; failures++) {
      try {
        await this.#converse(signal)
        failures = 0
      } catch (error) {
        if ((error as Error).message === lostText) failures = 0
      }
      const delayMs = waitMs(reconnectBackoff, failures, this.#options.random())
      await sleep(delayMs, undefined, { signal }).catch(() => {})
    }
  }

  async #converse(signal: AbortSignal): Promise<void> {
    const { identity } = this.#options
    const broken = new AbortController()
    const at = () => new Date().toISOString()
    using session = await openSession({
      identity,
      signal: AbortSignal.any([signal, broken.signal]),
      lastWill: { state: 'offline', at: at(), bootId: this.#bootId },
      onMessage: (name, payload) => this.#hear(name, payload, broken),
    })
    this.#connections++
    const say = async (name: 'status' | 'reported' | 'updates', payload: object) => {
      if (this.#loses(broken)) await sleep(2 * deadMs, undefined, { signal: session.ended })
      await session.publish(name, JSON.stringify(payload))
    }
    await say('status', { state: 'online', at: at(), bootId: this.#bootId })
    await say('reported', this.#reported())
    while (!session.ended.aborted) {
      this.#changed = Promise.withResolvers()
      this.#sequence++
      await say('updates', { at: at(), sequence: this.#sequence, ...this.updates })
      await this.#changedOr(this.#options.beatMs, session)
    }
  }

  /** Waits until there is something to say, and a little for what else there is. */
  async #changedOr(ms: number, { ended }: Session): Promise<void> {
    const waiting = new AbortController()
    const signal = AbortSignal.any([ended, waiting.signal])
    const over = sleep(ms, undefined, { signal }).catch(() => {})
    await Promise.race([this.#changed.promise, over])
    waiting.abort()
    if (!ended.aborted) await sleep(200, undefined, { signal: ended }).catch(() => {})
  }

  #hear(name: FromHub, payload: Uint8Array, broken: AbortController): void {
    if (name !== 'offers' || payload.length === 0 || this.#loses(broken)) return
    this.#updater?.take(parsePayload('offers', payload) as Offers)
  }

  #loses(broken: AbortController): boolean {
    const { random, lossShare } = this.#options
    this.#messages++
    if (random() >= lossShare) return false
    this.#lost++
    setTimeout(() => broken.abort(new Error(lostText)), deadMs * random())
    return true
  }

  #reported(): Reported {
    const { targets } = this.#options
    const now = new Date().toISOString()
    const stream = { streamId: 'gate', name: 'Gate', source: 'rtsp://10.0.0.8/stream1', reason: '' }
    return {
      at: now,
      bootId: this.#bootId,
      startedAt: now,
      agentVersion,
      targets: [...targets],
      platform: 'linux x64',
      cpu: 'simulated',
      cores: 4,
      memoryBytes: 8e9,
      configVersion: 0,
      models: [],
      streams: [{ ...stream, state: 'live', since: now }],
    }
  }
}

const lostText = 'the broker does not answer'

/** What many boxes make of the same bytes is made once: how long it takes is the delta bench's. */
const rebuilt = new Map<string, Uint8Array>()
const rebuildOnce: UpdateParts['rebuild'] = async (encoding, bytes, base, bounds) => {
  const known = rebuilt.get(encoding.digest)
  if (known) return known
  const whole = decode(encoding, bytes, base, bounds)
  checkModelFile(whole)
  rebuilt.set(encoding.digest, whole)
  return whole
}
