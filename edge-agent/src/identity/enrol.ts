/**
 * Enrolment: the box makes its key, and a one-time token buys a certificate for it. The key never
 * leaves the box; the hub is trusted only by the fingerprint of its authority.
 */
import { join, resolve } from 'node:path'
import { deviceRoutes } from '@edgeloop/protocol'
import { keepEnrolledRoot } from '../update/box-trust.ts'
import { localUpdateDisk } from '../update/update-disk.ts'
import { ask, checkCertificate, makeKey } from './ask-certificate.ts'
import {
  draftIdentity,
  dropDraft,
  type Identity,
  identityFolder,
  isEnrolled,
  readIdentity,
  settleIdentity,
  stageIdentity,
} from './identity.ts'
import { fetchAuthority } from './pinned-authority.ts'
import { hasEnded } from './validity.ts'

export type EnrolOptions = {
  /** Where the hub takes devices, such as `https://hub.example.org:4181`. */
  readonly deviceUrl: string
  /** One-time enrolment token. */
  readonly token: string
  /** SHA-256 of the public key of the hub's authority, base64. */
  readonly caFingerprint: string
  /** The agent's data folder; the identity is kept in `identity/` in it. */
  readonly folder: string
  /**
   * Replace the identity that is there: the box was retired, or its certificate has ended. Where it has
   * ended by the clock of the box this goes without saying.
   */
  readonly again?: boolean
  readonly signal: AbortSignal
}

/**
 * Enrols this box. An identity that is replaced stays in place until the new one is whole on the disk.
 * @throws {Error} when the box is enrolled already, the hub is not the one that was meant, or it
 * refuses; nothing is kept then
 */
export async function enrol(options: EnrolOptions): Promise<Identity> {
  const { token, caFingerprint, signal } = options
  const dataDir = resolve(options.folder)
  const url = readUrl(options.deviceUrl)
  if (!options.again && (await isEnrolled(dataDir))) {
    const { deviceId, site, certificate } = await readIdentity(dataDir)
    if (!hasEnded(certificate, Date.now())) {
      throw new Error(
        `Cannot enrol: "${dataDir}" is device "${deviceId}" of site "${site}" already; add --enrol-again to replace "${identityFolder(dataDir)}"`,
      )
    }
  }
  const ca = await fetchAuthority(url, caFingerprint, signal)
  const { key, csr } = await makeKey()
  try {
    // Before the token is spent: a folder that cannot be written must not cost one.
    await draftIdentity(dataDir, key).catch((cause: Error) => {
      throw new Error(`Cannot enrol: ${cause.message}`, { cause })
    })
    const failing = `Cannot enrol at ${url.origin}`
    const { enrol: route } = deviceRoutes
    const enrolment = await ask({ failing, url, route, body: { token, csr }, tls: { ca }, signal })
    checkCertificate({ ...enrolment, key, caFingerprint }, 'Cannot enrol')
    // Before the identity: with it the box is enrolled, and would not come here again.
    await keepEnrolledRoot(localUpdateDisk(join(dataDir, 'update')), enrolment.trustRoot)
    await stageIdentity(dataDir, { ...enrolment, key })
    await settleIdentity(dataDir)
  } catch (error) {
    await dropDraft(dataDir).catch(() => {}) // why it failed is what counts
    throw error
  }
  return await readIdentity(dataDir)
}

function readUrl(deviceUrl: string): URL {
  const url = URL.canParse(deviceUrl) ? new URL(deviceUrl) : undefined
  if (url?.protocol === 'https:') return url
  throw new Error(
    `Cannot enrol at "${deviceUrl}": expected an address such as https://hub.example.org:4181`,
  )
}
