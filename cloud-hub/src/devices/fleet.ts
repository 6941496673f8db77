/**
 * All devices, in memory for whoever asks and in the store for the next start. Rows change far more often
 * than anybody can look, so changes are told at most once a second, and written every ten.
 */
import { type Change, type DeviceRow, Refusal } from '@edgeloop/protocol'
import type { Insertable, Selectable } from 'kysely'
import type { Store } from '../store/store.ts'
import type { DeviceTable } from '../store/tables.ts'
import { connectionsMax, type Device, patchOf, rowOf } from './device.ts'

/** Most devices of one hub; enrolment refuses the next. */
export const devicesMax = 10_000
/** How often changed rows are told. */
const tellIntervalMs = 1000
/** How often they are written. What a crash loses of it devices say again, but for when they were last seen. */
const writeIntervalMs = 10_000
const rowsPerWrite = 50

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
  /** Takes in a device that was just enrolled, and tells of it at once: somebody is waiting for it. */
  add(device: Device): void
  /** Changes a device in memory; its patch follows within a second, its record within ten. */
  change(device: Device, fields: Partial<Omit<Device, 'deviceKey' | 'deviceId' | 'revision'>>): void
  /** Lets go of a device whose record is about to be deleted; resolves when nothing writes it any more. */
  forget(device: Device): Promise<void>
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
  /** Changed since they were last told, with the row as it was told. */
  const untold = new Map<Device, DeviceRow>()
  /** Changed since they were last written. */
  const unwritten = new Set<Device>()
  let countsTold = ''

  const rows = await store.reader.selectFrom('device').selectAll().limit(devicesMax).execute()
  for (const row of rows) {
    add({
      deviceKey: row.device_key,
      deviceId: row.device_id,
      site: row.site,
      movedTo: row.moved_to,
      name: row.name,
      enrolledAt: row.enrolled_at,
      certificate: { serial: row.certificate_serial, notAfter: row.certificate_not_after },
      renewed: renewedOf(row),
      expired: false,
      retiredAt: row.retired_at,
      connections: readJson<number[]>(row.connections) ?? [],
      online: false,
      lastSeenAt: row.last_seen_at,
      eventsStored: row.events_stored,
      clockAheadMs: 0,
      reported: readJson(row.reported),
      health: readJson(row.health),
      desired: readJson(row.desired),
      tags: readJson<string[]>(row.tags) ?? [],
      revision: clock(),
    })
  }

  function add(device: Device): void {
    byId.set(device.deviceId, device)
    byKey.set(device.deviceKey, device)
  }

  const change: Fleet['change'] = (device, fields) => {
    // Removed meanwhile: its last messages change nothing any more.
    if (byKey.get(device.deviceKey) !== device) return
    if (!untold.has(device)) untold.set(device, rowOf(device))
    unwritten.add(device)
    if (fields.online !== undefined && fields.online !== device.online) {
      const at = fields.online ? clock() : -clock()
      device.connections = [...device.connections, at].slice(-connectionsMax)
    }
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

  function tellChanged(): void {
    for (const [device, before] of untold) {
      const patch = patchOf(before, rowOf(device))
      const { deviceId, revision } = device
      if (Object.keys(patch).some((key) => key !== 'revision')) {
        tell({ kind: 'device', deviceId, revision, patch })
      }
    }
    untold.clear()
    const now = counts()
    if (JSON.stringify(now) === countsTold) return
    countsTold = JSON.stringify(now)
    tell({ kind: 'counts', ...now })
  }

  async function write(): Promise<void> {
    if (unwritten.size === 0) return
    // In one order everywhere: two hubs that write the same rows must not wait for each other.
    const devices = [...unwritten].sort((a, b) => a.deviceKey - b.deviceKey)
    // Few statements, each short: while one runs, no events are committed.
    for (let i = 0; i < devices.length; i += rowsPerWrite) {
      const part = devices.slice(i, i + rowsPerWrite)
      const cells = part.map(cellsOf)
      for (const device of part) unwritten.delete(device)
      await store.writer
        .insertInto('device')
        .values(cells)
        .onConflict((on) =>
          on.column('device_id').doUpdateSet(({ ref }) => ({
            last_seen_at: ref('excluded.last_seen_at'),
            reported: ref('excluded.reported'),
            health: ref('excluded.health'),
            connections: ref('excluded.connections'),
          })),
        )
        .execute()
        .catch((error) => {
          // What could not be written is written the next time.
          for (const device of part) unwritten.add(device)
          throw error
        })
    }
  }

  let writing: Promise<void> = Promise.resolve()
  const tellTimer = setInterval(tellChanged, tellIntervalMs)
  const writeTimer = setInterval(() => {
    writing = writing.then(write).catch(deps.failed)
  }, writeIntervalMs)

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
    add: (device) => {
      add(device)
      tell({
        kind: 'device',
        deviceId: device.deviceId,
        revision: device.revision,
        patch: rowOf(device),
      })
    },
    change,
    forget: async (device) => {
      byId.delete(device.deviceId)
      byKey.delete(device.deviceKey)
      untold.delete(device)
      unwritten.delete(device)
      tell({ kind: 'deviceRemoved', deviceId: device.deviceId })
      await writing
      unwritten.delete(device)
    },
    async [Symbol.asyncDispose]() {
      clearInterval(tellTimer)
      clearInterval(writeTimer)
      await writing
      // A store that is gone keeps no hub from ending; devices say most of this again.
      await write().catch(deps.failed)
    },
  }
}

/** The record of a device. Every row exists already; what must not be null is repeated for the insert. */
function cellsOf(device: Device): Insertable<DeviceTable> {
  return {
    device_id: device.deviceId,
    site: device.site,
    name: device.name,
    enrolled_at: device.enrolledAt,
    certificate_serial: device.certificate.serial,
    certificate_not_after: device.certificate.notAfter,
    last_seen_at: device.lastSeenAt,
    reported: device.reported && JSON.stringify(device.reported),
    health: device.health && JSON.stringify(device.health),
    connections: JSON.stringify(device.connections),
  }
}

function renewedOf(row: Selectable<DeviceTable>): Device['renewed'] {
  const { next_serial: serial, next_not_after: notAfter } = row
  return serial === null || notAfter === null ? null : { serial, notAfter }
}

/** JSON that the hub itself wrote, after checking it. */
function readJson<T>(text: string | null): T | null {
  return text === null ? null : (JSON.parse(text) as T)
}
