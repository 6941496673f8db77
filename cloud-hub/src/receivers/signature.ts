/**
 * Signatures of webhooks as Standard Webhooks 1.0 says (github.com/standard-webhooks/standard-webhooks,
 * `spec/standard-webhooks.md`): HMAC-SHA256 over `ID.TIMESTAMP.BODY`, one signature per secret that is valid, so that a
 * receiver can take up a new secret while the earlier one still signs.
 */
import { createHmac, randomBytes } from 'node:crypto'

const prefix = 'whsec_'
/** The spec asks for 24 to 64 bytes. */
const secretBytes = 32

/** A new secret, as people hand it over. */
export const makeSecret = (): string => prefix + randomBytes(secretBytes).toString('base64')

/**
 * The headers of one try.
 * @param secrets as `makeSecret` gives them; the newest first
 * @param at when it is sent, ms: receivers refuse what is too old, so each try is signed anew
 */
export function signatureHeaders(
  secrets: readonly string[],
  { id, body, at }: { id: string; body: string; at: number },
): Record<string, string> {
  const timestamp = String(Math.floor(at / 1000))
  const signatures = secrets.map((secret) => {
    const key = Buffer.from(secret.slice(prefix.length), 'base64')
    const digest = createHmac('sha256', key).update(`${id}.${timestamp}.${body}`).digest('base64')
    return `v1,${digest}`
  })
  return {
    'webhook-id': id,
    'webhook-timestamp': timestamp,
    'webhook-signature': signatures.join(' '),
  }
}
