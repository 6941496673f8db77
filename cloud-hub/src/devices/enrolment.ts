/**
 * How a box becomes a device: an admin makes a one-time token for it, and the token buys exactly one
 * certificate. Enrolling a known device again replaces its certificate; the old one opens nothing then, and
 * a device that was retired is one of the fleet again.
 */
import { type Enrolment, type EnrolmentToken, Refusal, type RouteBody } from '@edgeloop/protocol'
import type { AuditNote } from '../audit/audit.ts'
import type { Authority } from '../identity/authority.ts'
import { hashToken, newToken } from '../people/token.ts'
import type { Store } from '../store/store.ts'
import { type Device, siteOf } from './device.ts'
import { dropEarlierKeys } from './earlier-keys.ts'
import { devicesMax, type Fleet } from './fleet.ts'

export type EnrolmentDesk = {
  /** Makes a token for a device that may or may not exist yet. */
  createToken(request: RouteBody<'enrolmentCreate'>): Promise<EnrolmentToken>
  /**
   * Buys a certificate.
   * @throws {Refusal} enrolmentRefused when the token is unknown, used or too old; it is not spent by
   * a certificate request that cannot be read (badRequest)
   */
  enrol(request: { token: string; csr: string }, note?: AuditNote): Promise<Enrolment>
  /**
   * Looks whether a token could still buy a certificate; it is not spent.
   * @throws {Refusal} enrolmentRefused
   */
  check(token: string): Promise<void>
  /** Removes what has expired. */
  prune(): Promise<void>
}

export function openEnrolmentDesk(deps: {
  store: Store
  fleet: Fleet
  authority: Authority
  clock: () => number
  defaultSite: string
  /** Where devices reach the hub; known once the listeners are open. */
  urls: () => { readonly device: string; readonly mqtt: string }
  /** Told when a device was enrolled; `again`: a connection under its old certificate must go. */
  enrolled: (device: Device, again: boolean) => void
  /** The newest root of the trust repository. */
  trustRoot: () => Promise<Uint8Array>
  /** The line that installs an agent with this token, where this hub can give agents. */
  installCommand: (token: string) => string | null
}): EnrolmentDesk {
  const { store, fleet, authority, clock } = deps

  const createToken: EnrolmentDesk['createToken'] = async (request) => {
    const known = fleet.find(request.deviceId)
    if (!known && fleet.size >= devicesMax) {
      throw new Refusal('conflict', `Cannot enrol another device: this hub holds ${devicesMax}`)
    }
    if (known && request.site !== undefined && request.site !== siteOf(known)) {
      throw new Refusal(
        'conflict',
        `Cannot enrol "${request.deviceId}" at site "${request.site}": it belongs to "${siteOf(known)}"; move it with "./edgeloop device edit ${request.deviceId} --site ${request.site}"`,
      )
    }
    const token = newToken()
    const site = known?.site ?? request.site ?? deps.defaultSite
    const expiresAt = clock() + (request.validMinutes ?? 60) * 60_000
    await store.writer
      .insertInto('enrolment_token')
      .values({
        token_hash: hashToken(token),
        device_id: request.deviceId,
        site,
        name: request.name ?? known?.name ?? request.deviceId,
        expires_at: expiresAt,
      })
      .execute()
    return {
      token,
      deviceId: request.deviceId,
      site,
      expiresAt: new Date(expiresAt).toISOString(),
      caFingerprint: authority.fingerprint,
      deviceUrl: deps.urls().device,
      installCommand: deps.installCommand(token),
    }
  }

  const enrol: EnrolmentDesk['enrol'] = async ({ token, csr }, note) => {
    const offer = await openOffer(token)
    note?.about({ target: offer.device_id })
    const address = { site: offer.site, deviceId: offer.device_id }
    const trustRoot = Buffer.from(await deps.trustRoot()).toString()
    const signed = await authority.signDevice(csr, address)
    await spend(token, offer, signed, note)
    return {
      ...address,
      certificate: signed.certificate,
      ca: `${authority.certificate}\n`,
      mqttUrl: deps.urls().mqtt,
      deviceUrl: deps.urls().device,
      trustRoot,
    }
  }

  async function openOffer(token: string) {
    const offer = await store.reader
      .selectFrom('enrolment_token')
      .select(['device_id', 'site', 'name', 'expires_at', 'used_at'])
      .where('token_hash', '=', hashToken(token))
      .executeTakeFirst()
    if (!offer) throw refused('it is not one of this hub')
    if (offer.used_at !== null) throw refused('it was used before')
    if (offer.expires_at <= clock()) throw refused('it is too old')
    return offer
  }

  /** One transaction: of two who come with the same token, one gets a certificate. */
  async function spend(
    token: string,
    offer: Awaited<ReturnType<typeof openOffer>>,
    certificate: { serial: string; notAfter: number },
    note: AuditNote | undefined,
  ): Promise<void> {
    const now = clock()
    const cells = {
      name: offer.name,
      certificate_serial: certificate.serial,
      certificate_not_after: certificate.notAfter,
      next_serial: null,
      next_not_after: null,
      retired_at: null,
    }
    const row = await store.writer.transaction().execute(async (tx) => {
      const spent = await tx
        .updateTable('enrolment_token')
        .set({ used_at: now })
        .where('token_hash', '=', hashToken(token))
        .where('used_at', 'is', null)
        .executeTakeFirst()
      if (spent.numUpdatedRows === 0n) throw refused('it was used before')
      await note?.within(tx)
      const enrolled = await tx
        .insertInto('device')
        .values({ ...cells, device_id: offer.device_id, site: offer.site, enrolled_at: now })
        .onConflict((on) => on.column('device_id').doUpdateSet(cells))
        .returning(['device_key', 'enrolled_at'])
        .executeTakeFirstOrThrow()
      await dropEarlierKeys(tx, enrolled.device_key)
      return enrolled
    })
    const { serial, notAfter } = certificate
    const known = fleet.find(offer.device_id)
    if (known) {
      const again = { renewed: null, expired: false, retiredAt: null }
      fleet.change(known, { name: offer.name, certificate: { serial, notAfter }, ...again })
      deps.enrolled(known, true)
      return
    }
    const device: Device = {
      deviceKey: row.device_key,
      deviceId: offer.device_id,
      site: offer.site,
      movedTo: null,
      name: offer.name,
      enrolledAt: row.enrolled_at,
      certificate: { serial, notAfter },
      renewed: null,
      expired: false,
      retiredAt: null,
      connections: [],
      online: false,
      lastSeenAt: null,
      eventsStored: 0,
      clockAheadMs: 0,
      tags: [],
      reported: null,
      health: null,
      desired: null,
      revision: now,
    }
    fleet.add(device)
    deps.enrolled(device, false)
  }

  return {
    createToken,
    enrol,
    check: async (token) => void (await openOffer(token)),
    prune: async () => {
      await store.writer.deleteFrom('enrolment_token').where('expires_at', '<=', clock()).execute()
    },
  }
}

function refused(why: string): Refusal {
  return new Refusal(
    'enrolmentRefused',
    `Cannot enrol with this token: ${why}. Make a new one with "./edgeloop device add NAME"`,
  )
}
