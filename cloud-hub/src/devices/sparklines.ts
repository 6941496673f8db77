/** The recent past of many devices at once, as thin as a line in a list can show it. */
import type { Sparklines } from '@edgeloop/protocol'
import { sql } from 'kysely'
import type { Store } from '../store/store.ts'
import type { Device } from './device.ts'

export const slotMs = 60_000
export const slots = 30

/**
 * The last half hour of CPU, the greatest of each minute. The minute that runs is the last slot.
 * @param devices at most a page of a list: each costs the reads of its half hour
 */
export async function readSparklines(
  store: Store,
  devices: readonly Pick<Device, 'deviceKey' | 'deviceId'>[],
  now: number,
): Promise<Sparklines> {
  const from = (Math.floor(now / slotMs) - slots + 1) * slotMs
  const lines = new Map(devices.map((device) => [device.deviceKey, emptyLine()]))
  if (devices.length > 0) {
    // Literals, because a bound number is a REAL to SQLite and would not divide to a whole slot.
    const slot = sql<number>`(${sql.ref('at')} - ${sql.lit(from)}) / ${sql.lit(slotMs)}`
    const rows = await store.reader
      .selectFrom('health_figure')
      .select(({ fn }) => ['device_key', slot.as('slot'), fn.max('cpu_share').as('cpu_share')])
      .where('device_key', 'in', [...lines.keys()])
      .where('at', '>=', from)
      .where('at', '<', from + slots * slotMs)
      .groupBy(['device_key', slot])
      .execute()
    for (const row of rows) {
      const line = lines.get(row.device_key)
      if (line) line[Number(row.slot)] = row.cpu_share
    }
  }
  return {
    from: new Date(from).toISOString(),
    slotMs,
    devices: devices.map(({ deviceId, deviceKey }) => ({
      deviceId,
      cpuShare: lines.get(deviceKey) ?? emptyLine(),
    })),
  }
}

const emptyLine = (): (number | null)[] => new Array<number | null>(slots).fill(null)
