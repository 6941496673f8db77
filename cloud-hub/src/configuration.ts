/**
 * Everything a hub can be told, as one schema: each key with its unit, default and sentence. Nothing else
 * in the hub reads the environment. An unknown key is an error that names the nearest known one.
 */
import { isIP } from 'node:net'
import { nearestName, SiteId } from '@edgeloop/protocol'
import { parse } from '@edgeloop/protocol/check'
import { type Static, Type } from 'typebox'
import { Value } from 'typebox/value'
import { parseS3Address } from './blobs/blobs-address.ts'

const closed = { additionalProperties: false } as const
const port = (standard: number, description: string) =>
  Type.Integer({ minimum: 0, maximum: 65_535, default: standard, description })
const host = (description: string) =>
  Type.String({ minLength: 1, maxLength: 253, default: '127.0.0.1', description })
const secret = (description: string) => Type.String({ maxLength: 4000, default: '', description })

export const HubConfig = Type.Object(
  {
    dataDir: Type.String({
      minLength: 1,
      default: '.edgeloop/hub',
      description: 'Folder of the store, blobs, keys and the local token; made where it is missing',
    }),
    store: Type.String({
      maxLength: 2000,
      default: '',
      description:
        'Where events, devices and people are kept: postgres://USER:PASSWORD@HOST/DATABASE, or the path of an SQLite file; by default hub.db in dataDir',
    }),
    blobs: Type.Object(
      {
        url: Type.String({
          maxLength: 2000,
          default: '',
          description:
            'Where pictures are kept: s3://BUCKET/PREFIX?endpoint=https://HOST&region=…; by default a folder in dataDir',
        }),
        accessKeyId: secret('Key id for S3 (or AWS_ACCESS_KEY_ID)'),
        secretAccessKey: secret('Secret of the key (or AWS_SECRET_ACCESS_KEY)'),
        sessionToken: secret('Token of temporary credentials (or AWS_SESSION_TOKEN)'),
      },
      { ...closed, default: {} },
    ),
    dashboardDir: Type.String({
      default: '',
      description: 'Folder of the built dashboard; without it a page says how to build it',
    }),
    browser: Type.Object(
      {
        host: host(
          'Address for browsers and the command line; plain HTTP on this machine, TLS on any other',
        ),
        port: port(4180, 'TCP port for browsers and the command line; 0 takes any free one'),
        tlsCert: Type.String({
          maxLength: 4096,
          default: '',
          description:
            'Certificate with its chain for browsers, a PEM file; else one of the hub’s own CA',
        }),
        tlsKey: Type.String({
          maxLength: 4096,
          default: '',
          description: 'Private key of that certificate, a PEM file',
        }),
      },
      { ...closed, default: {} },
    ),
    device: Type.Object(
      {
        host: host('Address where devices enrol and send pictures'),
        port: port(4181, 'TCP port where devices enrol and send pictures; 0 takes any free one'),
      },
      { ...closed, default: {} },
    ),
    mqtt: Type.Object(
      {
        host: host('Address of the MQTT broker'),
        port: port(4182, 'TCP port of the MQTT broker; 0 takes any free one'),
        connectionsMax: Type.Integer({
          minimum: 1,
          maximum: 100_000,
          default: 5000,
          description: 'Connections at once; further ones are closed unanswered',
        }),
        connectTimeoutMs: Type.Integer({
          minimum: 100,
          maximum: 60_000,
          default: 5000,
          description: 'Milliseconds a client has for the TLS handshake, and again to sign in',
        }),
      },
      { ...closed, default: {} },
    ),
    broker: Type.Object(
      {
        url: Type.String({
          maxLength: 2000,
          default: '',
          description:
            'External MQTT broker, as the hub reaches it: mqtts://HOST:PORT; by default the embedded one',
        }),
        publicUrl: Type.String({
          maxLength: 2000,
          default: '',
          description: 'The external broker as devices reach it; by default where the hub does',
        }),
        files: Type.String({
          default: '',
          description:
            'Folder of "hub broker-config": ca.crt, hub.crt and hub.key are read, devices.crl is written',
        }),
      },
      { ...closed, default: {} },
    ),
    downloads: Type.Object(
      {
        bytesPerSecond: Type.Integer({
          minimum: 0,
          maximum: 100_000_000_000,
          default: 50_000_000,
          description: 'Bytes of models per second to all devices together; 0 for no limit',
        }),
        deviceBytesPerSecond: Type.Integer({
          minimum: 0,
          maximum: 100_000_000_000,
          default: 0,
          description: 'Bytes of models per second to one device; 0 for no limit',
        }),
        max: Type.Integer({
          minimum: 1,
          maximum: 10_000,
          default: 64,
          description: 'Transfers of models at once; further devices are told when to come again',
        }),
      },
      { ...closed, default: {} },
    ),
    inference: Type.Object(
      {
        modelsMax: Type.Integer({
          minimum: 1,
          maximum: 64,
          default: 2,
          description:
            'Models that are open for others at once, each in a process of its own; the one not used for longest gives way',
        }),
        requestsMax: Type.Integer({
          minimum: 1,
          maximum: 1000,
          default: 8,
          description: 'Inferences by HTTP that run or wait; further ones are told to come again',
        }),
        timeoutMs: Type.Integer({
          minimum: 100,
          maximum: 600_000,
          default: 20_000,
          description:
            'Milliseconds for one inference, and for a picture of a batch; a process that takes longer is ended',
        }),
        perMinuteMax: Type.Integer({
          minimum: 1,
          maximum: 1_000_000,
          default: 600,
          description: 'Inferences by HTTP that one token or session may ask for in a minute',
        }),
      },
      { ...closed, default: {} },
    ),
    homeAssistant: Type.Object(
      {
        url: Type.String({
          maxLength: 2000,
          default: '',
          description:
            'MQTT broker of Home Assistant, mqtt://HOST:PORT or mqtts://HOST:PORT: devices, zones, alarms and models are told there',
        }),
        username: Type.String({ maxLength: 200, default: '', description: 'Name at that broker' }),
        password: secret('Password at that broker'),
        caFile: Type.String({
          maxLength: 4096,
          default: '',
          description: 'Certificates (PEM file) to trust there beside those of the system',
        }),
        discoveryPrefix: Type.String({
          minLength: 1,
          maxLength: 100,
          pattern: '^[^+#\\s]+$',
          default: 'homeassistant',
          description: 'Prefix under which Home Assistant discovers devices',
        }),
        topicPrefix: Type.String({
          minLength: 1,
          maxLength: 100,
          pattern: '^[^+#\\s]+$',
          default: 'edgeloop',
          description: 'Prefix of our topics there; "frigate" for what was made for Frigate',
        }),
        install: Type.Enum(['refuse', 'begin'] as const, {
          default: 'refuse',
          description:
            'What "Install" on an update does there: "begin" moves that device to the newest version',
        }),
      },
      { ...closed, default: {} },
    ),
    publicHost: Type.String({
      minLength: 1,
      maxLength: 253,
      pattern: '^[A-Za-z0-9.:-]+$',
      default: 'localhost',
      description: 'Name or address under which devices reach the hub; stands in its certificate',
    }),
    site: Type.Union([SiteId], {
      default: 'main',
      description: 'Site of devices that are enrolled without one',
    }),
    certificateDays: Type.Integer({
      minimum: 1,
      maximum: 825,
      default: 90,
      description: 'Days for which the certificate of a device is valid; boxes renew at two thirds',
    }),
    retentionSchedule: Type.String({
      maxLength: 100,
      default: '17 3 * * *',
      description:
        'When what is older than it is kept is removed: a cron expression, in the time zone of the hub; also an hour after a start',
    }),
    driftLearnsFrom: Type.Integer({
      minimum: 20,
      maximum: 10_000,
      default: 120,
      description:
        'Sketches of a stream from which is learnt what is usual on it, before drift is told: two hours where one comes a minute',
    }),
    healthKeptDays: Type.Integer({
      minimum: 1,
      maximum: 3650,
      default: 30,
      description: 'Days for which figures of health are kept for charts',
    }),
    eventsKeptDays: Type.Integer({
      minimum: 1,
      maximum: 36_500,
      default: 365,
      description: 'Days for which events are kept after they came in',
    }),
    auditKeptDays: Type.Integer({
      minimum: 1,
      maximum: 36_500,
      default: 730,
      description: 'Days for which the audit log is kept; never more than 500,000 entries',
    }),
    snapshotsKeptDays: Type.Integer({
      minimum: 1,
      maximum: 36_500,
      default: 30,
      description: 'Days for which the pictures of events are kept',
    }),
    inferencesKeptDays: Type.Integer({
      minimum: 1,
      maximum: 36_500,
      default: 30,
      description:
        'Days for which batches are kept after they ended, and what models said of pictures since somebody asked for it',
    }),
    samplesKeptDays: Type.Integer({
      minimum: 1,
      maximum: 36_500,
      default: 180,
      description:
        'Days for which samples of boxes are kept that no dataset, frozen version or open task needs',
    }),
  },
  closed,
)
export type HubConfig = Static<typeof HubConfig>

