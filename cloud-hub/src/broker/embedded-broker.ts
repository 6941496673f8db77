/**
 * The embedded MQTT broker: devices over mutual TLS, and nobody else. A device says and hears exactly what
 * its access rules allow; everything is refused that is too large, too early, foreign or too slow.
 */
import { createServer, type Server, type TLSSocket } from 'node:tls'
import {
  type DeviceAddress,
  filterFor,
  type MessageName,
  messages,
  packetBytesMax,
  parseTopic,
  topicFor,
} from '@edgeloop/protocol'
import { Aedes, type AuthenticateError, type Client } from 'aedes'
import type { Logger } from 'pino'
import { hostInUrl, listen } from '../http/listen.ts'
import { type DeviceIdentity, identityOf } from '../identity/device-identity.ts'
import type { Metrics } from '../telemetry/metrics.ts'
import { type Broker, type BrokerListener, deviceMessages } from './broker.ts'
import {
  type Access,
  type ConnectPacket,
  type ConnectRefusal,
  deviceAccess,
  identifierRejected,
  notAuthorized,
} from './device-access.ts'
import { PacketGuard } from './packet-guard.ts'

/** A client that does not read what it is sent is cut off after this long. */
const drainTimeoutMs = 30_000
/** Deliveries inside the broker at once; more wait. */
const deliveriesMax = 1000
/** Filters that are refused to one connection before it is cut. */
const refusedFiltersMax = 100

export type EmbeddedBrokerOptions = BrokerListener & {
  readonly host: string
  readonly port: number
  /** Name or address under which devices reach it. */
  readonly publicHost: string
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
  /** What the device behind a certificate may do; the message table says it where nothing else is given. */
  readonly access?: (identity: DeviceIdentity) => Access
}

type Session = {
  readonly identity: DeviceIdentity
  readonly access: Access
  readonly eventsTopic: string
  readonly guard: PacketGuard
  client: Client | undefined
  refusedFilters: number
}

/** @throws {Error} when the port cannot be opened */
export async function openEmbeddedBroker(options: EmbeddedBrokerOptions): Promise<Broker> {
  const { log, metrics, access = deviceAccess } = options
  const sessions = new WeakMap<Client, Session>()
  const refusals = new WeakMap<Client, ConnectRefusal>()
  const connected = new Map<string, Session>()
  const sockets = new Set<TLSSocket>()

  await using opened = new AsyncDisposableStack()
  const aedes = await Aedes.createBroker({
    concurrency: deliveriesMax,
    connectTimeout: options.connectTimeoutMs,
    drainTimeout: drainTimeoutMs,
    preConnect: (client, packet, done) => {
      const session = sessions.get(client)
      const refuse = (why: string): ConnectRefusal => ({ returnCode: notAuthorized, why })
      const unknown = session
        ? options.refusal(session.identity)
        : 'its certificate names no device'
      const refusal =
        unknown === undefined
          ? (session?.access.connect(packet) ?? namelessSession(packet))
          : refuse(unknown)
      if (refusal) refusals.set(client, refusal)
      done(null, true)
    },
    authenticate: (client, _user, _password, done) => {
      const refusal = refusals.get(client)
      if (!refusal) return done(null, true)
      const { why, returnCode } = refusal
      const device = sessions.get(client)?.identity.deviceId
      log.warn({ device, clientId: client.id, why }, 'a device was not let in')
      metrics.mqttRefused.inc({ reason: 'connect' })
      done(Object.assign(new Error(why), { returnCode }) as AuthenticateError, null)
    },
    authorizePublish: (client, packet, done) => {
      // Without a client it is the hub itself, or the broker about itself.
      if (!client) return done(null)
      const session = sessions.get(client)
      const why = session ? session.access.publish(packet) : 'its certificate names no device'
      if (!session || why !== undefined) {
        const device = session?.identity.deviceId
        log.warn({ device, topic: packet.topic.slice(0, 200), why }, 'a publication was refused')
        metrics.mqttRefused.inc({ reason: 'publish' })
        return done(new Error(`Cannot publish to "${packet.topic}": ${why}`))
      }
      const wait = packet.topic === session.eventsTopic ? options.room('events') : undefined
      if (wait) wait.then(() => done(null), done)
      else done(null)
    },
    authorizeSubscribe: (client, subscription, done) => {
      const session = sessions.get(client)
      const why = session?.access.subscribe(subscription.topic)
      if (session && why === undefined) return done(null, subscription)
      metrics.mqttRefused.inc({ reason: 'subscribe' })
      if (!session || ++session.refusedFilters > refusedFiltersMax) {
        return done(
          new Error(`Cannot subscribe: more than ${refusedFiltersMax} filters were refused`),
        )
      }
      if (session.refusedFilters === 1) {
        const topic = subscription.topic.slice(0, 200)
        log.warn({ device: session.identity.deviceId, topic, why }, 'a subscription was refused')
      }
      // No subscription is 0x80 in the SUBACK.
      done(null, null)
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
        // That the sender may use the topic was checked before.
        const device = parseTopic(packet.topic)
        // An empty retained message is a cleared one.
        if (device && packet.payload.length > 0)
          options.receive(name, device, packet.payload as Buffer)
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
    if (identity) {
      const eventsTopic = topicFor('events', identity)
      const session = {
        identity,
        access: access(identity),
        eventsTopic,
        guard,
        client: undefined,
        refusedFilters: 0,
      }
      sessions.set(client, session)
    }
  })
  const port = await listen(server, { host: options.host, port: options.port, flag: '--mqtt-port' })
  opened.defer(async () => {
    const closed = new Promise<void>((resolve) => server.close(() => resolve()))
    for (const socket of sockets) socket.destroy()
    await closed
  })
  const resources = opened.move()

  let isClosed = false
  const publish = (name: MessageName, device: DeviceAddress, payload: string): void => {
    // What is stored while the hub closes is acknowledged to nobody: the box sends it again, and it is known then.
    if (isClosed) return
    const { qos, retain } = messages[name]
    const topic = topicFor(name, device)
    aedes.publish({ cmd: 'publish', topic, payload, qos, retain, dup: false }, (error) => {
      if (error) log.warn({ err: error, name, device: device.deviceId }, 'a publication failed')
    })
  }

  return {
    url: `mqtts://${hostInUrl(options.publicHost)}:${port}`,
    reachable: true,
    publish: (name, device, payload) => publish(name, device, JSON.stringify(payload)),
    clear: (name, device) => publish(name, device, ''),
    isConnected: (deviceId) => connected.has(deviceId),
    disconnect: ({ deviceId }) => connected.get(deviceId)?.guard.destroy(),
    [Symbol.asyncDispose]: () => {
      isClosed = true
      return resources.disposeAsync()
    },
  }
}

/** [MQTT-3.1.3-8]; aedes would make up an id, under which the session could never be found again. */
function namelessSession(packet: ConnectPacket): ConnectRefusal | undefined {
  if (packet.clientId !== '' || packet.clean !== false) return undefined
  return { returnCode: identifierRejected, why: 'it asks to keep a session without a client id' }
}
