/**
 * Turns the protocol's route table into fastify routes: one row gives method, path, role, checks in and
 * out, limits. `Handlers` is exhaustive, so a row without a handler is a type error.
 */
import {
  type ProblemCode,
  Refusal,
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
import type { Audit, AuditNote } from '../audit/audit.ts'
import { oipCaller } from '../inference/oip-manners.ts'
import type { Person } from '../people/person.ts'
import { type AccessDesk, admit } from './access.ts'

/** The WebSocket is mounted by itself. */
export type HttpRouteName = Exclude<RouteName, 'live'>

export type Call<N extends RouteName> = {
  readonly params: RouteParams<N>
  readonly query: RouteQuery<N>
  readonly body: RouteBody<N>
  /** Who calls; undefined on public routes. */
  readonly person: Person | undefined
  /** The audit entry of this call; one that is kept by a route that changes something only. */
  readonly note: AuditNote
  readonly request: FastifyRequest
  readonly reply: FastifyReply
}

/** What a handler gives back: the reply of its row, bytes where the row names a media type, or either. */
export type Answer<N extends RouteName> = [RouteReply<N>] extends [undefined]
  ? // biome-ignore lint/suspicious/noConfusingVoidType: a handler of a route without a reply returns nothing
    Uint8Array | string | FastifyReply | void
  : (typeof routes)[N] extends { readonly produces: string }
    ? Uint8Array | RouteReply<N>
    : RouteReply<N>

export type Handlers = {
  readonly [N in HttpRouteName]: (call: Call<N>) => Promise<Answer<N>>
}

const minuteMs = 60_000
/** Sign-ins per minute and address, by whatever way: a person needs one. */
export const signInsPerMinuteMax = 20
/** Enrolments per minute and address: a site full of boxes behind one address comes at once. */
export const enrolmentsPerMinuteMax = 600
const bodyBytesMax = 1024 * 1024

/** What mounting takes beside the handlers. */
export type MountDesk = AccessDesk & {
  readonly audit: Audit
  /** Inferences that one token or session may ask for in a minute. */
  readonly inferencesPerMinuteMax: number
}

/** Mounts the routes of the table that are `wanted`, but never the WebSocket. */
export function mountRoutes(
  app: FastifyInstance,
  handlers: Handlers,
  desk: MountDesk,
  wanted: (route: Route) => boolean,
): void {
  for (const name of routeNames) {
    if (name === 'live' || !wanted(routes[name])) continue
    // Each handler takes the call of its own row; the loop cannot say so to the compiler.
    mountRoute(app, name, handlers[name] as Handler, desk)
  }
}

type Handler = (call: object) => Promise<unknown>

/** True for routes that change something somebody must answer for. */
export const isAudited = (route: Route): boolean =>
  route.method !== 'GET' && route.unaudited !== true

/** Calls a handler, and sees to it that its entry is written, whatever comes of it. */
export async function answerAudited<C extends { readonly note: AuditNote }>(
  handler: (call: C) => Promise<unknown>,
  call: C,
): Promise<unknown> {
  try {
    const answer = await handler(call)
    await call.note.finish('done')
    return answer
  } catch (error) {
    const outcome = outcomeOf(error)
    // Those who come too fast are in it already, with what they failed before.
    if (outcome !== 'tooManyRequests') await call.note.finish(outcome)
    throw error
  }
}

const outcomeOf = (error: unknown): ProblemCode =>
  error instanceof Refusal ? error.code : 'internal'

/** What a request is about by its path, such as `gate/north`. */
const targetOf = ({ params }: FastifyRequest): string =>
  Object.values((params ?? {}) as Record<string, string>).join('/')

function mountRoute(
  app: FastifyInstance,
  name: HttpRouteName,
  handler: Handler,
  desk: MountDesk,
): void {
  const route: Route = routes[name]
  const audited = isAudited(route)
  const noteOf = (request: FastifyRequest): AuditNote => {
    const person = desk.visitors.get(request)
    return desk.audit.begin({
      actor: person?.user ?? null,
      via: person?.via ?? 'nobody',
      action: name,
      target: targetOf(request),
      address: request.ip,
      ...(person?.tokenName === undefined ? {} : { detail: `with token "${person.tokenName}"` }),
    })
  }
  app.route({
    method: route.method,
    url: route.path,
    schema: schemaOf(route),
    bodyLimit: route.bytesMax ?? bodyBytesMax,
    onRequest: async (request) => {
      try {
        await admit(request, route.access, desk)
      } catch (error) {
        // Strangers could fill the log: only who is known is in it.
        if (audited && desk.visitors.has(request)) await noteOf(request).finish(outcomeOf(error))
        throw error
      }
    },
    config:
      route.speaks === 'oip' && route.method === 'POST'
        ? perMinute(desk.inferencesPerMinuteMax, oipCaller(desk.visitors))
        : limitOf(route),
    handler: async (request, reply) => {
      reply.code(route.status ?? 200).header('cache-control', 'no-store')
      if (route.produces !== undefined) reply.type(route.produces)
      const { params, query, body } = request
      const person = desk.visitors.get(request)
      const note = noteOf(request)
      const call = { params, query, body, person, note, request, reply }
      const answer = audited ? await answerAudited(handler, call) : await handler(call)
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

const perMinute = (max: number, keyGenerator?: (request: FastifyRequest) => string) => ({
  rateLimit: { max, timeWindow: minuteMs, ...(keyGenerator && { keyGenerator }) },
})
