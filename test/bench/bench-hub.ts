/** The hub of a bench, in a process of its own so that its memory and time are its own. */
import { type Hub, openHub, readHubConfig } from '@edgeloop/cloud-hub'
import { pino } from 'pino'

/** Opens a hub; again on the same ports where they are given. */
export type HubOrder = {
  readonly kind: 'open'
  readonly dataDir: string
  readonly dashboardDir?: string
  readonly ports?: Readonly<Record<'browser' | 'device' | 'mqtt', number>>
  /** Address of the store, where it is not the embedded one. */
  readonly store?: string
  /** An external broker, as in the hub's configuration. */
  readonly broker?: object
  /** How fast boxes may fetch models, as in the hub's configuration. */
  readonly downloads?: object
  /** It can look into models and publish them. */
  readonly models?: boolean
}
export type HubReady = {
  readonly browser: string
  readonly device: string
  readonly mqtt: string
  /** Signs its bearer in once. */
  readonly signInLink: string
  readonly localTokenFile: string
}
export type HubFigures = {
  readonly eventsStored: number
  readonly cpuMs: number
  /** Of `cpuMs`, the part of the thread that listens and plans. */
  readonly mainCpuMs: number
  /** Most resident memory since the last time it was asked. */
  readonly rssPeakBytes: number
}

const sampleMs = 200
let hub: Hub | undefined
let rssPeakBytes = 0
const sampling = setInterval(() => {
  rssPeakBytes = Math.max(rssPeakBytes, process.memoryUsage.rss())
}, sampleMs)

process.on('message', (message: HubOrder | { kind: 'figures' }) => {
  void (message.kind === 'open' ? open(message) : tell())
})
process.once('disconnect', async () => {
  clearInterval(sampling)
  await hub?.[Symbol.asyncDispose]()
})

async function open(order: HubOrder): Promise<void> {
  const { dataDir, dashboardDir = '', ports, broker = {}, downloads = {}, store = '' } = order
  const config = readHubConfig({
    dataDir,
    store,
    dashboardDir,
    browser: { port: ports?.browser ?? 0 },
    device: { port: ports?.device ?? 0 },
    mqtt: { port: ports?.mqtt ?? 0 },
    broker,
    downloads,
  })
  const log = pino({ level: 'warn' }, pino.destination(2))
  const compiler = order.models && (await hubCompiler())
  hub = await openHub(config, { log, ...(compiler && { compiler }) })
  const { urls, localTokenFile } = hub
  process.send?.({
    ...urls,
    localTokenFile,
    signInLink: await hub.signInLink(),
  } satisfies HubReady)
}

async function hubCompiler() {
  const { openHubCompiler } = await import('../../cli/src/model/hub-compiler.ts')
  return openHubCompiler({ measureSeconds: 0.2 })
}

async function tell(): Promise<void> {
  const { user, system } = process.cpuUsage()
  const main = process.threadCpuUsage()
  const reply = await fetch(`${hub?.urls.browser}/api/health`)
  const { eventsStored } = (await reply.json()) as { eventsStored: number }
  process.send?.({
    eventsStored,
    cpuMs: (user + system) / 1000,
    mainCpuMs: (main.user + main.system) / 1000,
    rssPeakBytes,
  } satisfies HubFigures)
  rssPeakBytes = 0
}
