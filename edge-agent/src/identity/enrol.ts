/**
 * Enrolment: the box makes its key, and a one-time token buys a certificate for it. The key never
 * leaves the box; the hub is trusted only by the fingerprint of its authority.
 */
import { createPrivateKey, webcrypto, X509Certificate } from 'node:crypto'
import { mkdir, open, rename, rm } from 'node:fs/promises'
import { join, resolve } from 'node:path'
// @peculiar/x509 asks for this polyfill of its dependency injection.
import 'reflect-metadata'
import { deviceRoutes, Enrolment, Problem } from '@edgeloop/protocol'
import { fits, parse } from '@edgeloop/protocol/check'
import * as x509 from '@peculiar/x509'
import { Agent, request } from 'undici'
import {
  type Identity,
  identityFiles,
  identityFolder,
  isEnrolled,
  readIdentity,
} from './identity.ts'
import { fetchAuthority, fingerprintOf } from './pinned-authority.ts'

const p256 = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const
const answerTimeoutMs = 20_000
/** Larger answers are no enrolment. */
const answerBytesMax = 256 * 1024

export type EnrolOptions = {
  /** Where the hub takes devices, such as `https://hub.example.org:4181`. */
  readonly deviceUrl: string
  /** One-time enrolment token. */
  readonly token: string
  /** SHA-256 of the public key of the hub's authority, base64. */
  readonly caFingerprint: string
  /** The agent's data folder; the identity is kept in `identity/` in it. */
  readonly folder: string
  readonly signal: AbortSignal
}

/**
 * Enrols this box.
 * @throws {Error} when the box is enrolled already, the hub is not the one that was meant, or it
 * refuses; nothing is kept then
 */
export async function enrol(options: EnrolOptions): Promise<Identity> {
  const { token, caFingerprint, signal } = options
  const dataDir = resolve(options.folder)
  const url = readUrl(options.deviceUrl)
  if (await isEnrolled(dataDir)) {
    const { deviceId, site } = await readIdentity(dataDir)
    throw new Error(
      `Cannot enrol: "${dataDir}" is device "${deviceId}" of site "${site}" already; remove "${identityFolder(dataDir)}" to enrol it anew`,
    )
  }
  const ca = await fetchAuthority(url, caFingerprint, signal)
  const { key, csr } = await makeKey()
  // Before the token is spent: a folder that cannot be written must not cost one.
  const draft = await makeDraft(dataDir, key)
  try {
    const enrolment = await buy(url, { token, csr }, ca, signal)
    checkEnrolment(enrolment, key, caFingerprint)
    const { certificate, ca: authority, ...addresses } = enrolment
    await writeFileDurably(join(draft, identityFiles.certificate), certificate)
    await writeFileDurably(join(draft, identityFiles.ca), authority)
    await writeFileDurably(
      join(draft, identityFiles.addresses),
      `${JSON.stringify(addresses, null, 2)}\n`,
    )
    await settle(draft, dataDir)
  } catch (error) {
    await rm(draft, { recursive: true, force: true })
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

/** P-256 key in PEM, and a request for a certificate signed by it. The hub chooses the subject. */
async function makeKey(): Promise<{ key: string; csr: string }> {
  const keys = await webcrypto.subtle.generateKey(p256, true, ['sign', 'verify'])
  const csr = await x509.Pkcs10CertificateRequestGenerator.create({
    name: 'CN=edgeloop-device',
    keys,
    signingAlgorithm: p256,
  })
  const pkcs8 = await webcrypto.subtle.exportKey('pkcs8', keys.privateKey)
  return { key: `${x509.PemConverter.encode(pkcs8, 'PRIVATE KEY')}\n`, csr: csr.toString('pem') }
}

async function buy(
  url: URL,
  body: { token: string; csr: string },
  ca: string,
  signal: AbortSignal,
): Promise<Enrolment> {
  const dispatcher = new Agent({
    maxResponseSize: answerBytesMax,
    headersTimeout: answerTimeoutMs,
    bodyTimeout: answerTimeoutMs,
    connect: { ca, minVersion: 'TLSv1.3' },
  })
  try {
    const { statusCode, body: answer } = await request(new URL(deviceRoutes.enrol.path, url), {
      method: 'POST',
      dispatcher,
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
      signal,
    })
    const text = await answer.text()
    if (statusCode === deviceRoutes.enrol.status) {
      return parse(Enrolment, JSON.parse(text), 'the answer of the hub')
    }
    throw new Error(`Cannot enrol at ${url.origin}: ${reasonOf(text) ?? `HTTP ${statusCode}`}`)
  } catch (cause) {
    signal.throwIfAborted()
    const { message } = cause as Error
    if (message.startsWith('Cannot ')) throw cause
    throw new Error(`Cannot enrol at ${url.origin}: ${message}`, { cause })
  } finally {
    await dispatcher.destroy()
  }
}

/** The hub's own words, where it answers with a problem (RFC 9457). */
function reasonOf(text: string): string | undefined {
  try {
    const problem: unknown = JSON.parse(text)
    return fits(Problem, problem) ? problem.detail : undefined
  } catch {
    return undefined
  }
}

/** A hub that answers with somebody else's certificate must not become our identity. */
function checkEnrolment({ certificate, ca }: Enrolment, key: string, fingerprint: string): void {
  const [own, authority] = [new X509Certificate(certificate), new X509Certificate(ca)]
  if (fingerprintOf(authority) !== fingerprint) {
    throw new Error('Cannot enrol: the hub gave another authority than the one it was met with')
  }
  if (!own.checkPrivateKey(createPrivateKey(key))) {
    throw new Error(
      'Cannot enrol: the hub gave a certificate for another key than the one made here',
    )
  }
  if (!own.verify(authority.publicKey)) {
    throw new Error('Cannot enrol: the certificate is not signed by the authority of the hub')
  }
}

async function makeDraft(dataDir: string, key: string): Promise<string> {
  const draft = `${identityFolder(dataDir)}.new`
  // Left by an enrolment that a power cut ended.
  await rm(draft, { recursive: true, force: true })
  await mkdir(draft, { recursive: true, mode: 0o700 })
  try {
    await writeFileDurably(join(draft, identityFiles.key), key, 0o600)
  } catch (cause) {
    await rm(draft, { recursive: true, force: true })
    throw new Error(`Cannot enrol: ${(cause as Error).message}`, { cause })
  }
  return draft
}

/** The draft becomes the identity in one step, which a power cut cannot halve. */
async function settle(draft: string, dataDir: string): Promise<void> {
  await syncFolder(draft)
  await rename(draft, identityFolder(dataDir))
  await syncFolder(dataDir)
}

async function writeFileDurably(file: string, text: string, mode = 0o644): Promise<void> {
  await using handle = await open(file, 'wx', mode)
  await handle.writeFile(text)
  await handle.sync()
}

async function syncFolder(folder: string): Promise<void> {
  await using handle = await open(folder)
  await handle.sync()
}
