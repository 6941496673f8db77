/** What the local surface keeps on disk, readable by its owner alone: its token and its certificate. */
import { randomBytes, webcrypto, X509Certificate } from 'node:crypto'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { isIP } from 'node:net'
import { hostname } from 'node:os'
import { join } from 'node:path'
// @peculiar/x509 asks for this polyfill of its dependency injection.
import 'reflect-metadata'
import * as x509 from '@peculiar/x509'

const p256 = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const
const validDays = 3650
const dayMs = 24 * 60 * 60 * 1000
const tokenPattern = /^[A-Za-z0-9_-]{32,}$/

export type LocalTls = { readonly key: string; readonly cert: string }

/**
 * The token of this box, made where there is none.
 * @throws {Error} when the file holds something that is too short to be one
 */
export async function readToken(folder: string): Promise<{ file: string; token: string }> {
  const file = join(folder, 'token')
  const known = (await readIfThere(file))?.trim()
  if (known !== undefined) {
    if (tokenPattern.test(known)) return { file, token: known }
    throw new Error(
      `Cannot use "${file}": expected 32 letters, digits, - or _ at least; remove it for a new one`,
    )
  }
  await mkdir(folder, { recursive: true, mode: 0o700 })
  const token = randomBytes(32).toString('base64url')
  await writeFile(file, `${token}\n`, { mode: 0o600, flag: 'wx' })
  return { file, token }
}

/**
 * A certificate that the box gives itself, for these names; made anew when it has ended or is for
 * others. Clients trust it by its file.
 */
export async function readCertificate(
  folder: string,
  host: string,
  now: number,
): Promise<LocalTls & { file: string }> {
  const file = join(folder, 'certificate.pem')
  const keyFile = join(folder, 'key.pem')
  const [known, knownKey] = await Promise.all([readIfThere(file), readIfThere(keyFile)])
  if (known !== undefined && knownKey !== undefined && holds(known, host, now)) {
    return { file, cert: known, key: knownKey }
  }
  await mkdir(folder, { recursive: true, mode: 0o700 })
  const made = await makeCertificate(host, now)
  await writeFile(keyFile, made.key, { mode: 0o600 })
  await writeFile(file, made.cert, { mode: 0o644 })
  return { file, ...made }
}

function holds(pem: string, host: string, now: number): boolean {
  try {
    const certificate = new X509Certificate(pem)
    const known = certificate.subjectAltName ?? ''
    return (
      certificate.validToDate.getTime() > now + dayMs &&
      namesOf(host).every(({ value }) => known.includes(value))
    )
  } catch {
    return false
  }
}

/** A wildcard address has no name of its own: the machine's stands for it. */
function namesOf(host: string): { type: 'ip' | 'dns'; value: string }[] {
  const named = host === '0.0.0.0' || host === '::' ? hostname() : host
  const values = [...new Set([named, 'localhost', '127.0.0.1'])]
  return values.map((value) => ({ type: isIP(value) === 0 ? 'dns' : 'ip', value }))
}

async function makeCertificate(host: string, now: number): Promise<LocalTls> {
  const keys = await webcrypto.subtle.generateKey(p256, true, ['sign', 'verify'])
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    name: 'CN=edgeloop-local',
    notBefore: new Date(now - dayMs),
    notAfter: new Date(now + validDays * dayMs),
    keys,
    signingAlgorithm: p256,
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth]),
      new x509.SubjectAlternativeNameExtension(namesOf(host)),
    ],
  })
  const pkcs8 = await webcrypto.subtle.exportKey('pkcs8', keys.privateKey)
  return {
    cert: certificate.toString('pem'),
    key: `${x509.PemConverter.encode(pkcs8, 'PRIVATE KEY')}\n`,
  }
}

async function readIfThere(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}
