/**
 * Sends a message to a webhook. The address is checked and then connected to; no redirect is followed, and a server
 * that takes its time, sends without end or lies about lengths costs no more than the deadline and a few kilobytes: the status
 * line decides, and of the body only a beginning is read, to be shown to people.
 */
import { type IncomingMessage, request as plainRequest, type RequestOptions } from 'node:http'
import { request as tlsRequest } from 'node:https'
import { isIP } from 'node:net'
import { rootCertificates } from 'node:tls'
import type { WebhookReceiver } from '@edgeloop/protocol'
import { AddressRefused, addressFor, type Resolve, systemResolve } from './address-guard.ts'
import { cloudEventBatchType, cloudEventType, eachEvent, firedEvent } from './cloud-events.ts'
import { type Message, Undelivered } from './message.ts'
import { signatureHeaders } from './signature.ts'

/** From resolving the name to the status line. */
export const webhookDeadlineMs = 10_000
/** What is read of an answer, and how long its body may take. */
const answerBytesMax = 2000
const answerMs = 1000
const headerBytesMax = 16 * 1024
/** A receiver may ask to be left alone for so long. */
const retryAfterMaxMs = 6 * 3_600_000

/** What never has a say in where a request goes. @throws {Error} with what is wrong and a way out */
export function checkWebhook({ url, plainHttp = false }: WebhookReceiver): URL {
  const parsed = URL.parse(url)
  if (!parsed) throw new Error(`Cannot use "${url}": it is no URL; write https://HOST/PATH`)
  const { protocol, username, password } = parsed
  if (username !== '' || password !== '') {
    throw new Error('Cannot use a URL with a password in it: messages are signed instead')
  }
  if (protocol === 'https:' || (protocol === 'http:' && plainHttp)) return parsed
  const hint =
    protocol === 'http:' ? '; everybody between could read it, say "plainHttp" to allow that' : ''
  throw new Error(`Cannot use "${protocol}//…": webhooks go over https${hint}`)
}

/**
 * @param to.secrets the newest first
 * @returns what to note: the status
 * @throws {Undelivered} where the receiver did not take it
 */
export async function sendWebhook(
  message: Message,
  to: { readonly receiver: WebhookReceiver; readonly secrets: readonly string[] },
  deps: { clock: () => number; signal: AbortSignal; resolve?: Resolve; deadlineMs?: number },
): Promise<string> {
  const { receiver, secrets } = to
  const { clock, resolve = systemResolve, deadlineMs = webhookDeadlineMs } = deps
  const url = checkWebhook(receiver)
  const body = JSON.stringify(receiver.batch ? eachEvent(message) : firedEvent(message))
  const deadline = AbortSignal.any([deps.signal, AbortSignal.timeout(deadlineMs)])
  try {
    const { address, family } = await before(
      deadline,
      addressFor(url.hostname, receiver.allow, resolve),
    )
    const name = url.hostname.replace(/^\[(.*)\]$/, '$1')
    const answer = await ask(
      url,
      {
        host: address,
        family,
        // The certificate has to be that of the name in the URL, whatever address that was.
        ...(isIP(name) === 0 ? { servername: name.replace(/\.$/, '') } : {}),
        ...(receiver.ca === undefined ? {} : { ca: [...rootCertificates, receiver.ca] }),
        headers: {
          host: url.host,
          'user-agent': 'edgeloop-hub',
          accept: 'application/json, text/plain;q=0.5',
          'content-type': receiver.batch ? cloudEventBatchType : cloudEventType,
          'content-length': Buffer.byteLength(body),
          ...signatureHeaders(secrets, { id: message.messageId, body, at: clock() }),
        },
        signal: deadline,
      },
      body,
    )
    return await judge(answer, clock())
  } catch (error) {
    if (error instanceof Undelivered) throw error
    if (error instanceof AddressRefused) throw new Undelivered(error.message, { final: true })
    if (deps.signal.aborted) throw error
    if (deadline.aborted) throw new Undelivered(`No answer within ${deadlineMs / 1000} s`)
    throw new Undelivered(`Cannot reach ${url.host}: ${(error as Error).message}`)
  }
}

function ask(url: URL, options: RequestOptions & { servername?: string }, body: string) {
  return new Promise<IncomingMessage>((resolve, reject) => {
    const isPlain = url.protocol === 'http:'
    const sent = (isPlain ? plainRequest : tlsRequest)({
      ...options,
      method: 'POST',
      port: url.port === '' ? (isPlain ? 80 : 443) : Number(url.port),
      path: url.pathname + url.search,
      // A connection of its own: nothing of one receiver is left for the next.
      agent: false,
      maxHeaderSize: headerBytesMax,
    })
    sent.once('response', resolve)
    sent.on('error', reject)
    sent.end(body)
  })
}

/** Takes 2xx for taken; says what else it was. */
async function judge(answer: IncomingMessage, now: number): Promise<string> {
  const status = answer.statusCode ?? 0
  // What comes after the answer is of no interest, errors included.
  answer.on('error', () => {})
  if (status >= 200 && status < 300) {
    answer.destroy()
    return String(status)
  }
  const text = await beginningOf(answer)
  const said = text === '' ? '' : `: ${text}`
  if (status >= 300 && status < 400) {
    throw new Undelivered(
      `Answered ${status}, a redirect, and none is followed: set the URL that is meant`,
    )
  }
  // "410 Gone" is how the spec lets a receiver end it.
  if (status === 410) throw new Undelivered(`Answered 410, gone${said}`, { final: true })
  const retryAfterMs = retryAfterOf(answer.headers['retry-after'], now)
  throw new Undelivered(
    `Answered ${status}${said}`,
    retryAfterMs === undefined ? {} : { retryAfterMs },
  )
}

/** Seconds, or a date (RFC 9110 §10.2.3). */
function retryAfterOf(header: string | undefined, now: number): number | undefined {
  if (header === undefined) return undefined
  const ms = /^\d{1,9}$/.test(header) ? Number(header) * 1000 : Date.parse(header) - now
  return Number.isNaN(ms) ? undefined : Math.min(Math.max(0, ms), retryAfterMaxMs)
}

async function beginningOf(answer: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  let bytes = 0
  const enough = setTimeout(() => answer.destroy(), answerMs)
  try {
    for await (const chunk of answer) {
      chunks.push(chunk)
      bytes += chunk.length
      if (bytes >= answerBytesMax) break
    }
  } catch {
    // Whatever came until then is shown.
  } finally {
    clearTimeout(enough)
    answer.destroy()
  }
  const text = Buffer.concat(chunks).subarray(0, answerBytesMax).toString('utf8')
  return (
    text
      // biome-ignore lint/suspicious/noControlCharactersInRegex: they would steer a terminal
      .replace(/[\u0000-\u001f\u007f-\u009f]+/g, ' ')
      .trim()
      .slice(0, 300)
  )
}

/** A promise that cannot be ended, waited for until the signal aborts. */
export async function before<T>(signal: AbortSignal, promise: Promise<T>): Promise<T> {
  signal.throwIfAborted()
  const { promise: aborted, reject } = Promise.withResolvers<never>()
  const end = () => reject(signal.reason)
  signal.addEventListener('abort', end, { once: true })
  try {
    return await Promise.race([promise, aborted])
  } finally {
    signal.removeEventListener('abort', end)
  }
}
