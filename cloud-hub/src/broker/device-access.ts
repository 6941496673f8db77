/**
 * What a device may do at the embedded broker, decided from its certificate and the message table alone.
 * MQTT 3.1.1 leaves a server to refuse what it does not authorize; each refusal names the clause it follows.
 */
import {
  type DeviceAddress,
  deviceMayPublish,
  deviceMaySubscribe,
  messages,
  topicFor,
} from '@edgeloop/protocol'
import { type DeviceMessage, deviceMessages } from './broker.ts'

/** A client that is silent for one and a half times its keepalive is gone; longer ones are refused. */
export const keepaliveSecondsMax = 300

/** CONNACK return codes (§3.2.2.3). */
export const identifierRejected = 2
export const notAuthorized = 5

export type ConnectPacket = {
  readonly clientId: string
  readonly clean?: boolean
  readonly keepalive?: number
  readonly will?: Partial<PublishPacket>
}
export type PublishPacket = {
  readonly topic: string
  readonly payload: string | Buffer
  readonly qos: number
  readonly retain: boolean
}
export type ConnectRefusal = { readonly returnCode: number; readonly why: string }

/** Rules for one client; each gives why something is refused, or undefined. */
export type Access = {
  /** A refused CONNECT is answered with the return code and closed [MQTT-3.2.2-5]. */
  readonly connect: (packet: ConnectPacket) => ConnectRefusal | undefined
  /** A refused PUBLISH closes the connection: 3.1.1 has no negative PUBACK [MQTT-3.3.5-2]. */
  readonly publish: (packet: PublishPacket) => string | undefined
  /** A refused filter is answered with 0x80 in the SUBACK [MQTT-3.8.4-5]. */
  readonly subscribe: (filter: string) => string | undefined
}

/** The rules of the message table for the device that a certificate names. */
export function deviceAccess(device: DeviceAddress): Access {
  const topics = topicsOf(device)
  const publish = (packet: PublishPacket): string | undefined => {
    const name = topics.get(packet.topic)
    return name ? rowRefusal(name, packet) : 'the topic is not its own'
  }
  return {
    publish,
    subscribe: (filter) =>
      deviceMaySubscribe(device, filter) ? undefined : 'the filter is not its own',
    connect: ({ clientId, clean, keepalive = 0, will }) => {
      // [MQTT-3.1.3-9]; a client without an id would get one of the server's choosing [MQTT-3.1.3-6].
      if (clientId !== device.deviceId) {
        const why = `the client id "${clientId.slice(0, 100)}" is not its certificate's "${device.deviceId}"`
        return { returnCode: identifierRejected, why }
      }
      const refuse = (why: string): ConnectRefusal => ({ returnCode: notAuthorized, why })
      // A kept session would queue for absent devices without a bound; devices keep their own outbox.
      if (clean === false) return refuse('it asks for a session that is kept')
      if (keepalive < 1 || keepalive > keepaliveSecondsMax) {
        return refuse(`its keepalive is ${keepalive} s, allowed 1 to ${keepaliveSecondsMax}`)
      }
      if (!will) return undefined
      const { topic = '', payload = '', qos = 0, retain = false } = will
      if (topics.get(topic) !== 'status') {
        return refuse(`its last will goes to "${topic.slice(0, 200)}"`)
      }
      const why = rowRefusal('status', { topic, payload, qos, retain })
      return why === undefined ? undefined : refuse(`its last will does not fit: ${why}`)
    },
  }
}

function topicsOf(device: DeviceAddress): ReadonlyMap<string, DeviceMessage> {
  const own = deviceMessages.map((name) => [topicFor(name, device), name] as const)
  return new Map(own.filter(([topic]) => deviceMayPublish(device, topic)))
}

/** Why the table does not allow this publication, which its topic does. */
function rowRefusal(name: DeviceMessage, packet: PublishPacket): string | undefined {
  const { bytesMax, qos, retain } = messages[name]
  // A text counts in bytes, as it travelled.
  const sizeBytes = Buffer.byteLength(packet.payload)
  if (sizeBytes > bytesMax) return `its payload has ${sizeBytes} bytes, allowed ${bytesMax}`
  if (packet.qos > qos) return `it asks for QoS ${packet.qos}, allowed ${qos}`
  if (packet.retain && !retain) return 'it may not be retained'
  return undefined
}
