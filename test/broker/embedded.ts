/** An embedded broker for tests, on a free port, and what its hub would have been told. */
import type { TestContext } from 'node:test'
import type { DeviceAddress } from '@edgeloop/protocol'
import { pino } from 'pino'
import type { Broker, BrokerListener, DeviceMessage } from '../../cloud-hub/src/broker/broker.ts'
import {
  type EmbeddedBrokerOptions,
  openEmbeddedBroker,
} from '../../cloud-hub/src/broker/embedded-broker.ts'
import { openMetrics } from '../../cloud-hub/src/telemetry/metrics.ts'
import type { Clients } from './clients.ts'

export type Told = BrokerListener & {
  readonly messages: { name: DeviceMessage; device: DeviceAddress; text: string }[]
  readonly gone: string[]
}

/** Writes down what a broker tells the hub. @param room asked before a message is taken */
export function takeNotes(room: BrokerListener['room'] = () => undefined): Told {
  const messages: Told['messages'] = []
  const gone: string[] = []
  return {
    messages,
    gone,
    room,
    receive: (name, { site, deviceId }, payload) =>
      messages.push({ name, device: { site, deviceId }, text: payload.toString() }),
    left: (deviceId) => gone.push(deviceId),
  }
}

export const testMetrics = () =>
  openMetrics({
    devicesOnline: () => 0,
    eventsStored: () => 0,
    changeClients: () => 0,
    liveClients: () => 0,
    artifactTransfers: () => 0,
    rolloutsOpen: () => 0,
    modelsOpen: () => 0,
    driftAlarms: () => new Map(),
  })

/** Logs are shown with EDGELOOP_TEST_LOG=debug. */
export const testLog = () =>
  pino({ level: process.env.EDGELOOP_TEST_LOG ?? 'silent' }, pino.destination(2))

export async function openTestBroker(
  t: Pick<TestContext, 'after'>,
  { authority }: Clients,
  options: Partial<EmbeddedBrokerOptions> = {},
): Promise<Broker> {
  const broker = await openEmbeddedBroker({
    host: '127.0.0.1',
    port: 0,
    publicHost: 'localhost',
    connectionsMax: 100,
    connectTimeoutMs: 10_000,
    authority,
    log: testLog(),
    metrics: testMetrics(),
    refusal: () => undefined,
    ...takeNotes(),
    ...options,
  })
  t.after(() => broker[Symbol.asyncDispose]())
  return broker
}
