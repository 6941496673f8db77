/**
 * The hub's own certificate authority: made at the first start, trusted by nobody but this hub and its
 * devices. It signs the certificate of the device listeners and, for a token, that of a device.
 */
import { createHash, randomBytes, webcrypto } from 'node:crypto'
import { mkdir, readFile } from 'node:fs/promises'
import { isIP } from 'node:net'
import { join } from 'node:path'
// @peculiar/x509 asks for this polyfill of its dependency injection.
import 'reflect-metadata'
import { Refusal } from '@edgeloop/protocol'
import * as x509 from '@peculiar/x509'
import { deviceUri } from './device-identity.ts'
import { writeDurably } from './durable-file.ts'

const day = 86_400_000
const authorityMs = 3650 * day
const serverMs = 825 * day
/** Clocks of boxes without a battery start in the past. */
const backdatedMs = day

const p256 = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const

export type Authority = {
  /** The CA's certificate in PEM. */
  readonly certificate: string
  /** SHA-256 of the CA's public key (SPKI), base64: what devices pin. */
  readonly fingerprint: string
  /** Key and certificate of the device listeners, PEM. */
  readonly server: { readonly key: string; readonly cert: string }
  /** SHA-256 of that key's public half (SPKI), base64: what the installer pins. */
  readonly serverFingerprint: string
  /**
   * Signs a device's certificate. Only the public key is taken from the request; the subject is the
   * one that the token was made for.
   * @throws {Refusal} badRequest when the request is not PKCS#10, not signed by its key, or not P-256
   */
  signDevice(csr: string, device: { site: string; deviceId: string }): Promise<DeviceCertificate>
  /** Key and certificate of a server that devices shall trust under `host`, such as a broker. */
  signServer(host: string): Promise<{ readonly key: string; readonly cert: string }>
  /** The list of revoked device certificates, PEM. */
  signRevocations(revoked: readonly { serial: string; at: Date }[]): Promise<string>
}

export type DeviceCertificate = {
  readonly certificate: string
  readonly serial: string
  readonly notAfter: number
}

/**
 * Opens the authority kept in `folder`, or makes it.
 * @param deps.publicHost name or address under which devices reach the hub
 */
export async function openAuthority(deps: {
  folder: string
  publicHost: string
  /** How long the certificate of a device is valid. */
  deviceCertificateMs: number
  clock: () => number
}): Promise<Authority> {
  const { folder, publicHost, deviceCertificateMs, clock } = deps
  x509.cryptoProvider.set(webcrypto as never)
  await mkdir(folder, { recursive: true, mode: 0o700 })
  const issuer = (await readAuthority(folder, clock())) ?? (await makeAuthority(folder, clock()))
  const { certificate } = issuer
  const serverKeys = await openServerKeys(folder)
  const serverSpki = await webcrypto.subtle.exportKey('spki', serverKeys.publicKey)
  return {
    certificate: certificate.toString('pem'),
    fingerprint: fingerprintOf(certificate.publicKey.rawData),
    server: await makeServer(issuer, serverKeys, publicHost, clock()),
    serverFingerprint: fingerprintOf(serverSpki),
    signServer: async (host) => {
      const keys = await webcrypto.subtle.generateKey(p256, true, ['sign', 'verify'])
      return await makeServer(issuer, keys, host, clock())
    },
    signRevocations: (revoked) => signRevocations(issuer, revoked, clock()),
    signDevice: (csr, device) => {
      const now = clock()
      return signDevice(issuer, csr, device, { now, notAfter: now + deviceCertificateMs })
    },
  }
}

const fingerprintOf = (spki: ArrayBuffer): string =>
  createHash('sha256').update(Buffer.from(spki)).digest('base64')

type Issuer = { readonly key: webcrypto.CryptoKey; readonly certificate: x509.X509Certificate }

async function readAuthority(folder: string, now: number): Promise<Issuer | undefined> {
  try {
    const pem = await readFile(join(folder, 'ca.key'), 'utf8')
    const bytes = x509.PemConverter.decodeFirst(pem)
    const key = await webcrypto.subtle.importKey('pkcs8', bytes, p256, false, ['sign'])
    const certificate = new x509.X509Certificate(await readFile(join(folder, 'ca.crt'), 'utf8'))
    const usages = certificate.getExtension(x509.KeyUsagesExtension)?.usages ?? 0
    if (usages & x509.KeyUsageFlags.cRLSign) return { key, certificate }
    // From before there were revocation lists.
    const publicKey = await certificate.publicKey.export(p256, ['verify'])
    const renewed = await certifyAuthority({ privateKey: key, publicKey }, now)
    await writeDurably(join(folder, 'ca.crt'), `${renewed.toString('pem')}\n`, 0o644)
    return { key, certificate: renewed }
  } catch (error) {
    // Written last: without it there has been no authority yet.
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw new Error(`Cannot read the certificate authority in "${folder}"`, { cause: error })
  }
}

async function makeAuthority(folder: string, now: number): Promise<Issuer> {
  const keys = await webcrypto.subtle.generateKey(p256, true, ['sign', 'verify'])
  const certificate = await certifyAuthority(keys, now)
  await writeDurably(join(folder, 'ca.crt'), `${certificate.toString('pem')}\n`, 0o644)
  await writeDurably(join(folder, 'ca.key'), await pemOf(keys.privateKey), 0o600)
  return { key: keys.privateKey, certificate }
}

