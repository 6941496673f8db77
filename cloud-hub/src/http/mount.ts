/**
 * Turns the protocol's route table into fastify routes: one row gives method, path, role, checks in and
 * out, limits. `Handlers` is exhaustive, so a row without a handler is a type error.
 */
import {
  type Route,
  type RouteBody,
  type RouteName,
  type RouteParams,
  type RouteQuery,
  type RouteReply,
  routeNames,
  routes,
} from '@edgeloop/protocol'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { People, Person } from '../people/people.ts'
import { guard, type Visitors } from './access.ts'

/** The WebSocket is mounted by itself. */
export type HttpRouteName = Exclude<RouteName, 'live'>

export type Call<N extends RouteName> = {
  readonly params: RouteParams<N>
  readonly query: RouteQuery<N>
  readonly body: RouteBody<N>
  /** Who calls; undefined on public routes. */
  readonly person: Person | undefined
  readonly request: FastifyRequest
  readonly reply: FastifyReply
}

/** What a handler gives back: the reply of its row, or bytes where the row names a media type. */
export type Answer<N extends RouteName> = [RouteReply<N>] extends [undefined]
  ? // biome-ignore lint/suspicious/noConfusingVoidType: a handler of a route without a reply returns nothing
    Uint8Array | string | FastifyReply | void
  : RouteReply<N>

export type Handlers = {
  readonly [N in HttpRouteName]: (call: Call<N>) => Promise<Answer<N>>
}

const minuteMs = 60_000
/** Sign-ins per minute and address: a person needs one. */
export const signInsPerMinuteMax = 20
/** Enrolments per minute and address: a site full of boxes behind one address comes at once. */
export const enrolmentsPerMinuteMax = 600
const bodyBytesMax = 1024 * 1024

/** Mounts every route of the table but the WebSocket. */
export function mountRoutes(
  app: FastifyInstance,
  handlers: Handlers,
  deps: { people: People; visitors: Visitors },
): void {
  for (const name of routeNames) {
    if (name === 'live') continue
    // Each handler takes the call of its own row; the loop cannot say so to the compiler.
    mountRoute(app, routes[name], handlers[name] as Handler, deps)
  }
}

type Handler = (call: object) => Promise<unknown>

function mountRoute(
  app: FastifyInstance,
  route: Route,
  handler: Handler,
  { people, visitors }: { people: People; visitors: Visitors },
): void {
  app.route({
    method: route.method,
    url: route.path,
    schema: schemaOf(route),
    bodyLimit: route.bytesMax ?? bodyBytesMax,
    onRequest: guard(route.access, people, visitors),
    config: limitOf(route),
    handler: async (request, reply) => {
      reply.code(route.status ?? 200).header('cache-control', 'no-store')
      if (route.produces !== undefined) reply.type(route.produces)
      const { params, query, body } = request
      const person = visitors.get(request)
      const answer = await handler({ params, query, body, person, request, reply })
      return route.status === 204 ? reply.send() : answer
    },
  })
}

/** The schemas of a row as fastify wants them; absent parts are left out. */
export function schemaOf(route: Route): Record<string, unknown> {
  const schema: Record<string, unknown> = {}
  if (route.params) schema.params = route.params
  if (route.query) schema.querystring = route.query
  if (route.body) schema.body = route.body
  if (route.response) schema.response = { [route.status ?? 200]: route.response }
  return schema
}

/** Only what buys something with a secret is limited: everything else needs a session already. */
export function limitOf(route: Route): { rateLimit?: { max: number; timeWindow: number } } {
  if (route.access === 'enrolment') return perMinute(enrolmentsPerMinuteMax)
  return route.access === 'public' && route.body ? perMinute(signInsPerMinuteMax) : {}
}

const perMinute = (max: number) => ({ rateLimit: { max, timeWindow: minuteMs } })
