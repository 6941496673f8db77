/**
 * Every way the hub refuses a caller, on one page: code, HTTP status and title. Replies are
 * problem+json (RFC 9457); `code` is stable and is what programs should look at.
 */
import { type Static, Type } from 'typebox'
import { ConfigChange } from './config-versions.ts'
import { Timestamp } from './names.ts'

export const problems = {
  badRequest: { status: 400, title: 'The request does not fit its schema' },
  notSignedIn: { status: 401, title: 'Sign in first' },
  signInRefused: { status: 401, title: 'This sign-in is not valid' },
  enrolmentRefused: { status: 401, title: 'The enrolment token is not valid' },
  forbidden: { status: 403, title: 'Your role does not allow this' },
  foreignOrigin: { status: 403, title: 'The request came from another site' },
  notFound: { status: 404, title: 'There is no such thing here' },
  conflict: { status: 409, title: 'Somebody else changed this first' },
  tooLarge: { status: 413, title: 'The body is larger than this route allows' },
  wrongMediaType: { status: 415, title: 'This route does not take that content type' },
  digestDiffers: { status: 422, title: 'The bytes do not have the digest they were sent under' },
  tooManyRequests: { status: 429, title: 'Too many requests' },
  internal: { status: 500, title: 'The hub failed' },
  unavailable: { status: 503, title: 'The hub cannot do this right now' },
} as const satisfies Record<string, { status: number; title: string }>

export type ProblemCode = keyof typeof problems

/** What somebody else made of a configuration in the meantime. */
export const Newest = Type.Object({
  version: Type.Integer(),
  at: Timestamp,
  by: Type.String(),
  /** Absent where the version that was edited is not kept any more. */
  changes: Type.Optional(Type.Array(ConfigChange)),
})
export type Newest = Static<typeof Newest>

/** Body of every refusal. `detail` says what could not be done, why, and a way out. */
export const Problem = Type.Object(
  {
    type: Type.String(),
    title: Type.String(),
    status: Type.Integer(),
    code: Type.String(),
    detail: Type.String(),
    instance: Type.Optional(Type.String()),
    /** Of a conflict: what is there now, and what has changed since the version that was edited. */
    newest: Type.Optional(Newest),
  },
  { $id: 'Problem' },
)
export type Problem = Static<typeof Problem>

/** Thrown where a caller is refused; the hub's error handler turns it into a `Problem` reply. */
export class Refusal extends Error {
  readonly code: ProblemCode
  /** After how many seconds the same may be tried again, where that is known. */
  readonly retryAfterS: number | undefined
  readonly newest: Newest | undefined
  constructor(
    code: ProblemCode,
    detail: string,
    options?: ErrorOptions & { readonly retryAfterS?: number; readonly newest?: Newest },
  ) {
    super(detail, options)
    this.name = 'Refusal'
    this.code = code
    this.retryAfterS = options?.retryAfterS
    this.newest = options?.newest
  }
}

/** The problem+json body for a code. */
export function problemOf(code: ProblemCode, detail: string, instance?: string): Problem {
  const { status, title } = problems[code]
  const body = { type: `urn:edgeloop:problem:${code}`, title, status, code, detail }
  return instance === undefined ? body : { ...body, instance }
}
