/**
 * Whom rules can tell, as admins set it up: where it goes, what it needs to get in, and what it signs with. A secret leaves
 * this room once, in the reply that made it, and otherwise only as a signature.
 */
import { randomUUID } from 'node:crypto'
import {
  nearestName,
  type Receiver,
  type ReceiverRequest,
  type ReceiverRow,
  type ReceiverSaved,
  Refusal,
  receiversMax,
} from '@edgeloop/protocol'
import type { Selectable } from 'kysely'
import type { AuditNote } from '../audit/audit.ts'
import type { Store } from '../store/store.ts'
import type { ReceiverTable } from '../store/tables.ts'
import { checkAllowed } from './address-guard.ts'
import { type Message, Undelivered } from './message.ts'
import type { ReadyReceiver, Send } from './send.ts'
import { makeSecret } from './signature.ts'
import { checkWebhook } from './webhook.ts'

const hourMs = 3_600_000

export type ReceiverDesk = {
  list(): Promise<ReceiverRow[]>
  /** @throws {Refusal} badRequest for an address that cannot be used; conflict for too many */
  put(name: string, request: ReceiverRequest, by: string, note: AuditNote): Promise<ReceiverSaved>
  /** @throws {Refusal} notFound, or conflict while a rule names it */
  remove(name: string, note: AuditNote): Promise<void>
  /** @throws {Refusal} notFound, or badRequest for one that signs nothing */
  rotate(name: string, overlapHours: number, note: AuditNote): Promise<ReceiverSaved>
  /** Sends a trial now. @throws {Refusal} notFound */
  test(name: string, signal: AbortSignal): Promise<{ ok: boolean; outcome: string }>
}

export function openReceiverDesk(deps: {
  store: Store
  clock: () => number
  send: Send
  changed: () => void
}): ReceiverDesk {
  const { store, clock, send, changed } = deps

  async function find(name: string): Promise<Selectable<ReceiverTable>> {
    const row = await store.writer
      .selectFrom('receiver')
      .selectAll()
      .where('name', '=', name)
      .executeTakeFirst()
    if (row) return row
    const known = await store.writer.selectFrom('receiver').select('name').execute()
    const near = nearestName(
      name,
      known.map((one) => one.name),
    )
    const hint = near === undefined ? '' : `: did you mean "${near}"?`
    throw new Refusal('notFound', `Cannot find the receiver "${name}"${hint}`)
  }

  async function counted(): Promise<Map<string, { waiting: number; dead: number }>> {
    const rows = await store.reader
      .selectFrom('delivery')
      .select(['receiver', 'state', ({ fn }) => fn.countAll<number | string>().as('rows')])
      .where('state', 'in', ['waiting', 'dead'])
      .groupBy(['receiver', 'state'])
      .execute()
    const counts = new Map<string, { waiting: number; dead: number }>()
    for (const { receiver, state, rows: n } of rows) {
      const one = counts.get(receiver) ?? { waiting: 0, dead: 0 }
      one[state as 'waiting' | 'dead'] = Number(n)
      counts.set(receiver, one)
    }
    return counts
  }

  async function shown(name: string): Promise<ReceiverRow> {
    return rowOf(await find(name), (await counted()).get(name), clock())
  }

  return {
    list: async () => {
      const rows = await store.reader.selectFrom('receiver').selectAll().orderBy('name').execute()
      const counts = await counted()
      return rows.map((row) => rowOf(row, counts.get(row.name), clock()))
    },

    put: async (name, { receiver, password }, by, note) => {
      check(receiver)
      note.about({ detail: sayReceiver(receiver) })
      const now = clock()
      const secret = await store.writer.transaction().execute(async (tx) => {
        const known = await tx
          .selectFrom('receiver')
          .select(['name', 'secret', 'receiver'])
          .execute()
        const before = known.find((one) => one.name === name)
        if (!before && known.length >= receiversMax) {
          throw new Refusal('conflict', `Cannot keep another receiver: there are ${receiversMax}`)
        }
        // A password was given for one place: it is not sent to another.
        const moved =
          before !== undefined && placeOf(before.receiver) !== placeOf(JSON.stringify(receiver))
        const isSigned = receiver.kind === 'webhook'
        const made = isSigned && (before?.secret ?? '') === '' ? makeSecret() : null
        const values = {
          receiver: JSON.stringify(receiver),
          author: by,
          changed_at: now,
          ...(password !== undefined ? { password } : moved ? { password: '' } : {}),
          ...(made !== null
            ? { secret: made }
            : isSigned
              ? {}
              : { secret: '', earlier_secret: '' }),
          failures: 0,
          paused_until: 0,
          error: '',
        }
        await tx
          .insertInto('receiver')
          .values({
            name,
            password: '',
            secret: '',
            earlier_secret: '',
            earlier_until: null,
            created_at: now,
            ok_at: null,
            worker: '',
            lease_until: 0,
            ...values,
          })
          .onConflict((on) => on.column('name').doUpdateSet(values))
          .execute()
        await note.within(tx)
        return made
      })
      changed()
      return { receiver: await shown(name), secret }
    },

    remove: async (name, note) => {
      await find(name)
      await store.writer.transaction().execute(async (tx) => {
        const rules = await tx.selectFrom('event_rule').select(['name', 'rule']).execute()
        const user = rules.find(({ rule }) =>
          (JSON.parse(rule) as { tell: string[] }).tell.includes(name),
        )
        if (user) {
          throw new Refusal(
            'conflict',
            `Cannot remove "${name}": the rule "${user.name}" tells it; change that first`,
          )
        }
        await tx
          .updateTable('delivery')
          .set({ state: 'dead', ended_at: clock(), outcome: 'Its receiver was removed' })
          .where('receiver', '=', name)
          .where('state', '=', 'waiting')
          .execute()
        await tx.deleteFrom('receiver').where('name', '=', name).execute()
        await note.within(tx)
      })
      changed()
    },

    rotate: async (name, overlapHours, note) => {
      const row = await find(name)
      if (row.secret === '') {
        throw new Refusal(
          'badRequest',
          `Cannot make a secret for "${name}": only webhooks are signed`,
        )
      }
      const secret = makeSecret()
      note.about({ detail: `the earlier one signs for ${overlapHours} h` })
      await store.writer.transaction().execute(async (tx) => {
        await tx
          .updateTable('receiver')
          .set({
            secret,
            earlier_secret: overlapHours > 0 ? row.secret : '',
            earlier_until: overlapHours > 0 ? clock() + overlapHours * hourMs : null,
            changed_at: clock(),
          })
          .where('name', '=', name)
          .execute()
        await note.within(tx)
      })
      changed()
      return { receiver: await shown(name), secret }
    },

    test: async (name, signal) => {
      const ready = readyReceiver(await find(name), clock())
      const message: Message = {
        messageId: `trial_${randomUUID()}`,
        rule: 'trial',
        group: '',
        firedAt: clock(),
        events: [],
        eventCount: 0,
        silenced: 0,
        trial: true,
      }
      try {
        return { ok: true, outcome: await send(message, ready, signal) }
      } catch (error) {
        if (error instanceof Undelivered) return { ok: false, outcome: error.message }
        throw error
      }
    },
  }
}

