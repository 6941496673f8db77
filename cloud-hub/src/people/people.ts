/**
 * Who may do what: one-time sign-in links buy sessions, sessions and the local API token say who calls.
 * Accounts with passwords come later; until then every link makes its bearer the role it was made for.
 */
import { timingSafeEqual } from 'node:crypto'
import { Refusal, type Role, roles, type Session } from '@edgeloop/protocol'
import type { Store } from '../store/store.ts'
import { hashToken, newToken } from './token.ts'

const hour = 3_600_000
export const signInLinkMs = 24 * hour
export const sessionMs = 30 * 24 * hour
/** Sessions and unused links kept at once; the oldest give way. */
const rowsMax = 1000

export type Person = { readonly user: string; readonly role: Role; readonly expiresAt: number }

export type People = {
  /** Makes a one-time token that buys a session. */
  createSignInToken(user: string, role: Role): Promise<{ token: string; expiresAt: number }>
  /**
   * Buys a session; the token is spent even if the reply is lost.
   * @throws {Refusal} signInRefused when the token is unknown, used or too old
   */
  signIn(token: string): Promise<{ secret: string; session: Session }>
  signOut(secret: string): Promise<void>
  /** Who holds this session, or undefined. */
  bySession(secret: string): Promise<Person | undefined>
  /** Who holds this API token, or undefined. */
  byApiToken(token: string): Person | undefined
  /** Removes what has expired. */
  prune(): Promise<void>
}

/** @param localToken the API token of the machine's owner */
export function openPeople(deps: {
  store: Store
  localToken: string
  clock: () => number
}): People {
  const { store, clock } = deps
  const localHash = Buffer.from(hashToken(deps.localToken))

  async function createSignInToken(user: string, role: Role) {
    const token = newToken()
    const expiresAt = clock() + signInLinkMs
    await store.writer
      .insertInto('sign_in_token')
      .values({ token_hash: hashToken(token), user_name: user, role, expires_at: expiresAt })
      .execute()
    return { token, expiresAt }
  }

  async function signIn(token: string) {
    const now = clock()
    const secret = newToken()
    // One transaction: the token is spent and the session bought, or neither.
    const person = await store.writer.transaction().execute(async (tx) => {
      const spent = await tx
        .updateTable('sign_in_token')
        .set({ used_at: now })
        .where('token_hash', '=', hashToken(token))
        .where('used_at', 'is', null)
        .where('expires_at', '>', now)
        .returning(['user_name', 'role'])
        .executeTakeFirst()
      if (!spent) {
        throw new Refusal(
          'signInRefused',
          'Cannot sign in: this link was used before or is too old. Make a new one with "./edgeloop hub link"',
        )
      }
      const row = { user_name: spent.user_name, role: spent.role, created_at: now }
      await tx
        .insertInto('session')
        .values({ ...row, session_hash: hashToken(secret), expires_at: now + sessionMs })
        .execute()
      return personOf({ ...row, expires_at: now + sessionMs })
    })
    return { secret, session: sessionOf(person) }
  }

  async function bySession(secret: string) {
    const row = await store.reader
      .selectFrom('session')
      .select(['user_name', 'role', 'expires_at'])
      .where('session_hash', '=', hashToken(secret))
      .where('expires_at', '>', clock())
      .executeTakeFirst()
    return row && personOf(row)
  }

  async function prune() {
    const now = clock()
    await store.writer.deleteFrom('session').where('expires_at', '<=', now).execute()
    await store.writer.deleteFrom('sign_in_token').where('expires_at', '<=', now).execute()
    const newest = store.writer.selectFrom('session').select('session_hash')
    await store.writer
      .deleteFrom('session')
      .where('session_hash', 'not in', newest.orderBy('created_at', 'desc').limit(rowsMax))
      .execute()
  }

  return {
    createSignInToken,
    signIn,
    bySession,
    prune,
    signOut: async (secret) => {
      await store.writer
        .deleteFrom('session')
        .where('session_hash', '=', hashToken(secret))
        .execute()
    },
    byApiToken: (token) => {
      const same = timingSafeEqual(Buffer.from(hashToken(token)), localHash)
      return same ? { user: 'local', role: 'admin', expiresAt: clock() + sessionMs } : undefined
    },
  }
}

/** A person as the API shows them. */
export function sessionOf({ user, role, expiresAt }: Person): Session {
  return { user, role, expiresAt: new Date(expiresAt).toISOString() }
}

function personOf(row: { user_name: string; role: string; expires_at: number }): Person {
  const role = roles.find((known) => known === row.role)
  if (!role) throw new Error(`Cannot read role "${row.role}" of ${row.user_name}`)
  return { user: row.user_name, role, expiresAt: row.expires_at }
}
