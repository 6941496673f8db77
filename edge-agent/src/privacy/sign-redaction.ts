/** A box says by its key what was made unreadable in a picture. */
import { sign } from 'node:crypto'
import { type Redaction, redactionStatement } from '@edgeloop/protocol'
import type { Identity } from '../identity/identity.ts'

/** What was made unreadable, signed for this picture alone. @param of names the picture */
export function signRedaction(
  { key, deviceId }: Pick<Identity, 'key' | 'deviceId'>,
  of: { readonly streamId: string; readonly capturedAt: string; readonly digest: string },
  redaction: Omit<Redaction, 'signature'>,
): Redaction {
  const { streamId, capturedAt, digest } = of
  const statement = redactionStatement({ deviceId, streamId, capturedAt, digest }, redaction)
  return { ...redaction, signature: sign('sha256', Buffer.from(statement), key).toString('base64') }
}
