/**
 * The contract of the place where devices and hub meet. The embedded broker is one in this process; an
 * external one is reached as a client. `test/contracts/broker.ts` is this contract as a test suite.
 */
import { type DeviceAddress, type MessageName, messages, type Payload } from '@edgeloop/protocol'

/** What devices say. */
export type DeviceMessage = Extract<MessageName, 'status' | 'events' | 'reported' | 'updates'>

/** What is kept for those who come later. */
export type RetainedMessage = {
  [N in MessageName]: (typeof messages)[N]['retain'] extends true ? N : never
}[MessageName]

export type Broker = AsyncDisposable & {
  /** Where devices connect, with the port that was opened: `mqtts://localhost:4182`. */
  readonly url: string
  /** False while the broker is away; what is published then is left. */
  readonly reachable: boolean
  /** Publishes as the table says; a retained message replaces the one before. */
  publish<N extends MessageName>(name: N, device: DeviceAddress, payload: Payload<N>): void
  /** Forgets what was retained: whoever comes later does not hear it. */
  clear(name: RetainedMessage, device: DeviceAddress): void
  /** True while the device has a connection that was let in, as far as the broker lets us know. */
  isConnected(deviceId: string): boolean
  /** Cuts the connection of a device, whose last will is then published. */
  disconnect(device: DeviceAddress): void
}

/** What a broker tells the hub. */
export type BrokerListener = {
  /** Takes a message of a device; the sender is who the topic says. */
  readonly receive: (name: DeviceMessage, device: DeviceAddress, payload: Buffer) => void
  /** Before a message is taken: a promise where it must wait. */
  readonly room: (name: DeviceMessage) => Promise<void> | undefined
  /** The connection of a device is gone, and no newer one is there. */
  readonly left: (deviceId: string) => void
}

export const retainedMessages: readonly RetainedMessage[] = (
  Object.keys(messages) as MessageName[]
).filter((name): name is RetainedMessage => messages[name].retain)

export const deviceMessages: readonly DeviceMessage[] = (
  Object.keys(messages) as MessageName[]
).filter((name): name is DeviceMessage => messages[name].from === 'device')
