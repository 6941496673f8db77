/**
 * How people see a device: its name, and the site where it stands. Neither is on the box: its id, and the
 * site in its certificate and topics, stay what they were when it was enrolled (docs/decisions/0022).
 */
import type { DevicePlace } from '@edgeloop/protocol'
import type { AuditNote } from '../audit/audit.ts'
import type { Store } from '../store/store.ts'
import { type Device, siteOf } from './device.ts'
import type { Fleet } from './fleet.ts'

export type PlaceDesk = {
  /** Changes what is given. @throws {Refusal} notFound */
  edit(deviceId: string, place: DevicePlace, note?: AuditNote): Promise<Device>
}

export function openPlaceDesk({ store, fleet }: { store: Store; fleet: Fleet }): PlaceDesk {
  return {
    async edit(deviceId, place, note) {
      const device = fleet.get(deviceId)
      const name = place.name?.trim() ?? device.name
      const site = place.site ?? siteOf(device)
      // Back where it was enrolled: not moved any more.
      const movedTo = site === device.site ? null : site
      note?.about({
        detail: [
          ...(name === device.name ? [] : [`"${device.name}" is now "${name}"`]),
          ...(site === siteOf(device) ? [] : [`moved from ${siteOf(device)} to ${site}`]),
        ].join(', '),
      })
      await store.writer.transaction().execute(async (tx) => {
        await tx
          .updateTable('device')
          .set({ name, moved_to: movedTo })
          .where('device_key', '=', device.deviceKey)
          .execute()
        await note?.within(tx)
      })
      fleet.change(device, { name, movedTo })
      return device
    },
  }
}
