/** From when to when a certificate holds, and when it is time for the next one. */
import { X509Certificate } from 'node:crypto'

/** Share of its life after which a certificate is renewed: a third is left for a hub that is away. */
const renewalShare = 2 / 3

/** When a certificate ends, ms since the epoch; undefined where it cannot be read. */
export function endOf(certificate: string): number | undefined {
  return read(certificate)?.to
}

/** True where the certificate has ended. */
export function hasEnded(certificate: string, now: number): boolean {
  const end = endOf(certificate)
  return end !== undefined && end <= now
}

/**
 * True where two thirds of the certificate's life are over and it still holds. Its life begins when the
 * hub says it does, which is a day before it was signed, for the sake of clocks that are late.
 */
export function isDue(certificate: string, now: number): boolean {
  const life = read(certificate)
  if (!life) return false
  return now >= life.from + (life.to - life.from) * renewalShare && now < life.to
}

function read(certificate: string): { from: number; to: number } | undefined {
  try {
    const { validFromDate, validToDate } = new X509Certificate(certificate)
    return { from: validFromDate.getTime(), to: validToDate.getTime() }
  } catch {
    return undefined
  }
}
