/**
 * One act on many devices: counted before it is done, done one device after the other, and what one of them
 * refuses holds up none of the others.
 */
import {
  type DeviceActs,
  type DeviceConfig,
  diffConfigs,
  Refusal,
  type StreamSettings,
} from '@edgeloop/protocol'
import type { DesiredDesk } from './desired.ts'
import type { Device } from './device.ts'
import type { Fleet } from './fleet.ts'
import type { RetirementDesk } from './retirement.ts'

type Outcome = DeviceActs['devices'][number]

export type DeviceActsDesk = {
  retire(given: { devices: readonly string[]; dryRun: boolean }): Promise<DeviceActs>
  setStreams(
    given: { devices: readonly string[]; dryRun: boolean; set: StreamSettings },
    by: string,
  ): Promise<DeviceActs>
}

export function openDeviceActs(deps: {
  fleet: Fleet
  retirement: RetirementDesk
  desired: DesiredDesk
}): DeviceActsDesk {
  const { fleet, retirement, desired } = deps

  /** @param act says what it did, or would do, or why there was nothing to do */
  async function forEach(
    devices: readonly string[],
    act: (device: Device) => Promise<string | { readonly unchanged: string }>,
  ): Promise<DeviceActs> {
    const outcomes: Outcome[] = []
    for (const deviceId of new Set(devices)) {
      try {
        const done = await act(fleet.get(deviceId))
        outcomes.push(
          typeof done === 'string'
            ? { deviceId, outcome: 'changed', text: done }
            : { deviceId, outcome: 'unchanged', text: done.unchanged },
        )
      } catch (error) {
        if (!(error instanceof Refusal)) throw error
        outcomes.push({ deviceId, outcome: 'failed', text: error.message })
      }
    }
    const count = (wanted: Outcome['outcome']) =>
      outcomes.filter(({ outcome }) => outcome === wanted).length
    return {
      changed: count('changed'),
      unchanged: count('unchanged'),
      failed: count('failed'),
      devices: outcomes,
    }
  }

  return {
    retire: ({ devices, dryRun }) =>
      forEach(devices, async (device) => {
        if (device.retiredAt !== null) return { unchanged: 'retired already' }
        if (!dryRun) await retirement.retire(device.deviceId)
        return device.online ? 'retired; it was connected' : 'retired'
      }),
    setStreams: ({ devices, dryRun, set }, by) =>
      forEach(devices, async ({ deviceId, desired: wanted }) => {
        if (!wanted || wanted.config.streams.length === 0) return { unchanged: 'it has no streams' }
        const { version, config } = wanted
        const after = withSettings(config, set)
        if (diffConfigs(config, after).length === 0)
          return { unchanged: 'its streams are so already' }
        const streams = after.streams.filter((one, i) => !isSame(one, config.streams[i])).length
        // On the version that was looked at: an edit that came in between is not overwritten.
        if (!dryRun) await desired.replace(deviceId, version, after, by)
        return `${streams} of ${after.streams.length} streams`
      }),
  }
}

const withSettings = (config: DeviceConfig, set: StreamSettings): DeviceConfig => ({
  ...config,
  streams: config.streams.map((stream) => ({ ...stream, ...set })),
})

const isSame = (a: unknown, b: unknown): boolean => JSON.stringify(a) === JSON.stringify(b)