const environmentPrefix = 'EDGELOOP_HUB_'
/** Names under which every tool for S3 looks for its key; ours come before them. */
const awsVariables = {
  AWS_ACCESS_KEY_ID: ['blobs', 'accessKeyId'],
  AWS_SECRET_ACCESS_KEY: ['blobs', 'secretAccessKey'],
  AWS_SESSION_TOKEN: ['blobs', 'sessionToken'],
} as const

/**
 * The hub's configuration from what was given, the environment (`EDGELOOP_HUB_BROWSER_PORT` is
 * `browser.port`) and the defaults; what was given wins.
 * @throws {Error} naming the key that is unknown or does not fit
 */
export function readHubConfig(
  given: unknown = {},
  env: Readonly<Record<string, string | undefined>> = {},
): HubConfig {
  const merged = merge(fromEnvironment(env), given)
  const config = parse(HubConfig, Value.Default(HubConfig, merged), 'hub configuration')
  const { host: browserHost, tlsCert, tlsKey } = config.browser
  if ((tlsCert === '') !== (tlsKey === '')) {
    throw new Error(
      `Cannot use --tls-${tlsCert === '' ? 'key' : 'cert'} alone: give --tls-cert and --tls-key together`,
    )
  }
  if (!isLoopback(browserHost) && tlsCert === '' && isLoopback(config.publicHost)) {
    throw new Error(
      `Cannot listen for browsers on "${browserHost}": that needs TLS, and a certificate needs a name. ` +
        'Say with --public-host under which name or address people reach this hub, or give --tls-cert and --tls-key',
    )
  }
  checkBroker(config.broker)
  checkHomeAssistant(config.homeAssistant.url)
  if (config.blobs.url !== '') {
    parseS3Address(config.blobs.url)
    if (config.blobs.accessKeyId === '' || config.blobs.secretAccessKey === '') {
      throw new Error(
        'Cannot keep blobs in S3 without a key: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY',
      )
    }
  }
  return config
}

