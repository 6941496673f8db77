/** User and password for a camera that asks by HTTP: Basic (RFC 7617) and Digest (RFC 7616). */
import { createHash, randomBytes } from 'node:crypto'

export type HttpUser = { readonly user: string; readonly password: string }

const algorithms = { 'SHA-256': 'sha256', MD5: 'md5' } as const

type Challenge =
  | { readonly scheme: 'basic' }
  | {
      readonly scheme: 'digest'
      readonly algorithm: keyof typeof algorithms
      /** The algorithm as the camera wrote it, undefined where it did not. */
      readonly named: string | undefined
      readonly realm: string
      readonly nonce: string
      readonly opaque: string | undefined
      readonly hasQop: boolean
    }

/** Answers the challenges of one server; nothing is sent before it has asked. */
export class HttpLogin {
  readonly #user: HttpUser
  readonly #clientNonce: () => string
  #challenge: Challenge | undefined
  #count = 0

  /** @param clientNonce a new random word for each answer */
  constructor(user: HttpUser, clientNonce = () => randomBytes(16).toString('hex')) {
    this.#user = user
    this.#clientNonce = clientNonce
  }

  /**
   * Takes the `WWW-Authenticate` headers of a 401; the strongest scheme known here wins.
   * @returns false where none of them can be answered
   */
  take(headers: readonly string[]): boolean {
    const challenges = headers.flatMap(parseChallenges)
    this.#challenge =
      challenges.find((one) => one.scheme === 'digest' && one.algorithm === 'SHA-256') ??
      challenges.find((one) => one.scheme === 'digest') ??
      challenges[0]
    this.#count = 0
    return this.#challenge !== undefined
  }

  /** The `Authorization` header for a request, undefined while nothing has asked for one. */
  header(method: string, path: string): string | undefined {
    const challenge = this.#challenge
    if (challenge === undefined) return undefined
    const { user, password } = this.#user
    if (challenge.scheme === 'basic') {
      return `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`
    }
    const { algorithm, named, realm, nonce, opaque, hasQop } = challenge
    const hash = (text: string) => createHash(algorithms[algorithm]).update(text).digest('hex')
    const secret = hash(`${user}:${realm}:${password}`)
    const asked = hash(`${method}:${path}`)
    const count = (++this.#count).toString(16).padStart(8, '0')
    const own = this.#clientNonce()
    const response = hasQop
      ? hash(`${secret}:${nonce}:${count}:${own}:auth:${asked}`)
      : hash(`${secret}:${nonce}:${asked}`)
    const fields = [
      `username=${quote(user)}, realm=${quote(realm)}, nonce=${quote(nonce)}, uri=${quote(path)}`,
      `response="${response}"`,
      ...(named === undefined ? [] : [`algorithm=${named}`]),
      ...(opaque === undefined ? [] : [`opaque=${quote(opaque)}`]),
      ...(hasQop ? [`qop=auth, nc=${count}, cnonce="${own}"`] : []),
    ]
    return `Digest ${fields.join(', ')}`
  }
}

/** RFC 9110 5.6.4. */
const quote = (text: string): string => `"${text.replace(/["\\]/g, '\\$&')}"`

/** The challenges in one header; a header may hold several (RFC 9110 11.6.1). */
function parseChallenges(header: string): Challenge[] {
  const starts = [...header.matchAll(/(?:^|,\s*)(basic|digest)(?=\s|$)/gi)]
  return starts.flatMap((start, i): Challenge[] => {
    if (start[1]?.toLowerCase() === 'basic') return [{ scheme: 'basic' }]
    const text = header.slice(start.index + start[0].length, starts[i + 1]?.index)
    const fields = new Map(
      [...text.matchAll(/(\w+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,]+))/g)].map((found) => {
        const [, key = '', quoted, bare = ''] = found
        return [key.toLowerCase(), quoted?.replace(/\\(.)/g, '$1') ?? bare]
      }),
    )
    const named = fields.get('algorithm')
    const algorithm = Object.keys(algorithms).find(
      (known) => known === (named ?? 'MD5').toUpperCase(),
    ) as keyof typeof algorithms | undefined
    const nonce = fields.get('nonce')
    const qop = fields.get('qop')
    const canQop = qop === undefined || /(^|[\s,])auth($|[\s,])/.test(qop)
    if (algorithm === undefined || nonce === undefined || !canQop) return []
    return [
      {
        scheme: 'digest',
        algorithm,
        named,
        nonce,
        realm: fields.get('realm') ?? '',
        opaque: fields.get('opaque'),
        hasQop: qop !== undefined,
      },
    ]
  })
}
