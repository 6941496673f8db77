/**
 * Updates as the agent sees them: what it starts with, what it does with what the hub offers, and what is told of it.
 * Everything is in `update/` of the data folder.
 */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { ArtifactError, TrustError, type TrustSource } from '@edgeloop/model-compiler/artifact'
import type { Offers, Updates } from '@edgeloop/protocol'
import type { Identity } from '../identity/identity.ts'
import type { ModelSource } from '../models/model.ts'
import type { Box } from './acceptance.ts'
import { type BoxTrust, openBoxTrust } from './box-trust.ts'
import { type Carried, carriedId, dropCarried, openCarried, tidyCarried } from './carried.ts'
import type { ArtifactSource } from './download.ts'
import { type Mirror, type MirrorConfig, openMirror } from './mirror.ts'
import type { Candidate, ModelHost } from './model-host.ts'
import { digestOf } from './model-record.ts'
import type { Base, UpdateParts } from './model-updates.ts'
import { rebuildInThread } from './rebuild.ts'
import { localUpdateDisk, replaceFile, type UpdateDisk } from './update-disk.ts'
import { Updater } from './updater.ts'

/** What `agent.yaml` says. */
export type UpdatesConfig = {
  /** False: what is offered is not taken up; what runs goes on. */
  readonly enabled: boolean
  /** Where other boxes can fetch what this one has; absent: nowhere. */
  readonly mirror?: MirrorConfig
}

/** The hub, as far as updates need it. */
export interface UpdateLink {
  /** Only the newest counts. */
  tell(updates: Updates): void
  readonly trust: TrustSource
  readonly hub: ArtifactSource
  mirror(url: string): ArtifactSource
  /** Who this box is to others of its hub. */
  identity(): Identity
}

export type AgentUpdatesOptions = {
  readonly dataDir: string
  readonly config: UpdatesConfig
  readonly own: readonly ModelSource[]
  readonly box: Box
  readonly bootId: string
  readonly log: UpdateParts['log']
  readonly now: () => number
}

const sequenceFile = 'sequence'
/** Numbers that are taken at a time: so seldom is the last one written down. */
const sequenceBlock = 256
/** How often it is looked whether somebody has brought a bundle: one small file. */
const carriedLookMs = 2000
/** A bundle that cannot be opened so often in a row, for another reason than what is in it, is given up as well. */
const carriedFailuresMax = 5

export class AgentUpdates {
  readonly #options: AgentUpdatesOptions
  readonly #disk: UpdateDisk
  readonly #updater: Updater
  #sequence: number
  #reserved: number
  #last = ''
  #carried: Carried | undefined
  #carriedFailures = 0
  /** Acts on what is trusted are one after the other: of the hub, and of a bundle. */
  #trusting: Promise<unknown> = Promise.resolve()
  #mirror: Mirror | undefined
  #host: ModelHost | undefined
  #link: UpdateLink | undefined
  /** Messages are numbered one after the other. */
  #telling: Promise<void> = Promise.resolve()

  /** Finds what is on the disk; a box that cannot read it starts with its own models. */
  static async open(options: AgentUpdatesOptions): Promise<AgentUpdates> {
    const disk = localUpdateDisk(join(options.dataDir, 'update'))
    let updates: AgentUpdates | undefined
    let trust: BoxTrust | undefined
    // Both come later than the disk is read: the agent starts with what is found there.
    const linked = (): UpdateLink => {
      const link = updates ? updates.#link : undefined
      if (!link) throw new Error('Cannot reach the hub: there is no link yet')
      return link
    }
    const { log, now, box, config } = options
    const parts: UpdateParts = {
      disk,
      box,
      log,
      now,
      random: Math.random,
      get host(): ModelHost {
        const host = updates ? updates.#host : undefined
        if (!host) throw new Error('Cannot use a model: nothing runs yet')
        return host
      },
      hub: {
        name: 'hub',
        open: (digest, from, signal) => linked().hub.open(digest, from, signal),
      },
      mirror: (url) => linked().mirror(url),
      refreshTrust: async (signal) => {
        trust ??= openBoxTrust({ disk, source: linked().trust, now })
        const byHub = trust
        const act = () => byHub.refresh(signal)
        return updates ? await updates.#exclusively(act) : await act()
      },
      carried: (rolloutId) => {
        const carried = updates ? updates.#carried : undefined
        return carried?.rolloutId === rolloutId ? carried.supply : undefined
      },
      rebuild: rebuildInThread,
      bases: (name) => ownBases(options.own, name),
      keepsEncodings: config.mirror !== undefined,
      onChange: () => updates?.changed(),
      monotonicMs: () => performance.now(),
      sleep: (ms, signal) => sleep(ms, undefined, { signal, ref: false }),
    }
    const updater = await Updater.open(parts)
    const sequence = await lastSequence(disk, now)
    updates = new AgentUpdates(options, disk, updater, sequence)
    return updates
  }

  private constructor(
    options: AgentUpdatesOptions,
    disk: UpdateDisk,
    updater: Updater,
    sequence: number,
  ) {
    this.#options = options
    this.#disk = disk
    this.#updater = updater
    this.#sequence = sequence
    this.#reserved = sequence
  }

  /** Models that came by updates and that frames belong to: the agent starts with them. */
  async delivered(): Promise<Candidate[]> {
    return await this.#updater.delivered()
  }

