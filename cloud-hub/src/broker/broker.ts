/**
 * The embedded MQTT broker: devices over mutual TLS, and nobody else. A device says and hears exactly what
 * the message table allows it; everything is refused that is too large, too early, foreign or too slow.
 */
import { createServer, type Server, type TLSSocket } from 'node:tls'
import {
  type DeviceAddress,
  deviceMayPublish,
  deviceMaySubscribe,
  filterFor,
  type MessageName,
  messageNames,
  messages,
  type Payload,
  packetBytesMax,
  topicFor,
} from '@edgeloop/protocol'
import { Aedes, type AuthenticateError, type Client } from 'aedes'
import type { Logger } from 'pino'
import { listen } from '../http/listen.ts'
import { type DeviceIdentity, identityOf } from '../identity/device-identity.ts'
import type { Metrics } from '../telemetry/metrics.ts'
import { PacketGuard } from './packet-guard.ts'

/** A client that is silent for one and a half times its keepalive is gone; longer ones are refused. */
const keepaliveSecondsMax = 300
/** A client that does not read what it is sent is cut off after this long. */
const drainTimeoutMs = 30_000
/** Deliveries inside the broker at once; more wait. */
const deliveriesMax = 1000
/** CONNACK: not authorized [MQTT-3.2.2-5]. */
const notAuthorized = 5

export type DeviceMessage = Extract<MessageName, 'status' | 'events' | 'reported'>

export type Broker = AsyncDisposable & {
  readonly port: number
  /** Publishes as the table says; a retained message replaces the one before. */
  publish<N extends MessageName>(name: N, device: DeviceAddress, payload: Payload<N>): void
  /** True while the device has a connection that was let in. */
  isConnected(deviceId: string): boolean
  /** Cuts the connection of a device, whose last will is then published. */
  disconnect(deviceId: string): void
}

export type BrokerOptions = {
  readonly host: string
  readonly port: number
  readonly connectionsMax: number
  /** From the first byte to a finished TLS handshake, and again from there to a whole CONNECT. */
  readonly connectTimeoutMs: number
  readonly authority: {
    readonly certificate: string
    readonly server: { key: string; cert: string }
  }
  readonly log: Logger
  readonly metrics: Metrics
  /** Why this device is not let in, or undefined where it is. */
  readonly refusal: (identity: DeviceIdentity) => string | undefined
  /** Takes a message of a device; the sender is who the topic says. */
  readonly receive: (name: DeviceMessage, deviceId: string, payload: Buffer) => void
  /** Before a message is taken: a promise where the device must wait. */
  readonly room: (name: DeviceMessage) => Promise<void> | undefined
  /** The connection of a device is gone, and no newer one is there. */
  readonly left: (deviceId: string) => void
}

type Session = {
  readonly identity: DeviceIdentity
  /** Topics it may publish to, by what they carry. */
  readonly topics: ReadonlyMap<string, DeviceMessage>
  readonly guard: PacketGuard
  client: Client | undefined
}

