/**
 * All devices, in memory for whoever asks and in the store for the next start. Rows change far more often
 * than anybody can look, so changes are told, and written, at most once a second per device.
 */
import { type Change, Refusal } from '@edgeloop/protocol'
import type { Store } from '../store/store.ts'
import { type Device, patchOf, rowOf } from './device.ts'

/** Most devices of one hub; enrolment refuses the next. */
export const devicesMax = 10_000
/** How often changed rows are told and written. */
export const flushIntervalMs = 1000

export type Fleet = AsyncDisposable & {
  /** By id, or undefined. */
  find(deviceId: string): Device | undefined
  /** @throws {Refusal} notFound */
  get(deviceId: string): Device
  byKey(deviceKey: number): Device | undefined
  all(): Iterable<Device>
  readonly size: number
  readonly online: number
  readonly eventsStored: number
  /** Takes in a device that was just enrolled. */
  add(device: Device): void
  /** Changes a device in memory; the row's patch and its record in the store follow within a second. */
  change(device: Device, fields: Partial<Omit<Device, 'deviceKey' | 'deviceId' | 'revision'>>): void
  /** Tells and writes now. */
  flush(): Promise<void>
}

export async function openFleet(deps: {
  store: Store
  clock: () => number
  tell: (change: Change) => void
  failed: (error: unknown) => void
}): Promise<Fleet> {
  const { store, clock, tell } = deps
  const byId = new Map<string, Device>()
  const byKey = new Map<number, Device>()
  const dirty = new Map<Device, ReturnType<typeof rowOf>>()
  let countsTold = ''

  const rows = await store.reader.selectFrom('device').selectAll().limit(devicesMax).execute()
  for (const row of rows) {
    add({
      deviceKey: row.device_key,
      deviceId: row.device_id,
      site: row.site,
      name: row.name,
      enrolledAt: row.enrolled_at,
      certificate: { serial: row.certificate_serial, notAfter: row.certificate_not_after },
      online: false,
      lastSeenAt: row.last_seen_at,
      eventsStored: row.events_stored,
      reported: readJson(row.reported),
      health: readJson(row.health),
      desired: readJson(row.desired),
      revision: clock(),
    })
  }

  function add(device: Device): void {
    byId.set(device.deviceId, device)
    byKey.set(device.deviceKey, device)
  }

  const change: Fleet['change'] = (device, fields) => {
    if (!dirty.has(device)) dirty.set(device, rowOf(device))
    Object.assign(device, fields)
    device.revision = Math.max(device.revision + 1, clock())
  }

  function counts(): { devicesOnline: number; eventsStored: number } {
    let devicesOnline = 0
    let eventsStored = 0
    for (const device of byId.values()) {
      if (device.online) devicesOnline++
      eventsStored += device.eventsStored
    }
    return { devicesOnline, eventsStored }
  }

  async function flush(): Promise<void> {
    const changed = [...dirty]
    dirty.clear()
    for (const [device, before] of changed) {
      const patch = patchOf(before, rowOf(device))
      const { deviceId, revision } = device
      if (Object.keys(patch).some((key) => key !== 'revision')) {
        tell({ kind: 'device', deviceId, revision, patch })
      }
    }
    const now = counts()
    if (JSON.stringify(now) !== countsTold) {
      countsTold = JSON.stringify(now)
      tell({ kind: 'counts', ...now })
    }
    if (changed.length > 0) await write(changed.map(([device]) => device))
  }

  async function write(devices: readonly Device[]): Promise<void> {
    await store.writer.transaction().execute(async (tx) => {
      for (const device of devices) {
        await tx
          .updateTable('device')
          .set({
            name: device.name,
            last_seen_at: device.lastSeenAt,
            reported: device.reported && JSON.stringify(device.reported),
            health: device.health && JSON.stringify(device.health),
          })
          .where('device_key', '=', device.deviceKey)
          .execute()
      }
    })
  }

  let flushing: Promise<void> = Promise.resolve()
  const timer = setInterval(() => {
    flushing = flushing.then(flush).catch(deps.failed)
  }, flushIntervalMs)

  return {
    find: (deviceId) => byId.get(deviceId),
    get: (deviceId) => {
      const device = byId.get(deviceId)
      if (!device) throw new Refusal('notFound', `Cannot find device "${deviceId}": never enrolled`)
      return device
    },
    byKey: (deviceKey) => byKey.get(deviceKey),
    all: () => byId.values(),
    get size() {
      return byId.size
    },
    get online() {
      return counts().devicesOnline
    },
    get eventsStored() {
      return counts().eventsStored
    },
    add,
    change,
    flush,
    async [Symbol.asyncDispose]() {
      clearInterval(timer)
      await flushing
      await flush()
    },
  }
}

/** JSON that the hub itself wrote, after checking it. */
function readJson<T>(text: string | null): T | null {
  return text === null ? null : (JSON.parse(text) as T)
}
