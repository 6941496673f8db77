/**
 * How many events a second the hub commits before it acknowledges them, and how long a device waits: a real
 * hub in one process, 200 agents over mutual TLS in another, stop-and-wait, `synchronous = full`.
 * `npm run bench -- ingest [--seconds N] [--agents N] [--batch N] [--broker embedded|mosquitto]
 * [--store sqlite|postgres] [--profile DIR]`
 */
import type { ChildProcess } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import type { EnrolmentToken, HubHealth } from '@edgeloop/protocol'
import { startMosquitto } from '../broker/mosquitto.ts'
import { makeRequest, send } from '../hub/fixture.ts'
import { type Cluster, startCluster } from '../postgres/cluster.ts'
import type { Bench } from './bench.ts'
import type { HubOrder, HubReady } from './bench-hub.ts'
import { answer, figuresOf, start, stop } from './bench-process.ts'
import type { Credentials, LoadOrder, LoadResult } from './ingest-load.ts'

/** What the issue asks for. */
const target = { eventsPerSecond: 50_000, p99Ms: 250 }
/** Enrolments at once: each costs the hub three durable writes. */
const enrolmentsAtOnce = 8

export const bench: Bench = async ({ args, signal }) => {
  const { values } = parseArgs({
    args,
    options: {
      seconds: { type: 'string', default: '10' },
      agents: { type: 'string', default: '200' },
      batch: { type: 'string', multiple: true, default: ['50', '5'] },
      broker: { type: 'string', default: 'embedded' },
      store: { type: 'string', default: 'sqlite' },
      profile: { type: 'string' },
    },
  })
  const agents = Number(values.agents)
  await using opened = new AsyncDisposableStack()
  const dataDir = await mkdtemp(join(tmpdir(), 'edgeloop-ingest-'))
  opened.defer(() => rm(dataDir, { recursive: true, force: true }))
  if (values.broker !== 'embedded' && values.broker !== 'mosquitto') {
    throw new Error(`Cannot measure with broker "${values.broker}": use embedded or mosquitto`)
  }
  if (values.store !== 'sqlite' && values.store !== 'postgres') {
    throw new Error(`Cannot measure with store "${values.store}": use sqlite or postgres`)
  }
  // As it is installed: fsync on, nothing tuned.
  const cluster = values.store === 'postgres' ? opened.use(await startCluster()) : undefined
  const store = await cluster?.createDatabase()
  const files = join(dataDir, 'broker')
  const mosquitto =
    values.broker === 'mosquitto' ? opened.use(await startMosquitto(dataDir, files)) : undefined
  const profile =
    values.profile === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${values.profile}`]
  const hub = start('./bench-hub.ts', signal, profile)
  opened.defer(() => stop(hub))
  const broker = mosquitto && { url: mosquitto.hubUrl, publicUrl: mosquitto.deviceUrl, files }
  hub.send({
    kind: 'open',
    dataDir,
    ...(broker && { broker }),
    ...(store && { store }),
  } satisfies HubOrder)
  const ready = await answer<HubReady>(hub)
  await whole(ready)
  const credentials = await enrolAll(ready, agents)

  const rows = []
  for (const batch of values.batch.map(Number)) {
    const order = { credentials, batch, seconds: Number(values.seconds) }
    rows.push(await measure(hub, { brokerPid: mosquitto?.pid, cluster }, order, signal))
  }
  const [first] = rows
  const reached =
    first !== undefined &&
    first.lost === 0 &&
    first.eventsPerSecond >= target.eventsPerSecond &&
    first.p99Ms <= target.p99Ms
  return {
    name: 'ingest',
    rows,
    json: { agents, broker: values.broker, store: values.store, target, reached, rows },
  }
}

/** @param beside what runs beside the hub in processes of its own: the broker, PostgreSQL */
async function measure(
  hub: ChildProcess,
  { brokerPid, cluster }: { brokerPid: number | undefined; cluster: Cluster | undefined },
  order: { credentials: readonly Credentials[]; batch: number; seconds: number },
  signal: AbortSignal,
) {
  const before = await figuresOf(hub)
  const brokerBeforeMs = brokerPid === undefined ? 0 : await cpuMsOf(brokerPid)
  const storeBefore = await cpuMsOfEach(cluster?.pids() ?? [])
  const load = start('./ingest-load.ts', signal)
  try {
    load.send(order satisfies LoadOrder)
    const result = await answer<LoadResult>(load)
    const after = await figuresOf(hub)
    const brokerMs = brokerPid === undefined ? 0 : (await cpuMsOf(brokerPid)) - brokerBeforeMs
    const storeMs = (await cpuMsOfEach([...storeBefore.keys()]))
      .entries()
      .reduce((sum, [pid, ms]) => sum + ms - (storeBefore.get(pid) ?? 0), 0)
    const stored = after.eventsStored - before.eventsStored
    return {
      batch: order.batch,
      agents: order.credentials.length,
      eventsPerSecond: Math.round(result.eventsPerSecond),
      p50Ms: round(result.p50Ms),
      p99Ms: round(result.p99Ms),
      hubRssMb: Math.round(after.rssPeakBytes / 1e6),
      hubCores: round((after.cpuMs - before.cpuMs) / result.elapsedMs),
      hubMainCores: round((after.mainCpuMs - before.mainCpuMs) / result.elapsedMs),
      hubCpuUsPerEvent: round(((after.cpuMs - before.cpuMs) * 1000) / stored),
      ...(brokerPid === undefined ? {} : { brokerCores: round(brokerMs / result.elapsedMs) }),
      ...(cluster ? { storeCores: round(storeMs / result.elapsedMs) } : {}),
      loadCores: round(result.cpuMs / result.elapsedMs),
      events: stored,
      /** Acknowledged and not stored, or stored twice. */
      lost: result.eventsAcknowledged - stored,
    }
  } finally {
    await stop(load)
  }
}

/** CPU time of the processes that are still there. */
async function cpuMsOfEach(pids: readonly number[]): Promise<Map<number, number>> {
  const times = await Promise.all(
    pids.map(async (pid) => [pid, await cpuMsOf(pid).catch(() => undefined)] as const),
  )
  return new Map(times.flatMap(([pid, ms]) => (ms === undefined ? [] : [[pid, ms] as const])))
}

async function enrolAll(ready: HubReady, agents: number): Promise<Credentials[]> {
  const token = (await readFile(ready.localTokenFile, 'utf8')).trim()
  const { key, csr } = await makeRequest()
  const enrol = async (deviceId: string): Promise<Credentials> => {
    const made = await fetch(`${ready.browser}/api/enrolment-tokens`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: JSON.stringify({ deviceId }),
    })
    const offer = (await made.json()) as EnrolmentToken
    const reply = await send(`${ready.device}/enrol`, 'POST', {}, { token: offer.token, csr })
    if (reply.status !== 201) throw new Error(`Cannot enrol "${deviceId}": ${reply.text}`)
    return { deviceId, key, ...(JSON.parse(reply.text) as Omit<Credentials, 'deviceId' | 'key'>) }
  }
  const names = Array.from({ length: agents }, (_, i) => `agent-${i + 1}`)
  const credentials: Credentials[] = []
  for (let i = 0; i < names.length; i += enrolmentsAtOnce) {
    credentials.push(...(await Promise.all(names.slice(i, i + enrolmentsAtOnce).map(enrol))))
  }
  return credentials
}

/** Waits until the hub says that all it needs is there: with an external broker it opens before. */
async function whole({ browser }: HubReady): Promise<void> {
  for (;;) {
    const { status } = (await (await fetch(`${browser}/api/health`)).json()) as HubHealth
    if (status === 'ok') return
    await sleep(50)
  }
}

/** CPU time that a process has used, in clock ticks of 10 ms (proc_pid_stat(5)). */
async function cpuMsOf(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) * 10
}

const round = (value: number): number => Math.round(value * 100) / 100
