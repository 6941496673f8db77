/**
 * Rules look at every stored event once, whatever hubs come and go: the cursor, what the rules remember and the deliveries
 * that come of it are written in one transaction, which is void where another hub has moved the cursor meanwhile.
 */
import type { EventRule } from '@edgeloop/protocol'
import type { Transaction } from 'kysely'
import type { Fleet } from '../devices/fleet.ts'
import type { Store } from '../store/store.ts'
import type { Tables } from '../store/tables.ts'
import {
  advance,
  fitsCondition,
  type GroupMemory,
  groupOf,
  noMemory,
  type PlacedEvent,
  remembers,
} from './match.ts'
import { joinDeliveries, type NewDelivery, putDeliveries } from './queue.ts'
import { newestDriftAlarm, readDriftAfter } from './read-drift.ts'
import { readEventsAfter } from './read-events.ts'

/** What was not touched for so long is forgotten: longer than any cool-down or count lasts. */
const memoryKeptMs = 2 * 86_400_000

export type KnownRule = {
  readonly name: string
  readonly rule: EventRule
  readonly sinceEvent: number
}

/** Rows of the cursor: one for what boxes tell, one for what the hub finds out. */
const cursors = { events: 1, drift: 2 } as const

type Held = { memory: GroupMemory; gatherUntil: number; isChanged: boolean }

/** Another hub has looked at these events. */
class Overtaken extends Error {}

/**
 * Looks at the next page of events.
 * @returns whether there may be more, and how many deliveries were made
 */
export async function evaluateNext(deps: {
  store: Store
  fleet: Fleet
  zoneOf: (site: string) => string
  clock: () => number
}): Promise<{ more: boolean; made: number }> {
  const rules = await readRules(deps.store)
  // Without rules nothing is written: the first one that is set begins behind what there is then.
  if (rules.length === 0) return { more: false, made: 0 }
  const events = await lookAtEvents(deps, rules)
  const drift = await lookAtDrift(deps, rules)
  return { more: events.more || drift.more, made: events.made + drift.made }
}

type Looked = { readonly more: boolean; readonly made: number }
type Deps = Parameters<typeof evaluateNext>[0]

async function lookAtEvents(deps: Deps, rules: readonly KnownRule[]): Promise<Looked> {
  const cursor = await readCursor(deps.store, cursors.events)
  const start = Math.max(cursor ?? 0, Math.min(...rules.map(({ sinceEvent }) => sinceEvent)))
  const { events, through } = await readEventsAfter(deps, start)
  if (through <= (cursor ?? 0)) return { more: false, made: 0 }
  return await pass(deps, { id: cursors.events, cursor, through, rules, events })
}

async function lookAtDrift(deps: Deps, rules: readonly KnownRule[]): Promise<Looked> {
  const cursor = await readCursor(deps.store, cursors.drift)
  // What was raised before there was any rule is nobody's news.
  if (cursor === undefined) {
    const through = await newestDriftAlarm(deps.store)
    return await pass(deps, { id: cursors.drift, cursor, through, rules, events: [] })
  }
  const { events, through } = await readDriftAfter(deps, cursor)
  if (through <= cursor) return { more: false, made: 0 }
  return await pass(deps, { id: cursors.drift, cursor, through, rules, events })
}

async function readCursor(store: Store, id: number): Promise<number | undefined> {
  const row = await store.writer
    .selectFrom('rule_cursor')
    .select('event_id')
    .where('id', '=', id)
    .executeTakeFirst()
  return row?.event_id
}

/** Lets the rules look at some events, and moves the cursor behind them, or does nothing where another hub was faster. */
async function pass(
  { store, zoneOf, clock }: Deps,
  given: {
    id: number
    cursor: number | undefined
    through: number
    rules: readonly KnownRule[]
    events: readonly PlacedEvent[]
  },
): Promise<Looked> {
  const { id, cursor, through, rules, events } = given
  const now = clock()
  try {
    const made = await store.writer.transaction().execute(async (tx) => {
      await moveCursor(tx, id, cursor, through)
      return await evaluate(tx, { rules, events, zoneOf, now })
    })
    return { more: events.length > 0, made }
  } catch (error) {
    if (error instanceof Overtaken) return { more: true, made: 0 }
    throw error
  }
}

async function readRules(store: Store): Promise<KnownRule[]> {
  const rows = await store.writer
    .selectFrom('event_rule')
    .select(['name', 'rule', 'since_event'])
    .where('enabled', '=', 1)
    .orderBy('name')
    .execute()
  return rows.map(({ name, rule, since_event }) => ({
    name,
    rule: JSON.parse(rule) as EventRule,
    sinceEvent: since_event,
  }))
}

