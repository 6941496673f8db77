/** A real agent in a process of its own, behind a network that can fail, with producers for cameras. */
import { type ChildProcess, fork } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { pino } from 'pino'
import { readAgentConfig } from '../../edge-agent/src/configuration.ts'
import { enrol } from '../../edge-agent/src/identity/enrol.ts'
import { openLink } from '../../edge-agent/src/link/link.ts'
import { openOutbox } from '../../edge-agent/src/outbox/outbox.ts'
import { openSamples } from '../../edge-agent/src/sampling/open-samples.ts'
import type { AgentOrder } from './agent-program.ts'
import type { HubProcess } from './hub-process.ts'
import { livingWriters, type MediaOrder, mediaOrderVariable, stopFile } from './ledger.ts'
import { openTcpProxy, type TcpProxy } from './tcp-proxy.ts'

export type AgentProcess = AsyncDisposable & {
  readonly deviceId: string
  readonly ledgerFolder: string
  readonly outboxFile: string
  /** The network between this agent and the broker. */
  readonly proxy: TcpProxy
  start(): void
  /** SIGKILL; resolves when it is gone. Its media process goes by itself. */
  kill(): Promise<void>
  /** SIGTERM; resolves when it is gone. */
  stop(): Promise<void>
  /** SIGKILL to its media process. @returns false where none runs just now */
  killMedia(): boolean
  /** Starts or ends the flow of events. */
  produce(on: boolean): void
  /**
   * After `stop()`: opens its outbox without any producer and lets it drain.
   * @returns entries that are left in the end
   */
  drain(timeoutMs: number): Promise<number>
}

export type AgentOptions = {
  readonly hub: HubProcess
  readonly deviceId: string
  readonly dataDir: string
  readonly ledgerFolder: string
  readonly eventsPerSecond: number
  /** `agent.yaml`, as data. */
  readonly file: object
}

/** Enrols a device with the hub, gives it a stream, and starts its agent. */
export async function startAgent(options: AgentOptions): Promise<AgentProcess> {
  const { hub, deviceId, dataDir, ledgerFolder, eventsPerSecond, file } = options
  const { signal } = new AbortController()
  for (const folder of [dataDir, ledgerFolder]) mkdirSync(folder, { recursive: true })
  const { token, caFingerprint, deviceUrl } = await hub.createToken(deviceId)
  const identity = await enrol({ deviceUrl, token, caFingerprint, folder: dataDir, signal })
  const stream = { streamId: 'cam', source: 'demo:1' }
  await hub.api('POST', `/api/devices/${deviceId}/streams`, stream)
  const proxy = await openTcpProxy(Number(new URL(hub.urls.mqtt).port))
  const mqttUrl = `mqtts://localhost:${proxy.port}`
  const outboxFile = join(dataDir, 'outbox.db')
  let child: ChildProcess | undefined

  function start(): void {
    const order: AgentOrder = { dataDir, mqttUrl, file }
    const media: MediaOrder = { ledgerFolder, eventsPerSecond }
    child = fork(new URL('./agent-program.ts', import.meta.url), [JSON.stringify(order)], {
      env: { ...process.env, [mediaOrderVariable]: JSON.stringify(media) },
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    })
  }

  async function end(signalName: NodeJS.Signals): Promise<void> {
    if (!child || child.exitCode !== null || child.signalCode !== null) return
    const gone = new Promise((resolve) => child?.once('exit', resolve))
    child.kill(signalName)
    await gone
    // An orphaned media process sees its channel close; the next agent must not meet it.
    while (livingWriters(ledgerFolder).length > 0) await sleep(10)
  }

  async function drain(timeoutMs: number): Promise<number> {
    const config = await readAgentConfig(dataDir, file)
    const log = pino({ level: 'silent' })
    await using outbox = await openOutbox({ file: outboxFile, bootId: randomUUID() })
    await using _link = await openLink({
      identity: { ...identity, mqttUrl },
      config,
      outbox,
      snapshotFolder: join(dataDir, 'snapshots'),
      clips: { find: () => undefined, keep: async () => false },
      samples: await openSamples(join(dataDir, 'samples'), config.samples, log),
      log,
      record: (event) => outbox.append(event),
      onDesired: () => {},
      onLiveRequest: () => {},
      onSampleRequest: () => {},
      onOffers: () => {},
      readLog: () => ({ bootId: outbox.bootId, lines: [], omitted: 0 }),
    })
    const endAt = performance.now() + timeoutMs
    while (outbox.figures.entries > 0 && performance.now() < endAt) await sleep(20)
    return outbox.figures.entries
  }

  start()
  return {
    deviceId,
    ledgerFolder,
    outboxFile,
    proxy,
    start,
    drain,
    kill: () => end('SIGKILL'),
    stop: () => end('SIGTERM'),
    killMedia: () => {
      const [pid] = livingWriters(ledgerFolder)
      if (pid !== undefined) process.kill(pid, 'SIGKILL')
      return pid !== undefined
    },
    produce: (on) => {
      if (on) rmSync(join(ledgerFolder, stopFile), { force: true })
      else writeFileSync(join(ledgerFolder, stopFile), '')
    },
    async [Symbol.asyncDispose]() {
      await end('SIGKILL')
      await proxy[Symbol.asyncDispose]()
    },
  }
}
