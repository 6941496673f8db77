/**
 * The typed client of the route table, for whoever brings a way to send: a call is a name of the table, so
 * path, parameters, body and reply are typed by the same row that the hub mounts.
 */
import type { Newest, Problem } from './problem.ts'
import { pathOf, type Route } from './route.ts'
import {
  type RouteBody,
  type RouteName,
  type RouteParams,
  type RouteQuery,
  type RouteReply,
  routes,
} from './routes.ts'

/** The hub's answer to a call was a refusal, or there was no answer. */
export class CallFailed extends Error {
  /** Code of the problem table, or `unreachable` where no answer came. */
  readonly code: string
  /** 0 where no answer came. */
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
/** Of routes that take bytes instead of JSON. */
type GivenBytes<R> = R extends { readonly consumes: string }
  ? { readonly bytes: Blob | Uint8Array<ArrayBuffer> }
  : unknown
type GivenQuery<V> = [V] extends [undefined] ? unknown : { readonly query?: V }

/** What a call to route `N` must be given. */
export type CallOptions<N extends RouteName> = Given<'params', RouteParams<N>> &
  Given<'body', RouteBody<N>> &
  GivenBytes<(typeof routes)[N]> &
  GivenQuery<RouteQuery<N>> & { readonly signal?: AbortSignal }

/** The shape that the options of all routes share. */
type Loose = {
  readonly params?: Record<string, string | number>
  readonly query?: Record<string, string | number | undefined>
  readonly body?: unknown
  readonly bytes?: Blob | Uint8Array<ArrayBuffer>
  readonly signal?: AbortSignal
}

/** A request as the table has it; whoever sends it adds where the hub is and who asks. */
export type Asked = {
  readonly method: Route['method']
  readonly headers: Readonly<Record<string, string>>
  readonly body?: string | Blob | Uint8Array<ArrayBuffer>
  readonly signal?: AbortSignal
}

/** Sends to a path of the hub. It may throw whatever says that no answer came. */
export type Send = (path: string, asked: Asked) => Promise<Response>

export type Caller = {
  /**
   * Calls a route and gives its JSON reply.
   * @throws {CallFailed} when the hub refuses or fails; and what `send` throws
   */
  call<N extends RouteName>(name: N, options: CallOptions<N>): Promise<RouteReply<N>>
  /**
   * Calls a route whose reply is bytes, or JSON that says why there are none.
   * @throws {CallFailed} as `call`
   */
  callBytes<N extends RouteName>(
    name: N,
    options: CallOptions<N>,
  ): Promise<Uint8Array | RouteReply<N>>
  /**
   * Calls a route whose reply is read while it comes.
   * @throws {CallFailed} as `call`
   */
  open<N extends RouteName>(name: N, options: CallOptions<N>): Promise<Response>
}

export function makeCaller(send: Send): Caller {
  const open: Caller['open'] = async (name, options) => {
    const route: Route = routes[name]
    const { params, query, body, bytes, signal } = options as Loose
    const reply = await send(pathOf(route, params, query), {
      method: route.method,
      headers: {
        accept: route.produces ?? 'application/json',
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...(bytes && route.consumes ? { 'content-type': route.consumes } : {}),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      ...(bytes ? { body: bytes } : {}),
      ...(signal === undefined ? {} : { signal }),
    })
    if (!reply.ok) throw await failureOf(reply)
    return reply
  }
  // Replies of the hub are checked by the hub, against the same row.
  const read = async (reply: Response) =>
    (reply.status === 204 ? undefined : await reply.json()) as never
  return {
    open,
    call: async (name, options) => await read(await open(name, options)),
    callBytes: async (name, options) => {
      const reply = await open(name, options)
      const isJson = reply.headers.get('content-type')?.startsWith('application/json')
      return isJson ? await read(reply) : new Uint8Array(await reply.arrayBuffer())
    },
  }
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
