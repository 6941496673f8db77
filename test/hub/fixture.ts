/**
 * A real hub on free ports, and devices that enrol with it and speak to it over mutual TLS, for tests of
 * the hub and of what people see of it. Everything is closed, and its folder removed, with the test.
 */
import 'reflect-metadata'
import { webcrypto } from 'node:crypto'
import { once } from 'node:events'
import { cp, mkdtemp, readFile, rm } from 'node:fs/promises'
import { type Agent, request } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import {
  type AgentBundles,
  type Compiler,
  type Hub,
  type InferenceEngine,
  openHub,
  readHubConfig,
} from '@edgeloop/cloud-hub'
import type { Trainer } from '@edgeloop/model-compiler/train'
import type { Enrolment, EnrolmentToken, OneTimeLink, Role } from '@edgeloop/protocol'
import * as x509 from '@peculiar/x509'
import mqtt, { type IClientOptions, type MqttClient } from 'mqtt'
import { type DestinationStream, pino } from 'pino'
import { openHubEngine } from '../../cli/src/infer/hub-engine.ts'
import { openHubProposer } from '../../cli/src/label/hub-proposer.ts'
import { openHubCompiler } from '../../cli/src/model/hub-compiler.ts'
import { openHubTrainer } from '../../cli/src/train/hub-trainer.ts'
import { openPostgresStore } from '../../cloud-hub/src/store/postgres-store.ts'
import { openSqliteStore } from '../../cloud-hub/src/store/sqlite-store.ts'
import type { Store } from '../../cloud-hub/src/store/store.ts'
import { parseStoreAddress, type StoreAddress } from '../../cloud-hub/src/store/store-address.ts'
import { createStoreDatabase, createStoreFile } from '../migrated-stores.ts'
import { keepDatabase } from '../postgres/shared-cluster.ts'

export type HubArtifacts = NonNullable<Parameters<typeof openHub>[1]['artifacts']>

export type TestHub = {
  /** The hub that is open now. */
  readonly hub: Hub
  readonly dataDir: string
  /** Where its store is, as the configuration says it; empty: a file in `dataDir`. */
  readonly store: string
  /** Looks into its store, or writes what no route would, beside the hub. */
  inStore<R>(look: (store: Store) => Promise<R>): Promise<R>
  /** Keeps what the closed hub's store holds now; the function puts it back. */
  keepStore(): Promise<() => Promise<void>>
  /** Calls the API as the machine's owner. */
  api(method: string, path: string, body?: unknown): Promise<Response>
  /** Makes a token, enrols with it, and gives what a device then has. */
  enrol(deviceId: string, name?: string): Promise<TestDevice>
  /** A device with a certificate that was got some other way, and its key. */
  device(enrolment: Enrolment, key: string): TestDevice
  /** Adds a user who chooses {@link testPassword}, and is signed in as a browser would be. */
  signIn(user: string, role: Role): Promise<TestBrowser>
  close(): Promise<void>
  /** Opens it again on the same data and the same ports. */
  reopen(): Promise<void>
}

/** Headers that a browser of somebody who is signed in would send. */
export type TestBrowser = { readonly cookie: string; readonly origin: string }

export const testPassword = 'seven small boats'

export type TestDevice = {
  readonly deviceId: string
  readonly site: string
  readonly key: string
  readonly enrolment: Enrolment
  /** Connects to the broker as the device; options override what a good device says. */
  connect(options?: IClientOptions): Promise<MqttClient>
  /** Sends bytes to the device listener under the device's certificate. */
  put(path: string, type: string, body: Uint8Array, agent?: Agent): Promise<Answer>
}

export type Answer = { readonly status: number; readonly text: string }

/**
 * Opens a hub for a test; on PostgreSQL where `EDGELOOP_TEST_STORE` says so, which is how all tests of the hub
 * run on both stores (on-postgres.ts).
 * @param given configuration beside the ports and the folder
 * @param options.logTo takes everything the hub logs, instead of standard error
 * @param options.bundles agents it gives to new boxes
 * @param options.compiler instead of that of the command line, in a hurry
 * @param options.engine instead of that of the command line
 * @param options.artifacts what devices may be offered, instead of what was published
 * @param options.externalTrainer who takes the steps of runs that ask for it
 * @param options.safePasswords hashes them at what that costs outside of tests
 */
