/**
 * Agents, their media processes, the hub and the network between them fail, in an order that a seed
 * decides, while events flow. Then everything is left alone, must drain, and is audited.
 */
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { type AgentProcess, startAgent } from './agent-process.ts'
import { type Audit, auditHub } from './audit.ts'
import { startHub } from './hub-process.ts'
import { countLedger, readLedger } from './ledger.ts'

/** What can go wrong. The first three are SIGKILLs. */
export const faultKinds = [
  'killAgent',
  'killMedia',
  'killHub',
  'cutLink',
  'linkDown',
  'stallLink',
  'loseAcknowledgements',
] as const
/** `killStore` and `killBroker` are for those that are processes of their own. */
export type FaultKind = (typeof faultKinds)[number] | 'killStore' | 'killBroker'

export type FaultRunOptions = {
  /** Empty folder for everything. */
  readonly folder: string
  readonly seed: number
  readonly agents: number
  /** Events to be recorded before everything is left alone. */
  readonly events: number
  readonly eventsPerSecond: number
  readonly faults: number
  /** A store beside the hub, which fails too: a server that is killed and started again. */
  readonly store?: { readonly url: string; kill(): Promise<void>; start(): Promise<void> }
  /** A broker beside the hub, which fails too. @param hubDataDir where the hub keeps its keys */
  readonly broker?: (
    hubDataDir: string,
  ) => Promise<AsyncDisposable & Server & { readonly config: object }>
  /** Told of each fault. */
  readonly onFault?: (text: string) => void
  readonly signal: AbortSignal
}

export type FaultReport = Audit & {
  readonly seed: number
  readonly recorded: number
  readonly faults: Readonly<Record<FaultKind, number>>
  /** Entries left in the outboxes in the end. */
  readonly left: number
  readonly flowMs: number
  readonly drainMs: number
}

/** Outages last up to this; longer than an acknowledgement may take would only make the run longer. */
const outageMsMax = 1500
const pollMs = 20
/** The flow of events is considered stuck after so long without a single one. */
const stuckMs = 60_000
const drainTimeoutMs = 90_000

/** @throws {Error} when the flow of events gets stuck, or `signal` aborts */
export async function runFaults(options: FaultRunOptions): Promise<FaultReport> {
  const { folder, seed, events, faults, signal } = options
  const random = mulberry32(seed)
  const { store } = options
  const kinds: FaultKind[] = [...faultKinds]
  if (store) kinds.unshift('killStore')
  if (options.broker) kinds.unshift('killBroker')
  const done = Object.fromEntries(kinds.map((kind) => [kind, 0])) as Record<FaultKind, number>
  const startedAt = performance.now()
  let flowMs = 0
  let left = 0
  await using stack = new AsyncDisposableStack()
  const dataDir = join(folder, 'hub')
  const broker = stack.use(await options.broker?.(dataDir))
  const config = { store: store?.url, broker: broker?.config }
  const hub = stack.use(await startHub({ dataDir, config }))
  const agents: AgentProcess[] = []
  for (let i = 1; i <= options.agents; i++) {
    const deviceId = `box-${i}`
    const agent = await startAgent({
      hub,
      deviceId,
      dataDir: join(folder, deviceId),
      ledgerFolder: join(folder, 'ledger', deviceId),
      eventsPerSecond: options.eventsPerSecond / options.agents,
      file: { health: { intervalMs: 1000 } },
    })
    agents.push(stack.use(agent))
  }
  const recorded = () => agents.reduce((sum, agent) => sum + countLedger(agent.ledgerFolder), 0)

  for (let i = 1; i <= faults; i++) {
    // Spread over the flow: each fault meets a system that has moved on since the last one.
    await reach(recorded, Math.floor((events * i) / (faults + 1)), signal)
    const agent = agents[Math.floor(random() * agents.length)]
    // Kills first, one of each kind in turn, so that no seed leaves one out.
    const kind = kinds[i <= kinds.length ? i - 1 : Math.floor(random() * kinds.length)]
    if (!agent || !kind) continue
    await perform(kind, agent, { hub, store, broker }, random, signal)
    done[kind]++
    const victims: Partial<Record<FaultKind, string>> = {
      killHub: 'hub',
      killStore: 'store',
      killBroker: 'broker',
    }
    const victim = victims[kind] ?? agent.deviceId
    options.onFault?.(`${kind} ${victim} at ${recorded()}`)
  }
  await reach(recorded, events, signal)
  for (const agent of agents) agent.produce(false)
  flowMs = performance.now() - startedAt

  // Left alone: the agents drain by themselves, while they run; the last words of their end follow.
  for (const agent of agents) {
    agent.proxy.heal()
    await settle(agent.ledgerFolder, signal)
    await agent.stop()
    left += await agent.drain(drainTimeoutMs)
  }
  await hub[Symbol.asyncDispose]()
  const ledger = agents.flatMap(({ ledgerFolder }) => readLedger(ledgerFolder))
  const drainMs = performance.now() - startedAt - flowMs
  const audit = await auditHub(store?.url ?? join(folder, 'hub', 'hub.db'), ledger)
  return { ...audit, seed, recorded: ledger.length, faults: done, left, flowMs, drainMs }
}

type Server = { kill(): Promise<void>; start(): Promise<void> }

async function perform(
  kind: FaultKind,
  agent: AgentProcess,
  { hub, store, broker }: { hub: Server; store: Server | undefined; broker: Server | undefined },
  random: () => number,
  signal: AbortSignal,
): Promise<void> {
  const outage = () => sleep(random() * outageMsMax, undefined, { signal })
  switch (kind) {
    case 'killAgent':
      await agent.kill()
      agent.start()
      return
    case 'killMedia':
      // Between two lives of it there is none to kill.
      while (!agent.killMedia()) await sleep(pollMs, undefined, { signal })
      return
    case 'killHub':
    case 'killStore':
    case 'killBroker': {
      const server = { killHub: hub, killStore: store, killBroker: broker }[kind]
      await server?.kill()
      await outage()
      await server?.start()
      return
    }
    case 'cutLink':
      agent.proxy.cut()
      return
    case 'linkDown':
      agent.proxy.down()
      break
    case 'stallLink':
      agent.proxy.stall()
      break
    case 'loseAcknowledgements':
      agent.proxy.deafen()
      break
  }
  await outage()
  // What was on its way is lost with the connection; both sides find out in their own time.
  if (random() < 0.5) agent.proxy.cut()
  agent.proxy.heal()
}

async function reach(count: () => number, target: number, signal: AbortSignal): Promise<void> {
  let best = count()
  let movedAt = performance.now()
  while (best < target) {
    await sleep(pollMs, undefined, { signal })
    const now = count()
    if (now > best) movedAt = performance.now()
    best = now
    if (performance.now() - movedAt > stuckMs) {
      throw new Error(`Cannot go on: no event was recorded for ${stuckMs} ms, ${best} of ${target}`)
    }
  }
}

/** Waits until what was on its way to the ledger has arrived there. */
async function settle(ledgerFolder: string, signal: AbortSignal): Promise<void> {
  for (let before = -1, now = countLedger(ledgerFolder); now !== before; ) {
    await sleep(300, undefined, { signal })
    before = now
    now = countLedger(ledgerFolder)
  }
}

/** Small seeded generator, 0..1; Tommy Ettinger's mulberry32, public domain. */
function mulberry32(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}
