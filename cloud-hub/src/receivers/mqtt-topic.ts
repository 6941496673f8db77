/**
 * Sends a message to a topic of any MQTT broker. A connection is made for a message and ended after it: rules fire
 * rarely, and nothing has to be watched. Taken means that the broker has acknowledged it (QoS 1).
 */
import { isIP } from 'node:net'
import { rootCertificates } from 'node:tls'
import type { MqttReceiver } from '@edgeloop/protocol'
import mqtt from 'mqtt'
import { AddressRefused, addressFor, type Resolve, systemResolve } from './address-guard.ts'
import { firedEvent } from './cloud-events.ts'
import { type Message, Undelivered } from './message.ts'
import { before } from './webhook.ts'

const deadlineMs = 10_000

/** The topic for a message: parts of its first event in place of their names, `-` for what it does not have. */
export function topicOf(pattern: string, message: Message): string {
  const first = message.events[0]
  const parts: Record<string, string | null | undefined> = {
    rule: message.rule,
    site: first?.site,
    device: first?.event.deviceId,
    stream: first?.event.streamId,
    label: first?.event.label,
  }
  return pattern.replace(/\{(rule|site|device|stream|label)\}/g, (_, part: string) =>
    levelOf(parts[part] ?? '-'),
  )
}

/** A word as one level of a topic. */
export const levelOf = (word: string): string => word.replace(/[/+#\0]/g, '_')

/** @throws {Undelivered} */
export async function sendMqtt(
  message: Message,
  to: { readonly receiver: MqttReceiver; readonly password: string },
  deps: { signal: AbortSignal; resolve?: Resolve },
): Promise<string> {
  const { receiver, password } = to
  const url = new URL(receiver.url)
  const deadline = AbortSignal.any([deps.signal, AbortSignal.timeout(deadlineMs)])
  let client: mqtt.MqttClient | undefined
  try {
    const found = addressFor(url.hostname, receiver.allow, deps.resolve ?? systemResolve)
    const { address } = await before(deadline, found)
    client = openClient(url, { address, receiver, password })
    const topic = topicOf(receiver.topic, message)
    await before(deadline, connected(client))
    const payload = JSON.stringify(firedEvent(message))
    await before(
      deadline,
      client.publishAsync(topic, payload, { qos: 1, retain: receiver.retain ?? false }),
    )
    return `published to ${topic}`
  } catch (error) {
    if (error instanceof AddressRefused) throw new Undelivered(error.message, { final: true })
    if (deps.signal.aborted) throw error
    if (deadline.aborted) throw new Undelivered(`No answer within ${deadlineMs / 1000} s`)
    throw new Undelivered(`Cannot publish at ${url.host}: ${(error as Error).message}`)
  } finally {
    client?.end(true)
  }
}

function openClient(
  url: URL,
  given: { address: string; receiver: MqttReceiver; password: string },
): mqtt.MqttClient {
  const { address, receiver, password } = given
  const isTls = url.protocol === 'mqtts:'
  const name = url.hostname.replace(/^\[(.*)\]$/, '$1')
  return mqtt.connect({
    protocol: isTls ? 'mqtts' : 'mqtt',
    // Where it was checked, under the name that the certificate has to have.
    host: address,
    port: url.port === '' ? (isTls ? 8883 : 1883) : Number(url.port),
    ...(isTls && isIP(name) === 0 ? { servername: name } : {}),
    ...(receiver.ca === undefined ? {} : { ca: [...rootCertificates, receiver.ca] }),
    ...(receiver.username === undefined ? {} : { username: receiver.username, password }),
    reconnectPeriod: 0,
    connectTimeout: deadlineMs,
    clean: true,
  })
}

export async function connected(client: mqtt.MqttClient): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    client.once('connect', () => resolve())
    client.once('close', () => reject(new Error('the broker closed the connection')))
    // Stays: errors may come after the first, and nobody else listens.
    client.on('error', reject)
  })
}
