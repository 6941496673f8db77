/**
 * A broker that is not ours, reached as a client: the broker checks certificates and access, we say and hear
 * what the message table names. Two connections, because events may have to wait and the rest may not.
 *
 * What a client cannot see it infers: a device is connected while its retained status says so. What it cannot do
 * it does by the protocol's own means: a connection is cut by taking over its client id [MQTT-3.1.4-2].
 */
import { setTimeout as sleep } from 'node:timers/promises'
import {
  type DeviceAddress,
  filterFor,
  type MessageName,
  messages,
  parseTopic,
  type Status,
  topicFor,
} from '@edgeloop/protocol'
import { Misfit, parsePayload } from '@edgeloop/protocol/check'
import mqtt, { type IClientOptions, type IPublishPacket, type MqttClient } from 'mqtt'
import type { Logger } from 'pino'
import type { Metrics } from '../telemetry/metrics.ts'
import { type Broker, type BrokerListener, type DeviceMessage, deviceMessages } from './broker.ts'

/** A broker that does not answer a ping within one and a half of this is gone. */
const keepaliveSeconds = 15
/** The connection for events has no pings: while they wait for room nothing is read. The kernel asks instead. */
const probeIntervalMs = 15_000
const connectTimeoutMs = 10_000
/** Pauses between attempts, drawn anew each time so that replicas do not come together. */
const reconnectMs = { min: 250, max: 2000 }
/** How long devices count as connected while the broker, or its word on them, is away. */
export const absenceMs = 10_000
/** Publications that the broker has not taken; at more the connection is made anew and what is retained said again. */
const unsentMax = 20_000
/** A broker is asked to read a new revocation list from outside; until then the device could come back. */
const revocationReadMs = 15_000

export type ExternalBrokerOptions = BrokerListener & {
  /** Where the hub connects: `mqtts://broker.example.org:8884`. */
  readonly url: string
  /** Where devices connect. */
  readonly publicUrl: string
  /** PEM: what the broker's certificate is checked against, and the hub's own. */
  readonly tls: { readonly ca: string; readonly cert: string; readonly key: string }
  /** What devices check the broker's certificate against. */
  readonly deviceCa: string
  /** Key and certificate in the name of a device. */
  readonly standIn: (device: DeviceAddress) => Promise<{ key: string; cert: string }>
  /** Told after every (re)connection: the broker may have forgotten what was retained. */
  readonly opened: () => void
  readonly log: Logger
  readonly metrics: Metrics
  readonly random?: () => number
}

