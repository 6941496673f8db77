/**
 * Takes deliveries to their receivers: to each one after the other, oldest first, by one hub of several; to several
 * receivers at once. What fails is tried again with growing pauses; a receiver that fails again and again is left
 * alone for a while, which costs its deliveries no tries. A try is counted before it is made, so a hub that dies in
 * the middle of one sends the message once more, under the same id.
 */
import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Selectable } from 'kysely'
import { attemptsMax, pauseAfter } from '../rules/queue.ts'
import type { Store } from '../store/store.ts'
import type { DeliveryTable } from '../store/tables.ts'
import { type ToldEvent, Undelivered } from './message.ts'
import { readyReceiver } from './receivers.ts'
import type { Send } from './send.ts'

/** How often it is looked without a reason: pauses end, and another hub may have queued something. */
const lookIntervalMs = 1000
/** Receivers that are told at once. */
const receiversAtOnce = 8
/** A hub that sends renews this before each try; longer than any try takes. */
export const leaseMs = 60_000
/** Tries in a row that failed before a receiver is left alone, and for how long. */
export const failuresMax = 5
export const pauseMs = 5 * 60_000
/** Deliveries to one receiver before others are looked at again. */
const deliveriesInTurn = 50

export type Courier = AsyncDisposable & {
  /** There is something to send. */
  wake(): void
}

