/**
 * How people come in, and how long they stay: one-time links and passwords buy sessions. A session is only
 * as good as its account: the role is read from there on every request, so that nothing outlives it.
 */
import {
  localUser,
  type OneTimeLink,
  Refusal,
  type RouteBody,
  type SessionRow,
} from '@edgeloop/protocol'
import type { Transaction } from 'kysely'
import type { AuditNote } from '../audit/audit.ts'
import type { Store } from '../store/store.ts'
import type { Tables } from '../store/tables.ts'
import type { Attempts } from './attempts.ts'
import { openLastUsed } from './last-used.ts'
import { checkNewPassword, type Passwords } from './password.ts'
import { type Origin, type Person, roleOf } from './person.ts'
import type { Presence } from './presence.ts'
import { hashToken, newId, newToken } from './token.ts'

const hour = 3_600_000
export const signInLinkMs = 24 * hour
export const passwordLinkMs = 72 * hour
export const sessionMs = 30 * 24 * hour
/** Sessions kept at once; the oldest give way. */
const sessionsMax = 1000
const clientMax = 200

/** What a link buys: a session, or the right to choose a password once. */
export type LinkPurpose = 'signIn' | 'password'

/** A session that was just bought; `secret` goes into the cookie. */
export type Bought = { readonly secret: string; readonly person: Person }

export type Sessions = {
  /** Makes a one-time sign-in link for the caller; for one who is no account, for the oldest admin. */
  createSignInLink(user: string, note?: AuditNote): Promise<OneTimeLink>
  /**
   * Buys a session with a sign-in link; it is spent even if the reply is lost.
   * @throws {Refusal} signInRefused when the link is unknown, used or too old
   */
  signInByLink(token: string, from: Origin, note: AuditNote): Promise<Bought>
  /**
   * Buys a session with a password.
   * @throws {Refusal} signInRefused without saying which of the two is wrong; tooManyRequests after failures
   */
  signInByPassword(
    given: RouteBody<'passwordSignIn'>,
    from: Origin,
    note: AuditNote,
  ): Promise<Bought>
  /**
   * Sets the password of a password link, ends every session of the account and buys one.
   * @throws {Refusal} signInRefused when the link is unknown, used or too old; badRequest for a bad password
   */
  choosePassword(
    given: { token: string; password: string },
    from: Origin,
    note: AuditNote,
  ): Promise<Bought>
  /**
   * Changes the password of somebody who is signed in; they get a new session, all others end.
   * @throws {Refusal} signInRefused when the current one is wrong; forbidden for an API token
   */
  changePassword(
    person: Person,
    given: { current?: string; password: string },
    from: Origin,
    note: AuditNote,
  ): Promise<Bought>
  /** Who holds this session, or undefined. */
  bySecret(secret: string): Promise<Person | undefined>
  /** Sessions of an account, the newest first. */
  list(user: string, current: string): Promise<SessionRow[]>
  /** @throws {Refusal} notFound when there is none, or it is another's and the caller is no admin */
  end(sessionId: string, person: Person, note: AuditNote): Promise<void>
  /** Ends every session of an account. @returns how many */
  endAll(user: string, note: AuditNote): Promise<number>
  /** Removes what has expired. */
  prune(): Promise<void>
}

