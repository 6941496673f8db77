/** Reads a hub's store after everything has been left alone, and counts what is wrong with it. */
import { DatabaseSync } from 'node:sqlite'
import type { Loss } from '@edgeloop/protocol'
import { openStore } from '../../cloud-hub/src/store/open-store.ts'
import { parseStoreAddress } from '../../cloud-hub/src/store/store-address.ts'

export type Audit = {
  readonly stored: number
  /** Starts of agents that the hub has heard of. */
  readonly boots: number
  /** Numbers that are missing between 1 and the last of a boot. */
  readonly gaps: number
  /** Rows beyond the first with the same device, boot and number, or with the same label. */
  readonly doubled: number
  /** Recorded events that are neither there nor covered by a loss record. */
  readonly lost: number
  readonly quarantined: number
  readonly lossRecords: number
  /** Aggregates that were kept when an event behind them gave way. */
  readonly outOfOrder: number
  /** What the loss records say was given up. */
  readonly givenUp: Pick<Loss, 'aggregates' | 'events' | 'alarms'>
}

/** An aggregate carries the time it was made, a loss record that of its commit. */
const commitMsMax = 1000

/**
 * @param store address of the hub's store
 * @param ledger labels of the events that agents confirmed as recorded
 */
export async function auditHub(store: string, ledger: readonly string[]): Promise<Audit> {
  await using opened = await openStore(parseStoreAddress(store, ''))
  const rows = await opened.reader
    .selectFrom('event')
    .select(['boot_key', 'sequence', 'kind', 'at', 'label', 'data'])
    .execute()
  const numbers = new Map<number, [sequence: number, through: number][]>()
  const labels = new Map<string, number>()
  const givenUp = { aggregates: 0, events: 0, alarms: 0 }
  const losses = new Map<number, { sequence: number; atMs: number }>()
  const aggregates: { boot: number; sequence: number; atMs: number }[] = []
  let stored = 0
  let lossRecords = 0
  for (const row of rows) {
    const { boot_key: boot, sequence, kind, at: atMs, label, data } = row
    stored++
    let through = sequence
    if (kind === 'loss') {
      const loss: Loss = JSON.parse(data)
      lossRecords++
      through = loss.through
      for (const key of ['aggregates', 'events', 'alarms'] as const) givenUp[key] += loss[key]
      const known = losses.get(boot)
      if (loss.events > 0) {
        losses.set(boot, {
          sequence: Math.min(sequence, known?.sequence ?? sequence),
          atMs: Math.max(atMs, known?.atMs ?? atMs),
        })
      }
    }
    if (kind === 'health') aggregates.push({ boot, sequence, atMs })
    const ranges = numbers.get(boot) ?? []
    numbers.set(boot, ranges)
    ranges.push([sequence, through])
    if (label !== null) labels.set(label, (labels.get(label) ?? 0) + 1)
  }
  let gaps = 0
  let doubled = [...labels.values()].reduce((sum, count) => sum + count - 1, 0)
  for (const ranges of numbers.values()) {
    let next = 1
    for (const [sequence, through] of ranges.sort(([a], [b]) => a - b)) {
      if (sequence > next) gaps += sequence - next
      if (sequence < next) doubled += next - sequence
      next = Math.max(next, through + 1)
    }
  }
  const missing = ledger.filter((label) => !labels.has(label)).length
  const { quarantined } = await opened.reader
    .selectFrom('quarantine')
    .select(({ fn }) => fn.countAll<number>().as('quarantined'))
    .executeTakeFirstOrThrow()
  const outOfOrder = aggregates.filter(({ boot, sequence, atMs }) => {
    const loss = losses.get(boot)
    return loss && sequence > loss.sequence && atMs < loss.atMs - commitMsMax
  }).length
  return {
    stored,
    boots: numbers.size,
    gaps,
    doubled,
    outOfOrder,
    quarantined,
    lossRecords,
    lost: Math.max(0, missing - givenUp.events),
    givenUp,
  }
}

/** What the outbox itself counted as given up, since it was made. */
export function givenUpOnBox(file: string): Audit['givenUp'] {
  using db = new DatabaseSync(file, { readOnly: true })
  const mark = (name: string): number => {
    const row = db.prepare('SELECT value FROM marks WHERE name = ?').get(`lost.${name}`)
    return Number(row?.value ?? 0)
  }
  return { aggregates: mark('aggregates'), events: mark('events'), alarms: mark('alarms') }
}
