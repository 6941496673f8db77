/** Writes a folder with all that an external broker, and the hub as its client, need: rules, keys, certificates. */
import { webcrypto } from 'node:crypto'
import { mkdir, readFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
// @peculiar/x509 asks for this polyfill of its dependency injection.
import 'reflect-metadata'
import * as x509 from '@peculiar/x509'
import { openAuthority } from '../identity/authority.ts'
import { writeDurably } from '../identity/durable-file.ts'
import { openRevocations } from '../identity/revocations.ts'
import { hubUserName, mosquittoAcl, mosquittoConf } from './mosquitto.ts'

const p256 = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const
const dayMs = 86_400_000
/** Written anew by running the command again. */
const hubCertificateMs = 825 * dayMs

/** Names of the files that the hub needs of the folder. */
export const brokerFiles = {
  ca: 'ca.crt',
  cert: 'hub.crt',
  key: 'hub.key',
  revoked: 'devices.crl',
} as const

export type BrokerConfigOptions = {
  /** The hub's data folder, which holds its authority. */
  readonly dataDir: string
  readonly out: string
  /** Name or address under which devices and hub reach the broker; stands in its certificate. */
  readonly host: string
  readonly bind: string
  readonly devicePort: number
  readonly hubPort: number
  readonly clock?: () => number
}

/** Makes the folder for mosquitto; keys and certificates in it are new each time. @returns names of the files */
export async function writeMosquittoConfig(options: BrokerConfigOptions): Promise<string[]> {
  const { dataDir, host, clock = Date.now } = options
  const folder = resolve(options.out)
  const keys = join(dataDir, 'keys')
  const authority = await openAuthority({
    folder: keys,
    publicHost: host,
    // No device is signed here.
    deviceCertificateMs: dayMs,
    clock,
  })
  // For the broker's data, and so the folder itself.
  await mkdir(join(folder, 'data'), { recursive: true, mode: 0o700 })
  const broker = await authority.signServer(host)
  const hub = await makeHubCertificate(clock())
  const files: [name: string, text: string, mode: number][] = [
    ['mosquitto.conf', mosquittoConf({ ...options, folder }), 0o644],
    ['acl', mosquittoAcl(), 0o600],
    [brokerFiles.ca, `${authority.certificate}\n`, 0o644],
    ['broker.crt', broker.cert, 0o644],
    ['broker.key', broker.key, 0o600],
    [brokerFiles.cert, hub.cert, 0o644],
    [brokerFiles.key, hub.key, 0o600],
  ]
  for (const [name, text, mode] of files) await writeDurably(join(folder, name), text, mode)
  // A list that is not there would keep every device out.
  await openRevocations({
    folder: keys,
    copyTo: join(folder, brokerFiles.revoked),
    authority,
    clock,
  }).publish()
  return [...files.map(([name]) => name), brokerFiles.revoked]
}

/**
 * What the hub, as a client, needs of the folder.
 * @throws {Error} naming the file that is missing
 */
export async function readBrokerFiles(
  folder: string,
): Promise<{ ca: string; cert: string; key: string }> {
  const read = async (name: string): Promise<string> => {
    try {
      return await readFile(join(folder, name), 'utf8')
    } catch (cause) {
      throw new Error(
        `Cannot read "${join(folder, name)}" (${(cause as NodeJS.ErrnoException).code}): make the files of an external broker with "./edgeloop hub broker-config"`,
        { cause },
      )
    }
  }
  return {
    ca: await read(brokerFiles.ca),
    cert: await read(brokerFiles.cert),
    key: await read(brokerFiles.key),
  }
}

/** Signed by itself: the broker trusts this certificate on the hub's listener, and nothing else. */
async function makeHubCertificate(now: number): Promise<{ key: string; cert: string }> {
  const keys = await webcrypto.subtle.generateKey(p256, true, ['sign', 'verify'])
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    name: [{ CN: [hubUserName] }],
    notBefore: new Date(now - dayMs),
    notAfter: new Date(now + hubCertificateMs),
    signingAlgorithm: p256,
    keys,
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.clientAuth]),
    ],
  })
  const pkcs8 = await webcrypto.subtle.exportKey('pkcs8', keys.privateKey)
  return {
    key: `${x509.PemConverter.encode(pkcs8, 'PRIVATE KEY')}\n`,
    cert: `${certificate.toString('pem')}\n`,
  }
}
