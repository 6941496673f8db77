/** Whoever calls, once they are known. */
import { type Role, roles, type Session } from '@edgeloop/protocol'

export type Person = {
  /** The account, or `local` for what acts for the hub's machine. */
  readonly user: string
  readonly role: Role
  readonly expiresAt: number
  readonly via: 'session' | 'apiToken' | 'localToken'
  /** Id of the session or token; `local` for the machine's own. */
  readonly credentialId: string
  /** Name of the API token, where it is one. */
  readonly tokenName?: string
}

/** Where a sign-in comes from, as it is listed to its user. */
export type Origin = { readonly address: string; readonly client: string }

/** A person as the API shows them. */
export function sessionOf({ user, role, expiresAt }: Person): Session {
  return { user, role, expiresAt: new Date(expiresAt).toISOString() }
}

/** @throws {Error} when the store holds a role that this hub does not know */
export function roleOf(text: string): Role {
  const role = roles.find((known) => known === text)
  if (!role) throw new Error(`Cannot read the role "${text}" of the store`)
  return role
}
