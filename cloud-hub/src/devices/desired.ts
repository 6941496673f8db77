/**
 * What the hub wants of a device: versioned, kept in the store, published whole and retained. Passwords of
 * cameras are stored for the device and shown to nobody; what comes back with the password masked keeps the
 * one that is stored.
 */
import {
  configMisfit,
  type Desired,
  type DeviceConfig,
  hideSecret,
  messages,
  Refusal,
  type StreamConfig,
} from '@edgeloop/protocol'
import type { Store } from '../store/store.ts'
import type { Device } from './device.ts'
import type { Fleet } from './fleet.ts'

export type DesiredDesk = {
  /**
   * Replaces the configuration of a device.
   * @param version the version that was edited, 0 for none
   * @throws {Refusal} conflict when it is no longer the newest, badRequest when the configuration cannot be
   */
  replace(deviceId: string, version: number, config: DeviceConfig): Promise<Desired>
  /** @throws {Refusal} conflict when the device has a stream of that id */
  addStream(deviceId: string, stream: StreamConfig): Promise<Desired>
  /** @throws {Refusal} notFound when the device has no such stream */
  removeStream(deviceId: string, streamId: string): Promise<Desired>
}

/** How often an edit of one stream is tried again when somebody else was faster. */
const attemptsMax = 3

export function openDesiredDesk(deps: {
  store: Store
  fleet: Fleet
  clock: () => number
  publish: (device: Device) => void
}): DesiredDesk {
  const { store, fleet, clock } = deps

  async function write(device: Device, version: number, config: DeviceConfig): Promise<Desired> {
    const kept = keepSecrets(config, device.desired?.config)
    checkConfig(kept)
    const desired = { version: version + 1, at: new Date(clock()).toISOString(), config: kept }
    const text = JSON.stringify(desired)
    if (Buffer.byteLength(text) > messages.desired.bytesMax) {
      throw new Refusal('tooLarge', `Cannot send ${text.length} bytes of configuration to a device`)
    }
    const updated = await store.writer
      .updateTable('device')
      .set({ desired: text, desired_version: desired.version })
      .where('device_key', '=', device.deviceKey)
      .where('desired_version', '=', version)
      .executeTakeFirst()
    if (updated.numUpdatedRows === 0n) {
      throw new Refusal(
        'conflict',
        `Cannot replace version ${version}: the newest is ${device.desired?.version ?? 0}. Load it and edit again`,
      )
    }
    fleet.change(device, { desired })
    deps.publish(device)
    return desired
  }

  /** An edit that does not depend on what else has changed: done again on the newest version. */
  async function edit(
    deviceId: string,
    change: (config: DeviceConfig) => DeviceConfig,
  ): Promise<Desired> {
    const device = fleet.get(deviceId)
    for (let attempt = 1; ; attempt++) {
      const config = change(device.desired?.config ?? { streams: [] })
      try {
        return await write(device, device.desired?.version ?? 0, config)
      } catch (error) {
        const lost = error instanceof Refusal && error.code === 'conflict'
        if (!lost || attempt === attemptsMax) throw error
      }
    }
  }

  return {
    replace: (deviceId, version, config) => write(fleet.get(deviceId), version, config),
    addStream: (deviceId, stream) =>
      edit(deviceId, ({ streams }) => {
        if (streams.some(({ streamId }) => streamId === stream.streamId)) {
          throw new Refusal(
            'badRequest',
            `Cannot add stream "${stream.streamId}": "${deviceId}" has one of that id. Choose another`,
          )
        }
        return { streams: [...streams, stream] }
      }),
    removeStream: (deviceId, streamId) =>
      edit(deviceId, ({ streams }) => {
        const left = streams.filter((stream) => stream.streamId !== streamId)
        if (left.length === streams.length) {
          throw new Refusal(
            'notFound',
            `Cannot remove stream "${streamId}": "${deviceId}" has none of that id`,
          )
        }
        return { streams: left }
      }),
  }
}

/** The configuration as people see it. */
export function withoutSecrets(desired: Desired): Desired {
  const streams = desired.config.streams.map((stream) => ({
    ...stream,
    source: hideSecret(stream.source),
  }))
  return { ...desired, config: { ...desired.config, streams } }
}

/** A source that comes back as it was shown is the one that is stored. */
export function keepSecrets(config: DeviceConfig, stored: DeviceConfig | undefined): DeviceConfig {
  const sources = new Map(stored?.streams.map(({ streamId, source }) => [streamId, source]))
  const streams = config.streams.map((stream) => {
    const known = sources.get(stream.streamId)
    const masked = known !== undefined && stream.source === hideSecret(known)
    return masked ? { ...stream, source: known } : stream
  })
  return { ...config, streams }
}

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
