/** Certificates of a hub's own authority, and MQTT clients that come with them, for tests of brokers. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import mqtt, { type IClientOptions, type IConnackPacket, type MqttClient } from 'mqtt'
import { type Authority, openAuthority } from '../../cloud-hub/src/identity/authority.ts'
import { makeRequest } from '../hub/fixture.ts'

export type Clients = {
  readonly authority: Authority
  /** Folder of the authority and of whatever a test puts beside it; removed with the test. */
  readonly folder: string
  /** Makes a key and has its certificate signed. */
  certify(deviceId: string, site?: string): Promise<Certified>
}

export type Certified = {
  readonly deviceId: string
  readonly site: string
  readonly key: string
  readonly cert: string
  readonly serial: string
  readonly ca: string
  /** Connects as the device; `options` override what a good device says. @throws when it is refused */
  connect(url: string, options?: IClientOptions): Promise<Connected>
}

export type Connected = {
  readonly client: MqttClient
  readonly connack: IConnackPacket
  /** What it has heard so far, oldest first. */
  readonly heard: readonly Heard[]
}
export type Heard = {
  readonly topic: string
  readonly text: string
  readonly qos: number
  readonly retain: boolean
}

export async function openClients(t: Pick<TestContext, 'after'>): Promise<Clients> {
  const folder = await mkdtemp(join(tmpdir(), 'edgeloop-broker-'))
  const clients: MqttClient[] = []
  t.after(async () => {
    for (const client of clients) client.end(true)
    await rm(folder, { recursive: true, force: true })
  })
  const keys = join(folder, 'keys')
  const authority = await openAuthority({
    folder: keys,
    publicHost: 'localhost',
    deviceCertificateMs: 86_400_000,
    clock: Date.now,
  })
  return {
    authority,
    folder,
    certify: async (deviceId, site = 'main') => {
      const { key, csr } = await makeRequest()
      const { certificate, serial } = await authority.signDevice(csr, { site, deviceId })
      const tls = { key, cert: certificate, ca: authority.certificate }
      return {
        ...tls,
        deviceId,
        site,
        serial,
        connect: async (url, options = {}) => {
          const client = mqtt.connect(url, {
            ...tls,
            clientId: deviceId,
            keepalive: 60,
            reconnectPeriod: 0,
            ...options,
          })
          clients.push(client)
          const heard: Heard[] = []
          client.on('message', (topic, payload, { qos, retain }) =>
            heard.push({ topic, text: payload.toString(), qos, retain }),
          )
          return { client, connack: await connackOf(client), heard }
        },
      }
    },
  }
}

/** A refusal is an 'error' with the return code. */
async function connackOf(client: MqttClient): Promise<IConnackPacket> {
  const { promise, resolve, reject } = Promise.withResolvers<IConnackPacket>()
  client.once('connect', resolve)
  // Stays: what breaks a connection later is looked at by 'close'.
  client.on('error', reject)
  client.once('close', () => reject(new Error('Cannot connect: the broker closed the connection')))
  return await promise
}

/** Resolves when the broker ends the connection. */
export async function ended(client: MqttClient): Promise<void> {
  if (client.connected) await new Promise<void>((resolve) => client.once('close', () => resolve()))
}
