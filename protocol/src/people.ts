/**
 * People and programs that use the hub: what they may do, how they come in, and the record of what they
 * changed. Secrets appear only in what is sent to the hub, and once in the reply that makes them.
 */
import { type Static, Type } from 'typebox'
import { Timestamp } from './names.ts'

/** What people may do; each role may do what those before it may. */
export const roles = ['viewer', 'operator', 'admin'] as const
export type Role = (typeof roles)[number]

/** True where somebody with `role` may do what needs `needed`. */
export const mayAct = (role: Role, needed: Role): boolean =>
  roles.indexOf(role) >= roles.indexOf(needed)

/** The name that the machine's own token goes by; no account may have it. */
export const localUser = 'local'

const closed = { additionalProperties: false } as const
const orNull = <S extends ReturnType<typeof Type.String>>(schema: S) =>
  Type.Union([schema, Type.Null()])

/** The name of an account: an e-mail address fits. */
export const UserName = Type.String({
  pattern: '^[a-z0-9][a-z0-9._@+-]{0,62}$',
  maxLength: 63,
})
export type UserName = Static<typeof UserName>

/** Length is what makes a password hard to guess; nothing else is asked of it. */
export const passwordCharactersMin = 12
export const passwordCharactersMax = 256
export const NewPassword = Type.String({
  minLength: passwordCharactersMin,
  maxLength: passwordCharactersMax,
})

/** A one-time secret of the hub, as it travels in a body. */
export const Secret = Type.String({ minLength: 1, maxLength: 200 })

/** Who is signed in. `user` is `local` for a program that acts for the hub's machine and for no account. */
export const Session = Type.Object(
  { user: Type.String(), role: Type.Enum(roles), expiresAt: Timestamp },
  { $id: 'Session' },
)
export type Session = Static<typeof Session>

/** One account. */
export const UserRow = Type.Object(
  {
    user: UserName,
    role: Type.Enum(roles),
    /** False until a password link was used: such an account comes in by sign-in link only. */
    hasPassword: Type.Boolean(),
    createdAt: Timestamp,
    lastSignInAt: orNull(Timestamp),
    sessions: Type.Integer(),
    apiTokens: Type.Integer(),
  },
  { $id: 'UserRow' },
)
export type UserRow = Static<typeof UserRow>

/** A one-time link, without the address before it: each client knows how it reaches the hub. */
export const OneTimeLink = Type.Object(
  { user: UserName, token: Type.String(), expiresAt: Timestamp },
  { $id: 'OneTimeLink' },
)
export type OneTimeLink = Static<typeof OneTimeLink>

/** One browser that is signed in. */
export const SessionRow = Type.Object(
  {
    sessionId: Type.String(),
    user: UserName,
    createdAt: Timestamp,
    lastSeenAt: Timestamp,
    expiresAt: Timestamp,
    /** The address the sign-in came from. */
    address: Type.String(),
    /** What the browser called itself. */
    client: Type.String(),
    /** True for the session that asks. */
    current: Type.Boolean(),
  },
  { $id: 'SessionRow' },
)
export type SessionRow = Static<typeof SessionRow>

/** An API token as it is listed; the secret itself is shown only by the reply that makes it. */
export const ApiTokenRow = Type.Object(
  {
    tokenId: Type.String(),
    name: Type.String(),
    /** What it may do at most; never more than its user. */
    role: Type.Enum(roles),
    /** Whose it is: it ends with the account. Null for one of the hub's machine. */
    user: orNull(UserName),
    createdAt: Timestamp,
    expiresAt: orNull(Timestamp),
    /** To the minute. */
    lastUsedAt: orNull(Timestamp),
  },
  { $id: 'ApiTokenRow' },
)
export type ApiTokenRow = Static<typeof ApiTokenRow>

export const ApiTokenRequest = Type.Object(
  {
    name: Type.String({ minLength: 1, maxLength: 80 }),
    role: Type.Enum(roles),
    /** It never ends by itself where this is left out. */
    validDays: Type.Optional(Type.Integer({ minimum: 1, maximum: 3650 })),
  },
  { $id: 'ApiTokenRequest', ...closed },
)
export type ApiTokenRequest = Static<typeof ApiTokenRequest>

export const ApiTokenMade = Type.Object(
  { token: Type.String(), apiToken: ApiTokenRow },
  { $id: 'ApiTokenMade' },
)
export type ApiTokenMade = Static<typeof ApiTokenMade>

/** How somebody who changes something is known. */
export const auditWays = ['session', 'apiToken', 'localToken', 'device', 'hub', 'nobody'] as const

/** One change, or one attempt that was refused. */
export const AuditEntry = Type.Object(
  {
    auditId: Type.Integer(),
    at: Timestamp,
    /** Account, or device; null where nobody was signed in. */
    actor: Type.Union([Type.String(), Type.Null()]),
    via: Type.Enum(auditWays),
    /** Name of the route. */
    action: Type.String(),
    /** What was changed: ids of the path, or what the route made. */
    target: Type.String(),
    /** `done`, or the code of the refusal. */
    outcome: Type.String(),
    /** Where the request came from. */
    address: Type.String(),
    /** What else there is to know, in words; never a secret. */
    detail: Type.String(),
  },
  { $id: 'AuditEntry' },
)
export type AuditEntry = Static<typeof AuditEntry>

export const AuditQuery = Type.Object(
  {
    actor: Type.Optional(Type.String({ minLength: 1, maxLength: 63 })),
    action: Type.Optional(Type.String({ minLength: 1, maxLength: 63 })),
    target: Type.Optional(Type.String({ minLength: 1, maxLength: 200 })),
    /** `done`, `refused` for everything else, or one code. */
    outcome: Type.Optional(Type.String({ minLength: 1, maxLength: 40 })),
    from: Type.Optional(Timestamp),
    to: Type.Optional(Timestamp),
    /** Only entries before this one: the cursor of the next page. */
    before: Type.Optional(Type.Integer({ minimum: 1 })),
    limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 500, default: 50 })),
  },
  closed,
)
export type AuditQuery = Static<typeof AuditQuery>

/** Newest first. `next` is the `before` of the next page, or null at the end. */
export const AuditPage = Type.Object(
  { entries: Type.Array(AuditEntry), next: Type.Union([Type.Integer(), Type.Null()]) },
  { $id: 'AuditPage' },
)
export type AuditPage = Static<typeof AuditPage>
