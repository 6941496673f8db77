/**
 * Who may use the hub: accounts with roles, the sessions and API tokens that stand for them, and what they
 * hold open. A browser comes with a session, a program with a token; both lead to a `Person`.
 */
import type { Store } from '../store/store.ts'
import { type Accounts, openAccounts } from './accounts.ts'
import { type ApiTokens, openApiTokens } from './api-tokens.ts'
import { openAttempts } from './attempts.ts'
import { openPasswords } from './password.ts'
import { openPresence, type Presence } from './presence.ts'
import { openSessions, type Sessions } from './sessions.ts'

/** How often connections of sessions that ran out are looked for. */
const expiryIntervalMs = 10_000

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
}): Promise<People> {
  const presence = openPresence()
  const passwords = openPasswords()
  const attempts = openAttempts(deps)
  const accounts = await openAccounts({ ...deps, presence })
  const sessions = openSessions({ ...deps, passwords, attempts, presence })
  const apiTokens = openApiTokens({ ...deps, presence })
  const expiry = setInterval(() => presence.endExpired(deps.clock()), expiryIntervalMs)
  return {
    accounts,
    sessions,
    apiTokens,
    presence,
    [Symbol.asyncDispose]: async () => clearInterval(expiry),
  }
}
