/**
 * Who may call a route: the session cookie of a browser or the bearer token of a program, the role that the
 * route table asks for, and, for what changes something, the origin the request came from.
 */
import { type Access, mayAct, Refusal } from '@edgeloop/protocol'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { People, Person } from '../people/people.ts'

export const sessionCookie = 'edgeloop_session'

/** Persons of requests that were let in. */
export type Visitors = WeakMap<FastifyRequest, Person>

/**
 * An `onRequest` hook: it runs before the body is read.
 * @throws {Refusal} notSignedIn, forbidden or foreignOrigin
 */
export function guard(access: Access, people: People, visitors: Visitors) {
  return async (request: FastifyRequest, _reply: FastifyReply): Promise<void> => {
    checkOrigin(request)
    if (access === 'public' || access === 'enrolment' || access === 'device') return
    const person = await personOf(request, people)
    if (!person) {
      throw new Refusal('notSignedIn', 'Cannot answer: sign in, or send a token as a bearer')
    }
    if (!mayAct(person.role, access)) {
      throw new Refusal(
        'forbidden',
        `Cannot answer: this needs the role ${access}, and you are ${person.role}`,
      )
    }
    visitors.set(request, person)
  }
}

async function personOf(request: FastifyRequest, people: People): Promise<Person | undefined> {
  const [scheme, token] = (request.headers.authorization ?? '').split(' ')
  if (scheme?.toLowerCase() === 'bearer' && token !== undefined) return people.byApiToken(token)
  const secret = request.cookies[sessionCookie]
  return secret === undefined ? undefined : await people.bySession(secret)
}

/**
 * Browsers send `Origin` with every request that can change something, and with every WebSocket; a page
 * of another site is refused even where a cookie would come along. Programs send none.
 */
function checkOrigin(request: FastifyRequest): void {
  const { origin, host, upgrade } = request.headers
  const changes = request.method !== 'GET' && request.method !== 'HEAD'
  if (origin === undefined || !(changes || upgrade !== undefined)) return
  if (URL.canParse(origin) && new URL(origin).host === host) return
  throw new Refusal('foreignOrigin', `Cannot take a request from "${origin}" for "${host}"`)
}
