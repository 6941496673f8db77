/**
 * What the hub wants of a device: versioned, kept in the store, published whole and retained. Each version
 * stays for a while with its author and what the device made of it, so that it can be compared and wished again.
 */
import {
  type ConfigDiff,
  type ConfigVersion,
  type ConfigVersionDetail,
  configMisfit,
  configOutcomes,
  configVersionsMax,
  type Desired,
  type DeviceConfig,
  diffConfigs,
  emptyConfig,
  hideSecrets,
  messages,
  type Newest,
  Refusal,
  type Reported,
  type StreamConfig,
} from '@edgeloop/protocol'
import type { Selectable } from 'kysely'
import type { AuditNote } from '../audit/audit.ts'
import type { Store } from '../store/store.ts'
import type { ConfigVersionTable } from '../store/tables.ts'
import { keepSecrets } from './camera-secrets.ts'
import type { Device } from './device.ts'
import type { Fleet } from './fleet.ts'

export type DesiredDesk = {
  /**
   * Replaces the configuration of a device.
   * @param edited the version that was edited, 0 for none
   * @param by who wishes it
   * @param note the audit entry, written in the transaction of the change
   * @throws {Refusal} conflict when `edited` is no longer the newest, with what has changed since;
   * badRequest when the configuration cannot be
   */
  replace(
    deviceId: string,
    edited: number,
    config: DeviceConfig,
    by: string,
    note?: AuditNote,
  ): Promise<Desired>
  /** @throws {Refusal} badRequest when the device has a stream of that id */
  addStream(deviceId: string, stream: StreamConfig, by: string, note?: AuditNote): Promise<Desired>
  /** @throws {Refusal} notFound when the device has no such stream */
  removeStream(deviceId: string, streamId: string, by: string, note?: AuditNote): Promise<Desired>
  /**
   * Wishes an earlier version again, as a new one.
   * @throws {Refusal} conflict as for `replace`; notFound when the earlier one is not kept any more
   */
  rollback(
    deviceId: string,
    wish: { readonly version: number; readonly to: number },
    by: string,
    note?: AuditNote,
  ): Promise<Desired>
  /** Newest first, at most `configVersionsMax`. */
  versions(deviceId: string): Promise<ConfigVersion[]>
  /** Without passwords. @throws {Refusal} notFound */
  version(deviceId: string, version: number): Promise<ConfigVersionDetail>
  /** @throws {Refusal} notFound when one of them is not kept any more */
  diff(deviceId: string, from: number, to: number): Promise<ConfigDiff>
  /** Keeps what a device says it made of a version. */
  heard(device: Device, reported: Reported): void
  /** Resolves when everything that was heard is in the store. */
  settled(): Promise<void>
}

/** How often an edit of one stream is tried again when somebody else was faster. */
const attemptsMax = 3

