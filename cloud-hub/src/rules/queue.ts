/**
 * What rules have to tell: a queue in the store, of which every row is one message to one receiver. It is bounded, tried
 * again with growing pauses, and what is given up stays to be seen and tried once more.
 */
import { randomUUID } from 'node:crypto'
import {
  type Delivery,
  type DeliveryPage,
  type DeliveryState,
  deliveryEventsMax,
  Refusal,
} from '@edgeloop/protocol'
import type { Insertable, Selectable, Transaction } from 'kysely'
import type { AuditNote } from '../audit/audit.ts'
import type { ToldEvent } from '../receivers/message.ts'
import type { Store } from '../store/store.ts'
import type { DeliveryTable, Tables } from '../store/tables.ts'

/** Deliveries that wait for one receiver; what comes beyond is given up at once, to be seen. */
export const waitingMax = 10_000
/** Of those that are over, the newest that are kept. */
export const endedKeptMax = 20_000
/** Bytes of the events in one delivery; further events are only counted. */
export const deliveryBytesMax = 256 * 1024
/** How often one is tried, and the pauses between: 5 s, 15 s, 45 s … at most 6 h; ten hours in all. */
export const attemptsMax = 10
const firstPauseMs = 5000
const pauseMaxMs = 6 * 3_600_000
const chunkRows = 50

/**
 * How long to wait after a try that failed: grows threefold, and differs by a half either way so that what failed together
 * does not come again together.
 * @param attempt 1 for the first
 * @param random 0..1
 */
export function pauseAfter(attempt: number, random: number): number {
  const pauseMs = Math.min(pauseMaxMs, firstPauseMs * 3 ** (attempt - 1))
  return Math.round(pauseMs * (0.5 + random))
}

/** Events as a delivery keeps them: as many as fit. */
export function foldEvents(events: readonly ToldEvent[], bytesMax = deliveryBytesMax): ToldEvent[] {
  const kept: ToldEvent[] = []
  let bytes = 0
  for (const told of events.slice(0, deliveryEventsMax)) {
    bytes += JSON.stringify(told).length
    if (bytes > bytesMax && kept.length > 0) break
    kept.push(told)
  }
  return kept
}

/** A firing before it is written. */
export type NewDelivery = {
  readonly rule: string
  readonly receiver: string
  readonly group: string
  readonly events: ToldEvent[]
  eventCount: number
  readonly firstEventId: number
  readonly silenced: number
  readonly gatherUntil: number
  readonly dueAt: number
}

/** Writes firings in the transaction that moves the rules' cursor. */
export async function putDeliveries(
  tx: Transaction<Tables>,
  deliveries: readonly NewDelivery[],
  now: number,
): Promise<void> {
  if (deliveries.length === 0) return
  const room = await roomOf(tx, new Set(deliveries.map(({ receiver }) => receiver)))
  const rows = deliveries.map((one): Insertable<DeliveryTable> => {
    const left = room.get(one.receiver) ?? 0
    room.set(one.receiver, left - 1)
    const full = left <= 0
    return {
      message_id: randomUUID(),
      rule: one.rule,
      receiver: one.receiver,
      group_key: one.group,
      state: full ? 'dead' : 'waiting',
      events: JSON.stringify(foldEvents(one.events)),
      event_count: one.eventCount,
      first_event_id: one.firstEventId,
      silenced: one.silenced,
      created_at: now,
      gather_until: one.gatherUntil,
      due_at: one.dueAt,
      ended_at: full ? now : null,
      attempts: 0,
      outcome: full ? `Not tried: ${waitingMax} deliveries wait for the receiver already` : '',
    }
  })
  for (let from = 0; from < rows.length; from += chunkRows) {
    await tx
      .insertInto('delivery')
      .values(rows.slice(from, from + chunkRows))
      .onConflict((on) => on.columns(['rule', 'receiver', 'first_event_id']).doNothing())
      .execute()
  }
}

async function roomOf(tx: Transaction<Tables>, receivers: ReadonlySet<string>) {
  const counted = await tx
    .selectFrom('delivery')
    .select(['receiver', ({ fn }) => fn.countAll<number | string>().as('waiting')])
    .where('state', '=', 'waiting')
    .where('receiver', 'in', [...receivers])
    .groupBy('receiver')
    .execute()
  const room = new Map([...receivers].map((receiver) => [receiver, waitingMax]))
  for (const { receiver, waiting } of counted) room.set(receiver, waitingMax - Number(waiting))
  return room
}

