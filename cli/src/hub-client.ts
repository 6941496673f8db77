/**
 * The hub as commands see it: one typed call per route. By default it is the hub whose data lie in
 * `--data`, with the token that only the owner of that folder can read.
 */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setDefaultCACertificates } from 'node:tls'
import {
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
import { lineOf } from './config-change.ts'
import { Failure } from './failure.ts'
import { plain } from './output.ts'

export type HubOptions = {
  readonly hub?: string
  readonly token?: string
  /** File of the CA that the hub's certificate must come from; trusted instead of all others. */
  readonly ca?: string
  readonly data: string
}

type Defined<T extends object> = { [K in keyof T as T[K] extends undefined ? never : K]: T[K] }
/** What a call of route `N` needs: params, query and body, where the route has them. */
export type CallOptions<N extends RouteName> = Defined<{
  params: RouteParams<N>
  query: RouteQuery<N>
  body: RouteBody<N>
}>

export type HubClient = {
  readonly url: string
  call<N extends RouteName>(
    name: N,
    options: CallOptions<N>,
    signal?: AbortSignal,
  ): Promise<RouteReply<N>>
  /** A route that streams server-sent events. */
  events(name: 'changes', signal: AbortSignal): Promise<ReadableStream<Uint8Array>>
}

/** Where a running hub writes how to reach it. */
export const hubAddressFile = (data: string): string => join(data, 'hub', 'address.json')
const localTokenFile = (data: string): string => join(data, 'hub', 'local-token')

/**
 * Finds the hub and the token.
 * @throws {Failure} when no hub is named and none has run in `data`
 */
export async function connectHub(options: HubOptions): Promise<HubClient> {
  const named = options.hub ?? process.env.EDGELOOP_HUB
  const local = named === undefined ? await localHub(options.data) : undefined
  const url = named ?? local?.url ?? ''
  await trustOnly(options.ca ?? process.env.EDGELOOP_CA ?? local?.ca)
  const token = options.token ?? process.env.EDGELOOP_TOKEN ?? (await localToken(options.data))
  const request = async (route: Route, path: string, init: RequestInit): Promise<Response> => {
    let reply: Response
    try {
      reply = await fetch(new URL(path, url), {
        ...init,
        headers: { ...init.headers, authorization: `Bearer ${token}` },
      })
    } catch (cause) {
      if (init.signal?.aborted) throw cause
      const why = ((cause as Error).cause as Error | undefined)?.message ?? (cause as Error).message
      const isTrust = /certificate|self.signed/i.test(why)
      throw new Failure(
        `Cannot reach the hub at ${url}: ${why}`,
        isTrust
          ? 'a hub with its own CA is trusted with --ca FILE (or EDGELOOP_CA): keys/ca.crt in its data folder'
          : 'is it running? Start it with `npm start` or `./edgeloop hub`',
        { cause },
      )
    }
    if (!reply.ok) throw await refusalOf(route, reply)
    return reply
  }
  return {
    url,
    async call(name, options, signal = AbortSignal.timeout(30_000)) {
      const route: Route = routes[name]
      const { params, query, body } = options as {
        params?: Record<string, string>
        query?: Record<string, string>
        body?: unknown
      }
      const reply = await request(route, pathOf(route, params, query), {
        method: route.method,
        signal,
        ...(body === undefined
          ? {}
          : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
      })
      return (reply.status === 204 ? undefined : await reply.json()) as never
    },
    async events(name, signal) {
      const route: Route = routes[name]
      const reply = await request(route, pathOf(route), {
        signal,
        headers: { accept: 'text/event-stream' },
      })
      if (!reply.body) throw new Failure(`Cannot read ${route.path}: the hub sent no body`)
      return reply.body
    },
  }
}

/**
 * Makes this process trust certificates of one CA and of no other.
 * @throws {Failure} when the file cannot be read
 */
async function trustOnly(file: string | undefined): Promise<void> {
  if (file === undefined) return
  try {
    setDefaultCACertificates([await readFile(file, 'utf8')])
  } catch (cause) {
    const why = (cause as NodeJS.ErrnoException).code === 'ENOENT' ? 'there is no such file' : cause
    throw new Failure(`Cannot use the CA certificate "${file}": ${why}`, undefined, { cause })
  }
}

/** What a running hub wrote: its address, and the CA file where its certificate is its own. */
export type HubAddress = { readonly url: string; readonly ca?: string }

async function localHub(data: string): Promise<HubAddress> {
  try {
    return JSON.parse(await readFile(hubAddressFile(data), 'utf8')) as HubAddress
  } catch (cause) {
    throw new Failure(
      `Cannot find a hub: none has been started in "${data}"`,
      'start one with `npm start`, or name one with --hub URL (or EDGELOOP_HUB)',
      { cause },
    )
  }
}

async function localToken(data: string): Promise<string> {
  try {
    return (await readFile(localTokenFile(data), 'utf8')).trim()
  } catch (cause) {
    throw new Failure(
      'Cannot sign in to the hub: there is no token',
      `give one with --token (or EDGELOOP_TOKEN); the hub in "${data}" keeps one for its owner`,
      { cause },
    )
  }
}

async function refusalOf(route: Route, reply: Response): Promise<Failure> {
  const problem = (await reply.json().catch(() => undefined)) as Problem | undefined
  const text =
    problem?.detail ?? problem?.title ?? `${route.method} ${route.path} answered ${reply.status}`
  const { newest } = problem ?? {}
  if (!newest) return new Failure(text, hints[problem?.code ?? ''])
  const changes = newest.changes?.map((change) => `\n  ${lineOf(change)}`).join('') ?? ''
  const who = plain(newest.by || 'somebody')
  return new Failure(`${text}${changes}`, `${who} made version ${newest.version} at ${newest.at}`)
}

const hints: Readonly<Record<string, string>> = {
  notSignedIn: 'the token is missing or no longer valid; give another with --token',
  forbidden: 'ask an admin of the hub for a token with that role',
  conflict: 'somebody else changed it first; look again and repeat',
}
