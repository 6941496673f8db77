/**
 * The record of every change and of every refused attempt to make one: who, what, on which target, with what
 * outcome, when, from where. An entry is written in the transaction of its change where there is one, else
 * right after it; it holds no secrets, because nothing of a body is copied into it by itself.
 */
import type { AuditEntry, AuditPage, AuditQuery, auditWays, ProblemCode } from '@edgeloop/protocol'
import type { Transaction } from 'kysely'
import type { Logger } from 'pino'
import type { Store } from '../store/store.ts'
import type { Tables } from '../store/tables.ts'

const dayMs = 86_400_000
/** Entries kept at most, however young; the oldest give way. */
const entriesMax = 500_000
const pageEntries = 50
const textMax = 300

export type AuditWay = (typeof auditWays)[number]

/** What is known of a change before it is tried. */
export type AuditFacts = {
  readonly actor: string | null
  readonly via: AuditWay
  readonly action: string
  readonly target: string
  readonly address: string
  readonly detail?: string
}

/** The entry of a change that is being made. */
export type AuditNote = {
  /** Says what is only known now: who it is, what is made. */
  about(facts: Partial<Pick<AuditFacts, 'actor' | 'target' | 'detail'>>): void
  /** The entry of one part of the change, on a target of its own. */
  of(target: string): AuditNote
  /** Says that the call was made to look: it leaves no entry where it succeeds. */
  changesNothing(): void
  /** Writes the entry in the transaction of the change; it is there if the change is. */
  within(tx: Transaction<Tables>): Promise<void>
  /** Writes the entry where `within` has not, or where the change was refused after all. */
  finish(outcome: 'done' | ProblemCode): Promise<void>
}

export type Audit = {
  begin(facts: AuditFacts): AuditNote
  list(query: AuditQuery): Promise<AuditPage>
  /** Removes what is older than `keptDays`, and the oldest above 500,000 entries. */
  prune(keptDays: number): Promise<void>
}

export function openAudit(deps: { store: Store; log: Logger; clock: () => number }): Audit {
  const { store, log, clock } = deps

  function begin(given: AuditFacts): AuditNote {
    let facts = given
    let written = false
    const row = (outcome: string) => ({
      at: clock(),
      actor: facts.actor,
      via: facts.via,
      action: facts.action,
      target: facts.target.slice(0, textMax),
      outcome,
      address: facts.address.slice(0, textMax),
      detail: (facts.detail ?? '').slice(0, textMax),
    })
    return {
      about: (more) => {
        facts = { ...facts, ...more }
      },
      of: (target) => begin({ ...facts, target }),
      changesNothing: () => {
        written = true
      },
      within: async (tx) => {
        await tx.insertInto('audit_entry').values(row('done')).execute()
        written = true
      },
      finish: async (outcome) => {
        if (written && outcome === 'done') return
        try {
          await store.writer.insertInto('audit_entry').values(row(outcome)).execute()
        } catch (error) {
          // The change is made: to fail now would say that it is not.
          log.error({ err: error, ...row(outcome) }, 'an audit entry could not be written')
        }
      },
    }
  }

  async function list(query: AuditQuery): Promise<AuditPage> {
    const { actor, action, target, outcome, from, to, before, limit = pageEntries } = query
    let found = store.reader.selectFrom('audit_entry').selectAll()
    if (actor !== undefined) found = found.where('actor', '=', actor)
    if (action !== undefined) found = found.where('action', '=', action)
    if (target !== undefined) found = found.where('target', '=', target)
    if (outcome === 'refused') found = found.where('outcome', '<>', 'done')
    else if (outcome !== undefined) found = found.where('outcome', '=', outcome)
    if (from !== undefined) found = found.where('at', '>=', Date.parse(from))
    if (to !== undefined) found = found.where('at', '<', Date.parse(to))
    if (before !== undefined) found = found.where('audit_id', '<', before)
    const rows = await found
      .orderBy('audit_id', 'desc')
      .limit(limit + 1)
      .execute()
    const entries = rows.slice(0, limit).map(
      ({ audit_id, at, via, ...row }): AuditEntry => ({
        auditId: audit_id,
        at: new Date(at).toISOString(),
        via: via as AuditWay,
        ...row,
      }),
    )
    return { entries, next: rows.length > limit ? (entries.at(-1)?.auditId ?? null) : null }
  }

  async function prune(keptDays: number): Promise<void> {
    await store.writer
      .deleteFrom('audit_entry')
      .where('at', '<', clock() - keptDays * dayMs)
      .execute()
    const newest = await store.reader
      .selectFrom('audit_entry')
      .select((e) => e.fn.max('audit_id').as('last'))
      .executeTakeFirst()
    await store.writer
      .deleteFrom('audit_entry')
      .where('audit_id', '<=', (newest?.last ?? 0) - entriesMax)
      .execute()
  }

  return { begin, list, prune }
}