export async function openTestHub(
  t: Pick<TestContext, 'after'>,
  given: Readonly<Record<string, unknown>> = {},
  clock: () => number = Date.now,
  {
    logTo,
    bundles,
    compiler = openHubCompiler({ measureSeconds: 0.2 }),
    artifacts,
    externalTrainer,
    safePasswords = false,
    engine = openHubEngine(),
  }: {
    logTo?: DestinationStream
    bundles?: AgentBundles
    compiler?: Compiler
    artifacts?: HubArtifacts
    externalTrainer?: Trainer
    safePasswords?: boolean
    engine?: InferenceEngine
  } = {},
): Promise<TestHub> {
  const dataDir = await mkdtemp(join(tmpdir(), 'edgeloop-hub-'))
  const clients: MqttClient[] = []
  const onPostgres = given.store === undefined && process.env.EDGELOOP_TEST_STORE === 'postgres'
  const store = onPostgres ? await createStoreDatabase() : String(given.store ?? '')
  if (store === '') await createStoreFile(join(dataDir, 'hub.db'))
  const open = (ports: { browser: number; device: number; mqtt: number }): Promise<Hub> => {
    const config = readHubConfig({
      dataDir,
      store,
      browser: { port: ports.browser },
      device: { port: ports.device },
      mqtt: { port: ports.mqtt },
      ...given,
    })
    // Logs of the hub are shown with EDGELOOP_TEST_LOG=debug.
    const level = process.env.EDGELOOP_TEST_LOG ?? 'silent'
    const log = logTo ? pino({ level: 'trace' }, logTo) : pino({ level }, pino.destination(2))
    const others = externalTrainer ? { external: externalTrainer } : {}
    const trainer = openHubTrainer(others)
    const able = { compiler, trainer, proposer: openHubProposer(), engine }
    const chosen = { ...(bundles && { bundles }), ...(artifacts && { artifacts }) }
    const cost = safePasswords ? {} : { passwordCost: { log2N: 4, r: 1, p: 1 } }
    return openHub(config, { log, clock, ...able, ...chosen, ...cost })
  }
  let hub = await open({ browser: 0, device: 0, mqtt: 0 })
  let isOpen = true
  const token = (await readFile(hub.localTokenFile, 'utf8')).trim()
  const { urls } = hub

  async function close(): Promise<void> {
    if (!isOpen) return
    isOpen = false
    await hub[Symbol.asyncDispose]()
  }
  t.after(async () => {
    for (const client of clients) client.end(true)
    await close()
    await rm(dataDir, { recursive: true, force: true })
  })

  async function api(method: string, path: string, body?: unknown): Promise<Response> {
    const headers: Record<string, string> = { authorization: `Bearer ${token}` }
    if (body !== undefined) headers['content-type'] = 'application/json'
    return await fetch(hub.urls.browser + path, {
      method,
      headers,
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
  }

  async function signIn(user: string, role: Role): Promise<TestBrowser> {
    const added = await api('POST', '/api/users', { user, role })
    const { token: link } = (await added.json()) as OneTimeLink
    const origin = hub.urls.browser
    const chosen = await fetch(`${origin}/api/session/by-password-link`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', origin },
      body: JSON.stringify({ token: link, password: testPassword }),
    })
    if (chosen.status !== 200) throw new Error(`Cannot sign in: ${await chosen.text()}`)
    return { cookie: cookieOf(chosen), origin }
  }

  async function enrol(deviceId: string, name = deviceId): Promise<TestDevice> {
    const made = await api('POST', '/api/enrolment-tokens', { deviceId, name })
    const offer = (await made.json()) as EnrolmentToken
    const { key, csr } = await makeRequest()
    const reply = await send(`${urls.device}/enrol`, 'POST', {}, { token: offer.token, csr })
    if (reply.status !== 201) throw new Error(`Cannot enrol "${deviceId}": ${reply.text}`)
    return device(JSON.parse(reply.text) as Enrolment, key)
  }

  function device(enrolment: Enrolment, key: string): TestDevice {
    const { deviceId } = enrolment
    const tls = { key, cert: enrolment.certificate, ca: enrolment.ca }
    return {
      deviceId,
      site: enrolment.site,
      key,
      enrolment,
      connect: async (options = {}) => {
        const client = mqtt.connect(enrolment.mqttUrl, {
          ...tls,
          clientId: deviceId,
          reconnectPeriod: 0,
          ...options,
        })
        clients.push(client)
        await connected(client)
        return client
      },
      put: (path, type, body, agent) => {
        const headers = { 'content-type': type }
        return send(
          urls.device + path,
          'PUT',
          { ...tls, headers, ...(agent ? { agent } : {}) },
          body,
        )
      },
    }
  }

  return {
    get hub() {
      return hub
    },
    dataDir,
    store,
    inStore: async (look) => {
      await using beside = await openBeside(parseStoreAddress(store, join(dataDir, 'hub.db')))
      return await look(beside)
    },
    keepStore: async () => {
      if (store !== '') return await keepDatabase(store)
      const file = join(dataDir, 'hub.db')
      await cp(file, `${file}.kept`)
      return () => cp(`${file}.kept`, file)
    },
    api,
    enrol,
    device,
    signIn,
    close,
    reopen: async () => {
      await close()
      const port = (url: string): number => Number(new URL(url).port)
      hub = await open({
        browser: port(urls.browser),
        device: port(urls.device),
        mqtt: port(urls.mqtt),
      })
      isOpen = true
    },
  }
}

/** The cookie that a reply sets, as a browser sends it back. */
export const cookieOf = (reply: Response): string =>
  (reply.headers.get('set-cookie') ?? '').split(';')[0] ?? ''

/** The token of a sign-in or password link. */
export const tokenOf = (link: string): string =>
  new URLSearchParams(new URL(link).hash.slice(1)).get('token') ?? ''
/** Opens a store without claiming it: a hub may have it open. */
async function openBeside(address: StoreAddress): Promise<Store> {
  return await (address.kind === 'postgres' ? openPostgresStore(address) : openSqliteStore(address))
}

/** A P-256 key and the certificate request of it, both PEM. */
export async function makeRequest(
  algorithm: webcrypto.EcKeyGenParams = { name: 'ECDSA', namedCurve: 'P-256' },
): Promise<{ key: string; csr: string }> {
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
  const csr = await x509.Pkcs10CertificateRequestGenerator.create({
    name: [{ CN: ['whatever a box may claim'] }],
    keys,
    signingAlgorithm: { ...algorithm, hash: 'SHA-256' },
  })
  const pkcs8 = await webcrypto.subtle.exportKey('pkcs8', keys.privateKey)
  return { key: x509.PemConverter.encode(pkcs8, 'PRIVATE KEY'), csr: csr.toString('pem') }
}

/** Sends one request to the device listener; without a `ca` the hub's certificate is not checked. */
export async function send(
  url: string,
  method: string,
  options: {
    key?: string
    cert?: string
    ca?: string
    headers?: Record<string, string>
    /** Keeps connections open; a new one for each request without it. */
    agent?: Agent
    /** Where the request comes from, as the hub sees it. */
    localAddress?: string
  },
  body: Uint8Array | object,
): Promise<Answer> {
  const bytes = body instanceof Uint8Array ? body : Buffer.from(JSON.stringify(body))
  const headers = { 'content-type': 'application/json', ...options.headers }
  const sent = request(url, {
    ...options,
    method,
    headers: { ...headers, 'content-length': bytes.length },
    rejectUnauthorized: options.ca !== undefined,
    agent: options.agent ?? false,
  })
  sent.end(bytes)
  const [reply] = await once(sent, 'response')
  const chunks: Buffer[] = []
  for await (const chunk of reply) chunks.push(chunk)
  return { status: reply.statusCode, text: Buffer.concat(chunks).toString() }
}

async function connected(client: MqttClient): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    client.once('connect', () => resolve())
    client.once('error', reject)
    client.once('close', () =>
      reject(new Error('Cannot connect: the broker closed the connection')),
    )
  })
}
