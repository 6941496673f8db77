/** One device as the hub holds it in memory, and the fleet row that people see of it. */
import type { ConnectionChange, Desired, DeviceRow, Event, Reported } from '@edgeloop/protocol'

export type Health = Extract<Event, { kind: 'health' }>

/** Beginnings and ends of connections that are remembered of one device; the oldest give way. */
export const connectionsMax = 100

/** `notAfter`: milliseconds of the clock. */
export type Certificate = { readonly serial: string; readonly notAfter: number }

export type Device = {
  readonly deviceKey: number
  readonly deviceId: string
  /** Site in its certificate and topics: part of its address, which never changes. */
  readonly site: string
  /** The site where it stands now, if it was moved. */
  movedTo: string | null
  name: string
  readonly enrolledAt: number
  certificate: Certificate
  /** Given out and not used yet: its first use makes it the certificate. */
  renewed: Certificate | null
  /** No certificate of it opens the hub any more: it has to be enrolled again. */
  expired: boolean
  /** Since when it is not let in any more (ms); what it told is kept. */
  retiredAt: number | null
  online: boolean
  /**
   * When its connections began and ended, oldest first, at most `connectionsMax`: milliseconds of the clock,
   * negative for an end. Two beginnings in a row: the hub was away in between.
   */
  connections: readonly number[]
  lastSeenAt: number | null
  eventsStored: number
  /** By how much its clock was ahead of ours, at least, when it was last heard, ms; 0 where nothing is known. */
  clockAheadMs: number
  reported: Reported | null
  health: Health | null
  desired: Desired | null
  /** Words that people put on it, to choose it by. */
  tags: readonly string[]
  /** Grows with every change of the row, also over restarts of the hub: milliseconds of the clock. */
  revision: number
}

/** The site that people see. */
export const siteOf = ({ site, movedTo }: Pick<Device, 'site' | 'movedTo'>): string =>
  movedTo ?? site

/** What a person sees of a device in a list. */
export function rowOf(device: Device): DeviceRow {
  const { reported, health } = device
  const streams = reported?.streams ?? []
  const judged = judge(device)
  return {
    deviceId: device.deviceId,
    site: siteOf(device),
    name: device.name,
    tags: device.tags as string[],
    connectivity: connectivityOf(device),
    health: judged.health,
    reason: judged.reason,
    agentVersion: reported?.agentVersion ?? '',
    lastSeenAt: device.lastSeenAt === null ? null : new Date(device.lastSeenAt).toISOString(),
    enrolledAt: new Date(device.enrolledAt).toISOString(),
    streamsLive: streams.filter(({ state }) => state === 'live').length,
    streamsTotal: streams.length,
    analysedFps: device.online ? sum(health?.streams.map((s) => s.analysedFps)) : 0,
    cpuShare: health?.cpuShare ?? 0,
    memoryBytes: health?.memoryBytes ?? 0,
    eventsStored: device.eventsStored,
    revision: device.revision,
  }
}

/** When the device came and went, newest first. */
export function connectionsOf({ connections }: Device): ConnectionChange[] {
  return connections
    .map((at) => ({ at: new Date(Math.abs(at)).toISOString(), online: at > 0 }))
    .reverse()
}

/** The keys in which two rows differ, with the values of the second. */
export function patchOf(before: DeviceRow, after: DeviceRow): Partial<DeviceRow> {
  const changed = Object.entries(after).filter(
    ([key, value]) => before[key as keyof DeviceRow] !== value,
  )
  return Object.fromEntries(changed)
}

function connectivityOf(device: Device): DeviceRow['connectivity'] {
  if (device.online) return 'online'
  return device.lastSeenAt === null ? 'never' : 'offline'
}

function judge(device: Device): Pick<DeviceRow, 'health' | 'reason'> {
  if (device.retiredAt !== null) {
    const since = new Date(device.retiredAt).toISOString().slice(0, 10)
    return {
      health: 'retired',
      reason: `Retired since ${since}; enrolling it again brings it back`,
    }
  }
  if (device.expired) {
    const end = new Date(device.certificate.notAfter).toISOString().slice(0, 10)
    const reason = `Its certificate ended on ${end} and was not renewed: enrol the device again`
    return { health: device.lastSeenAt === null ? 'never' : 'offline', reason }
  }
  if (!device.online) {
    return device.lastSeenAt === null
      ? { health: 'never', reason: 'Enrolled, and not seen yet' }
      : { health: 'offline', reason: 'The device is not connected' }
  }
  const { reported } = device
  if (reported?.config?.accepted === false) {
    const { version, reason } = reported.config
    return { health: 'degraded', reason: `Configuration ${version} refused: ${reason}` }
  }
  const broken = reported?.streams.filter(({ state }) => state !== 'live') ?? []
  const [first, ...others] = broken
  if (!first) return judgeLoad(reported?.streams ?? [])
  const more = others.length > 0 ? ` (and ${others.length} more)` : ''
  const why = first.reason ? `: ${first.reason}` : ''
  return {
    health: 'degraded',
    reason: `Stream ${first.name || first.streamId} is ${first.state}${why}${more}`,
  }
}

function judgeLoad(streams: Reported['streams']): Pick<DeviceRow, 'health' | 'reason'> {
  const [first, ...others] = streams.filter(({ shedding }) => shedding !== undefined)
  if (!first) return { health: 'ok', reason: '' }
  const more = others.length > 0 ? ` (and ${others.length} more)` : ''
  return {
    health: 'degraded',
    reason: `Stream ${first.name || first.streamId} sheds load: ${first.shedding?.reason}${more}`,
  }
}

function sum(values: readonly number[] = []): number {
  return values.reduce((total, value) => total + value, 0)
}

/** Serials of the certificates that this hub lets in for a device. */
export function validSerials({ retiredAt, certificate, renewed }: Device): string[] {
  if (retiredAt !== null) return []
  return renewed ? [certificate.serial, renewed.serial] : [certificate.serial]
}

/** How far the clock of who said something at `at` is ahead, at least: what is on the way for long hides it, ms. */
export const aheadOf = (at: string, receivedAt: number): number =>
  Math.max(0, Math.round(Date.parse(at) - receivedAt))
