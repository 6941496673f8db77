/** One question to an ONVIF service: SOAP 1.2 over HTTP, with the login that cameras want. */
import { createHash, randomBytes } from 'node:crypto'
import { type Agent, request } from 'undici'
import { HttpLogin, type HttpUser } from '../cameras/http-login.ts'
import { at, escapeXml, parseXml, textOf, xmlMaxBytes } from './xml.ts'

const envelope = 'http://www.w3.org/2003/05/soap-envelope'
const wss = 'http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss'

export type SoapClient = {
  readonly dispatcher: Agent
  readonly user: HttpUser | undefined
  /** The camera's clock, ms since the epoch: it refuses a login that is too old. */
  readonly now: () => number
  readonly signal: AbortSignal
}

/**
 * Asks, and gives the body of the answer.
 * @param body XML of the question
 * @throws {Error} saying why, in the middle of a sentence: refused, no answer, no ONVIF
 */
export async function ask(client: SoapClient, url: URL, body: string): Promise<unknown> {
  const { dispatcher, user, now, signal } = client
  const header = user === undefined ? '' : securityHeader(user, new Date(now()))
  const text = `<?xml version="1.0" encoding="utf-8"?><s:Envelope xmlns:s="${envelope}"><s:Header>${header}</s:Header><s:Body>${body}</s:Body></s:Envelope>`
  const login = user && new HttpLogin(user)
  for (let attempt = 0; ; attempt++) {
    const authorization = login?.header('POST', `${url.pathname}${url.search}`)
    const answer = await request(url, {
      method: 'POST',
      dispatcher,
      signal,
      headers: {
        'content-type': 'application/soap+xml; charset=utf-8',
        ...(authorization && { authorization }),
      },
      body: text,
    })
    const { statusCode, headers } = answer
    const reply = await readBounded(answer.body as AsyncIterable<Uint8Array>)
    const challenges = [headers['www-authenticate'] ?? []].flat()
    if (statusCode === 401 && attempt === 0 && login?.take(challenges) === true) continue
    if (statusCode >= 300 && statusCode < 400) {
      throw new Error('it sends us on to another address, which is not followed')
    }
    return bodyOf(statusCode, reply)
  }
}

/** WS-Security UsernameToken Profile 1.0: the password is proved, not sent. ONVIF asks for SHA-1. */
function securityHeader({ user, password }: HttpUser, created: Date): string {
  const nonce = randomBytes(16)
  const at = created.toISOString()
  const digest = createHash('sha1').update(nonce).update(at).update(password).digest('base64')
  return [
    `<Security s:mustUnderstand="1" xmlns="${wss}-wssecurity-secext-1.0.xsd"><UsernameToken>`,
    `<Username>${escapeXml(user)}</Username>`,
    `<Password Type="${wss}-username-token-profile-1.0#PasswordDigest">${digest}</Password>`,
    `<Nonce EncodingType="${wss}-soap-message-security-1.0#Base64Binary">${nonce.toString('base64')}</Nonce>`,
    `<Created xmlns="${wss}-wssecurity-utility-1.0.xsd">${at}</Created>`,
    '</UsernameToken></Security>',
  ].join('')
}

async function readBounded(body: AsyncIterable<Uint8Array>): Promise<string> {
  const parts: Uint8Array[] = []
  let sizeBytes = 0
  for await (const bytes of body) {
    sizeBytes += bytes.length
    if (sizeBytes > xmlMaxBytes) throw new Error(`its answer is longer than ${xmlMaxBytes} bytes`)
    parts.push(bytes)
  }
  return Buffer.concat(parts).toString('utf8')
}

function bodyOf(status: number, text: string): unknown {
  let body: unknown
  try {
    body = at(parseXml(text), 'Envelope', 'Body')
  } catch (cause) {
    if (status === 401 || status === 403) throw refusedLogin()
    const why = (cause as Error).message.slice(0, 100)
    throw new Error(`what it answers is no SOAP (HTTP ${status}, ${why})`, { cause })
  }
  const fault = at(body, 'Fault')
  const subcode = textOf(at(fault, 'Code', 'Subcode', 'Value'))
  if (status === 401 || status === 403 || /NotAuthorized|FailedAuthentication/.test(subcode)) {
    throw refusedLogin()
  }
  if (fault !== undefined) {
    const reason = textOf(at(fault, 'Reason', 'Text'), 200) || subcode
    throw new Error(`it answers with an error (${reason || `HTTP ${status}`})`)
  }
  if (status !== 200 || typeof body !== 'object' || body === null) {
    throw new Error(`it does not speak ONVIF there (HTTP ${status})`)
  }
  return body
}

const refusedLogin = (): Error =>
  new Error('it refuses the user or the password, or its clock is wrong')
