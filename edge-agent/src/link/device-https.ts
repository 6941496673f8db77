/** Bytes to the hub's device listener, under the device's certificate. */
import { Problem } from '@edgeloop/protocol'
import { fits } from '@edgeloop/protocol/check'
import { Agent, request } from 'undici'
import type { Identity } from '../identity/identity.ts'

const connectTimeoutMs = 10_000
const answerTimeoutMs = 20_000
/** Connections to the hub at once: one for snapshots, one for live pictures, one for clips. */
const connectionsMax = 3
const answerBytesMax = 64 * 1024

export type PutResult =
  /** `answer`: what the hub said to it, where it said something. */
  | { readonly kind: 'stored'; readonly answer?: string }
  /** The hub will never take these bytes. */
  | { readonly kind: 'refused'; readonly why: string }
  /** It may take them later. `isUnknown`: it does not know what they are for. */
  | { readonly kind: 'later'; readonly why: string; readonly isUnknown?: true }

export type DeviceHttps = AsyncDisposable & {
  /** From now on requests show another identity; those under way go on. */
  show(identity: Identity): void
  /**
   * Sends bytes; what goes wrong on the way is a result, not an error.
   * @throws the signal's reason when it aborts
   */
  put(path: string, type: string, bytes: Uint8Array, signal: AbortSignal): Promise<PutResult>
}

export function openDeviceHttps(identity: Identity): DeviceHttps {
  const { deviceUrl } = identity
  let dispatcher = dispatcherOf(identity)
  return {
    show(other) {
      const before = dispatcher
      dispatcher = dispatcherOf(other)
      void before.close()
    },
    async put(path, type, bytes, signal) {
      try {
        const { statusCode, body } = await request(new URL(path, deviceUrl), {
          method: 'PUT',
          dispatcher,
          headers: { 'content-type': type },
          body: bytes,
          signal,
        })
        return resultOf(statusCode, await body.text())
      } catch (error) {
        signal.throwIfAborted()
        return { kind: 'later', why: (error as Error).message }
      }
    },
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

export function resultOf(status: number, text: string): PutResult {
  if (status >= 200 && status < 300) return { kind: 'stored', ...(text !== '' && { answer: text }) }
  const why = detailOf(text) ?? `HTTP ${status}`
  if (refusals.has(status)) return { kind: 'refused', why }
  return { kind: 'later', why, ...(status === 404 && { isUnknown: true as const }) }
}

function detailOf(text: string): string | undefined {
  try {
    const problem: unknown = JSON.parse(text)
    return fits(Problem, problem) ? problem.detail : undefined
  } catch {
    return undefined
  }
}
