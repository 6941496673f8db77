/**
 * Keys that a device had before it renewed its certificate. They open nothing any more; what was signed with one while its
 * certificate was valid stays signed.
 */
import { createPublicKey, type KeyObject, type X509Certificate } from 'node:crypto'
import type { Kysely } from 'kysely'
import type { Tables } from '../store/tables.ts'
import type { Device } from './device.ts'

/** Of one device, the newest: at the usual 60 days between renewals more than two years of them. */
export const earlierKeysMax = 16

/** Milliseconds, both included. */
export type EarlierKey = {
  readonly publicKey: KeyObject
  readonly notBefore: number
  readonly notAfter: number
}

/** Keeps the key of a certificate that is about to be replaced; one that is kept already stays as it is. */
export async function keepEarlierKey(
  tx: Kysely<Tables>,
  { deviceKey }: Pick<Device, 'deviceKey'>,
  certificate: X509Certificate,
): Promise<void> {
  await tx
    .insertInto('earlier_key')
    .values({
      serial: certificate.serialNumber.toLowerCase(),
      device_key: deviceKey,
      public_key: certificate.publicKey.export({ type: 'spki', format: 'pem' }).toString(),
      not_before: certificate.validFromDate.getTime(),
      not_after: certificate.validToDate.getTime(),
    })
    .onConflict((on) => on.column('serial').doNothing())
    .execute()
  const oldest = await tx
    .selectFrom('earlier_key')
    .select('not_after')
    .where('device_key', '=', deviceKey)
    .orderBy('not_after', 'desc')
    .offset(earlierKeysMax)
    .limit(1)
    .executeTakeFirst()
  if (!oldest) return
  await tx
    .deleteFrom('earlier_key')
    .where('device_key', '=', deviceKey)
    .where('not_after', '<=', oldest.not_after)
    .execute()
}

/** A token was used for the device: it may be another box, and what the one before it had counts no more. */
export async function dropEarlierKeys(tx: Kysely<Tables>, deviceKey: number): Promise<void> {
  await tx.deleteFrom('earlier_key').where('device_key', '=', deviceKey).execute()
}

export async function earlierKeysOf(
  db: Kysely<Tables>,
  { deviceKey }: Pick<Device, 'deviceKey'>,
): Promise<EarlierKey[]> {
  const rows = await db
    .selectFrom('earlier_key')
    .select(['public_key', 'not_before', 'not_after'])
    .where('device_key', '=', deviceKey)
    .orderBy('not_after', 'desc')
    .execute()
  return rows.map(({ public_key, not_before, not_after }) => ({
    publicKey: createPublicKey(public_key),
    notBefore: not_before,
    notAfter: not_after,
  }))
}