/** @throws {Overtaken} */
async function moveCursor(
  tx: Transaction<Tables>,
  id: number,
  from: number | undefined,
  to: number,
): Promise<void> {
  if (from === undefined) {
    const { numInsertedOrUpdatedRows } = await tx
      .insertInto('rule_cursor')
      .values({ id, event_id: to })
      .onConflict((on) => on.column('id').doNothing())
      .executeTakeFirst()
    if (Number(numInsertedOrUpdatedRows ?? 0) === 0) throw new Overtaken()
    return
  }
  const { numUpdatedRows } = await tx
    .updateTable('rule_cursor')
    .set({ event_id: to })
    .where('id', '=', id)
    .where('event_id', '=', from)
    .executeTakeFirst()
  if (Number(numUpdatedRows) === 0) throw new Overtaken()
}

async function evaluate(
  tx: Transaction<Tables>,
  given: {
    rules: readonly KnownRule[]
    events: readonly PlacedEvent[]
    zoneOf: (site: string) => string
    now: number
  },
): Promise<number> {
  const { rules, events, zoneOf, now } = given
  const memories = new Map<string, Held>()
  const made: NewDelivery[] = []
  const fired = new Map<string, number>()
  const hold = async (rule: string, group: string): Promise<Held> => {
    const key = JSON.stringify([rule, group])
    const known = memories.get(key)
    if (known) return known
    const row = await tx
      .selectFrom('rule_memory')
      .select(['memory', 'gather_until'])
      .where('rule', '=', rule)
      .where('group_key', '=', group)
      .executeTakeFirst()
    const held = {
      memory: row ? (JSON.parse(row.memory) as GroupMemory) : noMemory,
      gatherUntil: row?.gather_until ?? 0,
      isChanged: false,
    }
    memories.set(key, held)
    return held
  }

  for (const placed of events) {
    const { event, site } = placed
    const told = { site, event }
    const receivedAt = Date.parse(event.receivedAt)
    for (const { name, rule, sinceEvent } of rules) {
      const isOlder = event.eventId > 0 && event.eventId <= sinceEvent
      if (isOlder || !fitsCondition(rule.when, placed, zoneOf)) continue
      const group = groupOf(rule, placed)
      const held: Held = remembers(rule)
        ? await hold(name, group)
        : { memory: noMemory, gatherUntil: 0, isChanged: false }
      if (receivedAt < held.gatherUntil) {
        const young = made.filter(
          (one) => one.rule === name && one.group === group && one.gatherUntil > receivedAt,
        )
        for (const one of young) {
          one.events.push(told)
          one.eventCount++
        }
        if (young.length > 0) continue
        if (await joinDeliveries(tx, { rule: name, group, events: [told], at: receivedAt }))
          continue
      }
      const step = advance(rule, held.memory, Date.parse(event.at))
      held.memory = step.memory
      held.isChanged = true
      if (step.act !== 'fire') continue
      const gatherMs = (rule.gatherSeconds ?? 0) * 1000
      held.gatherUntil = gatherMs === 0 ? 0 : receivedAt + gatherMs
      fired.set(name, now)
      for (const receiver of rule.tell) {
        made.push({
          rule: name,
          receiver,
          group,
          events: [told],
          eventCount: 1,
          firstEventId: event.eventId,
          silenced: step.silenced,
          gatherUntil: held.gatherUntil,
          dueAt: now + gatherMs,
        })
      }
    }
  }

  await putDeliveries(tx, made, now)
  for (const [key, { memory, gatherUntil, isChanged }] of memories) {
    if (!isChanged) continue
    const [rule, group_key] = JSON.parse(key) as [string, string]
    const row = { memory: JSON.stringify(memory), gather_until: gatherUntil, touched_at: now }
    await tx
      .insertInto('rule_memory')
      .values({ rule, group_key, ...row })
      .onConflict((on) => on.columns(['rule', 'group_key']).doUpdateSet(row))
      .execute()
  }
  for (const [name, at] of fired) {
    await tx.updateTable('event_rule').set({ fired_at: at }).where('name', '=', name).execute()
  }
  return made.length
}

/** Forgets groups that nothing has come of for long. */
export async function forgetGroups(store: Store, now: number): Promise<void> {
  await store.writer
    .deleteFrom('rule_memory')
    .where('touched_at', '<', now - memoryKeptMs)
    .execute()
}

/** Rules look at alarms of drift from the newest on. */
export async function forgetDrift(tx: Transaction<Tables>): Promise<void> {
  await tx.deleteFrom('rule_cursor').where('id', '=', cursors.drift).execute()
}