  /** What the hub wants of this box's models, as a whole. */
  take(offers: Offers): void {
    if (this.#options.config.enabled) this.#updater.take(offers)
    else if (offers.offers.length > 0) {
      this.#options.log.info({}, 'Offers of models are not taken up: agent.yaml says so')
    }
  }

  /** Something that is told may have changed: a state, or what runs. */
  changed(): void {
    this.#telling = this.#telling.then(() => this.#tell())
  }

  /** Goes on with what is under way until the signal aborts. */
  async run(host: ModelHost, link: UpdateLink, signal: AbortSignal): Promise<void> {
    const { config, log } = this.#options
    this.#host = host
    this.#link = link
    if (config.mirror) {
      this.#mirror = await openMirror({
        config: config.mirror,
        identity: () => link.identity(),
        file: (digest) => this.#updater.shared.get(digest),
        disk: this.#disk,
      }).catch((error: Error) => {
        log.error({ why: error.message }, 'Other boxes cannot fetch models from this one')
        return undefined
      })
    }
    try {
      this.changed()
      // An update that came of it goes on with it, and not with the hub.
      if (config.enabled) {
        await tidyCarried(this.#disk).catch((error: Error) =>
          log.warn({ why: error.message }, 'Cannot remove what is left of a bundle'),
        )
        await this.#tryCarried(signal)
      }
      await Promise.all([this.#updater.run(signal), config.enabled && this.#watchCarried(signal)])
    } finally {
      await this.#mirror?.[Symbol.asyncDispose]()
      await this.#telling
    }
  }

  async #exclusively<T>(act: () => Promise<T>): Promise<T> {
    const done = this.#trusting.then(act, act)
    this.#trusting = done.catch(() => {})
    return await done
  }

  /** Takes up what somebody brings here, until the signal aborts. */
  async #watchCarried(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await sleep(carriedLookMs, undefined, { signal, ref: false }).catch(() => {})
      if (!signal.aborted) await this.#tryCarried(signal)
    }
  }

  async #tryCarried(signal: AbortSignal): Promise<void> {
    const { log } = this.#options
    try {
      await this.#lookCarried(signal)
      this.#carriedFailures = 0
    } catch (error) {
      if (signal.aborted) return
      const why = (error as Error).message
      const isFinal = error instanceof TrustError || error instanceof ArtifactError
      if (!isFinal && ++this.#carriedFailures < carriedFailuresMax) {
        return log.warn({ why }, 'A bundle that was brought here cannot be opened yet')
      }
      this.#carriedFailures = 0
      log.error({ why }, 'A bundle that was brought here is not used')
      await dropCarried(this.#disk).catch((cause: Error) =>
        log.warn({ why: cause.message }, 'Cannot remove a bundle'),
      )
    }
  }

  async #lookCarried(signal: AbortSignal): Promise<void> {
    const { log, box, now } = this.#options
    const id = await carriedId(this.#disk)
    if (id !== this.#carried?.rolloutId) {
      const exclusively = <T>(act: () => Promise<T>) => this.#exclusively(act)
      const given = { disk: this.#disk, box, now, exclusively, signal }
      this.#carried = undefined
      try {
        if (id !== undefined) this.#carried = await openCarried(given)
      } finally {
        this.#updater.carry(this.#carried?.offers ?? [])
      }
      const models = this.#carried?.offers.map(({ name, version }) => `${name}/${version}`)
      if (models) log.info({ models }, 'A bundle was brought here')
    }
    const { offers } = this.#carried ?? {}
    if (!offers?.every((offer) => this.#updater.isAnswered(offer))) return
    await dropCarried(this.#disk)
    log.info({}, 'A bundle that was brought here has been used')
  }

  async #tell(): Promise<void> {
    if (!this.#link) return
    const { bootId, now, log } = this.#options
    const digests = [...this.#updater.shared.keys()].slice(-64)
    const told = {
      running: (this.#host?.running() ?? []).slice(0, 64).map(({ name, digest }) => ({
        name,
        digest,
        version: this.#updater.versionOf(name, digest),
      })),
      updates: this.#updater.told,
      ...(this.#mirror && { mirror: { url: this.#mirror.url, digests } }),
    }
    const text = JSON.stringify(told)
    if (text === this.#last) return
    this.#last = text
    if (++this.#sequence > this.#reserved) {
      this.#reserved = this.#sequence + sequenceBlock
      await writeSequence(this.#disk, this.#reserved).catch((error: Error) =>
        log.warn({ why: error.message }, 'Cannot write down how far messages are numbered'),
      )
    }
    const at = new Date(now()).toISOString()
    this.#link.tell({ at, bootId, sequence: this.#sequence, ...told })
  }
}

/** The number from which on none was given; where it cannot be read, one that is certainly higher than all before. */
async function lastSequence(disk: UpdateDisk, now: () => number): Promise<number> {
  const bytes = await disk.read(sequenceFile)
  if (!bytes) return (await disk.list('models')).length === 0 ? 0 : Math.floor(now() / 1000)
  const [sum, text = ''] = Buffer.from(bytes).toString().split('\n')
  const sequence = Number(text)
  const isGood = sum === digestOf(text) && Number.isSafeInteger(sequence) && sequence >= 0
  return isGood ? sequence : Math.floor(now() / 1000)
}

async function writeSequence(disk: UpdateDisk, sequence: number): Promise<void> {
  const text = String(sequence)
  await disk.makeFolder('')
  await replaceFile(disk, sequenceFile, Buffer.from(`${digestOf(text)}\n${text}`))
}

/** The box's own file, which a delta may be made against. */
async function ownBases(own: readonly ModelSource[], name: string): Promise<Base[]> {
  const source = own.find((model) => model.name === name)
  const bytes = source && (await readFile(source.file).catch(() => undefined))
  return source && bytes ? [{ digest: digestOf(bytes), read: () => readFile(source.file) }] : []
}
