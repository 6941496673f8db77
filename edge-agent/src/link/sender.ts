/**
 * Takes events from the outbox to the hub: one batch at a time, sent until the hub says that it is
 * stored. PUBACK does not count: a broker gives it before anything is stored.
 */
import { type Acknowledged, batchEntriesMax } from '@edgeloop/protocol'
import type { Batch, Outbox } from '../outbox/outbox.ts'
import type { UploadBudget } from './upload-budget.ts'

/** First wait for an acknowledgement; it doubles. */
export const acknowledgeTimeoutMs = 5000
/** So often a batch is sent over one connection; then a new connection is tried. */
const sendsMax = 3

export type SenderOptions = {
  readonly outbox: Outbox
  readonly budget: UploadBudget
  readonly acknowledgements: Acknowledgements
  readonly publishEvents: (payload: string) => Promise<void>
  readonly batchEntries?: number
  readonly timeoutMs?: number
  /** Aborts with the connection. */
  readonly signal: AbortSignal
}

/**
 * Sends whatever the outbox holds, as long as the connection lasts.
 * @throws {Error} when the hub does not acknowledge, the connection ends, or the outbox fails
 */
export async function sendEvents(options: SenderOptions): Promise<never> {
  const { outbox, budget, acknowledgements, signal } = options
  for (;;) {
    signal.throwIfAborted()
    const batch = await outbox.peekBatch(options.batchEntries ?? batchEntriesMax)
    if (!batch) {
      await outbox.filled(signal)
      continue
    }
    const acknowledged = await send(batch, options, budget, acknowledgements)
    // Durable before the next batch is taken: see the rules of the outbox.
    await outbox.acknowledge(batch.bootId, acknowledged.through)
  }
}

async function send(
  batch: Batch,
  { publishEvents, signal, timeoutMs = acknowledgeTimeoutMs }: SenderOptions,
  budget: UploadBudget,
  acknowledgements: Acknowledgements,
): Promise<Acknowledged> {
  for (let sends = 0; sends < sendsMax; sends++) {
    await budget.take('events', batch.payload.length, signal)
    // Not awaited: the acknowledgement is what counts, and it may come before the PUBACK. A failure
    // ends the connection, and with it the wait.
    publishEvents(batch.payload).catch(() => {})
    const acknowledged = await acknowledgements.of(batch, timeoutMs * 2 ** sends, signal)
    if (acknowledged) return acknowledged
  }
  throw new Error(`the hub has not acknowledged a batch that it was sent ${sendsMax} times`)
}

/** Acknowledgements as they come in; whoever waits for one takes it here. */
export class Acknowledgements {
  #waiting: ((acknowledged: Acknowledged) => void) | undefined

  /** Takes one that came in. */
  offer(acknowledged: Acknowledged): void {
    this.#waiting?.(acknowledged)
  }

  /**
   * The next one that says something of `batch` is stored; others are left aside, as they speak of
   * earlier batches, or make no sense.
   * @returns undefined when none came in time
   */
  async of(
    { bootId, sequence }: Pick<Batch, 'bootId' | 'sequence'>,
    timeoutMs: number,
    signal: AbortSignal,
  ): Promise<Acknowledged | undefined> {
    const { promise, resolve, reject } = Promise.withResolvers<Acknowledged | undefined>()
    const timer = setTimeout(() => resolve(undefined), timeoutMs)
    const stop = () => reject(signal.reason)
    signal.addEventListener('abort', stop, { once: true })
    this.#waiting = (acknowledged) => {
      if (acknowledged.bootId === bootId && acknowledged.through >= sequence) resolve(acknowledged)
    }
    try {
      signal.throwIfAborted()
      return await promise
    } finally {
      this.#waiting = undefined
      clearTimeout(timer)
      signal.removeEventListener('abort', stop)
    }
  }
}
