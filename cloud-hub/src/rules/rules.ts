/** Rules on events, as people set and try them, and the loop that lets them look at what is stored. */
import { setTimeout as sleep } from 'node:timers/promises'
import {
  type EventRule,
  nearestName,
  Refusal,
  type RuleRow,
  type RuleTrial,
  rulesMax,
  trialEventsMax,
  trialExamplesMax,
} from '@edgeloop/protocol'
import type { Selectable } from 'kysely'
import type { AuditNote } from '../audit/audit.ts'
import type { Fleet } from '../devices/fleet.ts'
import type { Store } from '../store/store.ts'
import type { EventRuleTable } from '../store/tables.ts'
import { evaluateNext, forgetDrift, forgetGroups } from './evaluate.ts'
import { advance, fitsCondition, type GroupMemory, groupOf, noMemory } from './match.ts'
import type { DeliveryDesk } from './queue.ts'
import { newestEventId, readEventsAfter } from './read-events.ts'

/** How often it is looked without a reason: another hub may have stored something. */
const lookIntervalMs = 2000
/** What is stored within this time is looked at together. */
const gatherMs = 50
const tidyIntervalMs = 600_000
const hourMs = 3_600_000
/** Groups that a trial keeps apart. */
const trialGroupsMax = 50_000

export type RuleDesk = AsyncDisposable & {
  /** Events were stored. */
  wake(): void
  list(): Promise<RuleRow[]>
  /** @throws {Refusal} badRequest for a receiver that there is not; conflict for too many */
  put(name: string, rule: EventRule, by: string, note: AuditNote): Promise<RuleRow>
  /** @throws {Refusal} notFound */
  remove(name: string, note: AuditNote): Promise<void>
  /** What the rule would have done in the last hours. */
  test(rule: EventRule, hours: number, signal: AbortSignal): Promise<RuleTrial>
}

