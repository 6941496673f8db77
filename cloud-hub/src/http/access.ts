/**
 * Who may call a route: the session cookie of a browser or the bearer token of a program, the role that the
 * route table asks for, and, for what changes something, the origin the request came from.
 */
import { type Access, mayAct, Refusal } from '@edgeloop/protocol'
import type { FastifyRequest } from 'fastify'
import type { People } from '../people/people.ts'
import type { Person } from '../people/person.ts'

/**
 * The session's cookie. Over TLS its name makes browsers refuse it without Secure, with a Domain, or from
 * another path (RFC 6265bis §4.1.3.2), so that no neighbour can plant one.
 */
export const sessionCookie = (secure: boolean): string =>
  secure ? '__Host-edgeloop_session' : 'edgeloop_session'

/** What access is decided with. */
export type AccessDesk = {
  readonly people: People
  /** Persons of requests that were let in. */
  readonly visitors: WeakMap<FastifyRequest, Person>
  /** True where the listener speaks TLS. */
  readonly secure: boolean
}

/**
 * Lets a request in, or not; called before the body is read.
 * @throws {Refusal} notSignedIn, forbidden or foreignOrigin
 */
export async function admit(
  request: FastifyRequest,
  access: Access,
  desk: AccessDesk,
): Promise<void> {
  checkOrigin(request, desk.secure)
  if (access === 'public' || access === 'enrolment' || access === 'device') return
  const person = await personOf(request, desk)
  if (!person) {
    throw new Refusal('notSignedIn', 'Cannot answer: sign in, or send a token as a bearer')
  }
  // Also of who is then refused: the audit log says who tried.
  desk.visitors.set(request, person)
  if (!mayAct(person.role, access)) {
    throw new Refusal(
      'forbidden',
      `Cannot answer: this needs the role ${access}, and you are ${person.role}`,
    )
  }
}

async function personOf(
  request: FastifyRequest,
  { people, secure }: AccessDesk,
): Promise<Person | undefined> {
  // A request that names a token is the program's, whatever cookie comes along.
  if (request.headers.authorization !== undefined) {
    const token = bearerOf(request)
    return token === undefined ? undefined : await people.apiTokens.bySecret(token)
  }
  const secret = request.cookies[sessionCookie(secure)]
  return secret === undefined ? undefined : await people.sessions.bySecret(secret)
}

function bearerOf(request: FastifyRequest): string | undefined {
  const [scheme, token] = (request.headers.authorization ?? '').split(' ')
  return scheme?.toLowerCase() === 'bearer' ? token : undefined
}

/**
 * What changes something, and what opens a WebSocket, must come from a page of this hub: browsers say with
 * `Origin` and `Sec-Fetch-Site` where it comes from. Without a word of that a cookie counts for nothing;
 * programs send a token in a header that no foreign page can set, or are not signed in.
 */
function checkOrigin(request: FastifyRequest, secure: boolean): void {
  const { origin, host, upgrade } = request.headers
  const changes = request.method !== 'GET' && request.method !== 'HEAD'
  if (!(changes || upgrade !== undefined) || bearerOf(request) !== undefined) return
  const site = request.headers['sec-fetch-site']
  if (site !== undefined && site !== 'same-origin' && site !== 'none') throw foreign(origin, host)
  if (origin === undefined) {
    if (request.cookies[sessionCookie(secure)] === undefined) return
    throw new Refusal(
      'foreignOrigin',
      'Cannot take this request: it carries a session, and does not say from which page it comes (Origin)',
    )
  }
  // The host alone: a proxy that ends TLS passes on an https origin.
  if (!URL.canParse(origin) || new URL(origin).host !== host) throw foreign(origin, host)
}

const foreign = (origin = 'elsewhere', host = ''): Refusal =>
  new Refusal(
    'foreignOrigin',
    `Cannot take a request from "${origin.slice(0, 200)}" for "${host.slice(0, 200)}"`,
  )
