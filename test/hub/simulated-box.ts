/** A box that knows the protocol of updates and nothing else: it says what it was told to say, over a real connection. */
import { randomUUID } from 'node:crypto'
import {
  type Comparison,
  careDefaults,
  type Offer,
  type Offers,
  type Published,
  topicFor,
  type Update,
  type UpdateCode,
  type UpdateState,
  type Updates,
} from '@edgeloop/protocol'
import type { MqttClient } from 'mqtt'
import type { HubArtifacts, TestDevice } from './fixture.ts'

export const digestOf = (version: number): string => version.toString(16).padStart(64, '0')

/** Published for every kind of box that is named. */
export function publishedFor(
  name: string,
  versions: readonly number[],
  targets = ['linux-x64'],
): HubArtifacts {
  return {
    artifactFor: async (asked, version, kinds) => {
      const target = targets.find((one) => kinds.includes(one))
      if (asked !== name || !versions.includes(version) || target === undefined) return undefined
      return published(name, version, target)
    },
  }
}

export function published(name: string, version: number, target: string): Published {
  const at = new Date().toISOString()
  return {
    name,
    version,
    target,
    targets: [target],
    artifactId: null,
    scaleEpoch: 1,
    manifest: {
      path: `manifests/${name}/${version}/${target}.json`,
      digest: digestOf(version + 0x1000),
      lengthBytes: 900,
    },
    file: { digest: digestOf(version), lengthBytes: 100_000 },
    encodings: [
      {
        codec: 'delta',
        baseDigest: digestOf(version - 1),
        baseVersion: version - 1 || null,
        digest: digestOf(version + 0x2000),
        lengthBytes: 2000,
      },
      { codec: 'zstd', baseVersion: null, digest: digestOf(version + 0x3000), lengthBytes: 80_000 },
    ],
    expiresAt: at,
    publishedAt: at,
    by: 'tester',
    signed: true,
  }
}

export const fine: Comparison = {
  frames: 300,
  agreement: 0.9,
  latencyP95Ms: 20,
  activeLatencyP95Ms: 20,
  detections: 2,
  activeDetections: 2,
  confidence: 0.7,
  activeConfidence: 0.7,
  countDrift: 0.1,
  confidenceDrift: 0.1,
  memoryBytes: 1e8,
  crashes: 0,
  streams: ['s1'],
}

/** What a box makes of an offer: the states that it passes through, the last one with its reason. */
export type Course = {
  readonly states: readonly UpdateState[]
  readonly code?: UpdateCode
  readonly comparison?: Comparison
}
export const well: Course = {
  states: [
    'offered',
    'downloading',
    'verified',
    'staged',
    'probed',
    'shadowing',
    'activating',
    'probation',
    'committed',
  ],
}
export const fails = (code: UpdateCode): Course => ({
  states: ['offered', 'downloading', 'failed'],
  code,
})

export class SimulatedBox {
  readonly device: TestDevice
  readonly name: string
  course: Course
  /** What it was offered last, and every message of it. */
  offers: Offer[] = []
  readonly heard: Offers[] = []
  version = 0
  before = 0
  /** The digests of files that were really published, by version; any other version has a made-up one. */
  readonly files = new Map<number, string>()
  /** Asked before a version is run, where it may have been really published. */
  fileOf: ((version: number) => Promise<string>) | undefined
  sequence = 0
  bootId: string = randomUUID()
  client: MqttClient | undefined
  updates: Update[] = []
  readonly #done = new Set<string>()

  constructor(device: TestDevice, name: string, course: Course = well) {
    this.device = device
    this.name = name
    this.course = course
  }

  get id(): string {
    return this.device.deviceId
  }