export function openRuleDesk(deps: {
  store: Store
  fleet: Fleet
  zoneOf: (site: string) => string
  clock: () => number
  deliveries: Pick<DeliveryDesk, 'prune'>
  /** Something waits to be sent. */
  queued: () => void
  changed: () => void
  failed: (error: unknown) => void
}): RuleDesk {
  const { store, zoneOf, clock, deliveries, queued, changed, failed } = deps
  const closing = new AbortController()
  let woken = new AbortController()
  let tidiedAt = clock()

  async function loop(): Promise<void> {
    while (!closing.signal.aborted) {
      woken = new AbortController()
      const { more, made } = await evaluateNext(deps).catch((error) => {
        failed(error)
        return { more: false, made: 0 }
      })
      if (made > 0) {
        queued()
        changed()
      }
      if (Math.abs(clock() - tidiedAt) > tidyIntervalMs) {
        tidiedAt = clock()
        await tidy().catch(failed)
      }
      if (more) continue
      const either = AbortSignal.any([closing.signal, woken.signal])
      await sleep(lookIntervalMs, undefined, { signal: either, ref: false }).catch(() => {})
      await sleep(gatherMs, undefined, { signal: closing.signal, ref: false }).catch(() => {})
    }
  }

  async function tidy(): Promise<void> {
    await forgetGroups(store, clock())
    await deliveries.prune()
  }

  async function find(name: string): Promise<Selectable<EventRuleTable>> {
    const row = await store.writer
      .selectFrom('event_rule')
      .selectAll()
      .where('name', '=', name)
      .executeTakeFirst()
    if (row) return row
    const known = await store.writer.selectFrom('event_rule').select('name').execute()
    const near = nearestName(
      name,
      known.map((one) => one.name),
    )
    const hint = near === undefined ? '' : `: did you mean "${near}"?`
    throw new Refusal('notFound', `Cannot find the rule "${name}"${hint}`)
  }

  async function counted(): Promise<Map<string, { waiting: number; dead: number }>> {
    const rows = await store.reader
      .selectFrom('delivery')
      .select(['rule', 'state', ({ fn }) => fn.countAll<number | string>().as('rows')])
      .where('state', 'in', ['waiting', 'dead'])
      .groupBy(['rule', 'state'])
      .execute()
    const counts = new Map<string, { waiting: number; dead: number }>()
    for (const { rule, state, rows: n } of rows) {
      const one = counts.get(rule) ?? { waiting: 0, dead: 0 }
      one[state as 'waiting' | 'dead'] = Number(n)
      counts.set(rule, one)
    }
    return counts
  }

  const running = loop()
  return {
    wake: () => woken.abort(),

    list: async () => {
      const rows = await store.reader.selectFrom('event_rule').selectAll().orderBy('name').execute()
      const counts = await counted()
      return rows.map((row) => rowOf(row, counts.get(row.name)))
    },

    put: async (name, rule, by, note) => {
      const now = clock()
      const enabled = (rule.enabled ?? true) ? 1 : 0
      const newest = await newestEventId(store)
      await store.writer.transaction().execute(async (tx) => {
        const receivers = await tx.selectFrom('receiver').select('name').execute()
        const names = receivers.map((one) => one.name)
        for (const receiver of rule.tell) {
          if (names.includes(receiver)) continue
          const near = nearestName(receiver, names)
          throw new Refusal(
            'badRequest',
            `Cannot tell "${receiver}": there is no such receiver${near === undefined ? '; an admin sets it up first' : `; did you mean "${near}"?`}`,
          )
        }
        const known = await tx
          .selectFrom('event_rule')
          .select(['name', 'enabled', 'since_event'])
          .execute()
        const before = known.find((one) => one.name === name)
        if (!before && known.length >= rulesMax) {
          throw new Refusal('conflict', `Cannot keep another rule: there are ${rulesMax}`)
        }
        // One that was on goes on where it was: what nobody has looked at yet is not lost between two settings.
        const since_event = before?.enabled === 1 ? before.since_event : newest
        const values = {
          enabled,
          rule: JSON.stringify(rule),
          author: by,
          changed_at: now,
          since_event,
          fired_at: null,
        }
        await tx
          .insertInto('event_rule')
          .values({ name, created_at: now, ...values })
          .onConflict((on) => on.column('name').doUpdateSet(values))
          .execute()
        await tx.deleteFrom('rule_memory').where('rule', '=', name).execute()
        // The first rule that is on begins behind the alarms of drift that there were without any.
        if (!known.some((one) => one.enabled === 1)) await forgetDrift(tx)
        await note.within(tx)
      })
      changed()
      woken.abort()
      return rowOf(await find(name), (await counted()).get(name))
    },

    remove: async (name, note) => {
      await find(name)
      await store.writer.transaction().execute(async (tx) => {
        await tx.deleteFrom('event_rule').where('name', '=', name).execute()
        await tx.deleteFrom('rule_memory').where('rule', '=', name).execute()
        await note.within(tx)
      })
      changed()
    },

    test: async (rule, hours, signal) => {
      const to = clock()
      const from = to - hours * hourMs
      const newest = await newestEventId(store)
      const first = await firstSince(store, from, newest)
      const start = Math.max(first - 1, newest - trialEventsMax)
      const trial = { looked: 0, matched: 0, fired: 0, silenced: 0 }
      const examples: RuleTrial['examples'] = []
      const memories = new Map<string, GroupMemory>()
      const gathering = new Map<string, number>()
      for (let after = start; after < newest; ) {
        signal.throwIfAborted()
        const { events, through } = await readEventsAfter(deps, after)
        if (through <= after) break
        after = through
        for (const placed of events) {
          const { event } = placed
          const receivedAt = Date.parse(event.receivedAt)
          if (receivedAt < from || event.eventId > newest) continue
          trial.looked++
          if (!fitsCondition(rule.when, placed, zoneOf)) continue
          trial.matched++
          const group = groupOf(rule, placed)
          if (receivedAt < (gathering.get(group) ?? 0)) continue
          const step = advance(rule, memories.get(group) ?? noMemory, Date.parse(event.at))
          if (memories.size < trialGroupsMax || memories.has(group))
            memories.set(group, step.memory)
          if (step.act === 'silence') trial.silenced++
          if (step.act !== 'fire') continue
          trial.fired++
          gathering.set(group, receivedAt + (rule.gatherSeconds ?? 0) * 1000)
          examples.push({ group, event })
          if (examples.length > trialExamplesMax) examples.shift()
        }
      }
      return {
        from: new Date(from).toISOString(),
        to: new Date(to).toISOString(),
        ...trial,
        whole: start < first,
        examples: examples.reverse(),
      }
    },

    async [Symbol.asyncDispose]() {
      closing.abort()
      await running
    },
  }
}

/** The first event that came in at or after a time: they came in in the order of their numbers. */
async function firstSince(store: Store, from: number, newest: number): Promise<number> {
  let low = 1
  let high = newest + 1
  while (low < high) {
    const middle = low + Math.floor((high - low) / 2)
    const row = await store.reader
      .selectFrom('event')
      .select(['event_id', 'received_at'])
      .where('event_id', '>=', middle)
      .orderBy('event_id')
      .limit(1)
      .executeTakeFirst()
    if (row && row.received_at < from) low = row.event_id + 1
    else high = middle
  }
  return low
}

function rowOf(
  row: Selectable<EventRuleTable>,
  counts: { waiting: number; dead: number } | undefined,
): RuleRow {
  return {
    name: row.name,
    rule: JSON.parse(row.rule) as EventRule,
    by: row.author,
    createdAt: new Date(row.created_at).toISOString(),
    changedAt: new Date(row.changed_at).toISOString(),
    lastFiredAt: row.fired_at === null ? null : new Date(row.fired_at).toISOString(),
    waiting: counts?.waiting ?? 0,
    dead: counts?.dead ?? 0,
  }
}
