/**
 * An agent without a hub and without room: what is oldest gives way in the stated order, and what the
 * hub learns of it when it is back is exactly what the box counted.
 */
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { startAgent } from './agent-process.ts'
import { type Audit, auditHub, givenUpOnBox } from './audit.ts'
import { startHub } from './hub-process.ts'
import { countLedger, readLedger } from './ledger.ts'
import { mountSmallDisk } from './small-disk.ts'

export type FullDiskOptions = {
  /** Empty folder for everything. */
  readonly folder: string
  /** `disk`: others fill the disk that the outbox is on. `bound`: the outbox meets its own bound. */
  readonly what: 'disk' | 'bound'
  /** Events to be recorded while there is no hub. */
  readonly events: number
  readonly eventsPerSecond: number
  readonly signal: AbortSignal
}

export type FullDiskReport = Audit & {
  readonly what: 'disk' | 'bound'
  readonly recorded: number
  /** What the outbox counted by itself. */
  readonly givenUpOnBox: Audit['givenUp']
  readonly left: number
}

const diskBytes = 24 * 1024 * 1024
const boundBytes = 2 * 1024 * 1024
const pollMs = 20

/** @returns undefined where `disk` was asked for and no small disk can be mounted */
export async function runFullDisk(options: FullDiskOptions): Promise<FullDiskReport | undefined> {
  const { folder, what, events, signal } = options
  await using stack = new AsyncDisposableStack()
  const dataDir = join(folder, 'box')
  const disk = what === 'disk' ? mountSmallDisk(dataDir, diskBytes) : undefined
  if (disk) stack.use(disk)
  else if (what === 'disk') return undefined
  const hub = stack.use(await startHub({ dataDir: join(folder, 'hub') }))
  const agent = stack.use(
    await startAgent({
      hub,
      deviceId: 'box',
      dataDir,
      ledgerFolder: join(folder, 'ledger'),
      eventsPerSecond: options.eventsPerSecond,
      file: {
        health: { intervalMs: 1000 },
        ...(what === 'bound' && { outbox: { bytesMax: boundBytes } }),
      },
    }),
  )
  const reach = async (count: number) => {
    while (countLedger(agent.ledgerFolder) < count) await sleep(pollMs, undefined, { signal })
  }
  await reach(1)
  agent.proxy.down()
  disk?.fill()
  const without = countLedger(agent.ledgerFolder)
  await reach(without + Math.floor(events / 2))
  // An alarm among the events; it outlasts them.
  while (!agent.killMedia()) await sleep(pollMs, undefined, { signal })
  await reach(without + events)
  agent.produce(false)
  agent.proxy.heal()
  await agent.stop()
  const left = await agent.drain(60_000)
  const onBox = givenUpOnBox(agent.outboxFile)
  await hub[Symbol.asyncDispose]()
  const ledger = readLedger(agent.ledgerFolder)
  const audit = await auditHub(join(folder, 'hub', 'hub.db'), ledger)
  return { ...audit, what, recorded: ledger.length, givenUpOnBox: onBox, left }
}