export function openDesiredDesk(deps: {
  store: Store
  fleet: Fleet
  clock: () => number
  publish: (device: Device) => void
  failed: (error: unknown) => void
}): DesiredDesk {
  const { store, fleet, clock } = deps
  /** What was last heard of each device, so that a report that says it again writes nothing. */
  const heardLast = new WeakMap<Device, string>()
  let writing: Promise<unknown> = Promise.resolve()

  async function write(
    device: Device,
    edited: number,
    config: DeviceConfig,
    by: string,
    note: AuditNote | undefined,
  ): Promise<Desired> {
    // Said before anything else: what is wrong with an outdated edit is that it is outdated.
    if ((device.desired?.version ?? 0) > edited) throw await conflict(device, edited)
    const now = clock()
    const kept = keepSecrets(config, device.desired?.config)
    checkConfig(kept)
    const desired = { version: edited + 1, at: new Date(now).toISOString(), config: kept }
    const text = JSON.stringify(desired)
    if (Buffer.byteLength(text) > messages.desired.bytesMax) {
      throw new Refusal('tooLarge', `Cannot send ${text.length} bytes of configuration to a device`)
    }
    const { deviceKey } = device
    const written = await store.writer.transaction().execute(async (tx) => {
      const { numUpdatedRows } = await tx
        .updateTable('device')
        .set({ desired: text, desired_version: desired.version })
        .where('device_key', '=', deviceKey)
        .where('desired_version', '=', edited)
        .executeTakeFirstOrThrow()
      if (numUpdatedRows === 0n) return false
      const row = { device_key: deviceKey, version: desired.version, at: now, author: by }
      await tx
        .insertInto('config_version')
        .values({ ...row, config: JSON.stringify(kept), outcome: 'sent', reason: '' })
        .execute()
      await tx
        .deleteFrom('config_version')
        .where('device_key', '=', deviceKey)
        .where('version', '<=', desired.version - configVersionsMax)
        .execute()
      await note?.within(tx)
      return true
    })
    if (!written) throw await conflict(device, edited)
    fleet.change(device, { desired })
    deps.publish(device)
    return desired
  }

  /** Says what is there now, and what others have changed since the version that was edited. */
  async function conflict(device: Device, edited: number): Promise<Refusal> {
    const row = await store.writer
      .selectFrom('config_version')
      .selectAll()
      .where('device_key', '=', device.deviceKey)
      .orderBy('version', 'desc')
      .limit(1)
      .executeTakeFirst()
    const text = `Cannot replace version ${edited}: the newest is ${row?.version ?? 0}. Load it and edit again`
    if (!row) return new Refusal('conflict', text)
    const base = await configOf(device, edited)
    const { version, at, by } = factsOf(row)
    const newest: Newest = { version, at, by }
    if (base) newest.changes = diffConfigs(base, readConfig(row))
    return new Refusal('conflict', text, { newest })
  }

  /** An edit that does not depend on what else has changed: done again on the newest version. */
  async function edit(
    deviceId: string,
    by: string,
    note: AuditNote | undefined,
    change: (config: DeviceConfig) => DeviceConfig,
  ): Promise<Desired> {
    const device = fleet.get(deviceId)
    for (let attempt = 1; ; attempt++) {
      const config = change(device.desired?.config ?? emptyConfig)
      try {
        return await write(device, device.desired?.version ?? 0, config, by, note)
      } catch (error) {
        const lost = error instanceof Refusal && error.code === 'conflict'
        if (!lost || attempt === attemptsMax) throw error
      }
    }
  }

  async function rowOf(device: Device, version: number) {
    return await store.reader
      .selectFrom('config_version')
      .selectAll()
      .where('device_key', '=', device.deviceKey)
      .where('version', '=', version)
      .executeTakeFirst()
  }

  /** A version with its passwords, or undefined where it is not kept. */
  async function configOf(device: Device, version: number): Promise<DeviceConfig | undefined> {
    if (version === 0) return emptyConfig
    const row = await rowOf(device, version)
    return row && readConfig(row)
  }

  async function keptConfigOf(device: Device, version: number): Promise<DeviceConfig> {
    return (await configOf(device, version)) ?? notKept(device, version)
  }

  const heard: DesiredDesk['heard'] = (device, { config }) => {
    if (!config) return
    const outcome = config.accepted ? 'accepted' : 'refused'
    const { version, reason } = config
    const said = `${version} ${outcome} ${reason}`
    if (heardLast.get(device) === said) return
    heardLast.set(device, said)
    const keep = store.writer
      .updateTable('config_version')
      .set({ outcome, reason })
      .where('device_key', '=', device.deviceKey)
      .where('version', '=', version)
      .where((eb) => eb.or([eb('outcome', '<>', outcome), eb('reason', '<>', reason)]))
      .execute()
    writing = Promise.all([writing, keep]).catch(deps.failed)
  }

  return {
    replace: (deviceId, edited, config, by, note) =>
      write(fleet.get(deviceId), edited, config, by, note),
    addStream: (deviceId, stream, by, note) =>
      edit(deviceId, by, note, (config) => {
        if (config.streams.some(({ streamId }) => streamId === stream.streamId)) {
          throw new Refusal(
            'badRequest',
            `Cannot add stream "${stream.streamId}": "${deviceId}" has one of that id. Choose another`,
          )
        }
        return { ...config, streams: [...config.streams, stream] }
      }),
    removeStream: (deviceId, streamId, by, note) =>
      edit(deviceId, by, note, (config) => {
        const left = config.streams.filter((stream) => stream.streamId !== streamId)
        if (left.length === config.streams.length) {
          throw new Refusal(
            'notFound',
            `Cannot remove stream "${streamId}": "${deviceId}" has none of that id`,
          )
        }
        return { ...config, streams: left }
      }),
    rollback: async (deviceId, { version, to }, by, note) => {
      const device = fleet.get(deviceId)
      return await write(device, version, await keptConfigOf(device, to), by, note)
    },
    versions: async (deviceId) => {
      const rows = await store.reader
        .selectFrom('config_version')
        .select(['version', 'at', 'author', 'outcome', 'reason'])
        .where('device_key', '=', fleet.get(deviceId).deviceKey)
        .orderBy('version', 'desc')
        .limit(configVersionsMax)
        .execute()
      return rows.map(factsOf)
    },
    version: async (deviceId, version) => {
      const device = fleet.get(deviceId)
      const row = (await rowOf(device, version)) ?? notKept(device, version)
      return { ...factsOf(row), config: hideSecrets(readConfig(row)) }
    },
    diff: async (deviceId, from, to) => {
      const device = fleet.get(deviceId)
      const [before, after] = [await keptConfigOf(device, from), await keptConfigOf(device, to)]
      return { from, to, changes: diffConfigs(before, after) }
    },
    heard,
    settled: async () => {
      await writing
    },
  }
}

/** The configuration as people see it. */
export function withoutSecrets(desired: Desired): Desired {
  return { ...desired, config: hideSecrets(desired.config) }
}

function notKept({ deviceId }: Device, version: number): never {
  throw new Refusal(
    'notFound',
    `Cannot find version ${version} of the configuration of "${deviceId}": there was none, or it is older than the last ${configVersionsMax}`,
  )
}

function factsOf(
  row: Omit<Selectable<ConfigVersionTable>, 'config' | 'device_key'>,
): ConfigVersion {
  const { version, at, author, outcome, reason } = row
  return {
    version,
    at: new Date(at).toISOString(),
    by: author,
    outcome: configOutcomes.find((known) => known === outcome) ?? 'sent',
    reason,
  }
}

/** JSON that the hub itself wrote, after checking it. */
const readConfig = ({ config }: { config: string }): DeviceConfig => JSON.parse(config)

/** @throws {Refusal} badRequest for what no schema can say */
function checkConfig(config: DeviceConfig): void {
  const { streams } = config
  const misfit = configMisfit(config)
  if (misfit !== undefined) throw new Refusal('badRequest', `Cannot take configuration: ${misfit}`)
  if (streams.length > streamsMax) {
    throw new Refusal(
      'badRequest',
      `Cannot give a device ${streams.length} streams, allowed ${streamsMax}`,
    )
  }
}

/** Streams of one device; the schema of the configuration says the same. */
const streamsMax = 256