/** @throws {Error} where the external broker cannot be reached as it is named */
function checkBroker({ url, publicUrl, files }: HubConfig['broker']): void {
  for (const [key, value] of Object.entries({ url, publicUrl })) {
    if (value === '' || URL.parse(value)?.protocol === 'mqtts:') continue
    // Not quoted whole: a URL may hold a password.
    const scheme = /^[a-z0-9+.-]{1,20}:\/\//i.exec(value)?.[0] ?? 'no scheme'
    throw new Error(
      `Cannot use broker.${key} (${scheme}…): devices and hub speak MQTT over TLS with certificates. Name it mqtts://HOST:PORT`,
    )
  }
  if ((url === '') !== (files === '') || (publicUrl !== '' && url === '')) {
    throw new Error(
      'Cannot use half of an external broker: broker.url and broker.files go together. Make the files with "./edgeloop hub broker-config"',
    )
  }
}

/** @throws {Error} where the broker of Home Assistant cannot be reached as it is named */
function checkHomeAssistant(url: string): void {
  if (url === '') return
  const parsed = URL.parse(url)
  const isMqtt = parsed?.protocol === 'mqtt:' || parsed?.protocol === 'mqtts:'
  if (isMqtt && parsed.username === '' && parsed.password === '') return
  throw new Error(
    'Cannot use homeAssistant.url: name the broker mqtt://HOST:PORT or mqtts://HOST:PORT, and give user name and password apart',
  )
}

/** True for addresses that never leave the machine. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'))
}

type Tree = { [key: string]: Tree | string | number }

function fromEnvironment(env: Readonly<Record<string, string | undefined>>): Tree {
  const paths = new Map(leaves(HubConfig).map((path) => [variableOf(path), path]))
  const tree: Tree = {}
  for (const [name, path] of Object.entries(awsVariables)) {
    const value = env[name]
    if (value !== undefined) plant(tree, path, value)
  }
  for (const [name, value] of Object.entries(env)) {
    if (!name.startsWith(environmentPrefix) || value === undefined) continue
    const path = paths.get(name)
    if (!path) {
      const near = nearestName(name, paths.keys())
      const hint = near === undefined ? '' : `; did you mean "${near}"?`
      throw new Error(`Cannot read hub configuration: unknown variable "${name}"${hint}`)
    }
    plant(tree, path, /^\d+$/.test(value) ? Number(value) : value)
  }
  return tree
}

function leaves(schema: { properties?: object }, path: readonly string[] = []): string[][] {
  if (!schema.properties) return [[...path]]
  return Object.entries(schema.properties).flatMap(([key, child]) => leaves(child, [...path, key]))
}

/** `['browser', 'port']` → `EDGELOOP_HUB_BROWSER_PORT`. */
function variableOf(path: readonly string[]): string {
  const words = path.map((key) => key.replace(/([A-Z])/g, '_$1').toUpperCase())
  return environmentPrefix + words.join('_')
}

function plant(tree: Tree, path: readonly string[], value: string | number): void {
  const [key = '', ...rest] = path
  if (rest.length === 0) {
    tree[key] = value
    return
  }
  const branch = tree[key]
  const child = typeof branch === 'object' ? branch : {}
  tree[key] = child
  plant(child, rest, value)
}

function merge(base: Tree, over: unknown): unknown {
  if (typeof over !== 'object' || over === null) return over
  const merged: Record<string, unknown> = { ...base }
  for (const [key, value] of Object.entries(over)) {
    if (value === undefined) continue
    const below = base[key]
    merged[key] = typeof below === 'object' ? merge(below, value) : value
  }
  return merged
}
