/**
 * Agents of the fleet bench, a thousand in one process: each a real MQTT client with a certificate of its own
 * that reports, tells its health and what it sees, keeps what is not acknowledged, and comes back after a
 * loss with the agent's own backoff. What they see is made up; what they say is not checked less for it.
 */
import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import {
  type Acknowledged,
  type Event,
  type EventBatch,
  messages,
  type NewEvent,
  type Reported,
  topicFor,
} from '@edgeloop/protocol'
import { connectAsync, type MqttClient } from 'mqtt'
import { reconnectBackoff, waitMs } from '../../edge-agent/src/link/backoff.ts'
import { randomOf } from '../fleet/random.ts'
import type { Credentials } from './ingest-load.ts'

export type AgentsOrder =
  | {
      readonly kind: 'start'
      readonly credentials: readonly Credentials[]
      /** An agent tells its health and one thing it saw this often. */
      readonly intervalMs: number
      readonly seed: number
    }
  /** The first agent sees something with this label, at once. */
  | { readonly kind: 'see'; readonly label: string }
  /** Nobody begins anything new; answered when all is acknowledged. */
  | { readonly kind: 'settle' }

export type AgentsAnswer = { readonly told: number; readonly acknowledged: number }

/** Events kept until they are acknowledged; an agent of this bench stops seeing beyond it. */
const keptMax = 200
const batchMax = 50
const connectTimeoutMs = 20_000

const agents: SimulatedAgent[] = []
const stop = new AbortController()
process.once('disconnect', () => process.exit(0))

process.on('message', (order: AgentsOrder) => {
  if (order.kind === 'start') start(order)
  else if (order.kind === 'see') agents[0]?.see(order.label)
  else void settle()
})

function start({ credentials, intervalMs, seed }: Extract<AgentsOrder, { kind: 'start' }>): void {
  const random = randomOf(seed)
  for (const one of credentials) {
    const agent = new SimulatedAgent(one, random)
    agents.push(agent)
    void agent.stayConnected()
    void agent.tellEvery(intervalMs, random() * intervalMs)
  }
}

async function settle(): Promise<void> {
  stop.abort()
  while (agents.some(({ told, acknowledged }) => acknowledged < told)) await sleep(50)
  const sum = (of: (agent: SimulatedAgent) => number) => agents.reduce((all, a) => all + of(a), 0)
  process.send?.({
    told: sum(({ told }) => told),
    acknowledged: sum(({ acknowledged }) => acknowledged),
  } satisfies AgentsAnswer)
}

class SimulatedAgent {
  told = 0
  acknowledged = 0
  readonly #who: Credentials
  readonly #random: () => number
  readonly #bootId = randomUUID()
  readonly #startedAt = new Date().toISOString()
  #kept: Event[] = []
  /** Sent on this connection, up to here. */
  #sentThrough = 0
  #client: MqttClient | undefined

  constructor(who: Credentials, random: () => number) {
    this.#who = who
    this.#random = random
  }

  async stayConnected(): Promise<void> {
    for (let failures = 0; ; failures++) {
      await sleep(waitMs(reconnectBackoff, failures, this.#random()))
      try {
        const client = await this.#connect()
        failures = -1
        if (client.connected) await new Promise<void>((gone) => client.once('close', () => gone()))
        this.#client = undefined
        client.end(true)
      } catch {
        // Refused, or nobody there: the next try waits longer.
      }
    }
  }

  async #connect(): Promise<MqttClient> {
    const { key, certificate, ca, mqttUrl, deviceId } = this.#who
    const status = { state: 'offline', at: this.#startedAt, bootId: this.#bootId }
    const client = await connectAsync(mqttUrl, {
      key,
      cert: certificate,
      ca,
      clientId: deviceId,
      reconnectPeriod: 0,
      connectTimeout: connectTimeoutMs,
      keepalive: 60,
      will: {
        topic: topicFor('status', this.#who),
        payload: Buffer.from(JSON.stringify(status)),
        qos: 1,
        retain: true,
      },
    })
    client.on('error', () => {})
    client.on('message', (topic, payload) => this.#hear(topic, payload))
    await client.subscribeAsync([
      topicFor('acknowledged', this.#who),
      topicFor('desired', this.#who),
    ])
    this.#client = client
    this.#publish('status', { ...status, state: 'online', at: new Date().toISOString() })
    this.#publish('reported', this.#reported())
    this.#sentThrough = this.acknowledged
    this.#send()
    return client
  }

  #publish(name: 'status' | 'reported' | 'events', payload: object): void {
    const { qos, retain } = messages[name]
    this.#client?.publish(topicFor(name, this.#who), JSON.stringify(payload), { qos, retain })
  }

  #hear(topic: string, payload: Buffer): void {
    if (topic !== topicFor('acknowledged', this.#who)) return
    const { bootId, through } = JSON.parse(payload.toString()) as Acknowledged
    if (bootId !== this.#bootId || through <= this.acknowledged) return
    this.acknowledged = through
    this.#kept = this.#kept.filter(({ sequence }) => sequence > through)
    this.#send()
  }

  /** One batch under way at a time; what was not acknowledged goes again after a connection was lost. */
  #send(): void {
    if (!this.#client || this.#sentThrough > this.acknowledged) return
    const entries = this.#kept.slice(0, batchMax)
    const last = entries.at(-1)
    if (!last) return
    this.#sentThrough = last.sequence
    this.#publish('events', {
      bootId: this.#bootId,
      acknowledgedThrough: this.acknowledged,
      entries,
    } satisfies EventBatch)
  }

  #tell(event: NewEvent): void {
    if (this.#kept.length >= keptMax) return
    this.told++
    this.#kept.push({ ...event, sequence: this.told } as Event)
    this.#send()
  }

  async tellEvery(intervalMs: number, firstMs: number): Promise<void> {
    const { signal } = stop
    await sleep(firstMs, undefined, { signal }).catch(() => {})
    while (!signal.aborted) {
      this.#tell(this.#health(intervalMs))
      this.see('person')
      await sleep(intervalMs, undefined, { signal }).catch(() => {})
    }
  }

  see(label: string): void {
    const at = new Date().toISOString()
    const box = [0.4, 0.5, 0.1, 0.2] as [number, number, number, number]
    this.#tell({
      kind: 'appeared',
      at,
      streamId: 'gate',
      trackId: this.told + 1,
      label,
      score: 0.87,
      box,
    })
  }

  #health(intervalMs: number): NewEvent {
    const figures = {
      streamId: 'gate',
      inputFps: 30,
      analysedFps: 5,
      gated: 100,
      dropped: 0,
      inferenceMs: 8.1,
      inferenceP95Ms: 11.2,
      latencyP95Ms: 61,
      reconnects: 0,
      objects: 2,
    }
    return {
      kind: 'health',
      at: new Date().toISOString(),
      intervalMs,
      cpuShare: this.#random(),
      memoryBytes: 211e6,
      loopP99Ms: 4.2,
      outboxEvents: 12,
      outboxBytes: 4096,
      diskFreeBytes: 21e9,
      streams: [figures],
    }
  }

  #reported(): Reported {
    const now = new Date().toISOString()
    const stream = { streamId: 'gate', name: 'Gate', source: 'rtsp://10.0.0.8/stream1', reason: '' }
    return {
      at: now,
      bootId: this.#bootId,
      startedAt: this.#startedAt,
      agentVersion: '0.1.0',
      platform: 'linux arm64',
      cpu: 'Cortex-A76',
      cores: 4,
      memoryBytes: 8e9,
      configVersion: 0,
      models: [],
      streams: [{ ...stream, state: 'live', since: now }],
    }
  }
}
