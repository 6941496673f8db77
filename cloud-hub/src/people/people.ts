/**
 * Who may use the hub: accounts with roles, the sessions and API tokens that stand for them, and what they
 * hold open. A browser comes with a session, a program with a token; both lead to a `Person`.
 */
import type { Store } from '../store/store.ts'
import { type Accounts, openAccounts } from './accounts.ts'
import { type ApiTokens, openApiTokens } from './api-tokens.ts'
import { openAttempts } from './attempts.ts'
import { openPasswords, type PasswordCost } from './password.ts'
import { openPresence, type Presence } from './presence.ts'
import { openSessions, type Sessions } from './sessions.ts'

/** How often open connections are compared with the sessions and tokens that there still are. */
const lookIntervalMs = 10_000

export type People = AsyncDisposable & {
  readonly accounts: Accounts
  readonly sessions: Sessions
  readonly apiTokens: ApiTokens
  readonly presence: Presence
}

/** @param localToken the API token of the machine's owner */
export async function openPeople(deps: {
  store: Store
  localToken: string
  clock: () => number
  failed: (error: unknown) => void
  /** Of passwords that are chosen from now on, instead of what is safe. */
  passwordCost?: PasswordCost
}): Promise<People> {
  const presence = openPresence()
  const passwords = openPasswords(deps.passwordCost)
  const attempts = openAttempts(deps)
  const accounts = await openAccounts({ ...deps, presence })
  const sessions = openSessions({ ...deps, passwords, attempts, presence })
  const apiTokens = openApiTokens({ ...deps, presence })
  const look = setInterval(() => {
    presence.endExpired(deps.clock())
    endGone(deps.store, presence).catch(deps.failed)
  }, lookIntervalMs)
  return {
    accounts,
    sessions,
    apiTokens,
    presence,
    [Symbol.asyncDispose]: async () => clearInterval(look),
  }
}

/** Ends what is held open by sessions and tokens that another hub on the same store has ended. */
async function endGone(store: Store, presence: Presence): Promise<void> {
  const sessions = presence.credentials('session')
  const tokens = presence.credentials('apiToken')
  const there = new Set<string>()
  if (sessions.size > 0) {
    const rows = await store.reader
      .selectFrom('session')
      .select('session_id')
      .where('session_id', 'in', [...sessions])
      .execute()
    for (const row of rows) there.add(row.session_id)
  }
  if (tokens.size > 0) {
    const rows = await store.reader
      .selectFrom('api_token')
      .select('token_id')
      .where('token_id', 'in', [...tokens])
      .execute()
    for (const row of rows) there.add(row.token_id)
  }
  for (const id of [...sessions, ...tokens]) if (!there.has(id)) presence.endCredential(id)
}