  /** Comes online, says what it is and what it runs. */
  async connect(targets: readonly string[] = ['linux-x64']): Promise<this> {
    const at = new Date().toISOString()
    const status = (state: string) => JSON.stringify({ state, at, bootId: this.bootId })
    const client = await this.device.connect({
      will: {
        topic: topicFor('status', this.device),
        payload: Buffer.from(status('offline')),
        qos: 1,
        retain: true,
      },
    })
    this.client = client
    client.on('message', (topic, payload) => {
      if (topic === topicFor('offers', this.device))
        // What it was about to say when its test ended, nobody hears any more.
        this.#hear(JSON.parse(payload.toString()) as Offers).catch((error: Error) => {
          if (client.connected) throw error
        })
    })
    await client.publishAsync(topicFor('status', this.device), status('online'), {
      qos: 1,
      retain: true,
    })
    const reported = {
      at,
      bootId: this.bootId,
      startedAt: at,
      agentVersion: '0.1.0',
      platform: 'linux-x64',
      targets,
      cpu: 'simulated',
      cores: 1,
      memoryBytes: 1e9,
      configVersion: 0,
      streams: [],
      models: [],
    }
    await client.publishAsync(topicFor('reported', this.device), JSON.stringify(reported), {
      qos: 1,
      retain: true,
    })
    await this.say()
    await client.subscribeAsync(topicFor('offers', this.device), { qos: 1 })
    return this
  }

  async disconnect(): Promise<void> {
    await this.client?.endAsync(true)
    this.client = undefined
  }

  message(change: Partial<Updates> = {}): Updates {
    this.sequence++
    return {
      at: new Date().toISOString(),
      bootId: this.bootId,
      sequence: this.sequence,
      running: [
        {
          name: this.name,
          version: this.version,
          digest: this.files.get(this.version) ?? digestOf(this.version),
        },
      ],
      updates: this.updates,
      ...change,
    }
  }

  async say(message: unknown = this.message()): Promise<void> {
    const { client } = this
    try {
      await client?.publishAsync(topicFor('updates', this.device), JSON.stringify(message), {
        qos: 1,
        retain: true,
      })
    } catch (error) {
      // The test is over: what is still on its way then is of no interest.
      if (!client?.disconnecting) throw error
    }
  }

  /** Runs something else by itself, as after a crash loop. */
  async fallBack(): Promise<void> {
    this.version = this.before
    await this.say()
  }

  async #hear(offers: Offers): Promise<void> {
    this.heard.push(offers)
    this.offers = offers.offers
    for (const offer of offers.offers) {
      const key = `${offer.act} ${offer.rolloutId} ${offer.attempt}`
      if (offer.name !== this.name || this.#done.has(key)) continue
      this.#done.add(key)
      await (offer.act === 'update' ? this.#follow(offer) : this.#goBack(offer))
    }
  }

  async #follow(offer: Offer): Promise<void> {
    const { rolloutId, name, version, attempt } = offer
    if (this.fileOf) this.files.set(version, await this.fileOf(version))
    const history: Update['history'] = []
    const { states, code, comparison = fine } = this.course
    for (const [index, state] of states.entries()) {
      const at = new Date().toISOString()
      history.push({ state, at })
      if (state === 'activating') {
        this.before = this.version
        this.version = version
      }
      if (state === 'rolled-back' && this.version === version) this.version = this.before
      const seen = [
        'shadowing',
        'activating',
        'probation',
        'committed',
        'failed',
        'rolled-back',
      ].includes(state)
      const update: Update = {
        rolloutId,
        name,
        version,
        attempt,
        state,
        since: at,
        reason: '',
        ...(index === states.length - 1 && code && { code, reason: `It was made to: ${code}` }),
        bytes: {
          codec: 'delta',
          total: 2000,
          done: index > 1 ? 2000 : 0,
          fromHub: index > 1 ? 2000 : 0,
          fromMirrors: 0,
        },
        history: [...history],
        ...(seen && { shadow: comparison, probation: comparison }),
      }
      this.updates = [...this.updates.filter((one) => one.rolloutId !== rolloutId), update]
      await this.say()
    }
    // As a box says it again while nothing changes.
    if (states.at(-1) === 'committed') await this.say()
  }

  async #goBack({ rolloutId }: Offer): Promise<void> {
    this.version = this.before
    this.updates = this.updates.map((update) =>
      update.rolloutId === rolloutId
        ? {
            ...update,
            state: 'rolled-back',
            code: 'by-request',
            reason: 'The hub asked for the model before',
          }
        : update,
    )
    await this.say()
  }
}

/** A plan that is over in a moment. */
export const quick = {
  stages: [
    { name: 'canary', share: 0.25, soakMs: 0 },
    { name: 'half', share: 0.5, soakMs: 0 },
    { name: 'all', share: 1, soakMs: 0 },
  ],
  rate: { perMinute: 60_000, perMinuteMax: 60_000 },
  care: { ...careDefaults, shadowMs: 0, probationMs: 0 },
  jitterMs: 0,
} as const
