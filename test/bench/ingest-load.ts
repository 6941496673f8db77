/**
 * Many agents in one light process: MQTT 3.1.1 by hand over TLS, so that what is measured is the hub. Each
 * agent sends a batch, waits until the hub has acknowledged it, and sends the next.
 */
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { connect, type TLSSocket } from 'node:tls'
import { type Acknowledged, type NewEvent, topicFor } from '@edgeloop/protocol'

export type Credentials = {
  readonly deviceId: string
  readonly site: string
  readonly key: string
  readonly certificate: string
  readonly ca: string
  readonly mqttUrl: string
}
export type LoadOrder = {
  readonly credentials: readonly Credentials[]
  readonly batch: number
  readonly seconds: number
}
export type LoadResult = {
  readonly eventsPerSecond: number
  readonly p50Ms: number
  readonly p99Ms: number
  /** Over the whole run, warm-up included. */
  readonly eventsAcknowledged: number
  readonly elapsedMs: number
  readonly cpuMs: number
}

const warmUpMs = 2000
const connectAtOnce = 20

process.once('message', async (order: LoadOrder) => {
  process.send?.(await run(order))
})
process.once('disconnect', () => process.exit())

async function run({ credentials, batch, seconds }: LoadOrder): Promise<LoadResult> {
  const mix = eventBodies()
  const bodies = Array.from({ length: batch }, (_, i) => mix[i % mix.length]!)
  const agents: Agent[] = []
  for (let i = 0; i < credentials.length; i += connectAtOnce) {
    const some = credentials.slice(i, i + connectAtOnce)
    agents.push(...(await Promise.all(some.map((one) => Agent.connect(one, bodies)))))
  }
  const startedAt = performance.now()
  const cpuBefore = process.cpuUsage()
  for (const agent of agents) agent.sendNext()
  await sleep(warmUpMs)
  for (const agent of agents) agent.waitsMs.length = 0
  const measuredFrom = performance.now()
  const before = acknowledged(agents)
  await sleep(seconds * 1000)
  const eventsPerSecond =
    ((acknowledged(agents) - before) * 1000) / (performance.now() - measuredFrom)
  const waits = agents.flatMap(({ waitsMs }) => waitsMs).sort((a, b) => a - b)
  for (const agent of agents) agent.stopping = true
  await Promise.all(agents.map(({ idle }) => idle.promise))
  const elapsedMs = performance.now() - startedAt
  const { user, system } = process.cpuUsage(cpuBefore)
  for (const agent of agents) agent.socket.end()
  return {
    eventsPerSecond,
    p50Ms: waits[Math.floor(waits.length * 0.5)] ?? Number.NaN,
    p99Ms: waits[Math.floor(waits.length * 0.99)] ?? Number.NaN,
    eventsAcknowledged: acknowledged(agents),
    elapsedMs,
    cpuMs: (user + system) / 1000,
  }
}

const acknowledged = (agents: readonly Agent[]): number =>
  agents.reduce((total, agent) => total + agent.acknowledged, 0)

class Agent {
  readonly socket: TLSSocket
  readonly waitsMs: number[] = []
  readonly idle = Promise.withResolvers<void>()
  acknowledged = 0
  stopping = false
  readonly #publish: PublishTemplate
  readonly #batch: number
  #sentAt = 0
  #sent = 0
  #rest: Buffer = Buffer.alloc(0)

  private constructor(socket: TLSSocket, topic: string, bodies: readonly string[]) {
    this.socket = socket
    this.#batch = bodies.length
    this.#publish = new PublishTemplate(topic, bodies)
  }

  static async connect(one: Credentials, bodies: readonly string[]): Promise<Agent> {
    const { hostname, port } = new URL(one.mqttUrl)
    const socket = connect({
      host: hostname,
      port: Number(port),
      key: one.key,
      cert: one.certificate,
      ca: one.ca,
    })
    await once(socket, 'secureConnect')
    socket.setNoDelay(true)
    const agent = new Agent(socket, topicFor('events', one), bodies)
    // CONNECT, protocol level 4, clean session, keepalive 60 s (MQTT 3.1.1 §3.1).
    const connecting = [text('MQTT'), Buffer.from([4, 2, 0, 60]), text(one.deviceId)]
    socket.write(packet(0x10, connecting))
    await once(socket, 'data')
    // SUBSCRIBE to the acknowledgements, QoS 0 (§3.8).
    socket.write(
      packet(0x82, [Buffer.from([0, 1]), text(topicFor('acknowledged', one)), Buffer.from([0])]),
    )
    await once(socket, 'data')
    socket.on('data', (chunk: Buffer) => agent.#take(chunk))
    return agent
  }

  sendNext(): void {
    const packet = this.#publish.next(this.#sent + 1, this.acknowledged)
    this.#sent += this.#batch
    this.#sentAt = performance.now()
    this.socket.write(packet)
  }

  #take(chunk: Buffer): void {
    let buffer = this.#rest.length > 0 ? Buffer.concat([this.#rest, chunk]) : chunk
    for (;;) {
      // Acknowledgements and PUBACKs are shorter than 128 bytes or just above: two length bytes at most.
      if (buffer.length < 2) break
      const long = (buffer[1]! & 0x80) !== 0
      if (long && buffer.length < 3) break
      const length = long ? (buffer[1]! & 0x7f) + buffer[2]! * 128 : buffer[1]!
      const start = long ? 3 : 2
      if (buffer.length < start + length) break
      if (buffer[0]! >> 4 === 3) this.#acknowledge(buffer.subarray(start, start + length))
      buffer = buffer.subarray(start + length)
    }
    this.#rest = buffer
  }