export function openCourier(deps: {
  store: Store
  clock: () => number
  send: Send
  random?: () => number
  /** What is waiting or given up is another. */
  changed: () => void
  told: (outcome: 'done' | 'failed' | 'dead') => void
  failed: (error: unknown) => void
}): Courier {
  const { store, clock, send, changed, told, failed } = deps
  const { random = Math.random } = deps
  const worker = randomUUID()
  const closing = new AbortController()
  let woken = new AbortController()
  const busy = new Map<string, Promise<void>>()

  async function look(): Promise<void> {
    const now = clock()
    const due = await store.writer
      .selectFrom('delivery')
      .innerJoin('receiver', 'receiver.name', 'delivery.receiver')
      .select('receiver.name')
      .distinct()
      .where('delivery.state', '=', 'waiting')
      .where('delivery.due_at', '<=', now)
      .where('receiver.paused_until', '<=', now)
      .where((e) => e.or([e('receiver.lease_until', '<', now), e('receiver.worker', '=', worker)]))
      .limit(receiversAtOnce * 4)
      .execute()
    for (const { name } of due) {
      if (busy.size >= receiversAtOnce || busy.has(name)) continue
      const turn = serve(name)
        // There may be more. After a failure of the store the next look comes with time.
        .then(() => woken.abort(), failed)
        .finally(() => busy.delete(name))
      busy.set(name, turn)
    }
  }

  /** @returns whether this hub may send to it now */
  async function hold(name: string): Promise<boolean> {
    const now = clock()
    const { numUpdatedRows } = await store.writer
      .updateTable('receiver')
      .set({ worker, lease_until: now + leaseMs })
      .where('name', '=', name)
      .where((e) => e.or([e('worker', '=', worker), e('lease_until', '<', now)]))
      .executeTakeFirst()
    return Number(numUpdatedRows) > 0
  }

  async function serve(name: string): Promise<void> {
    try {
      for (let turn = 0; turn < deliveriesInTurn && !closing.signal.aborted; turn++) {
        if (!(await hold(name)) || !(await deliverNext(name))) break
      }
    } finally {
      await store.writer
        .updateTable('receiver')
        .set({ lease_until: 0 })
        .where('name', '=', name)
        .where('worker', '=', worker)
        .execute()
      changed()
    }
  }

  /** @returns false where nothing is due, or the receiver is left alone now */
  async function deliverNext(name: string): Promise<boolean> {
    const now = clock()
    const row = await store.writer
      .selectFrom('receiver')
      .selectAll()
      .where('name', '=', name)
      .executeTakeFirst()
    if (!row || row.paused_until > now) return false
    const next = await store.writer
      .selectFrom('delivery')
      .selectAll()
      .where('state', '=', 'waiting')
      .where('receiver', '=', name)
      .where('due_at', '<=', now)
      .orderBy('due_at')
      .orderBy('delivery_id')
      .limit(1)
      .executeTakeFirst()
    if (!next) return false
    const attempt = next.attempts + 1
    if (attempt > attemptsMax) {
      // Its hub died in the last try.
      await end(next.delivery_id, 'dead', next.outcome)
      return true
    }
    const { numUpdatedRows } = await store.writer
      .updateTable('delivery')
      .set({ attempts: attempt, due_at: now + leaseMs, outcome: 'Being sent' })
      .where('delivery_id', '=', next.delivery_id)
      .where('state', '=', 'waiting')
      .where('attempts', '=', next.attempts)
      .executeTakeFirst()
    if (Number(numUpdatedRows) === 0) return true
    try {
      const outcome = await send(messageOf(next), readyReceiver(row, now), closing.signal)
      await end(next.delivery_id, 'done', outcome)
      await note(name, { failures: 0, paused_until: 0, ok_at: clock(), error: '' })
      told('done')
      return true
    } catch (error) {
      if (closing.signal.aborted) {
        // Not a failure of the receiver.
        await later(next.delivery_id, clock(), 'The hub was closed while it was sent')
        return false
      }
      return await hasFailed(next, { attempt, failures: row.failures }, error as Error)
    }
  }

  /** @returns whether the next may be tried at once */
  async function hasFailed(
    { delivery_id, receiver }: Selectable<DeliveryTable>,
    { attempt, failures }: { attempt: number; failures: number },
    error: Error,
  ): Promise<boolean> {
    const now = clock()
    const known = error instanceof Undelivered
    if (!known) failed(error)
    const why = known ? error.message : `The hub failed: ${error.message}`
    const isDead = attempt >= attemptsMax || (known && error.final)
    if (isDead) await end(delivery_id, 'dead', why)
    else {
      const pause = Math.max(pauseAfter(attempt, random()), (known && error.retryAfterMs) || 0)
      await later(delivery_id, now + pause, why)
    }
    told(isDead ? 'dead' : 'failed')
    const inRow = failures + 1
    const isOpen = inRow >= failuresMax
    const asked = known ? (error.retryAfterMs ?? 0) : 0
    const paused_until = isOpen || asked > 0 ? now + Math.max(isOpen ? pauseMs : 0, asked) : 0
    await note(receiver, { failures: inRow, paused_until, error: why.slice(0, 1000) })
    return paused_until === 0
  }

  const end = async (deliveryId: number, state: 'done' | 'dead', outcome: string) => {
    await store.writer
      .updateTable('delivery')
      .set({ state, ended_at: clock(), outcome: outcome.slice(0, 1000) })
      .where('delivery_id', '=', deliveryId)
      .where('state', '=', 'waiting')
      .execute()
  }
  const later = async (deliveryId: number, dueAt: number, outcome: string) => {
    await store.writer
      .updateTable('delivery')
      .set({ due_at: dueAt, outcome: outcome.slice(0, 1000) })
      .where('delivery_id', '=', deliveryId)
      .where('state', '=', 'waiting')
      .execute()
  }
  const note = async (
    name: string,
    values: { failures: number; paused_until: number; error: string; ok_at?: number },
  ) => {
    await store.writer.updateTable('receiver').set(values).where('name', '=', name).execute()
  }

  async function loop(): Promise<void> {
    while (!closing.signal.aborted) {
      woken = new AbortController()
      await look().catch(failed)
      const either = AbortSignal.any([closing.signal, woken.signal])
      await sleep(lookIntervalMs, undefined, { signal: either, ref: false }).catch(() => {})
    }
    await Promise.all(busy.values())
  }
  const running = loop()

  return {
    wake: () => woken.abort(),
    async [Symbol.asyncDispose]() {
      closing.abort()
      await running
    },
  }
}

function messageOf(row: Selectable<DeliveryTable>) {
  return {
    messageId: row.message_id,
    rule: row.rule,
    group: row.group_key,
    firedAt: row.created_at,
    events: JSON.parse(row.events) as ToldEvent[],
    eventCount: row.event_count,
    silenced: row.silenced,
    trial: false,
  }
}
