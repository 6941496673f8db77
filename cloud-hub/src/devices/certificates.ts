/**
 * Which certificate of a device is let in. A device renews over the certificate it has; the old one stays
 * valid until the new one is used for the first time, so that a reply that is lost locks nobody out. What has
 * ended, was replaced or belongs to a retired device is refused, and live connections over it are cut.
 */
import type { X509Certificate } from 'node:crypto'
import { Refusal, type Renewal } from '@edgeloop/protocol'
import type { Authority } from '../identity/authority.ts'
import type { DeviceIdentity } from '../identity/device-identity.ts'
import type { Store } from '../store/store.ts'
import type { Device } from './device.ts'
import { keepEarlierKey } from './earlier-keys.ts'
import type { Fleet } from './fleet.ts'

/** Renewals of one device: a box that asks more often is broken, and each costs a signature. */
export const renewalsPerMinuteMax = 10
/** How often it is looked whose certificate has ended meanwhile. */
export const expiryIntervalMs = 60_000

export type CertificateDesk = {
  /** The device behind a certificate that TLS has verified, or why it is not let in. */
  admit(identity: DeviceIdentity): Device | { readonly refusal: string }
  /**
   * Signs the next certificate of a device that was let in.
   * @param shown the one it came with: what it has signed so far stays signed
   * @throws {Refusal} badRequest for a request that cannot be read, tooManyRequests
   */
  renew(device: Device, csr: string, shown: X509Certificate): Promise<Renewal>
  /** Marks devices whose certificate has ended, and cuts them. */
  expire(): void
  /** Resolves when everything that was decided is in the store. */
  settled(): Promise<void>
}

export function openCertificateDesk(deps: {
  store: Store
  fleet: Fleet
  authority: Authority
  clock: () => number
  /** Ends the device's live connections; `except`: but those of the certificate with this serial. */
  cut: (device: Device, except?: string) => void
  failed: (error: unknown) => void
}): CertificateDesk {
  const { store, fleet, authority, clock } = deps
  const asked = new WeakMap<Device, { minute: number; renewals: number }>()
  let writing: Promise<unknown> = Promise.resolve()

  const admit: CertificateDesk['admit'] = ({ site, deviceId, serial }) => {
    const device = fleet.find(deviceId)
    if (!device || device.site !== site) {
      return { refusal: `device "${deviceId}" of site "${site}" is not known to this hub` }
    }
    if (device.retiredAt !== null) {
      return { refusal: `device "${deviceId}" was retired; enrol it again to let it back in` }
    }
    const known = [device.certificate, device.renewed].find((each) => each?.serial === serial)
    if (!known) {
      return { refusal: `device "${deviceId}" has a newer certificate; this one was replaced` }
    }
    if (known.notAfter <= clock()) {
      return { refusal: `the certificate of "${deviceId}" has ended; enrol it again` }
    }
    if (known === device.renewed) replace(device, known)
    return device
  }

  /** The renewed certificate is in use: the one before it opens nothing from now on. */
  function replace(device: Device, certificate: Device['certificate']): void {
    fleet.change(device, { certificate, renewed: null, expired: false })
    deps.cut(device, certificate.serial)
    // Not waited for: a hub that ends before this is written lets both in, and does this again.
    writing = Promise.all([writing, writeReplaced(device, certificate)]).catch(deps.failed)
  }

  async function writeReplaced({ deviceKey }: Device, certificate: Device['certificate']) {
    await store.writer
      .updateTable('device')
      .set({
        certificate_serial: certificate.serial,
        certificate_not_after: certificate.notAfter,
        next_serial: null,
        next_not_after: null,
      })
      .where('device_key', '=', deviceKey)
      .where('next_serial', '=', certificate.serial)
      .execute()
  }

  function count(device: Device): void {
    const minute = Math.floor(clock() / 60_000)
    const before = asked.get(device)
    const renewals = before?.minute === minute ? before.renewals + 1 : 1
    asked.set(device, { minute, renewals })
    if (renewals <= renewalsPerMinuteMax) return
    throw new Refusal(
      'tooManyRequests',
      `Cannot renew the certificate of "${device.deviceId}" again: ${renewalsPerMinuteMax} a minute are allowed`,
    )
  }

  const renew: CertificateDesk['renew'] = async (device, csr, shown) => {
    count(device)
    const { serial, notAfter, certificate } = await authority.signDevice(csr, device)
    // Durable before it is given out: what a box holds must open the hub after a restart too.
    const { numUpdatedRows } = await store.writer.transaction().execute(async (tx) => {
      await keepEarlierKey(tx, device, shown)
      return await tx
        .updateTable('device')
        .set({ next_serial: serial, next_not_after: notAfter })
        .where('device_key', '=', device.deviceKey)
        .where('retired_at', 'is', null)
        .executeTakeFirstOrThrow()
    })
    if (numUpdatedRows === 0n || device.retiredAt !== null) {
      throw new Refusal(
        'forbidden',
        `Cannot renew the certificate of "${device.deviceId}": retired`,
      )
    }
    fleet.change(device, { renewed: { serial, notAfter } })
    return { certificate }
  }

  return {
    admit,
    renew,
    expire: () => {
      const now = clock()
      for (const device of fleet.all()) {
        const expired = hasEnded(device, now)
        if (expired === device.expired) continue
        fleet.change(device, { expired })
        if (expired) deps.cut(device)
      }
    },
    settled: async () => {
      await writing
    },
  }
}

/** True where no certificate of the device opens the hub any more. */
export function hasEnded({ certificate, renewed }: Device, now: number): boolean {
  return Math.max(certificate.notAfter, renewed?.notAfter ?? 0) <= now
}