  #acknowledge(body: Buffer): void {
    const { through } = JSON.parse(body.toString('utf8', 2 + body.readUInt16BE(0))) as Acknowledged
    this.acknowledged = through
    if (through < this.#sent) return
    this.waitsMs.push(performance.now() - this.#sentAt)
    if (this.stopping) this.idle.resolve()
    else this.sendNext()
  }
}

/** Characters a number has room for: JSON may hold spaces before it. */
const numberWidth = 12

/**
 * A PUBLISH of QoS 1 (§3.3) with a batch in it, made once; for each batch only its numbers are written. An
 * agent has one on its way at a time, so its bytes may be used again.
 */
class PublishTemplate {
  readonly #packet: Buffer
  readonly #idAt: number
  readonly #acknowledgedAt: number
  readonly #sequencesAt: readonly number[]
  #id = 0

  constructor(topic: string, bodies: readonly string[]) {
    const room = ' '.repeat(numberWidth)
    const parts = [`{"bootId":"${randomUUID()}","acknowledgedThrough":`, `${room},"entries":[`]
    let length = parts[0]!.length
    const acknowledgedAt = length
    length += parts[1]!.length
    const sequencesAt = bodies.map((body, i) => {
      const head = `${i > 0 ? ',' : ''}{"sequence":`
      parts.push(head, `${room},${body}`)
      const at = length + head.length
      length = at + numberWidth + 1 + body.length
      return at
    })
    const payload = Buffer.from(`${parts.join('')}]}`)
    this.#packet = packet(0x32, [text(topic), Buffer.alloc(2), payload])
    const start = this.#packet.length - payload.length
    this.#idAt = start - 2
    this.#acknowledgedAt = start + acknowledgedAt
    this.#sequencesAt = sequencesAt.map((at) => start + at)
  }

  /** @param first sequence of the first event */
  next(first: number, acknowledged: number): Buffer {
    this.#id = (this.#id % 65_535) + 1
    this.#packet.writeUInt16BE(this.#id, this.#idAt)
    this.#number(acknowledged, this.#acknowledgedAt)
    for (const [i, at] of this.#sequencesAt.entries()) this.#number(first + i, at)
    return this.#packet
  }

  #number(value: number, at: number): void {
    this.#packet.write(String(value).padStart(numberWidth), at, 'latin1')
  }
}

function packet(type: number, parts: readonly Buffer[]): Buffer {
  const body = Buffer.concat(parts)
  const head = [type]
  let length = body.length
  do {
    head.push((length & 0x7f) | (length > 127 ? 0x80 : 0))
    length >>= 7
  } while (length > 0)
  return Buffer.concat([Buffer.from(head), body])
}

function text(value: string): Buffer {
  const bytes = Buffer.from(value)
  const head = Buffer.alloc(2)
  head.writeUInt16BE(bytes.length)
  return Buffer.concat([head, bytes])
}

/** Events as an agent reports them, of every kind in about the share of a busy street. */
function eventBodies(): string[] {
  const at = new Date().toISOString()
  const box = [0.4123, 0.5031, 0.1207, 0.2213] as const
  const snapshot = 'a'.repeat(64)
  const seen = { streamId: 'gate', trackId: 4711, label: 'person', score: 0.8731, box: [...box] }
  const appeared: NewEvent = { kind: 'appeared', at, ...seen }
  const left: NewEvent = {
    kind: 'left',
    at,
    ...seen,
    appearedAt: at,
    frames: 37,
    best: { at, box: [...box], score: 0.9142, snapshot },
  }
  const stream: NewEvent = { kind: 'stream', at, streamId: 'gate', state: 'live', reason: '' }
  const health: NewEvent = {
    kind: 'health',
    at,
    intervalMs: 10_000,
    cpuShare: 0.42,
    memoryBytes: 211_000_000,
    loopP99Ms: 4.2,
    outboxEvents: 12,
    outboxBytes: 4096,
    diskFreeBytes: 21_000_000_000,
    streams: [
      {
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
      },
    ],
  }
  const mix = Array.from({ length: 24 }, () => [appeared, left]).flat()
  return [...mix, stream, health].map((event) => JSON.stringify(event).slice(1))
}