/** @throws {Error} when the port cannot be opened */
export async function openBroker(options: BrokerOptions): Promise<Broker> {
  const { log, metrics } = options
  const sessions = new WeakMap<Client, Session>()
  const refusals = new WeakMap<Client, string>()
  const connected = new Map<string, Session>()
  const sockets = new Set<TLSSocket>()

  await using opened = new AsyncDisposableStack()
  const aedes = await Aedes.createBroker({
    concurrency: deliveriesMax,
    connectTimeout: options.connectTimeoutMs,
    drainTimeout: drainTimeoutMs,
    keepaliveLimit: keepaliveSecondsMax,
    preConnect: (client, packet, done) => {
      const session = sessions.get(client)
      const why = session
        ? connectRefusal(session, packet, options.refusal)
        : 'its certificate names no device'
      if (why !== undefined) refusals.set(client, why)
      done(null, true)
    },
    authenticate: (client, _user, _password, done) => {
      const why = refusals.get(client)
      if (why === undefined) return done(null, true)
      const device = sessions.get(client)?.identity.deviceId
      log.warn({ device, clientId: client.id, why }, 'a device was not let in')
      metrics.mqttRefused.inc({ reason: 'connect' })
      done(Object.assign(new Error(why), { returnCode: notAuthorized }) as AuthenticateError, null)
    },
    authorizePublish: (client, packet, done) => {
      // Without a client it is the hub itself, or the broker about itself.
      if (!client) return done(null)
      const session = sessions.get(client)
      const name = session?.topics.get(packet.topic)
      const why = name ? publishRefusal(name, packet) : 'the topic is not its own'
      if (!session || !name || why !== undefined) {
        const device = session?.identity.deviceId
        log.warn({ device, topic: packet.topic.slice(0, 200), why }, 'a publication was refused')
        metrics.mqttRefused.inc({ reason: 'publish' })
        return done(new Error(`Cannot publish to "${packet.topic}": ${why}`))
      }
      const wait = options.room(name)
      if (wait) wait.then(() => done(null), done)
      else done(null)
    },
    authorizeSubscribe: (client, subscription, done) => {
      const device = sessions.get(client)?.identity
      if (device && deviceMaySubscribe(device, subscription.topic)) return done(null, subscription)
      const topic = subscription.topic.slice(0, 200)
      log.warn({ device: device?.deviceId, topic }, 'a subscription was refused')
      metrics.mqttRefused.inc({ reason: 'subscribe' })
      // An error closes the connection: a device that asks for what is not its own is not ours.
      done(new Error(`Cannot subscribe to "${topic}": the filter is not its own`))
    },
  })

  opened.defer(() => new Promise<void>((resolve) => aedes.close(() => resolve())))

  aedes.on('clientReady', (client) => {
    const session = sessions.get(client)
    if (!session) return
    session.client = client
    session.guard.accept()
    connected.set(session.identity.deviceId, session)
  })
  aedes.on('clientDisconnect', (client) => {
    const deviceId = sessions.get(client)?.identity.deviceId
    if (deviceId === undefined || connected.get(deviceId)?.client !== client) return
    connected.delete(deviceId)
    options.left(deviceId)
  })
  aedes.on('clientError', (client, error) => {
    log.debug({ clientId: client.id, why: error.message }, 'a device connection failed')
  })
  aedes.on('connectionError', (_client, error) => {
    metrics.mqttRefused.inc({ reason: 'beforeConnect' })
    log.debug({ why: error.message }, 'a connection failed before it was let in')
  })

  for (const name of deviceMessages) {
    aedes.subscribe(
      filterFor(name),
      (packet, done) => {
        // edgeloop/v1/{site}/{device}/…: that the sender may use the topic was checked before.
        const deviceId = packet.topic.split('/')[3] ?? ''
        options.receive(name, deviceId, packet.payload as Buffer)
        done()
      },
      () => undefined,
    )
  }

  const server: Server = createServer({
    ...options.authority.server,
    ca: options.authority.certificate,
    requestCert: true,
    rejectUnauthorized: true,
    minVersion: 'TLSv1.3',
    handshakeTimeout: options.connectTimeoutMs,
  })
  server.maxConnections = options.connectionsMax
  server.on('drop', () => metrics.mqttRefused.inc({ reason: 'tooMany' }))
  server.on('tlsClientError', (error, socket) => {
    // Node reports a handshake that takes too long and leaves its socket open (measured on 24.21).
    socket.destroy()
    metrics.mqttRefused.inc({ reason: 'tls' })
    log.debug({ why: error.message }, 'a TLS handshake failed')
  })
  server.on('secureConnection', (socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
    socket.setNoDelay(true)
    const guard = new PacketGuard(socket, packetBytesMax)
    const client = aedes.handle(guard)
    const certificate = socket.getPeerX509Certificate()
    const identity = certificate && identityOf(certificate)
    if (identity)
      sessions.set(client, { identity, topics: topicsOf(identity), guard, client: undefined })
  })
  const port = await listen(server, { host: options.host, port: options.port, flag: '--mqtt-port' })
  opened.defer(async () => {
    const closed = new Promise<void>((resolve) => server.close(() => resolve()))
    for (const socket of sockets) socket.destroy()
    await closed
  })
  const resources = opened.move()

  return {
    port,
    publish: (name, device, payload) => {
      const { qos, retain } = messages[name]
      const packet = {
        cmd: 'publish' as const,
        topic: topicFor(name, device),
        payload: JSON.stringify(payload),
        qos,
        retain,
        dup: false,
      }
      aedes.publish(packet, (error) => {
        if (error) log.warn({ err: error, name, device: device.deviceId }, 'a publication failed')
      })
    },
    isConnected: (deviceId) => connected.has(deviceId),
    disconnect: (deviceId) => connected.get(deviceId)?.guard.destroy(),
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  }
}

const deviceMessages = messageNames.filter(isDeviceMessage)

function isDeviceMessage(name: MessageName): name is DeviceMessage {
  return messages[name].from === 'device'
}

function topicsOf(device: DeviceAddress): ReadonlyMap<string, DeviceMessage> {
  const own = deviceMessages.map((name) => [topicFor(name, device), name] as const)
  return new Map(own.filter(([topic]) => deviceMayPublish(device, topic)))
}

type Packet = { topic: string; payload: string | Buffer; qos: number; retain: boolean }

/** Why the table does not allow this publication, which its topic does. */
function publishRefusal(name: DeviceMessage, packet: Packet): string | undefined {
  const { bytesMax, qos, retain } = messages[name]
  if (packet.payload.length > bytesMax) {
    return `its payload has ${packet.payload.length} bytes, allowed ${bytesMax}`
  }
  if (packet.qos > qos) return `it asks for QoS ${packet.qos}, allowed ${qos}`
  if (packet.retain && !retain) return 'it may not be retained'
  return undefined
}

/** Why a CONNECT is refused; the certificate was verified by TLS. */
function connectRefusal(
  { identity, topics }: Session,
  packet: { clientId: string; clean?: boolean; will?: Partial<Packet> },
  refusal: (identity: DeviceIdentity) => string | undefined,
): string | undefined {
  const known = refusal(identity)
  if (known !== undefined) return known
  if (packet.clientId !== identity.deviceId) {
    return `the client id "${packet.clientId.slice(0, 100)}" is not its certificate's "${identity.deviceId}"`
  }
  // A kept session would queue for absent devices without a bound; devices keep their own outbox.
  if (packet.clean === false) return 'it asks for a session that is kept'
  const { will } = packet
  if (!will) return undefined
  const { topic = '', payload = '', qos = 0, retain = false } = will
  const name = topics.get(topic)
  if (name !== 'status') return `its last will goes to "${topic.slice(0, 200)}"`
  return publishRefusal(name, { topic, payload, qos, retain })
}
