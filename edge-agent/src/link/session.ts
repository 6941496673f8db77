/**
 * One MQTT connection to the hub, over mutual TLS, from its CONNECT to its end. It is never repaired:
 * when it breaks, the link makes a new one, so there is never more than one and never an old queue.
 */
import { messages, type Payload, topicFor } from '@edgeloop/protocol'
import mqtt, { type MqttClient } from 'mqtt'
import type { Identity } from '../identity/identity.ts'

/** A broker that does not answer a ping within one and a half of this is gone. */
const keepaliveSeconds = 15
/** TCP, TLS and CONNACK together; then each SUBACK and PUBACK. */
const connectTimeoutMs = 15_000
const answerTimeoutMs = 15_000

/** CONNACK: not authorized [MQTT-3.2.2-5]. */
const notAuthorized = 5

type FromDevice = 'status' | 'events' | 'reported' | 'updates'
const heard = [
  ...(['acknowledged', 'desired', 'offers'] as const),
  ...(['liveRequest', 'logRequest', 'clipRequest', 'sampleRequest'] as const),
] as const
/** What a device hears. */
export type FromHub = (typeof heard)[number]

export type Session = Disposable & {
  /** Publishes as the table says; resolves with the PUBACK, which does not mean stored. */
  publish(name: FromDevice, payload: string): Promise<void>
  /** Aborts when the connection is gone; its reason says why. */
  readonly ended: AbortSignal
}

export type SessionOptions = {
  readonly identity: Identity
  /** The last will: what the broker says when we are gone without a word. */
  readonly lastWill: Payload<'status'>
  readonly onMessage: (name: FromHub, payload: Uint8Array) => void
  readonly signal: AbortSignal
}

/**
 * Connects and subscribes.
 * @throws {Error} when the broker cannot be reached or does not let us in
 */
export async function openSession(options: SessionOptions): Promise<Session> {
  const { identity, lastWill, onMessage, signal } = options
  signal.throwIfAborted()
  const ended = new AbortController()
  const end = (why: string, cause?: Error) => ended.abort(new Error(why, { cause }))
  const client = mqtt.connect(identity.mqttUrl, {
    clientId: identity.deviceId,
    protocolVersion: 4,
    clean: true,
    keepalive: keepaliveSeconds,
    connectTimeout: connectTimeoutMs,
    reconnectPeriod: 0,
    resubscribe: false,
    key: identity.key,
    cert: identity.certificate,
    ca: identity.ca,
    rejectUnauthorized: true,
    will: {
      topic: topicFor('status', identity),
      payload: Buffer.from(JSON.stringify(lastWill)),
      qos: messages.status.qos,
      retain: messages.status.retain,
    },
  })
  client.on('error', (error) => end(error.message || String(error), error))
  client.on('close', () => end('the connection was closed'))
  client.on('message', (topic, payload) => {
    const name = heard.find((candidate) => topicFor(candidate, identity) === topic)
    if (name) onMessage(name, payload)
  })
  const stop = () => end('the agent stops')
  signal.addEventListener('abort', stop, { once: true })
  ended.signal.addEventListener('abort', () => signal.removeEventListener('abort', stop), {
    once: true,
  })
  const session: Session = {
    ended: ended.signal,
    publish: (name, payload) => publish(client, identity, name, payload, ended.signal),
    [Symbol.dispose]: () => {
      // No DISCONNECT: the broker then publishes the last will, which is what we would have to say.
      client.end(true)
      end('the session was closed')
    },
  }
  try {
    await settled(ended.signal, (resolve) => client.once('connect', () => resolve()))
    await subscribe(client, identity, ended.signal)
    return session
  } catch (error) {
    client.end(true)
    throw error
  }
}

/** True where the hub knows the certificate that was shown, and does not let it in. */
export function isRefusal({ cause }: Error): boolean {
  return (cause as { code?: unknown } | undefined)?.code === notAuthorized
}

async function subscribe(client: MqttClient, identity: Identity, ended: AbortSignal) {
  const topics = Object.fromEntries(
    heard.map((name) => [topicFor(name, identity), { qos: messages[name].qos }]),
  )
  await settled(ended, (resolve, reject) =>
    client.subscribe(topics, (error) => (error ? reject(error) : resolve())),
  )
}

function publish(
  client: MqttClient,
  identity: Identity,
  name: FromDevice,
  payload: string,
  ended: AbortSignal,
): Promise<void> {
  const { qos, retain } = messages[name]
  const topic = topicFor(name, identity)
  return settled(ended, (resolve, reject) =>
    client.publish(topic, payload, { qos, retain }, (error) => (error ? reject(error) : resolve())),
  )
}

/** What `start` settles; a rejection when `ended` aborts first, or the broker does not answer in time. */
function settled(
  ended: AbortSignal,
  start: (resolve: () => void, reject: (error: Error) => void) => void,
): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  if (ended.aborted) return Promise.reject(ended.reason)
  const stop = () => reject(ended.reason)
  ended.addEventListener('abort', stop, { once: true })
  const timer = setTimeout(() => reject(new Error('the broker does not answer')), answerTimeoutMs)
  start(resolve, reject)
  return promise.finally(() => {
    clearTimeout(timer)
    ended.removeEventListener('abort', stop)
  })
}
