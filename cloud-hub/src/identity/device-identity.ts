/** Which device a certificate speaks for: the URI in its subject alternative name, and nothing else. */
import type { X509Certificate } from 'node:crypto'
import { isName } from '@edgeloop/protocol'

export type DeviceIdentity = {
  readonly site: string
  readonly deviceId: string
  /** Serial of the certificate, lower-case hex. */
  readonly serial: string
}

const prefix = 'urn:edgeloop:device:'

/** `urn:edgeloop:device:{site}:{device}`. */
export function deviceUri({ site, deviceId }: { site: string; deviceId: string }): string {
  return `${prefix}${site}:${deviceId}`
}

/**
 * The device that a certificate of our authority names, or undefined where it names none.
 * The caller has verified the chain.
 */
export function identityOf(certificate: X509Certificate): DeviceIdentity | undefined {
  const names = (certificate.subjectAltName ?? '').split(', ')
  const uri = names.find((name) => name.startsWith(`URI:${prefix}`))
  const [site, deviceId, ...rest] = uri?.slice(`URI:${prefix}`.length).split(':') ?? []
  if (site === undefined || deviceId === undefined || rest.length > 0) return undefined
  if (!isName(site) || !isName(deviceId)) return undefined
  return { site, deviceId, serial: certificate.serialNumber.toLowerCase() }
}