/**
 * Adds events to deliveries of a firing that still gather.
 * @returns false where there are none any more
 */
export async function joinDeliveries(
  tx: Transaction<Tables>,
  { rule, group, events, at }: { rule: string; group: string; events: ToldEvent[]; at: number },
): Promise<boolean> {
  const open = await tx
    .selectFrom('delivery')
    .select(['delivery_id', 'events', 'event_count'])
    .where('state', '=', 'waiting')
    .where('rule', '=', rule)
    .where('group_key', '=', group)
    .where('attempts', '=', 0)
    .where('gather_until', '>', at)
    .execute()
  for (const row of open) {
    const kept = foldEvents([...(JSON.parse(row.events) as ToldEvent[]), ...events])
    await tx
      .updateTable('delivery')
      .set({ events: JSON.stringify(kept), event_count: row.event_count + events.length })
      .where('delivery_id', '=', row.delivery_id)
      .execute()
  }
  return open.length > 0
}

export type DeliveryDesk = {
  list(query: {
    rule?: string | undefined
    receiver?: string | undefined
    state?: DeliveryState | undefined
    before?: number | undefined
    limit?: number | undefined
  }): Promise<DeliveryPage>
  /** @returns how many are tried again @throws {Refusal} badRequest where nothing is named */
  retry(
    which: { deliveryIds?: readonly number[] | undefined; receiver?: string | undefined },
    note: AuditNote,
  ): Promise<number>
  /** Removes the oldest of what is over. */
  prune(): Promise<void>
}

export function openDeliveryDesk(deps: {
  store: Store
  clock: () => number
  /** There is something to send. */
  queued: () => void
}): DeliveryDesk {
  const { store, clock, queued } = deps
  return {
    list: async ({ rule, receiver, state, before, limit = 50 }) => {
      let found = store.reader.selectFrom('delivery').selectAll()
      if (rule !== undefined) found = found.where('rule', '=', rule)
      if (receiver !== undefined) found = found.where('receiver', '=', receiver)
      if (state !== undefined) found = found.where('state', '=', state)
      if (before !== undefined) found = found.where('delivery_id', '<', before)
      const rows = await found
        .orderBy('delivery_id', 'desc')
        .limit(limit + 1)
        .execute()
      const deliveries = rows.slice(0, limit).map(deliveryOf)
      return { deliveries, next: rows.length > limit ? deliveries.at(-1)!.deliveryId : null }
    },
    retry: async ({ deliveryIds, receiver }, note) => {
      if (deliveryIds === undefined && receiver === undefined) {
        throw new Refusal('badRequest', 'Cannot try deliveries again: name them, or a receiver')
      }
      const retried = await store.writer.transaction().execute(async (tx) => {
        let update = tx
          .updateTable('delivery')
          .set({ state: 'waiting', attempts: 0, due_at: clock(), ended_at: null })
          .where('state', '=', 'dead')
        if (deliveryIds) update = update.where('delivery_id', 'in', [...deliveryIds])
        if (receiver !== undefined) update = update.where('receiver', '=', receiver)
        const { numUpdatedRows } = await update.executeTakeFirst()
        note.about({ detail: `${numUpdatedRows} deliveries` })
        await note.within(tx)
        return Number(numUpdatedRows)
      })
      if (retried > 0) queued()
      return retried
    },
    prune: async () => {
      const oldest = await store.reader
        .selectFrom('delivery')
        .select('delivery_id')
        .where('state', '<>', 'waiting')
        .orderBy('delivery_id', 'desc')
        .offset(endedKeptMax)
        .limit(1)
        .executeTakeFirst()
      if (!oldest) return
      await store.writer
        .deleteFrom('delivery')
        .where('state', '<>', 'waiting')
        .where('delivery_id', '<=', oldest.delivery_id)
        .execute()
    },
  }
}

const timeOf = (at: number | null) => (at === null ? null : new Date(at).toISOString())

function deliveryOf(row: Selectable<DeliveryTable>): Delivery {
  return {
    deliveryId: row.delivery_id,
    rule: row.rule,
    receiver: row.receiver,
    group: row.group_key,
    state: row.state as DeliveryState,
    events: row.event_count,
    firstEventId: row.first_event_id !== null && row.first_event_id > 0 ? row.first_event_id : null,
    silenced: row.silenced,
    createdAt: new Date(row.created_at).toISOString(),
    dueAt: row.state === 'waiting' ? timeOf(row.due_at) : null,
    endedAt: timeOf(row.ended_at),
    attempts: row.attempts,
    outcome: row.outcome,
  }
}
