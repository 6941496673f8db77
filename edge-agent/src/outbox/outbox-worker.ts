/**
 * The outbox's own thread: SQLite is synchronous and waits for the disk, which must not hold up the
 * agent. It does one call after the other and answers each with the figures as they are then.
 */
import { parentPort, workerData } from 'node:worker_threads'
import type { ClassCounts } from './loss.ts'
import { isDamage, type Salvage } from './outbox-file.ts'
import {
  type Appended,
  type Arrival,
  type Batch,
  type OutboxFigures,
  OutboxStore,
  type OutboxStoreOptions,
} from './outbox-store.ts'

/** What can be asked of the worker, and what it answers. */
export type OutboxCalls = {
  append: {
    ask: { readonly arrivals: readonly Arrival[]; readonly turnedAway: ClassCounts }
    answer: Appended
  }
  peekBatch: { ask: { readonly entriesMax: number }; answer: Batch | undefined }
  acknowledge: { ask: { readonly bootId: string; readonly through: number }; answer: undefined }
  settle: { ask: object; answer: undefined }
  close: { ask: object; answer: undefined }
}
export type OutboxCall = keyof OutboxCalls

export type OutboxAsk = {
  [C in OutboxCall]: {
    readonly number: number
    readonly call: C
    readonly at: string
  } & OutboxCalls[C]['ask']
}[OutboxCall]

/** Answer to the ask of that number; number 0 says that the outbox is open. */
export type OutboxAnswer = {
  readonly number: number
  readonly figures: OutboxFigures
  readonly answer?: unknown
  readonly error?: string
  /** Set when a damaged file was found just now: what to tell people. */
  readonly damage?: string
}

/**
 * Main loop of the worker. Damage found while running ends it, and with it the agent: the next start
 * saves what can be saved, under a new boot id, so that no number can be given twice.
 */
function serve(options: OutboxStoreOptions, port: NonNullable<typeof parentPort>): void {
  const store = new OutboxStore(options)
  const { salvage } = store
  const opened: OutboxAnswer = { number: 0, figures: store.figures }
  port.postMessage(salvage ? { ...opened, damage: damageOf(salvage) } : opened)
  port.on('message', (ask: OutboxAsk) => {
    try {
      const answer = perform(store, ask)
      port.postMessage({ number: ask.number, figures: store.figures, answer })
      if (ask.call === 'close') port.close()
    } catch (error) {
      if (isDamage(error)) throw error
      const text = (error as Error).message
      port.postMessage({ number: ask.number, figures: store.figures, error: text })
    }
  })
}

function perform(store: OutboxStore, ask: OutboxAsk): unknown {
  switch (ask.call) {
    case 'append':
      return store.append(ask.arrivals, ask.at, ask.turnedAway)
    case 'peekBatch':
      return store.peekBatch(ask.entriesMax)
    case 'acknowledge':
      return store.acknowledge(ask.bootId, ask.through, ask.at)
    case 'settle':
      return store.settle(ask.at)
    case 'close':
      return store.close()
  }
}

function damageOf({ reason, movedTo, entries, boots }: Salvage): string {
  const saved = `${entries.length} entries of ${boots.length} starts were saved`
  return `The outbox was damaged (${reason}) and moved to "${movedTo}"; ${saved}`
}

if (parentPort) serve(workerData as OutboxStoreOptions, parentPort)
