/**
 * Renewal: at two thirds of its life a certificate buys the next one, for a new key made here. The new one is
 * kept beside the old one and shown first from then on; the hub refuses the old one once it has seen the new.
 */
import { X509Certificate } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { deviceRoutes } from '@edgeloop/protocol'
import type { Logger } from 'pino'
import { renewalBackoff, waitMs } from '../link/backoff.ts'
import { ask, checkCertificate, makeKey } from './ask-certificate.ts'
import type { IdentityKeeper } from './identity-keeper.ts'
import { fingerprintOf } from './pinned-authority.ts'
import { endOf, hasEnded, isDue } from './validity.ts'

/** How often it is looked whether the time has come; the first look comes at a random point of it. */
const lookIntervalMs = 3_600_000

export type RenewalOptions = {
  readonly keeper: IdentityKeeper
  readonly log: Logger
  readonly random: () => number
  /** Wall clock, ms. */
  readonly now: () => number
  /** A renewed identity waits: the link is to be made again with it. */
  readonly renewed: () => void
  readonly signal: AbortSignal
  /** How often it is looked, for tests. */
  readonly lookIntervalMs?: number
}

/** Looks after the certificate until the signal aborts; what fails is tried again. */
export async function keepRenewing(options: RenewalOptions): Promise<void> {
  const { keeper, log, random, now, signal } = options
  const intervalMs = options.lookIntervalMs ?? lookIntervalMs
  let failures = 0
  // Boxes that were set up together do not all come at once.
  let delayMs = random() * intervalMs
  while (!signal.aborted) {
    await sleep(delayMs, undefined, { signal, ref: false }).catch(() => {})
    if (signal.aborted) return
    delayMs = intervalMs
    const { certificate } = keeper.current
    try {
      if (keeper.renewed) options.renewed()
      else if (isDue(certificate, now())) {
        await renew(keeper, signal)
        failures = 0
        log.info('The certificate was renewed')
        options.renewed()
      } else if (hasEnded(certificate, now())) log.error(endedText(certificate))
    } catch (error) {
      if (signal.aborted) return
      delayMs = waitMs(renewalBackoff, failures++, random())
      const ends = new Date(endOf(certificate) ?? 0).toISOString()
      log.warn({ why: (error as Error).message, ends }, 'The certificate could not be renewed yet')
    }
  }
}

/** What a person has to know of a box whose certificate has ended. */
export function endedText(certificate: string): string {
  const end = new Date(endOf(certificate) ?? 0).toISOString().slice(0, 10)
  return `The certificate of this box ended on ${end}: the hub does not let it in. What it records is kept. Make a token at the hub with "./edgeloop device add NAME", and run the agent once with what that prints`
}

/** Buys the next certificate with the one in use, and keeps it. @throws {Error} saying why not */
export async function renew(keeper: IdentityKeeper, signal: AbortSignal): Promise<void> {
  const { ca, key: cert, certificate, deviceUrl } = keeper.current
  const { key, csr } = await makeKey()
  const url = new URL(deviceUrl)
  const failing = `Cannot renew the certificate at ${url.origin}`
  const tls = { ca, key: cert, cert: certificate }
  const renewal = await ask({ failing, url, route: deviceRoutes.renew, body: { csr }, tls, signal })
  const caFingerprint = fingerprintOf(new X509Certificate(ca))
  checkCertificate({ ...renewal, ca, key, caFingerprint }, failing)
  if (namesOf(renewal.certificate) !== namesOf(certificate)) {
    throw new Error(`${failing}: the hub gave a certificate for another device`)
  }
  await keeper.stage(key, renewal.certificate)
}

const namesOf = (certificate: string) => new X509Certificate(certificate).subjectAltName
