/** Time zones of sites and tags of devices: what rollouts wait by and choose by. */
import { Refusal, type SiteRow } from '@edgeloop/protocol'
import type { AuditNote } from '../audit/audit.ts'
import { type Device, siteOf } from '../devices/device.ts'
import type { Fleet } from '../devices/fleet.ts'
import type { Store } from '../store/store.ts'
import { checkTimeZone } from './windows.ts'

/** How old what is known of other hubs' changes may be. */
const refreshMs = 10_000
/** Sites that something is set for, at most. */
const sitesMax = 2000

export type Sites = {
  /** The hub's own where nothing was set. */
  zoneOf(site: string): string
  list(): SiteRow[]
  /** @throws {Refusal} badRequest for a time zone that there is not; conflict for too many sites */
  setZone(site: string, timeZone: string, note: AuditNote): Promise<SiteRow>
  /** @throws {Refusal} notFound */
  setTags(deviceId: string, tags: readonly string[], note: AuditNote): Promise<Device>
  /** Reads what other hubs have set, once in a while. */
  refresh(): Promise<void>
}

/** @param changed told when devices may fit other rollouts than before */
export async function openSites(deps: {
  store: Store
  fleet: Fleet
  clock: () => number
  /** Where nothing is set. */
  zone?: string
  changed: () => void
}): Promise<Sites> {
  const { store, fleet, clock, changed } = deps
  const usual = deps.zone ?? Intl.DateTimeFormat().resolvedOptions().timeZone
  let zones = new Map<string, string>()
  let readAt = Number.NEGATIVE_INFINITY

  async function refresh(): Promise<void> {
    const now = clock()
    if (Math.abs(now - readAt) < refreshMs) return
    readAt = now
    const rows = await store.writer.selectFrom('site').selectAll().execute()
    zones = new Map(rows.map(({ site, time_zone }) => [site, time_zone]))
  }

  const zoneOf = (site: string): string => zones.get(site) ?? usual
  const rowOf = (site: string): SiteRow => {
    const devices = [...fleet.all()].filter((device) => siteOf(device) === site).length
    return { site, timeZone: zoneOf(site), devices }
  }

  await refresh()
  return {
    zoneOf,
    refresh,
    list: () => {
      const sites = new Set([...zones.keys(), ...[...fleet.all()].map(siteOf)])
      return [...sites].sort().map(rowOf)
    },
    setZone: async (site, timeZone, note) => {
      checkTimeZone(timeZone)
      note.about({ detail: timeZone })
      await store.writer.transaction().execute(async (tx) => {
        const known = await tx.selectFrom('site').select('site').execute()
        if (known.length >= sitesMax && !known.some((one) => one.site === site)) {
          throw new Refusal('conflict', `Cannot set more than ${sitesMax} time zones`)
        }
        await tx
          .insertInto('site')
          .values({ site, time_zone: timeZone })
          .onConflict((on) => on.column('site').doUpdateSet({ time_zone: timeZone }))
          .execute()
        await note.within(tx)
      })
      zones.set(site, timeZone)
      changed()
      return rowOf(site)
    },
    setTags: async (deviceId, tags, note) => {
      const device = fleet.get(deviceId)
      note.about({ detail: tags.length === 0 ? 'none' : tags.join(', ') })
      await store.writer.transaction().execute(async (tx) => {
        await tx
          .updateTable('device')
          .set({ tags: JSON.stringify(tags) })
          .where('device_key', '=', device.deviceKey)
          .execute()
        await note.within(tx)
      })
      fleet.change(device, { tags: [...tags] })
      changed()
      return device
    },
  }
}