/** Where something goes, apart from how it is written there. */
function placeOf(receiver: string): string {
  const one = JSON.parse(receiver) as Receiver
  return one.kind === 'mail' ? `${one.kind} ${one.host}:${one.port}` : `${one.kind} ${one.url}`
}

/** @throws {Refusal} badRequest */
function check(receiver: Receiver): void {
  try {
    checkAllowed(receiver.allow ?? [])
    if (receiver.kind === 'webhook') checkWebhook(receiver)
    if (receiver.kind === 'mqtt') checkBrokerUrl(receiver.url)
  } catch (error) {
    throw new Refusal('badRequest', (error as Error).message, { cause: error })
  }
}

/** @throws {Error} */
export function checkBrokerUrl(url: string): URL {
  const parsed = URL.parse(url)
  if (parsed?.protocol !== 'mqtts:' && parsed?.protocol !== 'mqtt:') {
    throw new Error(
      'Cannot use the URL of the broker: write mqtts://HOST:PORT, or mqtt:// without TLS',
    )
  }
  if (parsed.username !== '' || parsed.password !== '') {
    throw new Error('Cannot use a URL with a password in it: give user name and password apart')
  }
  return parsed
}

export function sayReceiver(receiver: Receiver): string {
  if (receiver.kind === 'mail') return `mail over ${receiver.host}:${receiver.port}`
  const url = URL.parse(receiver.url)
  return `${receiver.kind} at ${url?.protocol}//${url?.host}`
}

/** A row as what sends needs it. */
export function readyReceiver(row: Selectable<ReceiverTable>, now: number): ReadyReceiver {
  const earlier = row.earlier_secret !== '' && (row.earlier_until ?? 0) > now
  return {
    name: row.name,
    receiver: JSON.parse(row.receiver) as Receiver,
    password: row.password,
    secrets: [row.secret, ...(earlier ? [row.earlier_secret] : [])].filter((one) => one !== ''),
  }
}

function rowOf(
  row: Selectable<ReceiverTable>,
  counts: { waiting: number; dead: number } | undefined,
  now: number,
): ReceiverRow {
  const timeOf = (at: number | null) => (at === null ? null : new Date(at).toISOString())
  const earlier = row.earlier_secret !== '' && (row.earlier_until ?? 0) > now
  return {
    name: row.name,
    receiver: JSON.parse(row.receiver) as Receiver,
    hasPassword: row.password !== '',
    by: row.author,
    createdAt: new Date(row.created_at).toISOString(),
    changedAt: new Date(row.changed_at).toISOString(),
    earlierSecretUntil: earlier ? timeOf(row.earlier_until) : null,
    failures: row.failures,
    pausedUntil: row.paused_until > now ? timeOf(row.paused_until) : null,
    lastOkAt: timeOf(row.ok_at),
    lastError: row.error,
    waiting: counts?.waiting ?? 0,
    dead: counts?.dead ?? 0,
  }
}
