/**
 * The hub as commands see it: one typed call per route. By default it is the hub whose data lie in
 * `--data`, with the token that only the owner of that folder can read.
 */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setDefaultCACertificates } from 'node:tls'
import {
  CallFailed,
  type CallOptions,
  makeCaller,
  type RouteName,
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

export type HubClient = {
  readonly url: string
  /** Gives up after half a minute where no signal is given. @throws {Failure} */
  call<N extends RouteName>(name: N, options: CallOptions<N>): Promise<RouteReply<N>>
  /** A route whose reply is read while it comes: server-sent events, a video, a model. @throws {Failure} */
  stream<
    N extends
      | 'changes'
      | 'clipShow'
      | 'modelFile'
      | 'artifactFile'
      | 'runFile'
      | 'trustFile'
      | 'bundleMake'
      | 'datasetExport'
      | 'samplePicture'
      | 'inferenceBatchResults',
  >(name: N, options: CallOptions<N>): Promise<ReadableStream<Uint8Array>>
}

const callTimeoutMs = 30_000

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
  const { call, open } = makeCaller(async (path, asked) => {
    const headers = { ...asked.headers, authorization: `Bearer ${token}` }
    try {
      return await fetch(new URL(path, url), { ...asked, headers })
    } catch (cause) {
      if (asked.signal?.aborted) throw cause
      throw unreachable(url, cause)
    }
  })
  return {
    url,
    call: async (name, options) => {
      const { signal = AbortSignal.timeout(callTimeoutMs) } = options
      try {
        return await call(name, { ...options, signal })
      } catch (error) {
        throw error instanceof CallFailed ? failureOf(error) : error
      }
    },
    stream: async (name, options) => {
      try {
        const { body } = await open(name, options)
        if (body) return body
      } catch (error) {
        throw error instanceof CallFailed ? failureOf(error) : error
      }
      throw new Failure(`Cannot read ${routes[name].path}: the hub sent no body`)
    },
  }
}

function unreachable(url: string, cause: unknown): Failure {
  const why = ((cause as Error).cause as Error | undefined)?.message ?? (cause as Error).message
  const isTrust = /certificate|self.signed/i.test(why)
  return new Failure(
    `Cannot reach the hub at ${url}: ${why}`,
    isTrust
      ? 'a hub with its own CA is trusted with --ca FILE (or EDGELOOP_CA): keys/ca.crt in its data folder'
      : 'is it running? Start it with `npm start` or `./edgeloop hub`',
    { cause },
  )
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

function failureOf(cause: CallFailed): Failure {
  const { message, code, newest } = cause
  if (!newest) return new Failure(message, hints[code], { cause })
  const changes = newest.changes?.map((change) => `\n  ${lineOf(change)}`).join('') ?? ''
  const who = plain(newest.by || 'somebody')
  const hint = `${who} made version ${newest.version} at ${newest.at}`
  return new Failure(`${message}${changes}`, hint, { cause })
}

const hints: Readonly<Record<string, string>> = {
  notSignedIn: 'the token is missing or no longer valid; give another with --token',
  forbidden: 'ask an admin of the hub for a token with that role',
}