export function openSessions(deps: {
  store: Store
  passwords: Passwords
  attempts: Attempts
  presence: Presence
  clock: () => number
  failed: (error: unknown) => void
}): Sessions {
  const { store, passwords, attempts, presence, clock } = deps
  const used = openLastUsed({
    failed: deps.failed,
    write: (sessionId, now) =>
      store.writer
        .updateTable('session')
        .set({ last_seen_at: now })
        .where('session_id', '=', sessionId)
        .execute(),
  })

  async function createSignInLink(user: string, note?: AuditNote): Promise<OneTimeLink> {
    const account = await store.reader
      .selectFrom('account')
      .select('user_name')
      .where((e) => (user === localUser ? e('role', '=', 'admin') : e('user_name', '=', user)))
      .orderBy('created_at')
      .orderBy('user_name')
      .executeTakeFirst()
    if (!account) throw new Refusal('notFound', `Cannot find a user to sign in for "${user}"`)
    note?.about({ target: account.user_name })
    return await store.writer.transaction().execute(async (tx) => {
      await note?.within(tx)
      return await insertLink(tx, account.user_name, 'signIn', clock())
    })
  }

  async function signInByLink(token: string, from: Origin, note: AuditNote): Promise<Bought> {
    // One transaction: the link is spent and the session bought, or neither.
    return await store.writer.transaction().execute(async (tx) => {
      const user = await spendLink(tx, token, 'signIn', clock())
      if (user === undefined) {
        throw new Refusal(
          'signInRefused',
          'Cannot sign in: this link was used before or is too old. Make a new one with "./edgeloop hub link"',
        )
      }
      return await buySession(tx, user, from, note)
    })
  }

  async function signInByPassword(
    { user, password }: RouteBody<'passwordSignIn'>,
    from: Origin,
    note: AuditNote,
  ): Promise<Bought> {
    const name = user.trim().toLowerCase()
    const attempt = attempts.begin(from.address, name)
    const account = await accountOf(name)
    // Only a name that is one: people type passwords into the wrong field.
    if (account) note.about({ target: account.user_name })
    const right = await passwords.verify(password, account?.password)
    if (!account || !right) {
      throw new Refusal('signInRefused', 'Cannot sign in: the user name or the password is wrong')
    }
    attempt.succeeded()
    return await store.writer.transaction().execute(async (tx) => {
      // The password may have been changed while this one was checked.
      const now = await tx
        .selectFrom('account')
        .select('password')
        .where('user_name', '=', account.user_name)
        .executeTakeFirst()
      if (now?.password !== account.password) {
        throw new Refusal('signInRefused', 'Cannot sign in: the password was just changed')
      }
      return await buySession(tx, account.user_name, from, note)
    })
  }

  async function choosePassword(
    { token, password }: { token: string; password: string },
    from: Origin,
    note: AuditNote,
  ): Promise<Bought> {
    const now = clock()
    const link = await store.reader
      .selectFrom('sign_in_token')
      .select('user_name')
      .where('token_hash', '=', hashToken(token))
      .where('purpose', '=', 'password')
      .where('used_at', 'is', null)
      .where('expires_at', '>', now)
      .executeTakeFirst()
    if (!link) throw passwordLinkRefused()
    checkNewPassword(password, link.user_name)
    const kept = await passwords.hash(password)
    const bought = await store.writer.transaction().execute(async (tx) => {
      const user = await spendLink(tx, token, 'password', now)
      if (user === undefined) throw passwordLinkRefused()
      await setPassword(tx, user, kept)
      return await buySession(tx, user, from, note)
    })
    presence.endUser(bought.person.user)
    return bought
  }

  async function changePassword(
    person: Person,
    { current, password }: { current?: string; password: string },
    from: Origin,
    note: AuditNote,
  ): Promise<Bought> {
    if (person.via !== 'session') {
      throw new Refusal(
        'forbidden',
        'Cannot change a password with an API token: sign in with a browser, or make a password link',
      )
    }
    note.about({ target: person.user })
    const account = await accountOf(person.user)
    if (!account) throw new Refusal('notFound', `Cannot find the user "${person.user}"`)
    if (account.password !== null) {
      const attempt = attempts.begin(from.address, person.user)
      if (!(await passwords.verify(current ?? '', account.password))) {
        throw new Refusal('signInRefused', 'Cannot change the password: the current one is wrong')
      }
      attempt.succeeded()
    }
    checkNewPassword(password, person.user)
    const kept = await passwords.hash(password)
    const bought = await store.writer.transaction().execute(async (tx) => {
      await setPassword(tx, person.user, kept)
      return await buySession(tx, person.user, from, note)
    })
    presence.endUser(person.user)
    return bought
  }

  const accountOf = async (user: string) =>
    await store.reader
      .selectFrom('account')
      .select(['user_name', 'password'])
      .where('user_name', '=', user)
      .executeTakeFirst()

  async function buySession(
    tx: Transaction<Tables>,
    user: string,
    from: Origin,
    note: AuditNote,
  ): Promise<Bought> {
    const now = clock()
    const secret = newToken()
    const account = await tx
      .updateTable('account')
      .set({ last_sign_in_at: now })
      .where('user_name', '=', user)
      .returning('role')
      .executeTakeFirst()
    if (!account) throw new Refusal('signInRefused', 'Cannot sign in: the account was removed')
    const sessionId = newId()
    const expiresAt = now + sessionMs
    await tx
      .insertInto('session')
      .values({
        session_id: sessionId,
        session_hash: hashToken(secret),
        user_name: user,
        created_at: now,
        last_seen_at: now,
        expires_at: expiresAt,
        address: from.address,
        client: from.client.slice(0, clientMax),
      })
      .execute()
    note.about({ actor: user, target: user })
    await note.within(tx)
    const role = roleOf(account.role)
    return {
      secret,
      person: { user, role, expiresAt, via: 'session', credentialId: sessionId },
    }
  }

  async function bySecret(secret: string): Promise<Person | undefined> {
    const now = clock()
    const row = await store.reader
      .selectFrom('session')
      .innerJoin('account', 'account.user_name', 'session.user_name')
      .select(['session.session_id', 'session.user_name', 'session.expires_at', 'account.role'])
      .where('session_hash', '=', hashToken(secret))
      .where('session.expires_at', '>', now)
      .executeTakeFirst()
    if (!row) return undefined
    used(row.session_id, now)
    return {
      user: row.user_name,
      role: roleOf(row.role),
      expiresAt: row.expires_at,
      via: 'session',
      credentialId: row.session_id,
    }
  }

  async function list(user: string, current: string): Promise<SessionRow[]> {
    const rows = await store.reader
      .selectFrom('session')
      .selectAll()
      .where('user_name', '=', user)
      .where('expires_at', '>', clock())
      .orderBy('created_at', 'desc')
      .limit(sessionsMax)
      .execute()
    return rows.map((row) => ({
      sessionId: row.session_id,
      user: row.user_name,
      createdAt: new Date(row.created_at).toISOString(),
      lastSeenAt: new Date(row.last_seen_at).toISOString(),
      expiresAt: new Date(row.expires_at).toISOString(),
      address: row.address,
      client: row.client,
      current: row.session_id === current,
    }))
  }

  async function end(sessionId: string, person: Person, note: AuditNote): Promise<void> {
    await store.writer.transaction().execute(async (tx) => {
      const ended = await tx
        .deleteFrom('session')
        .where('session_id', '=', sessionId)
        .$if(person.role !== 'admin', (query) => query.where('user_name', '=', person.user))
        .returning('user_name')
        .executeTakeFirst()
      if (!ended) throw new Refusal('notFound', `Cannot find the session "${sessionId}"`)
      note.about({ target: ended.user_name })
      await note.within(tx)
    })
    presence.endCredential(sessionId)
  }

  async function endAll(user: string, note: AuditNote): Promise<number> {
    const ended = await store.writer.transaction().execute(async (tx) => {
      await mustExist(tx, user)
      await note.within(tx)
      const { numDeletedRows } = await tx
        .deleteFrom('session')
        .where('user_name', '=', user)
        .executeTakeFirst()
      return Number(numDeletedRows)
    })
    presence.endUser(user)
    return ended
  }

  async function prune(): Promise<void> {
    const now = clock()
    presence.endExpired(now)
    await store.writer.deleteFrom('session').where('expires_at', '<=', now).execute()
    await store.writer.deleteFrom('sign_in_token').where('expires_at', '<=', now).execute()
    const newest = store.writer.selectFrom('session').select('session_id')
    await store.writer
      .deleteFrom('session')
      .where('session_id', 'not in', newest.orderBy('created_at', 'desc').limit(sessionsMax))
      .execute()
  }

  return {
    createSignInLink,
    signInByLink,
    signInByPassword,
    choosePassword,
    changePassword,
    bySecret,
    list,
    end,
    endAll,
    prune,
  }
}

