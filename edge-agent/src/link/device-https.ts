/** Bytes to the hub's device listener, under the device's certificate. */
import { Problem } from '@edgeloop/protocol'
import { fits } from '@edgeloop/protocol/check'
import { Agent, request } from 'undici'
import type { Identity } from '../identity/identity.ts'

const connectTimeoutMs = 10_000
const answerTimeoutMs = 20_000
/** Connections to the hub at once: one for snapshots, one for live pictures, one for clips, one for samples. */
const connectionsMax = 4
const answerBytesMax = 64 * 1024
/** A hub that names a later time than this is asked again all the same. */
const afterMsMax = 3_600_000

export type PutResult =
  /** `answer`: what the hub said to it, where it said something. */
  | { readonly kind: 'stored'; readonly answer?: string }
  /** The hub will never take these bytes. */
  | { readonly kind: 'refused'; readonly why: string }
  /** It may take them later. `isUnknown`: it does not know what they are for; `afterMs`: not before, says the hub. */
  | {
      readonly kind: 'later'
      readonly why: string
      readonly isUnknown?: true
      readonly afterMs?: number
    }

export type DeviceHttps = AsyncDisposable & {
  /** From now on requests show another identity; those under way go on. */
  show(identity: Identity): void
  /**
   * Sends bytes; what goes wrong on the way is a result, not an error.
   * @throws the signal's reason when it aborts
   */
  put(path: string, type: string, bytes: Uint8Array, signal: AbortSignal): Promise<PutResult>
  /**
   * Sends JSON, and gives what is answered; otherwise as `put()`.
   * @throws the signal's reason when it aborts
   */
  post(path: string, body: unknown, signal: AbortSignal): Promise<PutResult>
}

export function openDeviceHttps(identity: Identity): DeviceHttps {
  const { deviceUrl } = identity
  let dispatcher = dispatcherOf(identity)
  const send = async (
    method: 'PUT' | 'POST',
    path: string,
    type: string,
    body: Uint8Array | string,
    signal: AbortSignal,
  ): Promise<PutResult> => {
    try {
      const answer = await request(new URL(path, deviceUrl), {
        method,
        dispatcher,
        headers: { 'content-type': type },
        body,
        signal,
      })
      const afterMs = afterMsOf(answer.headers['retry-after'])
      return resultOf(answer.statusCode, await answer.body.text(), afterMs)
    } catch (error) {
      signal.throwIfAborted()
      return { kind: 'later', why: (error as Error).message }
    }
  }
  return {
    show(other) {
      const before = dispatcher
      dispatcher = dispatcherOf(other)
      void before.close()
    },
    put: (path, type, bytes, signal) => send('PUT', path, type, bytes, signal),
    post: (path, body, signal) =>
      send('POST', path, 'application/json', JSON.stringify(body), signal),
    [Symbol.asyncDispose]: () => dispatcher.destroy(),
  }
}

function dispatcherOf({ key, certificate: cert, ca }: Identity): Agent {
  return new Agent({
    connections: connectionsMax,
    pipelining: 1,
    headersTimeout: answerTimeoutMs,
    bodyTimeout: answerTimeoutMs,
    maxResponseSize: answerBytesMax,
    connect: { key, cert, ca, minVersion: 'TLSv1.3', timeout: connectTimeoutMs },
  })
}

/** Refusals of the bytes themselves: these would be refused again. */
const refusals = new Set([400, 413, 415, 422])

/** Of `Retry-After` in seconds, bounded; what is said otherwise is not heard. */
function afterMsOf(header: string | string[] | undefined): number | undefined {
  const seconds = Number(header ?? Number.NaN)
  return seconds >= 0 ? Math.min(afterMsMax, seconds * 1000) : undefined
}

export function resultOf(status: number, text: string, afterMs?: number): PutResult {
  if (status >= 200 && status < 300) return { kind: 'stored', ...(text !== '' && { answer: text }) }
  const why = detailOf(text) ?? `HTTP ${status}`
  if (refusals.has(status)) return { kind: 'refused', why }
  return {
    kind: 'later',
    why,
    ...(status === 404 && { isUnknown: true as const }),
    ...(afterMs !== undefined && { afterMs }),
  }
}

function detailOf(text: string): string | undefined {
  try {
    const problem: unknown = JSON.parse(text)
    return fits(Problem, problem) ? problem.detail : undefined
  } catch {
    return undefined
  }
}