/** Connects by itself, now and whenever it has to; a broker that is away is no error. */
export function openExternalBroker(options: ExternalBrokerOptions): Broker {
  const { log, metrics, url, publicUrl, random = Math.random } = options
  const stop = new AbortController()
  const name = `edgeloop-hub-${crypto.randomUUID().slice(0, 8)}`
  /** Connected devices, with the connection of ours over which that was heard last. */
  const present = new Map<string, number>()
  let connection = 0
  let absence: NodeJS.Timeout | undefined
  let unsent = 0
  let reachable = false
  /** Connections that hear what they are for. */
  const hearing = new Set<MqttClient>()
  /** What is retained was said over the connection for words as it is now. */
  let saidAgain = false

  const connect = (suffix: string, more: IClientOptions): MqttClient =>
    mqtt.connect(url, {
      ...options.tls,
      clientId: `${name}-${suffix}`,
      protocolVersion: 4,
      clean: true,
      connectTimeout: connectTimeoutMs,
      rejectUnauthorized: true,
      // What could not be said is said again, from what we know then, not from a queue.
      queueQoSZero: false,
      resubscribe: false,
      reconnectPeriod: reconnectMs.min + random() * (reconnectMs.max - reconnectMs.min),
      ...more,
    })
  const words = connect('words', { keepalive: keepaliveSeconds })
  const events = connect('events', { keepalive: 0 })

  for (const [client, heard] of [
    [words, deviceMessages.filter((one) => one !== 'events')],
    [events, ['events']],
  ] as const) {
    client.on('error', (error) => log.debug({ broker: hostOf(url), why: error.message }, 'broker'))
    client.on('close', () => {
      hearing.delete(client)
      reachable = false
    })
    client.handleMessage = (packet, done) => void take(packet).then(() => done(), done)
    client.on('connect', () => {
      const filters = Object.fromEntries(heard.map((one) => [filterFor(one), { qos: 1 as const }]))
      client.subscribe(filters, (error) => {
        if (!error) return hears(client)
        log.error(
          { broker: hostOf(url), why: error.message },
          'the broker does not let the hub hear its devices; look at its access rules',
        )
        client.stream?.destroy()
      })
    })
  }
  events.on('connect', () => {
    const { stream } = events
    if ('setKeepAlive' in stream) (stream as Probing).setKeepAlive(true, probeIntervalMs)
  })
  words.on('close', () => {
    connection++
    unsent = 0
    if (saidAgain) log.warn({ broker: hostOf(url) }, 'the broker is away')
    saidAgain = false
    // Both go to the same broker; a stalled one is noticed by the pings of this connection only.
    events.stream?.destroy()
    absence ??= setTimeout(() => {
      absence = undefined
      for (const [deviceId, since] of present) if (since < connection) leave(deviceId)
    }, absenceMs)
  })

  /** A broker forgets events that nobody hears, acknowledged or not: it is there when both connections are. */
  function hears(client: MqttClient): void {
    hearing.add(client)
    if (hearing.size < 2) return
    reachable = true
    if (saidAgain) return
    saidAgain = true
    log.info({ broker: hostOf(url) }, 'connected to the broker')
    options.opened()
  }

  function leave(deviceId: string): void {
    if (present.delete(deviceId)) options.left(deviceId)
  }

  async function take({ topic, payload }: IPublishPacket): Promise<void> {
    const parsed = parseTopic(topic)
    if (!parsed || !isDeviceMessage(parsed.name)) return
    const { name, ...device } = parsed
    const bytes = payload as Buffer
    // An empty retained message is a cleared one.
    if (bytes.length === 0) return
    if (bytes.length > messages[name].bytesMax) {
      log.warn({ device: device.deviceId, name, bytes: bytes.length }, 'a message is too large')
      metrics.mqttRefused.inc({ reason: 'publish' })
      return
    }
    const state = name === 'status' ? stateOf(bytes) : undefined
    if (state === 'online') present.set(device.deviceId, connection)
    options.receive(name, device, bytes)
    if (state === 'offline') leave(device.deviceId)
    // The next packet is read, and this one acknowledged, when there is room.
    await options.room(name)
  }

  /** Takes the place of a device's connection and gives it up: the old one ends, with its last will. */
  async function takeOver(device: DeviceAddress): Promise<void> {
    const standIn = await options.standIn(device)
    const client = mqtt.connect(publicUrl, {
      ...standIn,
      ca: options.deviceCa,
      clientId: device.deviceId,
      protocolVersion: 4,
      clean: true,
      keepalive: keepaliveSeconds,
      connectTimeout: connectTimeoutMs,
      reconnectPeriod: 0,
    })
    await new Promise<void>((resolve, reject) => {
      client.once('connect', () => client.end(false, () => resolve()))
      client.on('error', reject)
      client.once('close', () => reject(new Error('the broker closed the connection')))
    }).finally(() => client.end(true))
  }

  let cutting: Promise<void> = Promise.resolve()
  function cut(device: DeviceAddress): Promise<void> {
    // One at a time: each is a TLS handshake at the broker.
    cutting = cutting.then(async () => {
      if (stop.signal.aborted) return
      await takeOver(device).catch((error: Error) =>
        log.error(
          { device: device.deviceId, broker: hostOf(publicUrl), why: error.message },
          'the connection of a device could not be cut',
        ),
      )
    })
    return cutting
  }

  function publish(message: MessageName, device: DeviceAddress, payload: string): void {
    if (!words.connected) return
    if (unsent >= unsentMax) {
      log.warn({ broker: hostOf(url), unsent }, 'the broker does not take what it is sent')
      words.stream?.destroy()
      return
    }
    const { qos, retain } = messages[message]
    const over = connection
    unsent++
    words.publish(topicFor(message, device), payload, { qos, retain }, () => {
      if (over === connection) unsent--
    })
  }

  return {
    url: publicUrl,
    get reachable() {
      return reachable
    },
    publish: (message, device, payload) => publish(message, device, JSON.stringify(payload)),
    clear: (message, device) => publish(message, device, ''),
    isConnected: (deviceId) => present.has(deviceId),
    disconnect: (device) => {
      void cut(device)
      // Once more when the broker has had the time to read that the certificate is revoked.
      sleep(revocationReadMs, undefined, { signal: stop.signal, ref: false }).then(
        () => cut(device),
        () => {},
      )
    },
    async [Symbol.asyncDispose]() {
      stop.abort()
      words.removeAllListeners('close')
      clearTimeout(absence)
      await Promise.all([words.endAsync(true), events.endAsync(true)])
      await cutting
    },
  }
}

type Probing = { setKeepAlive(on: boolean, delayMs: number): void }

function isDeviceMessage(name: string): name is DeviceMessage {
  return (deviceMessages as readonly string[]).includes(name)
}

/** What a status says, or undefined where it says nothing that fits. */
function stateOf(payload: Buffer): Status['state'] | undefined {
  try {
    return parsePayload('status', payload).state
  } catch (error) {
    if (error instanceof Misfit) return undefined
    throw error
  }
}

/** A URL without what may be secret in it. */
const hostOf = (url: string): string => new URL(url).host
