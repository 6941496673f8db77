/**
 * API tokens for programs: each with a name, a role that is never more than its user's, and an end where one
 * was asked for. The token of the hub's machine lies in a file that only its owner can read.
 */
import { timingSafeEqual } from 'node:crypto'
import {
  type ApiTokenMade,
  type ApiTokenRequest,
  type ApiTokenRow,
  localUser,
  mayAct,
  Refusal,
} from '@edgeloop/protocol'
import type { AuditNote } from '../audit/audit.ts'
import type { Store } from '../store/store.ts'
import { openLastUsed } from './last-used.ts'
import { type Person, roleOf } from './person.ts'
import type { Presence } from './presence.ts'
import { hashToken, newId, newToken } from './token.ts'

const dayMs = 86_400_000
/** Tokens of one hub. */
const tokensMax = 1000
/** Shown with what is asked about a token that has no end of its own. */
const noEndMs = 3650 * dayMs

export type ApiTokens = {
  /** Tokens of the caller; all of them for an admin. */
  list(person: Person): Promise<ApiTokenRow[]>
  /** @throws {Refusal} forbidden for more than the caller may do; conflict when there are too many */
  add(person: Person, given: ApiTokenRequest, note: AuditNote): Promise<ApiTokenMade>
  /** @throws {Refusal} notFound when there is none, or it is another's and the caller is no admin */
  remove(person: Person, tokenId: string, note: AuditNote): Promise<void>
  /** Who holds this token, or undefined. */
  bySecret(token: string): Promise<Person | undefined>
}

/** @param localToken the token of the hub's machine */
export function openApiTokens(deps: {
  store: Store
  localToken: string
  presence: Presence
  clock: () => number
  failed: (error: unknown) => void
}): ApiTokens {
  const { store, presence, clock } = deps
  const localHash = Buffer.from(hashToken(deps.localToken))
  const used = openLastUsed({
    failed: deps.failed,
    write: (tokenId, now) =>
      store.writer
        .updateTable('api_token')
        .set({ last_used_at: now })
        .where('token_id', '=', tokenId)
        .execute(),
  })

  async function bySecret(token: string): Promise<Person | undefined> {
    const now = clock()
    const hash = hashToken(token)
    if (timingSafeEqual(Buffer.from(hash), localHash)) {
      return {
        user: localUser,
        role: 'admin',
        expiresAt: now + noEndMs,
        via: 'localToken',
        credentialId: 'local',
      }
    }
    const row = await store.reader
      .selectFrom('api_token')
      .leftJoin('account', 'account.user_name', 'api_token.user_name')
      .select(['token_id', 'name', 'api_token.role', 'api_token.user_name', 'expires_at'])
      .select('account.role as user_role')
      .where('token_hash', '=', hash)
      .where((e) => e.or([e('expires_at', 'is', null), e('expires_at', '>', now)]))
      .executeTakeFirst()
    if (!row) return undefined
    used(row.token_id, now)
    const role = roleOf(row.role)
    // Somebody whose role was lowered cannot do more through an older token.
    const most = row.user_role === null ? role : roleOf(row.user_role)
    return {
      user: row.user_name ?? localUser,
      role: mayAct(most, role) ? role : most,
      expiresAt: row.expires_at ?? now + noEndMs,
      via: 'apiToken',
      credentialId: row.token_id,
      tokenName: row.name,
    }
  }

  async function add(
    person: Person,
    given: ApiTokenRequest,
    note: AuditNote,
  ): Promise<ApiTokenMade> {
    if (!mayAct(person.role, given.role)) {
      throw new Refusal(
        'forbidden',
        `Cannot make a token with the role ${given.role}: you are ${person.role}`,
      )
    }
    const now = clock()
    const token = newToken()
    const row = {
      token_id: newId(),
      name: given.name,
      role: given.role,
      user_name: person.user === localUser ? null : person.user,
      created_at: now,
      // A token that makes another one cannot outlive itself by it.
      expires_at: endOf(person, given, now),
      last_used_at: null,
    }
    note.about({ target: row.token_id, detail: `${given.name} (${given.role})` })
    await store.writer.transaction().execute(async (tx) => {
      const { count } = await tx
        .selectFrom('api_token')
        .select((e) => e.fn.countAll<number>().as('count'))
        .executeTakeFirstOrThrow()
      if (Number(count) >= tokensMax) {
        throw new Refusal('conflict', `Cannot make another token: this hub holds ${tokensMax}`)
      }
      await tx
        .insertInto('api_token')
        .values({ ...row, token_hash: hashToken(token) })
        .execute()
      await note.within(tx)
    })
    return { token, apiToken: shown(row) }
  }

  return {
    bySecret,
    add,
    list: async (person) => {
      const rows = await store.reader
        .selectFrom('api_token')
        .selectAll()
        .$if(person.role !== 'admin', (query) => query.where('user_name', '=', person.user))
        .orderBy('created_at', 'desc')
        .limit(tokensMax)
        .execute()
      return rows.map(shown)
    },
    remove: async (person, tokenId, note) => {
      await store.writer.transaction().execute(async (tx) => {
        const removed = await tx
          .deleteFrom('api_token')
          .where('token_id', '=', tokenId)
          .$if(person.role !== 'admin', (query) => query.where('user_name', '=', person.user))
          .returning('name')
          .executeTakeFirst()
        if (!removed) throw new Refusal('notFound', `Cannot find the API token "${tokenId}"`)
        note.about({ detail: removed.name })
        await note.within(tx)
      })
      presence.endCredential(tokenId)
    },
  }
}

function endOf(person: Person, { validDays }: ApiTokenRequest, now: number): number | null {
  const asked = validDays === undefined ? null : now + validDays * dayMs
  if (person.via !== 'apiToken') return asked
  return Math.min(asked ?? Number.POSITIVE_INFINITY, person.expiresAt)
}

function shown(row: {
  token_id: string
  name: string
  role: string
  user_name: string | null
  created_at: number
  expires_at: number | null
  last_used_at: number | null
}): ApiTokenRow {
  const time = (at: number | null) => (at === null ? null : new Date(at).toISOString())
  return {
    tokenId: row.token_id,
    name: row.name,
    role: roleOf(row.role),
    user: row.user_name,
    createdAt: new Date(row.created_at).toISOString(),
    expiresAt: time(row.expires_at),
    lastUsedAt: time(row.last_used_at),
  }
}