/** Kept, because install commands that were given out pin it; gone, they have to be given out anew. */
async function openServerKeys(folder: string): Promise<webcrypto.CryptoKeyPair> {
  const file = join(folder, 'server.key')
  try {
    const bytes = x509.PemConverter.decodeFirst(await readFile(file, 'utf8'))
    const { subtle } = webcrypto
    const privateKey = await subtle.importKey('pkcs8', bytes, p256, true, ['sign'])
    const { d: _, key_ops: __, ...open } = await subtle.exportKey('jwk', privateKey)
    return { privateKey, publicKey: await subtle.importKey('jwk', open, p256, true, ['verify']) }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') {
      throw new Error(`Cannot read the key of the device listeners in "${file}"`, { cause: error })
    }
  }
  const keys = await webcrypto.subtle.generateKey(p256, true, ['sign', 'verify'])
  await writeDurably(file, await pemOf(keys.privateKey), 0o600)
  return keys
}

async function pemOf(key: webcrypto.CryptoKey): Promise<string> {
  const pkcs8 = await webcrypto.subtle.exportKey('pkcs8', key)
  return `${x509.PemConverter.encode(pkcs8, 'PRIVATE KEY')}\n`
}

/** The authority's own certificate. Made anew with the same key it stands in for the one before it. */
async function certifyAuthority(keys: webcrypto.CryptoKeyPair, now: number) {
  return await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: newSerial(),
    name: [{ CN: ['Edgeloop hub authority'] }],
    notBefore: new Date(now - backdatedMs),
    notAfter: new Date(now + authorityMs),
    signingAlgorithm: p256,
    keys,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(
        x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign,
        true,
      ),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  })
}

/** Made anew at every start, because its names follow the configuration. */
async function makeServer(
  issuer: Issuer,
  keys: webcrypto.CryptoKeyPair,
  publicHost: string,
  now: number,
) {
  const names: x509.JsonGeneralName[] = [
    { type: 'dns', value: 'localhost' },
    { type: 'ip', value: '127.0.0.1' },
  ]
  if (publicHost !== 'localhost' && publicHost !== '127.0.0.1') {
    names.push({ type: isIP(publicHost) ? 'ip' : 'dns', value: publicHost })
  }
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: newSerial(),
    subject: [{ CN: ['Edgeloop hub'] }],
    issuer: issuer.certificate.subject,
    notBefore: new Date(now - backdatedMs),
    notAfter: new Date(now + serverMs),
    signingAlgorithm: p256,
    signingKey: issuer.key,
    publicKey: keys.publicKey,
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth]),
      new x509.SubjectAlternativeNameExtension(names),
      await x509.AuthorityKeyIdentifierExtension.create(issuer.certificate.publicKey),
    ],
  })
  const chain = `${certificate.toString('pem')}\n${issuer.certificate.toString('pem')}\n`
  return { key: await pemOf(keys.privateKey), cert: chain }
}

async function signDevice(
  issuer: Issuer,
  csr: string,
  device: { site: string; deviceId: string },
  { now, notAfter }: { now: number; notAfter: number },
): Promise<DeviceCertificate> {
  const publicKey = await requestedKey(csr)
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: newSerial(),
    subject: [{ CN: [device.deviceId] }],
    issuer: issuer.certificate.subject,
    notBefore: new Date(now - backdatedMs),
    notAfter: new Date(notAfter),
    signingAlgorithm: p256,
    signingKey: issuer.key,
    publicKey,
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.clientAuth]),
      new x509.SubjectAlternativeNameExtension([{ type: 'url', value: deviceUri(device) }]),
      await x509.AuthorityKeyIdentifierExtension.create(issuer.certificate.publicKey),
    ],
  })
  const serial = certificate.serialNumber.toLowerCase()
  return { certificate: `${certificate.toString('pem')}\n`, serial, notAfter }
}

/** The public key of a request that proves it holds the private one. */
async function requestedKey(csr: string): Promise<webcrypto.CryptoKey> {
  try {
    const request = new x509.Pkcs10CertificateRequest(csr)
    const key = await request.publicKey.export(p256, ['verify'])
    if (await request.verify()) return key
  } catch (cause) {
    const reason = (cause as Error).message
    throw new Refusal(
      'badRequest',
      `Cannot read the certificate request: expected PKCS#10 in PEM with a P-256 key (${reason})`,
      { cause },
    )
  }
  throw new Refusal(
    'badRequest',
    'Cannot accept the certificate request: it is not signed by its key',
  )
}

/** 127 random bits; the first byte keeps the number positive and of one length (RFC 5280 §4.1.2.2). */
function newSerial(): string {
  const bytes = randomBytes(16)
  bytes[0] = (bytes[0]! & 0x3f) | 0x40
  return bytes.toString('hex')
}

async function signRevocations(
  issuer: Issuer,
  revoked: readonly { serial: string; at: Date }[],
  now: number,
): Promise<string> {
  const list = await x509.X509CrlGenerator.create({
    issuer: issuer.certificate.subject,
    thisUpdate: new Date(now - backdatedMs),
    // A list past its date would lock out every device while the hub is away; there is always a newer one.
    nextUpdate: issuer.certificate.notAfter,
    entries: revoked.map(({ serial, at }) => ({ serialNumber: serial, revocationDate: at })),
    signingAlgorithm: p256,
    signingKey: issuer.key,
    extensions: [await x509.AuthorityKeyIdentifierExtension.create(issuer.certificate.publicKey)],
  })
  return `${x509.PemConverter.encode(list.rawData, 'X509 CRL')}\n`
}
