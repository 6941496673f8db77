/**
 * HTTP to an Open Inference Protocol server: one connection, kept alive, every answer bounded in size
 * and time, every failure said in one sentence.
 */

import { fits } from '@edgeloop/protocol/check'
import { Refusal } from '@edgeloop/protocol/oip'
import { Client, errors } from 'undici'

export type OipAnswer = {
  readonly status: number
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly body: Uint8Array
}

export type OipRequest = {
  readonly method: 'GET' | 'POST'
  /** From `/v2` on, its names encoded. */
  readonly path: string
  readonly body?: Uint8Array
  readonly headers?: Readonly<Record<string, string>>
  /** From the first byte sent to the last byte received. */
  readonly timeoutMs: number
  readonly bytesMax: number
}

/** The server did not do its part; the text says what it did, and is about `OIP server "URL"`. */
export class OipFault extends Error {
  /** HTTP status, where it answered with one that is no success. */
  readonly status: number | undefined
  /** Its own words, where it gave any. */
  readonly said: string | undefined

  constructor(text: string, options: ErrorOptions & { status?: number; said?: string } = {}) {
    super(text, options)
    this.name = 'OipFault'
    this.status = options.status
    this.said = options.said
  }
}

const connectTimeoutMs = 5_000
const keepAliveMs = 60_000
/** Of what a server says about a failure, this much is shown. */
const saidLengthMax = 2_000

export class OipConnection implements AsyncDisposable {
  readonly #client: Client
  readonly #server: string
  readonly #token: string | undefined
  readonly #signal: AbortSignal | undefined

  /**
   * @param origin such as `http://127.0.0.1:8000`
   * @param token sent as a bearer token where there is one
   * @param signal ends every request
   */
  constructor(origin: string, token?: string, signal?: AbortSignal) {
    this.#client = new Client(origin, {
      pipelining: 1,
      keepAliveTimeout: keepAliveMs,
      connect: { timeout: connectTimeoutMs },
      // Each request has a limit of its own for all of it.
      headersTimeout: 0,
      bodyTimeout: 0,
    })
    this.#server = `OIP server "${origin}"`
    this.#token = token
    this.#signal = signal
  }

  /**
   * @throws {OipFault} when no whole answer came, or one that is no success
   * @throws the signal's reason when it aborts
   */
  async send(request: OipRequest): Promise<OipAnswer> {
    const endMs = performance.now() + request.timeoutMs
    try {
      return this.#check(await this.#exchange(request, endMs))
    } catch (error) {
      this.#signal?.throwIfAborted()
      // An idle connection may be closed from the other side in the very moment it is used again.
      // Asking twice changes nothing on a server that only computes.
      if (!diedOnTheWay(error)) throw this.#faultOf(error, request)
    }
    try {
      return this.#check(await this.#exchange(request, endMs))
    } catch (error) {
      this.#signal?.throwIfAborted()
      throw this.#faultOf(error, request)
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#client.destroy()
  }

  async #exchange({ method, path, body, headers, bytesMax }: OipRequest, endMs: number) {
    const limit = AbortSignal.timeout(Math.max(1, Math.ceil(endMs - performance.now())))
    const answer = await this.#client.request({
      method,
      path,
      body: body ?? null,
      headers: {
        ...headers,
        ...(this.#token !== undefined && { authorization: `Bearer ${this.#token}` }),
      },
      signal: this.#signal ? AbortSignal.any([this.#signal, limit]) : limit,
    })
    const parts: Uint8Array[] = []
    let sizeBytes = Number(answer.headers['content-length'] ?? 0)
    if (!(sizeBytes <= bytesMax)) {
      answer.body.destroy().on('error', () => {})
      throw new OipFault(`${this.#server} announced ${sizeBytes} bytes, allowed ${bytesMax}`)
    }
    sizeBytes = 0
    for await (const part of answer.body as AsyncIterable<Uint8Array>) {
      sizeBytes += part.length
      // Leaving the loop closes the connection.
      if (sizeBytes > bytesMax) {
        throw new OipFault(`${this.#server} sent more than ${bytesMax} bytes`)
      }
      parts.push(part)
    }
    return { status: answer.statusCode, headers: answer.headers, body: Buffer.concat(parts) }
  }

  #check(answer: OipAnswer): OipAnswer {
    const { status } = answer
    if (status >= 200 && status < 300) return answer
    const said = saidIn(answer.body)
    const shown = said === undefined ? '' : `: ${said.slice(0, 300)}`
    throw new OipFault(`${this.#server} ${statusText(status)}${shown}`, {
      status,
      ...(said !== undefined && { said }),
    })
  }

  #faultOf(cause: unknown, { timeoutMs }: OipRequest): OipFault {
    if (cause instanceof OipFault) return cause
    const { name, message, code } = cause as NodeJS.ErrnoException
    const text = (what: string): OipFault => new OipFault(`${this.#server} ${what}`, { cause })
    if (name === 'TimeoutError') return text(`gave no whole answer within ${timeoutMs} ms`)
    if (code === 'UND_ERR_CONNECT_TIMEOUT') {
      return text(`took no connection within ${connectTimeoutMs} ms`)
    }
    if (code === 'ECONNREFUSED') return text('takes no connections (ECONNREFUSED); is it started?')
    if (cause instanceof errors.HTTPParserError) return text(`does not speak HTTP (${message})`)
    if (diedOnTheWay(cause) || code === 'UND_ERR_ABORTED') {
      return text('closed the connection before its answer was whole')
    }
    return text(`cannot be reached: ${message}${code === undefined ? '' : ` (${code})`}`)
  }
}

function diedOnTheWay(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException
  return code === 'UND_ERR_SOCKET' || code === 'ECONNRESET' || code === 'EPIPE'
}

function statusText(status: number): string {
  if (status === 401 || status === 403) {
    return `wants a token (HTTP ${status}); put it into EDGELOOP_OIP_TOKEN`
  }
  if (status >= 300 && status < 400) return `points elsewhere (HTTP ${status}); give that address`
  return `answered HTTP ${status}`
}

function saidIn(body: Uint8Array): string | undefined {
  try {
    const json: unknown = JSON.parse(new TextDecoder().decode(body))
    return fits(Refusal, json) ? json.error.slice(0, saidLengthMax) : undefined
  } catch {
    return undefined
  }
}
