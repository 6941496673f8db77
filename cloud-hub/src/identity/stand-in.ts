/**
 * The hub in the place of a device: at a broker that is not ours, the way to end somebody's connection is to
 * connect under the same id. The key lives as long as the connection and is written nowhere.
 */
import { webcrypto } from 'node:crypto'
// @peculiar/x509 asks for this polyfill of its dependency injection.
import 'reflect-metadata'
import type { DeviceAddress } from '@edgeloop/protocol'
import * as x509 from '@peculiar/x509'
import type { Authority } from './authority.ts'

const p256 = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const

/** Key and certificate in the name of `device`, PEM. */
export async function makeStandIn(
  authority: Authority,
  device: DeviceAddress,
): Promise<{ key: string; cert: string }> {
  const keys = await webcrypto.subtle.generateKey(p256, true, ['sign', 'verify'])
  const csr = await x509.Pkcs10CertificateRequestGenerator.create({ keys, signingAlgorithm: p256 })
  const { certificate } = await authority.signDevice(csr.toString('pem'), device)
  const pkcs8 = await webcrypto.subtle.exportKey('pkcs8', keys.privateKey)
  return { key: x509.PemConverter.encode(pkcs8, 'PRIVATE KEY'), cert: certificate }
}
