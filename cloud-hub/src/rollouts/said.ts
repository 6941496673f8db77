/** What devices say of their models: newest message of each, late ones dropped. */
import type { Updates } from '@edgeloop/protocol'
import type { Insertable, Kysely, Selectable } from 'kysely'
import type { DeviceUpdateTable, Tables } from '../store/tables.ts'
import type { RunningModel } from './kept-box.ts'

/** The newest word of a device. */
export type Said = {
  readonly deviceKey: number
  readonly bootId: string
  readonly sequence: number
  /** By the device's clock. */
  readonly saidAt: number
  readonly receivedAt: number
  /** Counts its messages here: grows also where the device begins anew. */
  readonly heard: number
  readonly running: Updates['running']
  readonly mirror: Updates['mirror'] | null
}

/**
 * A message after the one before.
 * @returns undefined for one that is late: as old as what is known, or older
 */
export function hear(
  last: Said | undefined,
  deviceKey: number,
  updates: Updates,
  receivedAt: number,
): Said | undefined {
  const saidAt = Date.parse(updates.at)
  // Numbers go on over restarts; a device whose disk was replaced begins anew, in another boot and later.
  const begunAnew = last && updates.bootId !== last.bootId && saidAt > last.saidAt
  if (last && updates.sequence <= last.sequence && !begunAnew) return undefined
  const { bootId, sequence, running, mirror = null } = updates
  const heard = (last?.heard ?? 0) + 1
  return { deviceKey, bootId, sequence, saidAt, receivedAt, heard, running, mirror }
}

export function runningOf(said: Said | undefined, name: string): RunningModel | undefined {
  const model = said?.running.find((one) => one.name === name)
  if (!said || !model) return undefined
  return { digest: model.digest, version: model.version, sequence: said.heard }
}

export function saidOf(row: Selectable<DeviceUpdateTable>): Said {
  return {
    deviceKey: row.device_key,
    bootId: row.boot_id,
    sequence: row.sequence,
    saidAt: row.said_at,
    receivedAt: row.received_at,
    heard: row.heard,
    running: JSON.parse(row.running) as Updates['running'],
    mirror: row.mirror === '' ? null : (JSON.parse(row.mirror) as Updates['mirror']),
  } as Said
}

const rowsPerWrite = 200

export async function putSaid(db: Kysely<Tables>, said: readonly Said[]): Promise<void> {
  for (let i = 0; i < said.length; i += rowsPerWrite) {
    const cells = said.slice(i, i + rowsPerWrite).map(
      (one): Insertable<DeviceUpdateTable> => ({
        device_key: one.deviceKey,
        boot_id: one.bootId,
        sequence: one.sequence,
        said_at: one.saidAt,
        received_at: one.receivedAt,
        heard: one.heard,
        running: JSON.stringify(one.running),
        mirror: one.mirror ? JSON.stringify(one.mirror) : '',
      }),
    )
    await db
      .insertInto('device_update')
      .values(cells)
      .onConflict((on) =>
        on.column('device_key').doUpdateSet(({ ref }) => ({
          boot_id: ref('excluded.boot_id'),
          sequence: ref('excluded.sequence'),
          said_at: ref('excluded.said_at'),
          received_at: ref('excluded.received_at'),
          heard: ref('excluded.heard'),
          running: ref('excluded.running'),
          mirror: ref('excluded.mirror'),
        })),
      )
      .execute()
  }
}