/** Writes a one-time link for an account; only the hash of its token is kept. */
export async function insertLink(
  tx: Transaction<Tables>,
  user: string,
  purpose: LinkPurpose,
  now: number,
): Promise<OneTimeLink> {
  const token = newToken()
  const expiresAt = now + (purpose === 'signIn' ? signInLinkMs : passwordLinkMs)
  await tx
    .insertInto('sign_in_token')
    .values({ token_hash: hashToken(token), user_name: user, purpose, expires_at: expiresAt })
    .execute()
  return { user, token, expiresAt: new Date(expiresAt).toISOString() }
}

async function spendLink(
  tx: Transaction<Tables>,
  token: string,
  purpose: LinkPurpose,
  now: number,
): Promise<string | undefined> {
  const spent = await tx
    .updateTable('sign_in_token')
    .set({ used_at: now })
    .where('token_hash', '=', hashToken(token))
    .where('purpose', '=', purpose)
    .where('used_at', 'is', null)
    .where('expires_at', '>', now)
    .returning('user_name')
    .executeTakeFirst()
  return spent?.user_name
}

/** A new password ends what the old one let in: sessions, and links that would set another. */
async function setPassword(tx: Transaction<Tables>, user: string, kept: string): Promise<void> {
  await tx.updateTable('account').set({ password: kept }).where('user_name', '=', user).execute()
  await tx.deleteFrom('session').where('user_name', '=', user).execute()
  await tx.deleteFrom('sign_in_token').where('user_name', '=', user).execute()
}

/** @throws {Refusal} notFound */
export async function mustExist(tx: Transaction<Tables>, user: string): Promise<void> {
  const row = await tx
    .selectFrom('account')
    .select('user_name')
    .where('user_name', '=', user)
    .executeTakeFirst()
  if (!row) throw new Refusal('notFound', `Cannot find the user "${user}"`)
}

const passwordLinkRefused = (): Refusal =>
  new Refusal(
    'signInRefused',
    'Cannot set a password: this link was used before or is too old. Ask an admin for a new one',
  )
