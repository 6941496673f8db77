/** `edgeloop hub`: runs the hub; `edgeloop hub link` makes a sign-in link for a running one. */
import { rm, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { Command } from 'commander'
import { connectHub, type HubAddress, type HubOptions, hubAddressFile } from '../hub-client.ts'
import { type LogLevel, logLevelOption, openLog } from '../log.ts'
import { caOption, dataOption, hubOption, integer, jsonOption, tokenOption } from '../options.ts'
import { printJson } from '../output.ts'
import { stopSignal } from '../stopping.ts'
import { brokerConfigCommand } from './hub-broker-config.ts'

type Options = {
  data: string
  host?: string
  tlsCert?: string
  tlsKey?: string
  port?: number
  devicePort?: number
  mqttPort?: number
  deviceHost?: string
  publicHost?: string
  store?: string
  blobs?: string
  broker?: string
  brokerPublic?: string
  brokerFiles?: string
  downloadRate?: number
  downloadRateDevice?: number
  downloadsMax?: number
  externalTrainer?: string
  homeAssistant?: string
  homeAssistantUser?: string
  logLevel: LogLevel
}

export function hubCommand(): Command {
  const hub = new Command('hub')
    .description('run the hub: broker, store, API and dashboard')
    .option(
      '--port <n>',
      'port for browsers and the command line (default: 4180)',
      integer(0, 65_535),
    )
    .option(
      '--host <address>',
      'address for browsers, such as 0.0.0.0 (default: 127.0.0.1); any but this machine speaks TLS',
    )
    .option('--tls-cert <file>', 'certificate for browsers with its chain; else one of the own CA')
    .option('--tls-key <file>', 'private key of that certificate')
    .option(
      '--device-port <n>',
      'port where devices enrol and send pictures (default: 4181)',
      integer(0, 65_535),
    )
    .option('--mqtt-port <n>', 'port of the MQTT broker (default: 4182)', integer(0, 65_535))
    .option(
      '--device-host <address>',
      'address that devices reach, such as 0.0.0.0 (default: 127.0.0.1)',
    )
    .option(
      '--public-host <name>',
      'name or address under which devices and browsers reach this hub (default: localhost)',
    )
    .option(
      '--store <url>',
      'postgres://… instead of the file in the data folder (or EDGELOOP_HUB_STORE)',
    )
    .option(
      '--blobs <url>',
      's3://BUCKET/PREFIX?endpoint=https://… instead of a folder; key in AWS_ACCESS_KEY_ID',
    )
    .option(
      '--external-trainer <how>',
      'external:COMMAND or kubernetes:IMAGE?claim=NAME takes the steps of runs that ask for it: docs/external-trainer.md',
    )
    .option('--broker <url>', 'mqtts://… of an external broker instead of the embedded one')
    .option('--broker-public <url>', 'where devices reach it (default: where the hub does)')
    .option('--broker-files <dir>', 'folder of "hub broker-config" for it')
    .option(
      '--download-rate <bytes>',
      'bytes of models per second to all devices, 0 for no limit (default: 50000000)',
      integer(0, 100_000_000_000),
    )
    .option(
      '--download-rate-device <bytes>',
      'the same to one device (default: 0)',
      integer(0, 100_000_000_000),
    )
    .option(
      '--downloads-max <n>',
      'transfers of models at once (default: 64); others are told when to come again',
      integer(1, 10_000),
    )
    .option(
      '--home-assistant <url>',
      'mqtt://… of the broker of Home Assistant (docs/integrations.md)',
    )
    .option('--home-assistant-user <name>', 'name there; EDGELOOP_HUB_HOME_ASSISTANT_PASSWORD')
    .addOption(dataOption())
    .addOption(logLevelOption())
    .addHelpText(
      'after',
      `
Examples:
  $ ./edgeloop hub
  $ ./edgeloop hub --device-host 0.0.0.0 --public-host hub.example.org
  $ ./edgeloop hub --host 0.0.0.0 --public-host hub.example.org   browsers by TLS
  $ EDGELOOP_HUB_STORE=postgres://edgeloop:secret@db/edgeloop ./edgeloop hub
  $ ./edgeloop hub --broker mqtts://broker:8884 --broker-public mqtts://broker:8883 --broker-files mq/
  $ ./edgeloop hub link                            a sign-in link for the running hub`,
    )
    .action(runHub)
  hub.addCommand(brokerConfigCommand())
  hub
    .command('link')
    .description('make a one-time sign-in link for a running hub')
    .addOption(jsonOption())
    .addOption(hubOption())
    .addOption(caOption())
    .addOption(tokenOption())
    .addOption(dataOption())
    .action(async (options: HubOptions & { json?: boolean }) => {
      const client = await connectHub(options)
      const { token, expiresAt } = await client.call('signInLinkCreate', {})
      const url = new URL(`/#token=${token}`, client.url).href
      if (options.json) printJson({ url, expiresAt })
      else console.log(url)
    })
  return hub
}

async function runHub(options: Options): Promise<void> {
  const signal = stopSignal()
  const log = openLog('hub', options.logLevel)
  const data = resolve(options.data)
  const { buildDashboard } = await import('@edgeloop/dashboard/build')
  const dashboardDir = await buildDashboard()
  const { openHub, readHubConfig } = await import('@edgeloop/cloud-hub')
  const config = readHubConfig(
    {
      dataDir: join(data, 'hub'),
      dashboardDir,
      browser: given({
        port: options.port,
        host: options.host,
        tlsCert: options.tlsCert,
        tlsKey: options.tlsKey,
      }),
      device: given({ port: options.devicePort, host: options.deviceHost }),
      mqtt: given({ port: options.mqttPort, host: options.deviceHost }),
      blobs: given({ url: options.blobs }),
      broker: given({
        url: options.broker,
        publicUrl: options.brokerPublic,
        files: options.brokerFiles === undefined ? undefined : resolve(options.brokerFiles),
      }),
      downloads: given({
        bytesPerSecond: options.downloadRate,
        deviceBytesPerSecond: options.downloadRateDevice,
        max: options.downloadsMax,
      }),
      homeAssistant: given({ url: options.homeAssistant, username: options.homeAssistantUser }),
      ...given({ publicHost: options.publicHost, store: options.store }),
    },
    process.env,
  )
  const { openBundles } = await import('../../bundle/bundles.ts')
  const bundles = await openBundles({
    folder: join(data, 'hub', 'bundles'),
    onProgress: (text) => log.info(`agent for new boxes: ${text}`),
  })
  const { openHubCompiler } = await import('../model/hub-compiler.ts')
  const { openHubTrainer } = await import('../train/hub-trainer.ts')
  const { openHubProposer } = await import('../label/hub-proposer.ts')
  const { openHubEngine } = await import('../infer/hub-engine.ts')
  const { externalTrainerOf } = await import('../train/external-trainer.ts')
  const how = options.externalTrainer
  const external =
    how === undefined ? undefined : await externalTrainerOf(how, '--external-trainer')
  const able = {
    compiler: openHubCompiler(),
    trainer: openHubTrainer({ ...(external && { external }) }),
    proposer: openHubProposer(),
    engine: openHubEngine(),
  }
  await using hub = await openHub(config, { log, bundles, ...able })
  const { browser: url, device: deviceUrl, mqtt: mqttUrl } = hub.urls
  const address = hubAddressFile(data)
  const reach: HubAddress = hub.ownCertificate ? { url, ca: hub.caFile } : { url }
  await writeFile(address, JSON.stringify(reach))
  const signInUrl = await hub.signInLink()
  // `up` prints its own line; a person who runs the hub alone gets the link here.
  if (process.send) process.send({ kind: 'ready', url, signInUrl, deviceUrl, mqttUrl })
  else console.log(`Edgeloop hub is running: ${signInUrl}`)
  await new Promise<void>((done) => {
    if (signal.aborted) done()
    signal.addEventListener('abort', () => done(), { once: true })
  })
  await rm(address, { force: true })
}

/** What was given, so that defaults hold for the rest. */
function given<T extends object>(options: T): { [K in keyof T]?: NonNullable<T[K]> } {
  return Object.fromEntries(
    Object.entries(options).filter(([, value]) => value !== undefined),
  ) as never
}
