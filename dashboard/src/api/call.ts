/**
 * The whole client of the hub: a call is a name from the protocol's route table, so path, parameters,
 * body and reply are typed by the same row that the hub mounts.
 */
import {
  type Newest,
  type Problem,
  pathOf,
  type Route,
  type RouteBody,
  type RouteName,
  type RouteParams,
  type RouteQuery,
  type RouteReply,
  routes,
} from '@edgeloop/protocol'

/** The hub's answer to a call was a refusal, or there was no answer. */
export class CallFailed extends Error {
  /** Code of the problem table, or `unreachable` where no answer came. */
  readonly code: string
  readonly status: number
  /** Of a conflict: what somebody else has made of it in the meantime. */
  readonly newest: Newest | undefined
  constructor(
    code: string,
    status: number,
    text: string,
    options?: ErrorOptions & { newest?: Newest | undefined },
  ) {
    super(text, options)
    this.name = 'CallFailed'
    this.code = code
    this.status = status
    this.newest = options?.newest
  }
}

type Given<K extends string, V> = [V] extends [undefined] ? unknown : { readonly [P in K]: V }
type GivenQuery<V> = [V] extends [undefined] ? unknown : { readonly query?: V }

/** What a call to route `N` must be given. */
export type CallOptions<N extends RouteName> = Given<'params', RouteParams<N>> &
  Given<'body', RouteBody<N>> &
  GivenQuery<RouteQuery<N>> & { readonly signal?: AbortSignal }

type Loose = {
  readonly params?: Record<string, string | number>
  readonly query?: Record<string, string | number | undefined>
  readonly body?: unknown
  readonly signal?: AbortSignal
}

/**
 * Calls a route and gives its JSON reply.
 * @throws {CallFailed} when the hub refuses, fails or cannot be reached
 */
export async function call<N extends RouteName>(
  name: N,
  options: CallOptions<N>,
): Promise<RouteReply<N>> {
  const reply = await send(name, options)
  return reply.status === 204 ? (undefined as RouteReply<N>) : await reply.json()
}

/**
 * Calls a route whose reply is bytes.
 * @throws {CallFailed} when the hub refuses, fails or cannot be reached
 */
export async function callBytes<N extends RouteName>(
  name: N,
  options: CallOptions<N>,
): Promise<Uint8Array> {
  return new Uint8Array(await (await send(name, options)).arrayBuffer())
}

async function send<N extends RouteName>(name: N, options: CallOptions<N>): Promise<Response> {
  const route: Route = routes[name]
  // The public type is exact for each route; here only the shape that all of them share matters.
  const { params, query, body, signal } = options as Loose
  const reply = await fetch(pathOf(route, params, query), {
    method: route.method,
    credentials: 'same-origin',
    headers: {
      accept: 'application/json',
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    ...(signal === undefined ? {} : { signal }),
  }).catch((cause: unknown) => {
    if (signal?.aborted) throw cause
    const text = 'The hub does not answer: it may be stopped, or the network is down'
    throw new CallFailed('unreachable', 0, text, { cause })
  })
  if (!reply.ok) throw await failureOf(reply)
  return reply
}

async function failureOf(reply: Response): Promise<CallFailed> {
  const fallback = `The hub answered ${reply.status} ${reply.statusText}`.trimEnd()
  const problem = (await reply.json().catch(() => ({}))) as Partial<Problem>
  return new CallFailed(
    problem.code ?? 'internal',
    reply.status,
    problem.detail || problem.title || fallback,
    { newest: problem.newest },
  )
}

/** True where `error` says that a sign-in link or token is not valid (any more). */
export const isRefused = (error: unknown): boolean =>
  error instanceof CallFailed && error.code === 'signInRefused'

/** True where `error` says that somebody must sign in (again). */
export const isSignedOut = (error: unknown): boolean =>
  error instanceof CallFailed && error.code === 'notSignedIn'
