/**
 * Every MQTT message in the system, and the only place where topics are spelled. Topic, payload
 * schema, size limit, delivery and who may send it come from one row; access rules follow from it.
 */
import { type Static, type TSchema, Type } from 'typebox'
import { ClipRequest } from './clip.ts'
import { Desired, Reported, Status } from './device.ts'
import { LogRequest } from './device-log.ts'
import { Acknowledged, EventBatch } from './event.ts'
import { StreamId, Timestamp } from './names.ts'
import { SampleRequest } from './samples.ts'
import { Offers, Updates } from './updates.ts'

type Message = {
  /** What follows `edgeloop/v1/{site}/{device}/`. */
  readonly topic: string
  readonly payload: TSchema
  readonly qos: 0 | 1
  readonly retain: boolean
  /** Who publishes it; the other side subscribes. */
  readonly from: 'device' | 'hub'
  /** A larger payload is refused before it is parsed. */
  readonly bytesMax: number
}

/** Pictures are wanted of these streams until `until`; renewed while somebody looks. */
export const LiveRequest = Type.Object({
  until: Timestamp,
  streams: Type.Array(
    Type.Object({
      streamId: StreamId,
      widthMax: Type.Integer({ minimum: 64, maximum: 1920 }),
      fpsMax: Type.Number({ exclusiveMinimum: 0, maximum: 30 }),
    }),
    { maxItems: 256 },
  ),
})
export type LiveRequest = Static<typeof LiveRequest>

export const messages = {
  status: {
    topic: 'status',
    payload: Status,
    qos: 1,
    retain: true,
    from: 'device',
    bytesMax: 1024,
  },
  events: {
    topic: 'events',
    payload: EventBatch,
    qos: 1,
    retain: false,
    from: 'device',
    bytesMax: 512 * 1024,
  },
  reported: {
    topic: 'reported',
    payload: Reported,
    qos: 1,
    retain: true,
    from: 'device',
    bytesMax: 512 * 1024,
  },
  acknowledged: {
    topic: 'acknowledged',
    payload: Acknowledged,
    qos: 0,
    retain: false,
    from: 'hub',
    bytesMax: 1024,
  },
  desired: {
    topic: 'desired',
    payload: Desired,
    qos: 1,
    retain: true,
    from: 'hub',
    bytesMax: 1024 * 1024,
  },
  liveRequest: {
    topic: 'request/live',
    payload: LiveRequest,
    qos: 0,
    retain: false,
    from: 'hub',
    bytesMax: 64 * 1024,
  },
  logRequest: {
    topic: 'request/log',
    payload: LogRequest,
    qos: 0,
    retain: false,
    from: 'hub',
    bytesMax: 1024,
  },
  clipRequest: {
    topic: 'request/clip',
    payload: ClipRequest,
    qos: 1,
    retain: false,
    from: 'hub',
    bytesMax: 64 * 1024,
  },
  sampleRequest: {
    topic: 'request/sample',
    payload: SampleRequest,
    qos: 1,
    retain: false,
    from: 'hub',
    bytesMax: 4096,
  },
  offers: {
    topic: 'offers',
    payload: Offers,
    qos: 1,
    retain: true,
    from: 'hub',
    bytesMax: 32 * 1024,
  },
  updates: {
    topic: 'updates',
    payload: Updates,
    qos: 1,
    retain: true,
    from: 'device',
    bytesMax: 128 * 1024,
  },
} as const satisfies Record<string, Message>

export type MessageName = keyof typeof messages
export type Payload<N extends MessageName> = Static<(typeof messages)[N]['payload']>
export const messageNames = Object.keys(messages) as readonly MessageName[]

/** Who a message is about. */
export type DeviceAddress = { readonly site: string; readonly deviceId: string }

const root = 'edgeloop/v1'

/** Largest MQTT packet that any message may need: its payload and 1 KB of header and topic. */
export const packetBytesMax =
  Math.max(...messageNames.map((name) => messages[name].bytesMax)) + 1024

/**
 * The topic of a message to or from one device.
 * @throws {Error} when a name holds a character that means something in a topic
 */
export function topicFor(name: MessageName, { site, deviceId }: DeviceAddress): string {
  for (const level of [site, deviceId]) {
    if (!/^[^/+#$\0]+$/u.test(level)) {
      throw new Error(`Cannot make topic of "${name}": "${level}" is not a name`)
    }
  }
  return `${root}/${site}/${deviceId}/${messages[name].topic}`
}

/** The filter under which one side hears a message of every device. */
export function filterFor(name: MessageName): string {
  return `${root}/+/+/${messages[name].topic}`
}

/** Which message a topic carries and about whom, or undefined where the table has no such row. */
export function parseTopic(topic: string): (DeviceAddress & { name: MessageName }) | undefined {
  const match = /^edgeloop\/v1\/([^/+#]+)\/([^/+#]+)\/([^+#]+)$/.exec(topic)
  if (!match) return undefined
  const [, site = '', deviceId = '', rest = ''] = match
  const name = messageNames.find((candidate) => messages[candidate].topic === rest)
  return name && { name, site, deviceId }
}

/** True where a device may publish to `topic`: its own messages of the table, nothing else. */
export function deviceMayPublish(device: DeviceAddress, topic: string): boolean {
  return messageNames.some((n) => messages[n].from === 'device' && topicFor(n, device) === topic)
}

/** True where a device may subscribe with `filter`: exact topics meant for it, no wildcards. */
export function deviceMaySubscribe(device: DeviceAddress, filter: string): boolean {
  return messageNames.some((n) => messages[n].from === 'hub' && topicFor(n, device) === filter)
}
