/**
 * The end of a device. Retiring shuts it out at once and keeps what it told; enrolling it again brings it
 * back. Removing deletes a retired device with everything that is stored of it.
 */
import { Refusal, type Removal } from '@edgeloop/protocol'
import type { AuditNote } from '../audit/audit.ts'
import type { Store } from '../store/store.ts'
import type { Device } from './device.ts'
import type { Fleet } from './fleet.ts'

/** Rows deleted in one statement: while it runs, no events are committed. */
const stepRows = 2000

export type RetirementDesk = {
  /** Ends the device's access; also that of tokens that were made for it and not used yet. */
  retire(deviceId: string, note?: AuditNote): Promise<Device>
  /** Counts what removing would delete now. */
  count(deviceId: string): Promise<Removal>
  /**
   * Deletes the device. What it deleted is counted as it is deleted.
   * @throws {Refusal} conflict when it is not retired, or was enrolled again meanwhile
   */
  remove(deviceId: string, note?: AuditNote): Promise<Removal>
}

export function openRetirementDesk(deps: {
  store: Store
  fleet: Fleet
  clock: () => number
  /** Ends the device's live connections. */
  cut: (device: Device) => void
  /** Told when nothing of the device is stored any more. */
  removed: (device: Device) => void
}): RetirementDesk {
  const { store, fleet, clock } = deps

  const retire: RetirementDesk['retire'] = async (deviceId, note) => {
    const device = fleet.get(deviceId)
    if (device.retiredAt !== null) return device
    const retiredAt = clock()
    await store.writer.transaction().execute(async (tx) => {
      await tx
        .updateTable('device')
        .set({ retired_at: retiredAt, next_serial: null, next_not_after: null })
        .where('device_key', '=', device.deviceKey)
        .execute()
      await tx
        .deleteFrom('enrolment_token')
        .where('device_id', '=', deviceId)
        .where('used_at', 'is', null)
        .execute()
      await note?.within(tx)
    })
    fleet.change(device, { retiredAt, renewed: null })
    deps.cut(device)
    return device
  }

  const count: RetirementDesk['count'] = async (deviceId) => {
    const { deviceKey, retiredAt } = fleet.get(deviceId)
    const rowsOf = async (table: 'event' | 'health_figure' | 'quarantine' | 'config_version') => {
      const { rows } = await store.reader
        .selectFrom(table)
        .select((eb) => eb.fn.countAll<number | string>().as('rows'))
        .where('device_key', '=', deviceKey)
        .executeTakeFirstOrThrow()
      return Number(rows)
    }
    return {
      deviceId,
      retired: retiredAt !== null,
      events: await rowsOf('event'),
      healthFigures: await rowsOf('health_figure'),
      quarantined: await rowsOf('quarantine'),
      configVersions: await rowsOf('config_version'),
    }
  }

  /** Deletes in steps, between which events of others are committed. */
  async function deleteRows(
    table: 'event' | 'health_figure',
    where: { column: 'boot_key' | 'device_key'; key: number },
  ): Promise<number> {
    let deleted = 0
    for (;;) {
      const some = store.writer
        .selectFrom(table)
        .select('event_id')
        // The key is a column of both tables where it is used.
        .where(where.column as 'device_key', '=', where.key)
        .limit(stepRows)
      const { numDeletedRows } = await store.writer
        .deleteFrom(table)
        .where('event_id', 'in', some)
        .executeTakeFirstOrThrow()
      if (numDeletedRows === 0n) return deleted
      deleted += Number(numDeletedRows)
    }
  }

  const remove: RetirementDesk['remove'] = async (deviceId, note) => {
    const device = fleet.get(deviceId)
    const { deviceKey } = device
    if (device.retiredAt === null) {
      throw new Refusal(
        'conflict',
        `Cannot remove "${deviceId}": it is not retired. Retire it first with "./edgeloop device retire ${deviceId}"`,
      )
    }
    const boots = await store.writer
      .selectFrom('boot')
      .select('boot_key')
      .where('device_key', '=', deviceKey)
      .execute()
    // Few: people make them by hand.
    const marked = store.writer
      .selectFrom('event_mark')
      .innerJoin('event', 'event.event_id', 'event_mark.event_id')
      .select('event.event_id')
      .where('event.device_key', '=', deviceKey)
    await store.writer.deleteFrom('event_mark').where('event_id', 'in', marked).execute()
    let events = 0
    // By boot: that is how the index leads to all events of a device.
    for (const { boot_key } of boots) {
      events += await deleteRows('event', { column: 'boot_key', key: boot_key })
    }
    const healthFigures = await deleteRows('health_figure', {
      column: 'device_key',
      key: deviceKey,
    })
    await fleet.forget(device)
    try {
      const rest = await deleteRest(device, note)
      deps.removed(device)
      return { deviceId, retired: true, events, healthFigures, ...rest }
    } catch (error) {
      fleet.add(device)
      throw error
    }
  }

  /** What is little, and the device itself: in one transaction, so that no half of a device is left. */
  async function deleteRest({ deviceKey, deviceId }: Device, note: AuditNote | undefined) {
    return await store.writer.transaction().execute(async (tx) => {
      const deleteFrom = async (
        table:
          | 'quarantine'
          | 'config_version'
          | 'boot'
          | 'rollout_box'
          | 'device_update'
          | 'drift_stream'
          | 'drift_point'
          | 'drift_alarm'
          | 'earlier_key',
      ) => {
        const { numDeletedRows } = await tx
          .deleteFrom(table)
          .where('device_key', '=', deviceKey)
          .executeTakeFirstOrThrow()
        return Number(numDeletedRows)
      }
      // Whoever decides about its rollouts reads them anew.
      const rollouts = tx
        .selectFrom('rollout_box')
        .select('rollout_id')
        .where('device_key', '=', deviceKey)
      await tx
        .updateTable('rollout')
        .set(({ eb }) => ({ revision: eb('revision', '+', 1) }))
        .where('rollout_id', 'in', rollouts)
        .execute()
      await deleteFrom('rollout_box')
      await deleteFrom('device_update')
      await deleteFrom('drift_stream')
      await deleteFrom('drift_point')
      await deleteFrom('drift_alarm')
      await deleteFrom('earlier_key')
      const quarantined = await deleteFrom('quarantine')
      const configVersions = await deleteFrom('config_version')
      await deleteFrom('boot')
      await tx.deleteFrom('enrolment_token').where('device_id', '=', deviceId).execute()
      const { numDeletedRows } = await tx
        .deleteFrom('device')
        .where('device_key', '=', deviceKey)
        .where('retired_at', 'is not', null)
        .executeTakeFirstOrThrow()
      if (numDeletedRows === 0n) {
        throw new Refusal(
          'conflict',
          `Cannot remove "${deviceId}": it was enrolled again meanwhile`,
        )
      }
      await note?.within(tx)
      return { quarantined, configVersions }
    })
  }

  return { retire, count, remove }
}
